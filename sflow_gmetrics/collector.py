"""The collector: datagrams in, the state of all agents and their sources kept.

`receive` latches and counts, and never raises whatever the bytes are. `snapshot` gives the
state at an instant as an immutable value. Nothing here reads a clock or opens anything; a
caller with several threads holds a lock around the two.
"""

from __future__ import annotations

import struct

from .agent import RESETS, SAMPLES, Agent
from .careful import CarefulReader
from .config import Config
from .conflicts import Conflicts
from .convoy import FIRST_SAMPLE, FIRST_SOURCE, STREAM, ConvoyLayouts
from .datagram import COUNTERS, COUNTERS_EXPANDED, SAMPLE_TYPES, decode_header
from .derive import derive_snapshot
from .errors import DecodeError
from .layout import Layouts, Shape
from .ledger import Ledger
from .limits import Limits
from .notes import Notes, Taken
from .pools import AllowList, PoolMap, ServiceMap, kind_of
from .remote import Remote
from .schema import Role
from .snapshot import Snapshot
from .source import Source
from .stream import HEAD, Stream, Verdict

_HEADER4 = struct.Struct("!II4sIIII").unpack_from
_SAMPLE = struct.Struct("!IIII").unpack_from
_KEY = struct.Struct("!II").pack
_DATA_SOURCE = struct.Struct("!II").unpack_from

DROPPED = "not_allowed agents sub_agents services sources_per_agent forms memory memory_of_agent fault".split()
"""Why something is passed over; "fault" is one of ours."""
LONGEST_REST = 600.0
"""A next look at what is gone that is farther away than this comes from a clock that was set back."""


