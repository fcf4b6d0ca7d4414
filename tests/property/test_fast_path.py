"""The quick ways, of a whole datagram and of one sample, come to the same as the careful one, whatever is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sflow_gmetrics import Collector
from sflow_gmetrics.counters import POISON, step
from sflow_gmetrics.source import Source
from tests.core.builders import NOT_KNOWN, NOT_KNOWN_64, NoConvoys, Sender, host, service

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "150"))

_raw32 = st.one_of(
    st.integers(0, 40_000).map(lambda more: ("add", more)),
    st.sampled_from((0, 1, 2**31, 2**32 - 20_000, 2**32 - 3, 2**32 - 2, NOT_KNOWN)).map(lambda raw: ("set", raw)),
    st.integers(0, 2**32 - 1).map(lambda raw: ("set", raw)),
)
_raw64 = st.one_of(
    st.integers(0, 10**7).map(lambda more: ("add", more)),
    st.integers(0, 10**14).map(lambda more: ("add", more)),
    st.sampled_from((0, NOT_KNOWN, 2**62, POISON - 7, POISON, 2**64 - 9, NOT_KNOWN_64)).map(lambda raw: ("set", raw)),
)


@dataclass(frozen=True)
class Event:
    """What the agent does next, and how its datagram arrives."""

    seconds: float
    late: float
    skip: int
    uptime: float
    cpus: int
    cpu: tuple[str, int]
    rd: tuple[str, int]
    memory: int
    twice: bool
    restart: bool
    companions: int
    """How many services that do nothing special come in the same datagram."""


_events = st.builds(
    Event,
    seconds=st.sampled_from((0.0, 0.2, 1.0, 4.9, 5.0, 5.0, 5.0, 5.1, 30.0, 700.0, 9000.0)),
    late=st.sampled_from((0.0, 0.0, 0.0, 2.0, 70.0)),
    skip=st.sampled_from((0, 0, 0, 0, 1, 2, -3, -1)),
    uptime=st.sampled_from((0.0, 0.0, 0.0, 0.0, -0.9, 100.0, 5000.0)),
    cpus=st.sampled_from((2, 2, 2, 2, 64, 0, NOT_KNOWN)),
    cpu=_raw32,
    rd=_raw64,
    memory=st.sampled_from((0, 1 << 20, NOT_KNOWN_64)),
    twice=st.booleans(),
    restart=st.sampled_from((False,) * 9 + (True,)),
    companions=st.sampled_from((2, 2, 2, 2, 2, 2, 1, 0)),
)


def _next(raw: int, event: tuple[str, int], bits: int) -> int:
    kind, number = event
    return (raw + number if kind == "add" else number) % (1 << bits)


def _payloads(events: list[Event]) -> list[tuple[bytes, float]]:
    """What these events put on the wire, and when each datagram arrives."""
    sender = Sender(Collector())
    cpu = rd = 0
    own = number = 0
    sent = []
    for event in events:
        sender.tick(event.seconds)
        sender.uptime = max(sender.uptime + event.uptime, 0.1)
        if event.restart:
            sender.restart()
            own = number = 0
        own += 1
        number = max(number + 1 + event.skip, 0)
        cpu, rd = _next(cpu, event.cpu, 32), _next(rd, event.rd, 64)
        own_sample = host(own, cpu_num=event.cpus, cpu_user=cpu, bytes_in=rd, uptime=own)
        one = service(number, cpuTime=cpu, rd_bytes=rd, wr_req=cpu, memory=event.memory)
        others = [
            service(own, index=200_000 + n, name=f"quiet-{n}.service", cpuTime=own * 10)
            for n in range(event.companions)
        ]
        payload = sender.payload(own_sample, one, *others)
        sent += [(payload, sender.now + event.late)] * (1 + event.twice)
    return sent


def _state(source: Source) -> dict[str, object]:
    names = ("totals", "base", "deltas", "values", "elapsed", "alive", "moments", "missed")
    state = {name: getattr(source, name) for name in names} | {"previous": source.latest.previous}
    return state | {"interval": pytest.approx(source.interval)}


@settings(max_examples=EXAMPLES)
@given(st.lists(_events, min_size=2, max_size=30))
def test_the_fast_path_equals_the_careful_path(events: list[Event]) -> None:
    usual, careful = Collector(), Collector()
    careful.convoys = NoConvoys()
    for payload, now in _payloads(events):
        for agent in careful.agents.values():
            agent.forget_allowances()
        usual.receive(payload, now)
        careful.receive(payload, now)
        (one,), (other,) = usual.agents.values(), careful.agents.values()
        assert one.resets == other.resets
        assert (one.samples_lost, one.cpus) == (other.samples_lost, other.cpus)
        assert list(one.sources) == list(other.sources)
        one.settle()
        for key, source in one.sources.items():
            assert _state(source) == _state(other.sources[key])


def test_the_fast_path_is_taken_at_all() -> None:
    """Else the property above would say nothing."""
    sender = Sender(Collector())
    for number in range(1, 4):
        sender.send(host(number, cpu_user=number), service(number, cpuTime=number))
        sender.tick(5)
    (agent,) = sender.collector.agents.values()
    assert all(source.allowed_for <= 5 for source in agent.sources.values())
    assert all(source.convoy is not None for source in agent.sources.values())


@settings(max_examples=EXAMPLES)
@given(st.lists(_events, min_size=2, max_size=30))
def test_a_step_that_is_taken_is_within_what_is_allowed(events: list[Event]) -> None:
    """No total grows by more than the raw counter could have, and base and totals only grow."""
    collector = Collector()
    before: dict[bytes, list[int | None]] = {}
    for payload, now in _payloads(events):
        collector.receive(payload, now)
        (agent,) = collector.agents.values()
        agent.settle()
        for key, source in agent.sources.items():
            old = before.get(key)
            if old is not None:
                for one, was, now_is in zip(source.form.counters, old, source.totals, strict=True):
                    assert was is None or (now_is is not None and now_is >= was), one.name
            before[key] = list(source.totals)


@given(
    st.integers(0, 2**32 - 1) | st.none(),
    st.integers(0, 2**32 - 1),
    st.floats(0, 2**33),
    st.booleans(),
)
def test_a_step_never_adds_more_than_is_allowed(
    previous: int | None, new: int, allowed: float, restarted: bool
) -> None:
    sender = Sender(Collector())
    sender.send(service(1))
    (source,) = sender.collector.agents["10.0.0.1"].sources.values()
    for one in source.form.counters:
        base, added, reason = step(one, previous, new, allowed, restarted)
        assert added is None or 0 <= added <= allowed
        assert base in (previous, new)
        assert (added is None) is (reason not in ("", "wrap", "restart") or (reason == "restart" and new > allowed))
