"""From the collector's state to a Snapshot: who is shown, under which name, in which pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .agent import Agent
from .pools import OVERFLOW
from .schema import Kind, Role
from .snapshot import (
    AgentStats,
    CollectorStats,
    Host,
    Info,
    Interface,
    Place,
    Pool,
    PoolService,
    Row,
    Rows,
    Service,
    Snapshot,
)
from .source import DEFAULT_INTERVAL, INTERVALS_TO_LIVE, Source

if TYPE_CHECKING:
    from .collector import Collector


AT_ONCE = 1_000
"""How many sources are looked at before others may have a turn."""


def derive_snapshot(collector: Collector, now: float, pause: Callable[[], None] | None = None) -> Snapshot:
    """The collector's state at `now` as a value.

    `pause` is called again and again on the way, between two agents, and the collector may take
    datagrams meanwhile. Where that has moved work from a member to the ledger, which must not
    be counted twice, all is done anew without a pause.
    """
    version = collector.ledger.version
    snapshot = _derive(collector, now, pause)
    return snapshot if collector.ledger.version == version else _derive(collector, now, None)


def _derive(collector: Collector, now: float, pause: Callable[[], None] | None) -> Snapshot:
    present = list(collector.agents.values())
    names = _host_names(in_turns(present, pause, AT_ONCE), now)
    pools: dict[str, _PoolDraft] = {}
    agents = []
    for agent in in_turns(present, pause, AT_ONCE):
        agent.settle()
        draft = pools.setdefault(agent.pool, _PoolDraft(agent.pool))
        host = draft.add(agent, names.get(agent.address), now)
        agents.append(_agent_stats(agent, host, now))
    for pool, service, kind in collector.ledger.sums:
        draft = pools.setdefault(pool, _PoolDraft(pool))
        if service:
            draft.service(service, kind)
    return Snapshot(
        now,
        collector.config,
        tuple(pools[name].finish(collector) for name in sorted(pools)),
        tuple(agents),
        CollectorStats(
            collector.datagrams,
            collector.bytes,
            collector.kernel_drops,
            collector.receive_buffer,
            _ever(collector.samples_before, [agent.samples for agent in collector.agents.values()]),
            collector.layouts.record_counts(),
            dict(collector.decode_errors),
            dict(collector.layouts.unknown_records),
            dict(collector.dropped),
            dict(collector.limits.dropped),
            collector.started,
            collector.limits.series,
            collector.limits.memory,
            _ever(collector.resets_before, [agent.resets for agent in collector.agents.values()]),
        ),
        collector.remotes,
    )


def in_turns(agents: Iterable[Agent], pause: Callable[[], None] | None, at_once: int) -> Iterator[Agent]:
    """The agents; `pause` is called after some sources."""
    done = 0
    for agent in agents:
        yield agent
        done += len(agent.sources)
        if done > at_once and pause is not None:
            pause()
            done = 0


def _ever(before: Mapping[str, int], counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What agents have counted, and before them those that have been forgotten."""
    sums = dict(before)
    for one in counts:
        for key, count in one.items():
            sums[key] += count
    return sums


def _is_up(agent: Agent, now: float) -> bool:
    """A host is up while its own samples come, or where it has none, those of anything on it; who is asked settles."""
    if agent.host is not None:
        agent.host.settle()
        return now <= agent.host.expires
    agent.settle()
    return any(now <= source.expires for source in agent.sources.values())


def _host_names(agents: Iterable[Agent], now: float) -> dict[str, str]:
    """A name of its own for each agent address.

    Of two hosts with one name, the first heard keeps it and the other gets its address behind
    it; one that is down gives way to one that is up, and is not shown.
    """
    names: dict[str, str] = {}
    used: set[str] = set()
    ranks = sorted((not _is_up(one, now), one.first_heard, one.address, one) for one in agents)
    for is_down, _, _, agent in ranks:
        name = agent.name or agent.address or "unknown"
        if name.lower() in used and is_down:
            continue
        while name.lower() in used:
            name = f"{name}-{agent.address}"
        used.add(name.lower())
        names[agent.address] = name
    return names


