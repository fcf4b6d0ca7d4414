"""The thread that stores: its ticks, whatever the clock does, and that no fault ends it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from exporters.rrd_file import NewFile
from exporters.rrd_writer import RrdWriter
from sflow_gmetrics import storage
from sflow_gmetrics.config import RrdConfig
from sflow_gmetrics.snapshot import Snapshot
from sflow_gmetrics.storage import Storage
from tests.exporters.trees import alone, far, remote_cluster, remote_host, with_remotes

STEP = 15
START = 1_700_000_010
assert START % STEP == 0
NOTHING = alone()


class Engine:
    """Keeps what it is given."""

    name = "test"

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.closed = False

    def update(self, batch: Sequence[tuple[str, str]]) -> list[str]:
        for path, values in batch:
            self.values.setdefault(path.rpartition("rrds/")[2], []).extend(values.split(" "))
        return [""] * len(batch)

    def create(self, files: Sequence[NewFile]) -> list[str]:
        return [""] * len(files)

    def close(self) -> None:
        self.closed = True

    def times(self, host: str = "a") -> list[int]:
        """When the known values of a host's file were taken."""
        found = [value.split(":") for value in self.values.get(f"plain/{host}/load_one.rrd", [])]
        return [int(moment) for moment, value in found if value != "U"]


class Bench:
    """A running storage with a clock that the test moves."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.now = START + 0.5
        self.hosts = ["a"]
        self.taken = 0
        self.fault: Exception | None = None
        self.pulses = 0
        config = RrdConfig(root=str(root), step=STEP, write_every=1, levels=("host",))
        self.storage = Storage(config, self._snapshot, self._clock)

    def _clock(self) -> float:
        self.pulses += 1
        return self.now

    def _snapshot(self) -> Snapshot:
        self.taken += 1
        if self.fault is not None:
            raise self.fault
        return with_remotes(NOTHING, [far(remote_cluster("plain", *map(remote_host, self.hosts)))])

    def settle(self) -> None:
        """Let the thread look at the clock some more times."""
        before = self.pulses
        _until(lambda: self.pulses > before + 12)

    def go(self, *moments: float) -> None:
        """The clock jumps to these moments (seconds after START), and the thread has time to see each."""
        for moment in moments:
            self.now = START + moment
            self.settle()

    def ticks(self, host: str = "a") -> list[int]:
        """The ticks of the values that the engine has, in seconds after START."""
        return [moment - START for moment in self.engine.times(host)]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    engine = Engine()
    monkeypatch.setattr(storage, "PULSE", 0.002)
    monkeypatch.setattr(storage, "open_engine", lambda _config: engine)
    one = Bench(engine, tmp_path / "rrds")
    one.storage.start()
    one.settle()
    with contextlib.ExitStack() as stack:
        stack.callback(one.storage.stop)
        yield one
    assert engine.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "rrd"]


def test_values_are_taken_at_fixed_ticks(bench: Bench) -> None:
    bench.go(14.9)
    assert bench.ticks() == [], "the tick in which it began is not whole"
    bench.go(15.2, 16, 29.9, 31, 46, 59.9, 61)
    assert bench.ticks() == [15, 30, 45, 60]
    assert bench.taken == 4


def test_missed_ticks_are_left_out(bench: Bench) -> None:
    bench.go(15, 70, 75, 89)
    assert bench.ticks() == [15, 60, 75]
    assert "U" in bench.engine.values["plain/a/load_one.rrd"][1], "and no line is drawn over them"
    count, why = bench.storage.take_notes()["missed"]
    assert count == 2
    assert "the disk is too slow" in why


def test_a_clock_that_stands_still_takes_no_values(bench: Bench) -> None:
    bench.go(15.5, 15.5, 15.5)
    assert bench.ticks() == [15]
    assert bench.taken == 1


def test_a_clock_that_goes_back_a_little_takes_no_value_twice(bench: Bench) -> None:
    bench.go(15.1, 14.9, 15.1, 30.1, 29.5, 16, 31)
    assert bench.ticks() == [15, 30]
    assert bench.taken == 2
    bench.go(45, 59)
    assert bench.ticks() == [15, 30, 45]
    assert bench.storage.state[1].dropped == 0


def test_a_clock_that_was_far_ahead_does_not_end_all_storing(bench: Bench) -> None:
    """A file that has a value of tomorrow takes none of today; one that is new does."""
    bench.go(86_400, 20)
    assert bench.ticks() == [86_400]
    bench.hosts = ["a", "b"]
    bench.go(31, 46)
    assert bench.ticks() == [86_400]
    assert bench.ticks("b") == [30, 45]
    notes = bench.storage.take_notes()
    assert notes["late"][0] == bench.storage.state[1].dropped == 3
    bench.go(86_415)
    assert bench.ticks() == [86_400, 86_415]


def test_a_fault_in_a_snapshot_costs_its_tick_and_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        bench.go(15)
        bench.fault = RuntimeError("what should not be")
        bench.go(30, 45)
        bench.fault = None
        bench.go(60)
    assert bench.ticks() == [15, 60]
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == 2, "once a tick, not once a pulse"
    assert "what should not be" in str(logged[0].exc_info)


def test_at_the_end_everything_is_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = Engine()
    monkeypatch.setattr(storage, "PULSE", 0.002)
    monkeypatch.setattr(storage, "open_engine", lambda _config: engine)
    monkeypatch.setattr(RrdWriter, "flush", lambda *_: None)
    one = Bench(engine, tmp_path)
    one.storage.start()
    one.settle()
    one.go(15, 30)
    assert one.ticks() == []
    one.storage.stop()
    assert [value for values in engine.values.values() for value in values] == [
        f"{START + 15}:0.50",
        f"{START + 30}:0.50",
    ]
    assert engine.closed


def test_a_storage_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    Storage(RrdConfig(root=str(tmp_path)), lambda: NOTHING, lambda: 0.0).stop()