class Collector:
    """Everything known about the agents, keyed by (agent address, ds_class, ds_index)."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.pools = PoolMap(self.config.pools, self.config.gmond.cluster)
        self.service_map = ServiceMap(self.config.services)
        self.allow = AllowList(self.config.sflow.allow)
        self.agents: dict[str, Agent] = {}
        self.layouts = Layouts()
        self.convoys = ConvoyLayouts()
        self.notes = Notes()
        self.limits = Limits(self.config, self.notes.add)
        self.ledger = Ledger(self.config.services.series, self.agents, self.limits.take_memory)
        self.careful = CarefulReader(self.layouts, self.notes, self._drop)
        self.decode_errors = self.careful.errors
        self.conflicts = Conflicts(self.notes)
        self._streams: dict[bytes, tuple[Stream, Agent]] = {}
        self.datagrams = 0
        self.bytes = 0
        self.started = 0.0
        """When the first agent was heard; nothing has been counted before."""
        self.samples_before = dict.fromkeys(SAMPLES, 0)
        self.resets_before = dict.fromkeys(RESETS, 0)
        """Samples and resets of agents that have been forgotten."""
        self.dropped = dict.fromkeys(DROPPED, 0)
        self.remotes: tuple[Remote, ...] = ()
        self.kernel_drops = 0
        self.receive_buffer = 0
        self.next_sweep = self.spared_until = 0.0

    # --- datagrams

    def receive(self, payload: bytes, now: float) -> None:
        """Take one datagram that came at `now`, in seconds since the epoch."""
        self.datagrams += 1
        self.bytes += len(payload)
        entry = self._streams.get(payload[STREAM])
        if entry is None:
            self._receive_unusual(payload, now)
            return
        stream, agent = entry
        convoy = stream.convoys.get(payload[FIRST_SOURCE])
        if convoy is not None and convoy.take(payload, now):
            return
        if len(payload) < FIRST_SAMPLE:
            self._receive_unusual(payload, now)
            return
        version, kind, _, _, sequence, uptime_ms, n_samples = _HEADER4(payload)
        if version != 5 or kind != 1:
            self._receive_unusual(payload, now)
            return
        verdict = stream.accept(sequence, uptime_ms, now, payload)
        if verdict is Verdict.NEW:
            if convoy is not None:
                convoy.disband()
            self._take(payload, FIRST_SAMPLE, n_samples, agent, stream, now)
        elif verdict is Verdict.RESTARTED:
            self._restart(agent, stream, payload, now)
        elif verdict is Verdict.FOREIGN:
            self.conflicts.count(agent, payload, now)

    def _receive_unusual(self, payload: bytes, now: float) -> None:
        """IPv6, an agent or sub-agent heard for the first time, or no datagram at all."""
        try:
            header = decode_header(payload)
        except DecodeError as error:
            self.decode_errors[error.reason] += 1
            self.notes.add("", error.reason, f"a datagram that is no sFlow v5: {error.detail}")
            return
        agent = self.agents.get(header.agent) or self._new_agent(header.agent, now)
        if agent is None:
            return
        stream = agent.streams.get(header.sub_agent_id)
        verdict = Verdict.NEW
        if stream is None:
            if reason := self.limits.take_stream(agent):
                self._drop_full(reason, agent)
                return
            stream = Stream(header.sequence, header.uptime_ms, now)
            agent.streams[header.sub_agent_id] = stream
        elif self.conflicts.is_foreign(agent, stream, now):
            verdict = Verdict.FOREIGN
        else:
            judge = stream.resume if stream.resumed else stream.accept
            verdict = judge(header.sequence, header.uptime_ms, now, payload)
        if header.offset == FIRST_SAMPLE and payload[7] == 1 and not stream.foreign:
            agent.keys.add(payload[STREAM])
            self._streams[payload[STREAM]] = (stream, agent)
        if verdict is Verdict.NEW:
            self._take(payload, header.offset, header.n_samples, agent, stream, now)
        elif verdict is Verdict.RESTARTED:
            self._restart(agent, stream, payload, now)
        elif verdict is Verdict.FOREIGN:
            self.conflicts.count(agent, payload, now)

    def _new_agent(self, address: str, now: float) -> Agent | None:
        if not self.allow.allows(address):
            self._drop("not_allowed", address, "not in [sflow] allow, its datagrams are passed over")
            return None
        if len(self.agents) >= self.config.sflow.agents:
            self._drop("agents", "", f"[sflow] agents = {self.config.sflow.agents} is reached, a new one is not heard")
            return None
        self.notes.add(address, "new", "heard for the first time")
        agent = self.agents[address] = Agent(address, now)
        agent.pool = self.pools.pool_of(address, address)
        self.started = self.started or now
        return agent

    def _restart(self, agent: Agent, stream: Stream, payload: bytes, now: float) -> None:
        """A restarted agent has been recognised by its second datagram: take the first, then this one."""
        assert stream.suspect is not None
        _, _, then, held = stream.suspect
        first, second = decode_header(held), decode_header(payload)
        self.notes.add(agent.address, "restarted", "has restarted")
        stream.restart(first.sequence, first.uptime_ms, then)
        if len(held) > HEAD:
            self._take(held, first.offset, first.n_samples, agent, stream, then)
        stream.accept(second.sequence, second.uptime_ms, now, payload)
        self._take(payload, second.offset, second.n_samples, agent, stream, now)

    # --- samples

    def _take(self, payload: bytes, offset: int, n_samples: int, agent: Agent, stream: Stream, now: float) -> None:
        sources = agent.sources
        size = len(payload)
        samples = agent.samples
        members: list[tuple[Source, int, int]] = []
        for left in range(n_samples, 0, -1):
            if size - offset < 16:
                self.careful.rest(payload, offset, left, agent)
                return
            tag, length, sequence, compact_source = _SAMPLE(payload, offset)
            end = offset + 8 + length
            if end > size:
                self.decode_errors["truncated"] += 1
                self.notes.add(agent.address, "truncated", f"a sample of {length} bytes, {size - offset - 8} left")
                return
            if tag == COUNTERS_EXPANDED:
                key, records = payload[offset + 12 : offset + 20], offset + 20
            elif tag == COUNTERS:
                key, records = _KEY(compact_source >> 24, compact_source & 0xFF_FFFF), offset + 16
            else:
                samples[SAMPLE_TYPES.get(tag, "unknown")] += 1
                offset = end
                continue
            samples["counters"] += 1
            source = sources.get(key)
            if source is not None and source.length == end - records:
                shape = source.shape
                if shape.identity(payload, records) == source.identity:
                    shape.count()
                    if source.convoy is not None:
                        source.convoy.disband()
                    if source.takes(sequence, stream, now):
                        new = shape.read_counters(payload, records)
                        source.update(new, payload[records:end], sequence, stream, now)
                        members.append((source, offset, records))
                    offset = end
                    continue
            self._learn(payload, offset, records, key, agent, stream, now)
            offset = end
        if members and len(members) == n_samples and offset == size and members[0][1] == FIRST_SAMPLE:
            self.convoys.form(members, stream, payload)

    def _learn(
        self, payload: bytes, offset: int, records: int, key: bytes, agent: Agent, stream: Stream, now: float
    ) -> None:
        """A sample that is not like its source's last one: read it carefully and learn its shape."""
        _, length, sequence, _ = _SAMPLE(payload, offset)
        end = offset + 8 + length
        shape = self.careful.shape(payload, offset, records, end, agent)
        if shape is None:
            return
        raw = payload[records:end]
        source = agent.sources.get(key)
        known = source is not None
        if source is not None:
            source.disband()
        if source is None:
            source = self._new_source(agent, key, shape, now)
            if source is None:
                return
        elif self.conflicts.refuses(source, stream, texts := shape.read_texts(raw), now):
            for foreign in agent.keys:
                self._streams.pop(foreign, None)
            return
        elif not source.takes(sequence, stream, now):
            shape.count()
            return
        elif reason := self.limits.no_room_for(source, shape.size):
            self._drop_full(reason, agent)
            return
        else:
            known = self._change(source, shape, texts.get("hostname", ""))
        shape.count()
        source.role = shape.form.role(source.ds_class)
        source.identify(shape, raw)
        self.name_source(source, source.values)
        self.limits.hold(source)
        counters = shape.read_counters(raw, 0)
        if known:
            source.update(counters, raw, sequence, stream, now)
        else:
            source.begin(counters, raw, sequence, stream, now)
            self.ledger.begin(source)
        if source.role is Role.HOST:
            self._take_host(source)
        elif agent.host is source:
            agent.host = None

    def _drop(self, reason: str, agent: str, detail: str) -> None:
        self.dropped[reason] += 1
        self.notes.add(agent, reason, detail)

    def _drop_full(self, reason: str, agent: Agent) -> None:
        self._drop(reason, agent.address, f"the limit of {reason} is reached, something new is not kept")

    def take_notes(self) -> Taken:
        """What has happened since the last call."""
        return self.notes.take()

    # --- sources

    def _new_source(self, agent: Agent, key: bytes, shape: Shape, now: float) -> Source | None:
        source, form = Source(agent, *_DATA_SOURCE(key, 0)), shape.form
        folded = form.role(source.ds_class) is Role.SERVICE and self.limits.reason(source, form)
        reason = self.limits.full(source, shape)
        if (folded or reason) and not 0 <= now - agent.tidied < 1.0:
            agent.tidied = now
            self.forget_sources(agent, now)
            reason = self.limits.full(source, shape)
        if reason:
            self._drop_full(reason, agent)
            return None
        agent.sources[key] = source
        return source

    def _change(self, source: Source, shape: Shape, name: str) -> bool:
        """Make a source ready for a sample of another shape or name; False if it is to begin anew.

        Where the index speaks of something else now, a host keeps its counters, a service does not.
        """
        self.limits.release(source)
        if name == source.texts.get("hostname", ""):
            if source.form is not shape.form:
                self.ledger.retire(source)  # counters of a structure that is gone stay with the pool
            return True
        self.ledger.retire(source)
        if source.role is Role.HOST:
            return True
        self.ledger.depart(source)
        source.reset()
        return False

    def name_source(self, source: Source, values: tuple[float, ...]) -> None:
        """What the source is called; an excluded service gets no role and so is never shown."""
        texts, name = source.texts, source.name
        service, kind = "", ""
        if source.role is Role.INTERFACE:
            name = texts.get("name") or f"if{source.ds_index}"
        elif source.role is Role.SERVICE:
            told = texts.get("hostname") or texts.get("application") or ""
            kind = kind_of(told, source.form, texts, values)
            name = told or f"{kind}-{source.ds_index}"
            service = self.service_map.service_of(name) or ""
            if service:
                service = self.limits.admit(source, service)
            elif source.service or source.name != name:
                self.limits.drop("excluded", source.form)
        self.ledger.rename(source, name, service, kind)
        if source.role is Role.SERVICE and not service:
            source.role = Role.NONE

    def _take_host(self, source: Source) -> None:
        """The host's own sample: its name and so its pool."""
        agent = source.agent
        if agent.host is not source:
            agent.host = source
            source.tell(source.received)  # only now does it speak for the host, and of its CPUs
        agent.born = agent.born or min(source.moments.values(), default=0.0)
        name = source.texts.get("hostname", "")
        if name != agent.name:
            self.notes.add(
                agent.address, "named", f"is host {name!r}" + (f", was {agent.name!r}" if agent.name else "")
            )
            agent.name = name
            self.move(agent, self.pools.pool_of(name or agent.address, agent.address))

    def move(self, agent: Agent, pool: str) -> None:
        """Another pool: what was done so far stays with the old one."""
        if pool != agent.pool:
            agent.settle()
            for source in agent.sources.values():
                self.ledger.retire(source)
            agent.pool = pool

    # --- time

    def sweep(self, now: float) -> None:
        """Forget what has been silent for `forget_after` seconds. Looks every ten seconds at most."""
        due = max(self.next_sweep, self.spared_until)
        if due - LONGEST_REST < now < due:
            return
        limit = self.config.sflow.forget_after
        went_back = now < due
        self.next_sweep, self.spared_until = now + min(limit / 10, 10.0), 0.0
        for agent in list(self.agents.values()):
            if agent.folded or went_back or agent.oldest <= now - limit:
                self.forget_sources(agent, now - limit)
            if len(agent.streams) > 1:
                for key in self.limits.forget_streams(agent, now - limit):
                    self._streams.pop(key, None)
            if not agent.sources and agent.last_heard <= now - limit:
                self.forget_agent(agent, "it has been silent for long")
        self.layouts.keep(source.form for agent in self.agents.values() for source in agent.sources.values())

    def forget_sources(self, agent: Agent, before: float) -> None:
        """Drop the sources whose time was over before `before`; their pools keep what they did."""
        agent.settle()
        many = len(agent.sources)
        for key, source in list(agent.sources.items()):
            if source.expires <= before:
                source.disband()
                self.ledger.retire(source)
                self.ledger.depart(source)
                self.limits.release(source)
                del agent.sources[key]
                if agent.host is source:
                    agent.host = None
        if len(agent.sources) < many:
            self.ledger.release(agent)
        agent.oldest = min((source.alive for source in agent.sources.values()), default=before)
        if agent.folded:
            self.limits.unfold(agent, lambda source: self.name_source(source, source.values))

    def forget_agent(self, agent: Agent, reason: str) -> None:
        """Drop an agent that has no sources any more."""
        self.notes.add(agent.address, "gone", f"host {agent.name!r} is forgotten, {reason}")
        del self.agents[agent.address]
        agent.add_counts(self.samples_before, self.resets_before)
        for key in agent.keys:
            self._streams.pop(key, None)
        self.limits.take_memory(agent, -agent.memory)

    def resume(self) -> None:
        """The collector has been away: what each stream brings next is judged with that in mind."""
        self._streams.clear()
        for agent in self.agents.values():
            for stream in agent.streams.values():
                stream.resumed = True

    def snapshot(self, now: float) -> Snapshot:
        """The state at `now`, in seconds since the epoch."""
        self.sweep(now)
        return derive_snapshot(self, now)