def _is_plain(source: Source, agent: Agent) -> bool:
    """Whether no rule and no limit has given the service its name, so that it is merged with no other."""
    return source.service == source.name != OVERFLOW and source.service not in agent.departed


def _own_name(name: str, suffix: int, used: set[str]) -> str:
    """The name, with the suffix behind it where another one has it already; `used` takes it up."""
    while name in used:
        name = f"{name}-{suffix}"
    used.add(name)
    return name


class _PoolDraft:
    """A pool while its hosts are put together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hosts: list[Host] = []
        self.services: dict[tuple[str, str], PoolService] = {}
        self.rows = Rows()

    def service(self, name: str, kind: str) -> PoolService:
        found = self.services.get((name, kind))
        if found is None:
            found = self.services[name, kind] = PoolService(name, kind)
        return found

    def add(self, agent: Agent, name: str | None, now: float) -> Host | None:
        """Take an agent's sources into the pool; the host is None where another one has its name."""
        up = _is_up(agent, now)
        row: Row | None = None
        texts: Mapping[str, str] = {}
        interfaces: list[Interface] = []
        groups: dict[str, list[Source]] = {}
        for source in agent.sources.values():
            role = source.role
            if role is Role.SERVICE:
                groups.setdefault(source.service, []).append(source)
            elif role is Role.HOST:
                own = Row.of(source)
                self.rows.append(own)
                if source is agent.host:
                    texts = source.texts
                    row = own if up else None
            elif role is Role.INTERFACE and up and now <= source.expires:
                interfaces.append(Interface(source.name, source.ds_index, Row.of(source)))
        services: list[Service] = []
        used: set[str] = set()
        shown = up and name is not None
        for group, members in groups.items():
            if len(members) == 1 and _is_plain(members[0], agent):
                services += self._single(name or "", members[0], shown, now, used)
            else:
                services += self._services(name or "", group, members, agent, shown, now, used)
        if name is None:
            return None
        host = Host(
            name,
            agent.address,
            agent.pool,
            up,
            bool(agent.name),
            row,
            texts,
            tuple(services),
            tuple(_distinct(interfaces)),
            agent.first_heard,
            agent.last_heard,
            agent.host.own_interval if agent.host is not None else max(agent.interval or DEFAULT_INTERVAL, 1.0),
            agent.started,
            agent.born,
        )
        self.hosts.append(host)
        return host

    def _single(self, host: str, source: Source, up: bool, now: float, used: set[str]) -> tuple[Service, ...]:
        """The usual case: a service that is one source, under the name that this has."""
        group, row = source.service, Row.of(source)
        pooled = self.service(group, source.kind)
        pooled.rows.append(row)
        if not up or now > row.alive + INTERVALS_TO_LIVE * row.interval:
            pooled.plain = False
            return ()
        service = Service(*self._place(source, host, _own_name(group, source.ds_index, used)), row, group)
        pooled.add(service)
        return (service,)

    def _services(
        self,
        host: str,
        group: str,
        sources: list[Source],
        agent: Agent,
        up: bool,
        now: float,
        used: set[str],
    ) -> Iterable[Service]:
        """The services of a host under one name: one, several told apart, or several merged by a rewrite rule."""
        rows = [Row.of(source) for source in sources]
        members = list(zip(sources, rows, strict=True))
        pooled = self.service(group, sources[0].kind)
        for source, row in members:
            one = self.service(group, source.kind)
            one.rows.append(row)
            one.plain = False
        live = [one for one in members if up and now <= one[1].alive + INTERVALS_TO_LIVE * one[1].interval]
        if not live:
            return
        first = live[0][0]
        if group == OVERFLOW:
            merged = merge_rows([row for _, row in live], rows, {})
            pooled.add(Service(*self._place(first, host, group), merged, group))
            return
        departed = agent.departed.get(group, {})
        if departed or any(source.service != source.name for source in sources):
            merged = merge_rows([row for _, row in live], rows, departed)
            name = _own_name(group, first.ds_index, used)
            service = Service(*self._place(first, host, name), merged, group)
            pooled.add(service)
            yield service
            return
        for source, row in live:
            name = _own_name(group, source.ds_index, used)
            service = Service(*self._place(source, host, name), row, group)
            self.service(group, source.kind).add(service)
            yield service

    def _place(self, source: Source, host: str, name: str) -> tuple[Info, Place]:
        """The labels of a service, made anew only where they have changed."""
        place = (self.name, host, name, source.kind)
        if source.place != place:
            source.place = place
            source.info = (*place, source.texts.get("uuid", ""), f"{source.ds_class}:{source.ds_index}")
        return source.info, source.place

    def finish(self, collector: Collector) -> Pool:
        for (name, kind), service in self.services.items():
            service.kept = dict(collector.ledger.of(self.name, name, kind))
        self.hosts.sort(key=lambda host: host.name)
        services = tuple(self.services[key] for key in sorted(self.services))
        kept = dict(collector.ledger.of(self.name, "", ""))
        return Pool(self.name, tuple(self.hosts), services, self.rows, kept)


