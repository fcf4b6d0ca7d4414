"""What one agent, or all together, can make the collector keep, whatever they send."""

from __future__ import annotations

import errno
import gc
import struct
import time
from collections.abc import Iterator

import pytest

from sflow_gmetrics import Collector, app, layout, memory
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import COUNTERS, COUNTERS_EXPANDED, Record, Sample, encode_sample
from sflow_gmetrics.draft import Draft
from sflow_gmetrics.limits import AGENT_MEMORY, STREAM_MEMORY
from sflow_gmetrics.stream import HEAD, LONGEST_HELD
from tests.core.builders import Sender, host, record, service, services_of
from tests.core.test_app import config, running
from tests.e2e.servers import wait_for
from tests.recordings import payloads


def large(number: int, index: int, size: int) -> Sample:
    """A service that sends `size` bytes which nobody knows."""
    known = record("host_descr", hostname=f"s{index}.service"), record("virt_cpu", state=1, cpuTime=number)
    unknown = Record(900 << 12 | 1, size, raw=bytes(size))
    return Sample("counters", COUNTERS_EXPANDED, number, 3, index, records=(*known, unknown))


def test_an_agent_with_large_samples_stays_within_its_memory() -> None:
    sender = Sender(Collector())
    for number in range(1, 4):
        sender.send(host(number))
        for index in range(200):
            sender.send(large(number, index, 60_000))
        sender.tick(20)
    collector = sender.collector
    agent = collector.agents["10.0.0.1"]
    kept = sum(len(one.latest.raw) + len(one.latest.older) for one in agent.sources.values())
    assert 1 << 20 < 8 * kept < agent.memory <= AGENT_MEMORY
    assert collector.limits.memory == agent.memory
    assert collector.dropped["memory_of_agent"] > 100
    assert ("10.0.0.1", "memory_of_agent") in collector.take_notes()
    assert services_of(sender.snapshot()), "those that have come first stay"


def test_a_sample_that_grows_beyond_the_limit_is_passed_over() -> None:
    sender = Sender(Collector(parse_config("[sflow]\nmemory = 1048576")))
    sender.send(large(1, 1, 100))
    sender.send(large(2, 1, 60_000))
    (source,) = sender.collector.agents["10.0.0.1"].sources.values()
    assert (source.sequence, sender.collector.dropped["memory"]) == (1, 1)
    sender.tick(20)
    sender.send(large(3, 1, 100))
    assert source.sequence == 3


def test_all_agents_together_stay_within_the_memory_and_give_it_back() -> None:
    text = "[sflow]\nmemory = 1048576\nforget_after = 10"
    collector = Collector(parse_config(text))
    senders = [Sender(collector, f"10.0.1.{n}") for n in range(100)]
    for sender in senders:
        sender.send(host(1), *(service(1, f"s{n}", n) for n in range(5)))
    assert 900_000 < collector.limits.memory <= 1 << 20
    assert collector.dropped["memory"] > 0
    collector.sweep(senders[0].now + 1000)
    assert collector.agents == {}
    assert collector.limits.memory == 0
    senders[-1].tick(1000)
    senders[-1].send(host(2))
    assert collector.limits.memory > STREAM_MEMORY


def test_a_suspect_longer_than_any_frame_is_not_held_whole_and_the_restart_is_seen() -> None:
    sender = Sender(Collector())
    for number in range(1, 5):
        sender.send(host(number))
        sender.tick(20)
    sender.restart()
    sender.send(large(1, 1, LONGEST_HELD))
    (stream,) = sender.collector.agents["10.0.0.1"].streams.values()
    assert stream.suspect is not None
    assert len(stream.suspect[3]) == HEAD
    sender.tick(1)
    sender.send(host(1))
    assert stream.restarts == 1
    assert sum(sender.collector.decode_errors.values()) == 0


