"""The collector: datagrams in, the state of all agents and their sources kept.

`receive` latches and counts, and never raises whatever the bytes are. `snapshot` gives the
state at an instant as an immutable value. Nothing here reads a clock or opens anything; a
caller with several threads holds a lock around the two.
"""

from __future__ import annotations

import struct

from .agent import RESETS, SAMPLES, Agent
from .config import Config
from .convoy import FIRST_SAMPLE, FIRST_SOURCE, STREAM, ConvoyLayouts
from .datagram import COUNTERS, COUNTERS_EXPANDED, SAMPLE_TYPES, Sample, decode_header, decode_sample
from .derive import derive_snapshot
from .errors import DecodeError
from .layout import Form, Layouts
from .ledger import Ledger
from .limits import FOLDED, ServiceLimits
from .pools import AllowList, PoolMap, ServiceMap, kind_of
from .remote import Remote
from .schema import Role, tag_text
from .snapshot import Snapshot
from .source import Source
from .stream import Stream, Verdict
from .xdr import Cursor

_HEADER4 = struct.Struct("!II4sIIII").unpack_from
_SAMPLE = struct.Struct("!IIII").unpack_from
_KEY = struct.Struct("!II").pack
_DATA_SOURCE = struct.Struct("!II").unpack_from

NOTES = 1_000
STREAMS_PER_AGENT = 16
OTHER_SOURCES_PER_AGENT = 5_000
"""Interfaces and the like; services have a limit of their own."""


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
        self.ledger = Ledger(self.config.services.series)
        self.limits = ServiceLimits(self.config.services, self._note)
        self._streams: dict[bytes, tuple[Stream, Agent]] = {}
        self.datagrams = 0
        self.bytes = 0
        self.decode_errors = dict.fromkeys(DecodeError.REASONS, 0)
        self.started = 0.0
        """When the first agent was heard; nothing has been counted before."""
        self.samples_before = dict.fromkeys(SAMPLES, 0)
        self.resets_before = dict.fromkeys(RESETS, 0)
        """Samples and resets of agents that have been forgotten."""
        self.dropped = dict.fromkeys(
            ("not_allowed", "agents", "sub_agents", "services", "sources_per_agent", "forms"), 0
        )
        self._notes: dict[tuple[str, str], tuple[int, str]] = {}
        self.remotes: tuple[Remote, ...] = ()
        self.kernel_drops = 0
        self.receive_buffer = 0
        self.next_sweep = 0.0

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

    def _receive_unusual(self, payload: bytes, now: float) -> None:
        """IPv6, an agent or sub-agent heard for the first time, or no datagram at all."""
        try:
            header = decode_header(payload)
        except DecodeError as error:
            self.decode_errors[error.reason] += 1
            self._note("", error.reason, f"a datagram that is no sFlow v5: {error.detail}")
            return
        agent = self.agents.get(header.agent) or self._new_agent(header.agent, now)
        if agent is None:
            return
        stream = agent.streams.get(header.sub_agent_id)
        verdict = Verdict.NEW
        if stream is None:
            if len(agent.streams) >= STREAMS_PER_AGENT:
                self._drop("sub_agents", header.agent, f"more than {STREAMS_PER_AGENT} sub-agents")
                return
            stream = Stream(header.sequence, header.uptime_ms, now)
            agent.streams[header.sub_agent_id] = stream
        else:
            judge = stream.resume if stream.resumed else stream.accept
            verdict = judge(header.sequence, header.uptime_ms, now, payload)
        if header.offset == FIRST_SAMPLE and payload[7] == 1:
            self._streams[payload[STREAM]] = (stream, agent)
        if verdict is Verdict.NEW:
            self._take(payload, header.offset, header.n_samples, agent, stream, now)
        elif verdict is Verdict.RESTARTED:
            self._restart(agent, stream, payload, now)

    def _new_agent(self, address: str, now: float) -> Agent | None:
        if not self.allow.allows(address):
            self._drop("not_allowed", address, "not in [sflow] allow, its datagrams are passed over")
            return None
        if len(self.agents) >= self.config.sflow.agents:
            self._drop("agents", "", f"[sflow] agents = {self.config.sflow.agents} is reached, a new one is not heard")
            return None
        self._note(address, "new", "heard for the first time")
        agent = self.agents[address] = Agent(address, now)
        agent.pool = self.pools.pool_of(address, address)
        self.started = self.started or now
        return agent

    def _restart(self, agent: Agent, stream: Stream, payload: bytes, now: float) -> None:
        """A restarted agent has been recognised by its second datagram: take the first, then this one."""
        assert stream.suspect is not None
        _, _, then, held = stream.suspect
        first, second = decode_header(held), decode_header(payload)
        self._note(agent.address, "restarted", "has restarted")
        stream.restart(first.sequence, first.uptime_ms, then)
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
                self._take_rest(payload, offset, left, agent)
                return
            tag, length, sequence, compact_source = _SAMPLE(payload, offset)
            end = offset + 8 + length
            if end > size:
                self.decode_errors["truncated"] += 1
                self._note(agent.address, "truncated", f"a sample of {length} bytes, {size - offset - 8} left")
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
                    shape.samples += 1
                    if source.convoy is not None:
                        source.convoy.disband()
                    source.update(shape.read_counters(payload, records), payload[records:end], sequence, stream, now)
                    members.append((source, offset, records))
                    offset = end
                    continue
            self._learn(payload, offset, records, agent, stream, now)
            offset = end
        if members and len(members) == n_samples and offset == size and members[0][1] == FIRST_SAMPLE:
            self.convoys.form(members, stream, payload)

    def _take_rest(self, payload: bytes, offset: int, left: int, agent: Agent) -> None:
        """Fewer bytes than a sample of ours has: other, very short samples, or the end came too early."""
        cursor = Cursor(payload, offset)
        for _ in range(left):
            sample = decode_sample(cursor)
            if sample.malformed:
                self._count_malformed(sample, agent)
                return
            agent.samples[sample.type] += 1

    def _learn(self, payload: bytes, offset: int, records: int, agent: Agent, stream: Stream, now: float) -> None:
        """A sample that is not like its source's last one: read it carefully and learn its shape."""
        tag, length, sequence, source_id = _SAMPLE(payload, offset)
        end = offset + 8 + length
        shape = self.layouts.known(payload, records, end)
        if shape is None:
            sample = decode_sample(Cursor(payload, offset))
            if sample.malformed:
                self._count_malformed(sample, agent)
                return
            shape = self.layouts.shape(payload, records, end)
        if shape is None:
            self._drop("forms", agent.address, "more sets of structures than anybody sends, a sample is passed over")
            return
        compact = source_id >> 24, source_id & 0xFF_FFFF
        ds_class, ds_index = _DATA_SOURCE(payload, offset + 12) if tag == COUNTERS_EXPANDED else compact
        key = _KEY(ds_class, ds_index)
        raw = payload[records:end]
        source = agent.sources.get(key)
        shape.samples += 1
        known = source is not None
        if source is not None:
            if source.convoy is not None:
                source.convoy.disband()
            if source.has_had(sequence, stream):
                return
            self.limits.release(source)
        if source is None:
            source = self._new_source(agent, key, shape.form, now)
            if source is None:
                return
        elif shape.read_texts(raw).get("hostname", "") != source.texts.get("hostname", ""):
            known = self._other_name(source)
        elif source.form is not shape.form:
            self.ledger.retire(source)  # counters of a structure that is gone stay with the pool
        source.role = shape.form.role(source.ds_class)
        source.identify(shape, raw)
        self.name_source(source, source.values)
        self.limits.hold(source)
        counters = shape.read_counters(raw, 0)
        if known:
            source.update(counters, raw, sequence, stream, now)
        else:
            source.begin(counters, raw, sequence, stream, now)
        if source.role is Role.HOST:
            self._take_host(source)

    def _count_malformed(self, sample: Sample, agent: Agent) -> None:
        detail = sample.malformed or ""
        reason = detail.partition(":")[0]
        reason = reason if reason in self.decode_errors else "bad_length"
        self.decode_errors[reason] += 1
        self._note(agent.address, reason, f"a malformed sample {tag_text(sample.tag)}: {detail}")

    def _drop(self, reason: str, agent: str, detail: str) -> None:
        self.dropped[reason] += 1
        self._note(agent, reason, detail)

    def _note(self, agent: str, event: str, detail: str) -> None:
        """Remember an event for the log; what cannot be kept has been counted all the same."""
        count, _ = self._notes.get((agent, event), (0, ""))
        if count or len(self._notes) < NOTES:
            self._notes[agent, event] = (count + 1, detail)

    def take_notes(self) -> dict[tuple[str, str], tuple[int, str]]:
        """What has happened since the last call: (agent, event) to how often and what, in words."""
        notes, self._notes = self._notes, {}
        return notes

    # --- sources

    def _new_source(self, agent: Agent, key: bytes, form: Form, now: float) -> Source | None:
        source = Source(agent, *_DATA_SOURCE(key, 0))
        folded = form.role(source.ds_class) is Role.SERVICE and self.limits.reason(source, form)
        reason = self._full(source, form)
        if (folded or reason) and not 0 <= now - agent.tidied < 1.0:
            agent.tidied = now
            self.forget_sources(agent, now)
            reason = self._full(source, form)
        if reason:
            self._drop(reason, agent.address, f"the limit of {reason} is reached, a new one is not kept")
            return None
        agent.sources[key] = source
        return source

    def _full(self, source: Source, form: Form) -> str:
        """Which limit forbids to keep one more source; "" if none does."""
        agent = source.agent
        others, room = len(agent.sources) - agent.named, OTHER_SOURCES_PER_AGENT
        if form.role(source.ds_class) is Role.SERVICE:
            room += max(self.config.services.services_per_host - agent.named, 0)
            if self.limits.folded >= FOLDED and self.limits.reason(source, form):
                return "services"
        return "sources_per_agent" if others >= room else ""

    def _other_name(self, source: Source) -> bool:
        """The index speaks of something else now. A host keeps its counters, a service begins anew."""
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
        agent.host = source
        agent.born = agent.born or min(source.moments.values(), default=0.0)
        name = source.texts.get("hostname", "")
        if name != agent.name:
            self._note(agent.address, "named", f"is host {name!r}" + (f", was {agent.name!r}" if agent.name else ""))
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
        if self.next_sweep - 60 < now < self.next_sweep:
            return
        limit = self.config.sflow.forget_after
        self.next_sweep = now + min(limit / 10, 10.0)
        for agent in list(self.agents.values()):
            self.forget_sources(agent, now - limit)
            if not agent.sources and agent.last_heard <= now - limit:
                self.forget_agent(agent, "it has been silent for long")

    def forget_sources(self, agent: Agent, before: float) -> None:
        """Drop the sources whose time was over before `before`; their pools keep what they did."""
        agent.settle()
        for key, source in list(agent.sources.items()):
            if source.expires <= before:
                if source.convoy is not None:
                    source.convoy.disband()
                self.ledger.retire(source)
                self.ledger.depart(source)
                self.limits.release(source)
                del agent.sources[key]
                if agent.host is source:
                    agent.host = None
        if agent.folded:
            self.limits.unfold(agent, lambda source: self.name_source(source, source.values))

    def forget_agent(self, agent: Agent, reason: str) -> None:
        """Drop an agent that has no sources any more."""
        self._note(agent.address, "gone", f"host {agent.name!r} is forgotten, {reason}")
        del self.agents[agent.address]
        for kind, count in agent.samples.items():
            self.samples_before[kind] += count
        for kind, count in agent.resets.items():
            self.resets_before[kind] += count
        for key, (_, other) in list(self._streams.items()):
            if other is agent:
                del self._streams[key]

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