def _distinct(interfaces: list[Interface]) -> Iterable[Interface]:
    used: set[str] = set()
    for one in interfaces:
        yield Interface(_own_name(one.name, one.index, used), one.index, one.row)


def merge_rows(live: list[Row], everyone: list[Row], departed: Mapping[tuple[str, str], int]) -> Row:
    """One row for several sources under one name: gauges and increases of the living, totals of all.

    The form is that of the first; numbers that the others do not have count as nothing.
    `departed` are totals of members that have gone, less what others had done when they became
    members, so that no sum falls or jumps.
    """
    first = live[0]
    alive = set(map(id, live))
    elapsed = max(row.elapsed for row in live)  # the first may have none: it has just begun
    values: list[Any] = []
    for index, one in enumerate(first.form.fields):
        if one.kind is not Kind.GAUGE:
            values.append(first.values[index])
            continue
        parts = [row.values[at] for row in live if (at := row.form.value_index(one)) is not None]
        known = [part for part in parts if part != one.type.unavailable]
        values.append(sum(known) if known else one.type.unavailable)
    totals: list[int | None] = []
    deltas: list[int | None] = []
    for one in first.form.counters:
        present = [(row, at) for row in everyone if (at := row.form.counter_index(one)) is not None]
        known_totals = [total for row, at in present if (total := row.totals[at]) is not None]
        family = one.family.name if one.family is not None else ""
        totals.append(max(sum(known_totals) + departed.get((family, one.name), 0), 0) if known_totals else None)
        rate = [
            delta / row.elapsed for row, at in present if id(row) in alive and (delta := row.deltas[at]) is not None
        ]
        deltas.append(round(sum(rate) * elapsed) if rate else None)
    return first._replace(
        latest=first.latest._replace(
            mended=tuple(values), latched=tuple(totals), offsets=(0,) * len(totals), given=deltas
        ),
        elapsed=elapsed,
        base=[None] * len(totals),
        received=max(row.received for row in live),
        alive=max(row.alive for row in live),
        interval=max(row.interval for row in live),
        missed=frozenset(),
    )


def _agent_stats(agent: Agent, host: Host | None, now: float) -> AgentStats:
    datagrams, lost, reordered, restarts = agent.stream_counts
    return AgentStats(
        agent.address,
        host.name if host is not None else agent.name or agent.address,
        agent.pool,
        tuple(sorted(agent.streams)),
        datagrams,
        lost,
        reordered,
        restarts,
        agent.samples_lost,
        dict(agent.resets),
        len(agent.sources),
        agent.last_heard,
        _is_up(agent, now),
        agent.first_heard,
        dict(agent.samples),
        all(stream.agrees for stream in agent.streams.values()),
        agent.conflicts,
    )