def test_records_are_counted_on_when_shapes_are_learned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that live on in sources and convoys go on being counted."""
    sender = Sender(Collector())
    monkeypatch.setattr(layout.Layouts, "SHAPES", 200)
    for number in range(1, 40):
        sender.send(host(number), service(number), large(number, 2, 8))
        sender.send(service(1, "n" * number, number))  # a name of another length is another shape
        sender.tick(20)
    stats = sender.snapshot().stats
    assert len(sender.collector.layouts.shapes) < 10
    assert stats.records["host_cpu"] == 39
    assert stats.records["virt_cpu"] == 3 * 39
    assert stats.unknown_records == {"900:1": 39}


def test_equal_runs_of_bytes_are_one_object_and_only_the_last_short_ones_are_kept() -> None:
    first, again = layout.share((b"virt", bytes(bytearray(b"virt"))))
    assert first is again
    sender = Sender(Collector())
    for number in range(layout.SHARED + 20):
        sender.send(service(1, f"s{number}.service", number))
    kept = layout._shared.cache_info()
    assert kept.currsize == layout.SHARED
    long = b"x" * 20_000
    assert layout.share((long,)) == (long,)
    assert layout._shared.cache_info() == kept


def test_the_convoy_of_a_compact_source_and_that_of_an_expanded_one_that_look_the_same() -> None:
    """Both begin with the same eight bytes; the restart lets the second one form without a look at the first."""
    sender = Sender(Collector())

    def expanded(number: int) -> bytes:
        return encode_sample(service(number, "a.service", 4, cpuTime=number))

    def compact(number: int) -> bytes:
        return encode_sample(service(number, "b.service", 3, ds_class=0, cpuTime=number, tag=COUNTERS))

    for number in range(1, 8):
        sender.send(host(number), compact(number))
        sender.send(expanded(number))
        sender.tick(20)
    sender.restart()
    sender.send(compact(8))
    sender.tick(1)
    sender.send(host(8))
    for number in range(8, 12):
        sender.send(expanded(number))
        sender.send(host(number + 1), compact(number + 1))
        sender.tick(20)
    assert set(services_of(sender.snapshot())) == {"a.service", "b.service"}


def test_a_count_of_records_that_is_not_true_costs_nothing() -> None:
    """Samples that claim 4 billion records, one after the other: nobody walks through all of them for each of them."""
    claim = struct.pack("!IIIIIII", 2, 20, 1, 2 << 24 | 1, 0xFFFF_FFFF, 9 << 12 | 1, 20)
    payload = claim * 2000 + bytes(1000)
    draft = Draft(payload, 16, 28)
    assert not draft.whole
    assert len(draft.parts) < 5


@pytest.fixture
def _own_thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_own_thresholds")
@pytest.mark.parametrize(("sources", "young"), [(0, 50_000), (100, 50_000), (45_900, 459_000), (3, 50_000)])
def test_a_snapshot_is_not_taken_for_garbage(sources: int, young: int) -> None:
    memory.expect(sources)
    assert gc.get_threshold()[0] == young


class Knot:
    """Garbage as soon as it is made."""

    def __init__(self) -> None:
        self.own = self


def knots() -> int:
    return sum(isinstance(one, Knot) for one in gc.get_objects())


@pytest.mark.usefixtures("_own_thresholds")
@pytest.mark.parametrize(("objects", "left"), [(6_000, 0), (1_000, 1_000)])
def test_garbage_goes_between_snapshots(objects: int, left: int) -> None:
    memory.expect(100_000)
    for _ in range(objects):
        Knot()
    memory.tidy()
    assert knots() == left


@pytest.mark.usefixtures("_own_thresholds")
def test_a_process_that_has_become_much_larger_is_looked_through() -> None:
    """A few objects of garbage can hold many pages."""
    sizes = iter([100 << 20, 120 << 20, 150 << 20, 165 << 20, 160 << 20, 220 << 20, 225 << 20, 180 << 20])
    growth = memory.Growth(lambda: next(sizes))
    left = []
    for _ in range(5):
        Knot()
        growth.look()
        left.append(knots())
    assert left == [1, 2, 0, 1, 0]


def test_a_size_that_cannot_be_known_is_no_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory._resident() > 5 << 20

    def fails(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("builtins.open", fails)
    memory.Growth().look()


def test_the_program_looks_for_garbage_while_no_page_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    none_left, before = [True, False, True, False, False], gc.get_threshold()
    asked: list[bool] = []
    tidied: list[int] = []
    monkeypatch.setattr(app, "PULSE", 0.01)
    monkeypatch.setattr(memory, "tune", lambda: None)
    monkeypatch.setattr(memory, "tidy", lambda: tidied.append(len(asked)))
    looks: list[int] = []
    monkeypatch.setattr(memory.Growth, "look", lambda _: looks.append(1))
    with running(config()) as (program, _):

        def forget() -> bool:
            asked.append(len(asked) < len(none_left) and none_left[len(asked)])
            return asked[-1]

        monkeypatch.setattr(program.pages, "forget", forget)
        wait_for("some pulses", lambda: len(asked) > len(none_left))
        assert [after for after in tidied if after] == [1, 3]
        assert len(looks) >= len(none_left), "that does not wait for readers"
    assert gc.get_threshold() == before


def test_a_snapshot_of_the_program_expects_as_many_objects_as_its_sources_need(monkeypatch: pytest.MonkeyPatch) -> None:
    expected: list[int] = []
    program = app.App(config())
    monkeypatch.setattr(memory, "expect", expected.append)
    for datagram in payloads("hsflowd-systemd"):
        program.collector.receive(datagram, time.time())
    program.snapshot()
    assert expected == [8]  # a host and seven services
