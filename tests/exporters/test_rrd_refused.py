"""RRD files that the engine refuses: they hold up nobody, keep little, and heal."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporters import rrd_queue
from exporters.rrd_writer import LONGEST_TROUBLE, Update
from tests.exporters.fake_rrd import KIND, STEP, FakeEngine, path_of, run, tick, values, writer


@pytest.mark.parametrize("made", [False, True], ids=["when it is made", "when it is written"])
def test_a_file_that_is_refused_holds_up_nobody_and_heals(made: bool) -> None:
    engine = FakeEngine()
    one = writer(engine)
    if made:
        one.add(values([1, 2], 0))
        run(one, 0, 1)
    engine.refused = {path_of(1)}
    for number in range(1, 9):
        one.add(values([1, 2], number))
        run(one, number, number + 1)
    ours = [str(number) for number in range(0 if made else 1, 9)]
    assert engine.numbers(path_of(2)) == ours
    assert (one.stats.queued, one.stats.refused, one.stats.dropped) == (8, 1, 0)
    assert 5 <= one.stats.errors <= 8
    why = "Read-only file system" if made else "No space left on device"
    assert one.take_notes()["refused"] == (one.stats.errors, f"{path_of(1)}: {why}")
    engine.refused = set()
    run(one, 9, 14)
    assert engine.numbers(path_of(1)) == ours
    assert (one.stats.queued, one.stats.refused, one.stats.dropped) == (0, 0, 0)


def test_a_file_that_is_mended_is_refused_no_more_also_when_nothing_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "1.rrd"
    path.write_text("no RRD file", "utf-8")
    one = writer(FakeEngine(), queue=1)
    one.add([Update(str(path), tick(1), "1", KIND)])
    one.flush(tick(1))
    assert one.stats.refused == 1
    one.add(values([2], 2))  # for which the value of the first has to go
    path.unlink()
    run(one, 2, 4)
    assert (one.stats.refused, one.stats.dropped) == (0, 1)


def test_a_file_that_is_refused_keeps_only_its_newest_values() -> None:
    engine = FakeEngine(refused={path_of(1)})
    one = writer(engine)
    most = rrd_queue.TROUBLED_VALUES
    for number in range(1, most + 101):
        one.add(values([1], number))
        one.flush(tick(number))
    assert (one.stats.queued, one.stats.dropped) == (most, 100)
    engine.refused = set()
    run(one, most + 101, most + 106)
    assert engine.numbers(path_of(1)) == [str(number) for number in range(101, most + 101)]


def test_files_that_are_refused_and_silent_are_no_more_than_values_that_may_wait() -> None:
    """Names come and go for ever, and the directory cannot be written."""
    engine = FakeEngine(refused={path_of(number) for number in range(300)})
    one = writer(engine, queue=20)
    for number in range(300):
        one.add(values([number], number))
        run(one, number, number + 1)
    assert one.stats.queued == 20
    assert one.stats.files < 20 + rrd_queue.FORGET + 5
    assert one.stats.refused <= len(one._troubled) <= one.stats.files + LONGEST_TROUBLE // STEP + 5
    engine.refused.clear()
    run(one, 300, 310)
    assert (one.stats.stored, one.stats.queued, one.stats.dropped, one.stats.refused) == (20, 0, 280, 0)
    run(one, 310, 400)
    assert (one.stats.files, one.stats.refused, len(one._troubled)) == (0, 0, 0)
