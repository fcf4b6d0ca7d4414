"""An engine that is slow: a flush ends in time for the next values, and all come to their files in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from exporters.rrd_file import NewFile
from exporters.rrd_writer import BATCH, CREATIONS, RrdWriter
from sflow_gmetrics.config import RrdConfig
from tests.exporters.fake_rrd import NOWHERE, STEP, FakeEngine, path_of, tick, values

FILES = 3000


@dataclass
class SlowEngine(FakeEngine):
    """Takes so many seconds for each file, by a clock of its own."""

    to_make: float = 0.0
    to_write: float = 0.0
    now: float = 0.0

    def update(self, batch: Sequence[tuple[str, str]]) -> list[str]:
        self.now += self.to_write * len(batch)
        return super().update(batch)

    def create(self, files: Sequence[NewFile]) -> list[str]:
        self.now += self.to_make * len(files)
        return super().create(files)


def paced(engine: SlowEngine) -> RrdWriter:
    config = RrdConfig(root=NOWHERE, step=STEP, write_every=STEP, queue=1_000_000)
    return RrdWriter(config, engine, clock=lambda: engine.now)


@pytest.mark.parametrize(
    ("to_make", "to_write"), [(0.06, 0.0), (0.0, 0.0025), (0.06, 0.0025)], ids=["to make", "to write", "both"]
)
def test_no_tick_is_missed_while_files_are_made_and_written_slowly(to_make: float, to_write: float) -> None:
    engine = SlowEngine(to_make=to_make, to_write=to_write)
    one = paced(engine)
    started, taken = engine.now, 0
    for _ in range(400):
        if engine.now - started >= STEP * taken:
            taken += 1
            assert engine.now - started < STEP * taken, "the tick before is not over"
            one.add(values(range(FILES), taken))
        before = engine.now
        one.flush(tick(0) + engine.now)
        most = STEP / 3 + CREATIONS * to_make + 2 * BATCH * to_write
        assert engine.now - before <= most < STEP - 1
        engine.now = max(engine.now, before + 1)
    wanted = [str(number) for number in range(1, taken + 1)]
    assert taken > 25
    assert one.stats.created == FILES
    for file in range(FILES):
        numbers = engine.numbers(path_of(file))
        assert numbers == wanted[: len(numbers)]
        assert len(numbers) >= taken - 3
    assert one.stats.dropped == 0


def test_even_an_engine_that_is_slower_than_the_time_that_it_has_gets_on() -> None:
    engine = SlowEngine(to_make=0.1, to_write=0.02)
    one = paced(engine)
    one.add(values(range(2 * BATCH), 1))
    rounds = 0
    while one.stats.queued:
        one.flush(tick(1) + engine.now)
        rounds += 1
    assert rounds == 2 * BATCH / CREATIONS
    one.add(values(range(2 * BATCH), 2))
    engine.calls.clear()
    one.flush(tick(1) + engine.now + STEP)
    assert [len(call) for call in engine.calls] == [BATCH]


def test_at_the_end_all_that_waits_is_written_however_long_it_takes() -> None:
    engine = SlowEngine(to_make=1.0, to_write=1.0)
    one = paced(engine)
    one.add(values(range(2 * BATCH), 1))
    one.close(tick(1))
    assert (one.stats.stored, one.stats.queued) == (2 * BATCH, 0)
