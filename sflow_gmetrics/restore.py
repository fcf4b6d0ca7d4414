"""A collector from the plain data in which another run of the program left its state.

The data may be damaged or made by somebody else: all of it is checked, and StateError is the only answer
to what cannot be. `finish` then puts the configuration of today in force.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from .agent import Agent
from .collector import Collector
from .config import Config
from .draft import whole_draft
from .errors import StateError
from .layout import Form, Shape
from .ledger import KEPT_MEMORY
from .limits import STREAM_MEMORY
from .reconfigure import reconfigure
from .schema import Role
from .source import Latest, Source
from .stream import Stream, StreamState, later_epochs
from .xdr import F32

U32, U64, MOST = (1 << 32) - 1, (1 << 64) - 1, 1 << 100
TEXT = 10_000


def restore(config: Config, own: Any, agents: Iterable[Any], now: float) -> Collector:
    """The collector that said this of its agents and of its `own`. Raises StateError."""
    collector = Collector(config)
    try:
        for pool, service, kind, sums in own["ledger"]:
            key = _text(pool), _text(service), _text(kind)
            collector.ledger.sums[key] = {
                (_text(family), tuple((_text(name), _text(value)) for name, value in labels)): _whole(count)
                for family, labels, count in sums
            }
        for one in agents:
            _restore_agent(collector, one, now)
        take_counts(collector, own)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise StateError(f"something in it is not where it should be: {error!r}") from None
    return collector


def take_counts(collector: Collector, own: Any) -> None:
    """Let the collector have counted itself what is said here, and nothing else."""
    collector.datagrams, collector.bytes = _whole(own["datagrams"]), _whole(own["bytes"])
    collector.kernel_drops = _whole(own["kernel_drops"])
    collector.started, collector.spared_until = _real(own["started"]), _real(own["spared_until"])
    for counts, name in (
        (collector.decode_errors, "decode_errors"),
        (collector.dropped, "dropped"),
        (collector.limits.dropped, "series_dropped"),
        (collector.samples_before, "samples_before"),
        (collector.resets_before, "resets_before"),
    ):
        counts.update(_counts(own[name], counts))
    layouts = collector.layouts
    for agent in collector.agents.values():
        agent.settle()
    for form in layouts.forms.values():
        form.samples = 0
    layouts.records, layouts.unknown_records = _counts(own["records"]), _counts(own["unknown_records"])


def finish(collector: Collector, now: float) -> None:
    """All is restored: let the configuration of today be in force, forget what is over, and go on."""
    for agent in collector.agents.values():
        _leave_future(agent, now)
    reconfigure(collector, collector.config)
    collector.sweep(now)
    collector.resume()
    collector.take_notes()


def _leave_future(agent: Agent, now: float) -> None:
    """Nothing has been heard later than now: the clock was ahead."""
    agent.settle()
    agent.oldest = min(agent.oldest, now)
    for stream in agent.streams.values():
        stream.heard = min(stream.heard, now)
    for source in agent.sources.values():
        source.alive = min(source.alive, now)


# --- checks


def _whole(value: Any, least: int = 0, most: int = MOST) -> int:
    if type(value) is not int or not least <= value <= most:
        raise StateError(f"{value!r:.50} is not a whole number from {least} to {most}")
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise StateError(f"{value!r:.50} is not a number")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > TEXT:
        raise StateError(f"{value!r:.50} is not a text")
    value.encode("utf-8")
    return value


def _bytes(value: Any) -> bytes:
    return b64decode(value.encode("ascii") if type(value) is str else b"?", validate=True)


def _counts(value: Any, known: Mapping[str, int] | None = None) -> dict[str, int]:
    """A table of counts; those of words that are not `known` are left out."""
    if type(value) is not dict:
        raise StateError("a table of counts is none")
    return {_text(word): _whole(count, -1) for word, count in value.items() if known is None or word in known}


def _numbers(value: Any, length: int) -> list[int | None]:
    """So many numbers, each of which may be not known."""
    if type(value) is not list or len(value) != length:
        raise StateError(f"there are not {length} numbers where there should be")
    for one in value:
        if one is not None and (type(one) is not int or not -MOST <= one <= MOST):
            raise StateError(f"{one!r:.50} is not a number of a counter")
    return value


# --- agents


def _restore_agent(collector: Collector, state: Any, now: float) -> None:
    agent = Agent(_text(state["address"]), _real(state["first_heard"]))
    agent.name, agent.pool = _text(state["name"]), _text(state["pool"])
    agent.interval, agent.born = _real(state["interval"]), _real(state["born"])
    agent.cpus = _whole(state["cpus"], 0, U32)
    agent.samples.update(_counts(state["samples"], agent.samples))
    agent.resets.update(_counts(state["resets"], agent.resets))
    agent.conflicts = _whole(state["conflicts"])
    agent.rival, agent.looked = _text(state["rival"]), _real(state["looked"])
    agent.samples_lost, agent.samples_restarted = _whole(state["samples_lost"]), _whole(state["samples_restarted"])
    for service, kept in state["departed"]:
        agent.departed[_text(service)] = {
            (_text(family), _text(name)): _whole(total, -MOST) for family, name, total in kept
        }
    collector.limits.take_memory(agent, KEPT_MEMORY * sum(map(len, agent.departed.values())))
    datagrams, lost, reordered, restarts = (_whole(one, -MOST) for one in state["streams_before"])
    agent.streams_before = [datagrams, lost, reordered, restarts]
    before = [one[5] for one in state["streams"]] + [one[3] for one in state["sources"]]
    epochs = later_epochs(map(_whole, before))
    for one in state["streams"]:
        agent.streams[_whole(one[0], 0, U32)] = _restore_stream(one[1:], epochs, now)
        collector.limits.take_memory(agent, STREAM_MEMORY)
    for one in state["sources"]:
        source = _restore_source(collector, agent, one, epochs, now)
        agent.sources[struct.pack("!II", source.ds_class, source.ds_index)] = source
    if state["host"] is not None:
        ds_class, ds_index = state["host"]
        agent.host = agent.sources[struct.pack("!II", _whole(ds_class, 0, U32), _whole(ds_index, 0, U32))]
        if agent.host.role is not Role.HOST:
            agent.host = None
    collector.agents[agent.address] = agent
    for source in agent.sources.values():
        if source.role is Role.SERVICE and not source.service:
            source.role = Role.NONE  # it is excluded
        collector.limits.hold(source)


def _restore_stream(state: list[Any], epochs: dict[int, int], now: float) -> Stream:
    (
        *counts,
        epoch,
        sequence,
        uptime_ms,
        wraps_ms,
        anchor,
        lag,
        heard,
        agrees,
        suspected,
        undecided,
        resumed,
        proven,
        foreign,
        contested,
        recent,
        suspect,
    ) = state
    datagrams, lost, reordered, restarts = (_whole(one, -1) for one in counts)
    if suspect is not None:
        number, at, then, payload = suspect
        suspect = _whole(number, 0, U32), _whole(at, 0, U32), _real(then), _bytes(payload)
    return Stream.restore(
        StreamState(
            datagrams,
            lost,
            reordered,
            restarts,
            epochs[epoch],
            _whole(sequence, 0, U32),
            _whole(uptime_ms, 0, U32),
            _whole(wraps_ms),
            _real(anchor),
            _real(lag),
            min(_real(heard), now),
            bool(agrees),
            _real(suspected),
            bool(undecided),
            bool(resumed),
            bool(proven),
            bool(foreign),
            _real(contested),
            tuple(_whole(one, 0, U64) for one in recent) or (_whole(sequence, 0, U32) << 32 | uptime_ms,),
            suspect,
        )
    )


def _restore_source(collector: Collector, agent: Agent, state: Any, epochs: dict[int, int], now: float) -> Source:
    ds_class, ds_index, sequence, epoch, uptime, received, alive, elapsed, interval, name, service, kind = state[:12]
    raw, latched, given, mended, offsets, base, missed, moments, allowed_for = state[12:]
    source = Source(agent, _whole(ds_class, 0, U32), _whole(ds_index, 0, U32))
    source.sequence = _whole(sequence, 0, U32)
    source.epoch = epochs[epoch]
    source.uptime, source.received, source.interval = _real(uptime), _real(received), _real(interval)
    source.alive = min(_real(alive), now)
    source.name, source.service, source.kind = _text(name), _text(service), _text(kind)
    raw = _bytes(raw)
    shape = _shape(collector, raw)
    form, many = shape.form, len(shape.form.counters)
    source.role = form.role(ds_class)
    source.identify(shape, raw)
    source.latest = Latest(
        shape,
        raw,
        raw,
        None if latched is None else tuple(_numbers(latched, many)),
        _numbers(given, many),
        _mended(mended, form),
        form.level if offsets == 0 else tuple(_numbers(offsets, many)),
    )
    source.base = _numbers(base, many)
    source.elapsed = _real(elapsed)
    if source.elapsed <= 0 and source.deltas.count(None) < many:
        raise StateError("a source has done something in no time")
    source.missed = frozenset(_whole(one, 0, many - 1) for one in missed)
    source.moments = {_whole(index, 0, len(form.fields) - 1): _real(moment) for index, moment in moments}
    if allowed_for is not None and _real(allowed_for) > 0:
        source.allowed_for = _real(allowed_for)
        source.allowed = form.shared_allowances(source.allowed_for, agent.cpus)
    return source


def _shape(collector: Collector, raw: bytes) -> Shape:
    """How the bytes of a sample lie. In records that are not read there may be anything, as in those that come."""
    shape = collector.layouts.known(raw, 0, len(raw))
    if shape is None:
        if whole_draft(raw, 0, len(raw)) is None or len(raw) > 0xFFFF:
            raise StateError("the bytes of a sample are none")
        shape = collector.layouts.shape(raw, 0, len(raw))
    if shape is None or shape.size != len(raw):
        raise StateError("the bytes of a sample are no sample of ours")
    return shape


def _mended(value: Any, form: Form) -> tuple[Any, ...] | None:
    if value is None:
        return None
    if type(value) is not list or len(value) != len(form.fields):
        raise StateError("a sample has another number of values than its form")
    return tuple(
        _real(one) if field.type is F32 else _whole(one, 0, U64) for one, field in zip(value, form.fields, strict=True)
    )
