"""The queue before the RRD engines: order, limits and patience, with a fake engine that fails as told."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporters import rrd_writer
from exporters.rrd_writer import Stats, Update
from sflow_gmetrics.errors import EngineError
from tests.exporters.fake_rrd import KIND, NOWHERE, START, STEP, FakeEngine, path_of, run, tick, values, writer


def test_a_new_file_gets_its_first_value_at_once_and_begins_a_step_before_it() -> None:
    engine = FakeEngine()
    one = writer(engine)
    one.add(values([1], 4))
    one.flush(tick(4))
    assert engine.files == {path_of(1): [(tick(4), "4")]}
    assert engine.starts == {path_of(1): tick(3)}
    assert one.stats == Stats(stored=1, files=1, created=1, last_write=tick(4))


def test_values_of_a_file_go_together_when_writing_is_rarer_than_ticks() -> None:
    engine = FakeEngine()
    one = writer(engine, write_every=4 * STEP)
    for number in range(1, 17):
        one.add(values(range(8), number))
        run(one, number, number + 1)
    assert {len(update.split(" ")) for call in engine.calls[8:] for _, update in call} == {4}
    one.close(tick(17))
    assert engine.closed
    assert all(engine.numbers(path_of(file)) == [str(number) for number in range(1, 17)] for file in range(8))


def test_the_files_are_spread_evenly_over_the_time() -> None:
    engine = FakeEngine()
    one = writer(engine)
    one.add(values(range(1500), 1))
    run(one, 1, 3)
    one.add(values(range(1500), 3))
    engine.calls.clear()
    run(one, 3, 4)
    sizes = [len(call) for call in engine.calls]
    assert sum(sizes) == 1500
    assert set(sizes) <= {99, 100, 101}


def test_only_so_many_new_files_are_made_in_a_second() -> None:
    engine = FakeEngine()
    one = writer(engine, creations=10)
    one.add(values(range(100), 1))
    made = []
    for second in range(12):
        for _ in range(3):
            one.flush(tick(1) + second)
        made.append(one.stats.created)
    assert made == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100, 100]
    assert (one.stats.stored, one.stats.queued) == (100, 0)
    assert list(engine.files) == [path_of(file) for file in range(100)]


def test_an_engine_that_is_away_is_asked_less_and_less_often() -> None:
    engine = FakeEngine(away=True)
    one = writer(engine)
    asked = []
    one.add(values([1], 1))
    for second in range(200):
        before = one.stats.errors
        one.flush(tick(1) + second)
        if one.stats.errors > before:
            asked.append(second)
    assert asked == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]
    assert one.stats.away == "fake: not there"
    engine.away = False
    one.flush(tick(1) + 211)
    assert (one.stats.away, one.stats.stored) == ("", 1)
    assert one.take_notes() == {"away": (1, "fake: not there"), "back": (1, "after 211 s; 1 values wait")}
    assert one.take_notes() == {}


def test_a_clock_that_goes_back_does_not_stop_us() -> None:
    engine = FakeEngine(away=True)
    one = writer(engine)
    one.add(values([1], 1))
    one.flush(1e9)
    engine.away = False
    one.flush(5e8)
    assert one.stats.stored == 1


def test_the_oldest_values_are_dropped_first_and_leave_a_gap() -> None:
    engine = FakeEngine()
    one = writer(engine, queue=7)
    one.add(values([1, 2], 1))
    run(one, 1, 2)
    engine.away = True
    for number in range(2, 8):
        one.add(values([1, 2], number))
        one.flush(tick(number))
    assert (one.stats.queued, one.stats.dropped) == (7, 5)
    count, detail = one.take_notes()["dropped"]
    assert (count, detail) == (5, "more than 7 values wait")
    engine.away = False
    run(one, 20, 22)
    for file, first in ((1, 5), (2, 4)):
        kept = [(tick(number), str(number)) for number in range(first, 8)]
        assert engine.files[path_of(file)] == [(tick(1), "1"), (tick(first - 1), "U"), *kept]


def test_a_gap_gets_an_unknown_value_before_it_ends() -> None:
    engine = FakeEngine()
    one = writer(engine)
    summed = partial(KIND, sources=(("sum", "GAUGE"), ("num", "GAUGE")))
    for number in (1, 2, 5, 6):
        one.add([Update(path_of(1), tick(number), f"{number}:1", summed)])
        run(one, number, number + 1)
    assert engine.files[path_of(1)] == [
        (tick(1), "1:1"),
        (tick(2), "2:1"),
        (tick(4), "U:U"),
        (tick(5), "5:1"),
        (tick(6), "6:1"),
    ]
    assert one.stats.stored == 4


def test_a_file_that_exists_on_another_machine_gets_an_unknown_value_first() -> None:
    engine = FakeEngine(files={path_of(1): [(tick(1), "1")]})
    one = writer(engine)
    one.add(values([1], 8))
    one.flush(tick(8))
    assert engine.files[path_of(1)] == [(tick(1), "1"), (tick(7), "U"), (tick(8), "8")]
    assert (one.stats.created, one.stats.errors) == (0, 0)


def test_a_value_that_is_not_newer_is_dropped_and_said() -> None:
    engine = FakeEngine()
    one = writer(engine)
    for number in (3, 3, 2, 4):
        one.add(values([1], number))
    run(one, 4, 6)
    assert engine.numbers(path_of(1)) == ["3", "4"]
    assert (one.stats.stored, one.stats.dropped) == (2, 2)
    assert one.take_notes()["late"][0] == 2


def test_a_file_that_is_silent_is_forgotten_but_not_what_waits() -> None:
    engine = FakeEngine()
    one = writer(engine)
    one.add(values(range(5), 1))
    run(one, 1, 2)
    assert one.stats.files == 5
    for number in range(2, 300):
        one.add(values([3], number))
        one.flush(tick(number))
    assert one.stats.files == 1
    assert engine.numbers(path_of(3)) == [str(number) for number in range(1, len(engine.numbers(path_of(3))) + 1)]
    one.add(values(range(5), 300))
    one.flush(tick(300))
    one.close(tick(300))
    assert [engine.files[path_of(file)][-2:] for file in (0, 4)] == [[(tick(299), "U"), (tick(300), "300")]] * 2


@pytest.mark.parametrize("step", [15, 300])
def test_a_file_that_lives_is_not_forgotten_between_two_values(step: int) -> None:
    one = writer(FakeEngine(), step=step, write_every=step)
    for number in range(1, 6):
        one.add([Update(path_of(1), number * step, "1", KIND)])
        for second in range(number * step, (number + 1) * step, 5):
            one.flush(second)
        assert one.stats.files == 1
    for second in range(6 * step, 16 * step + 120, 5):
        one.flush(second)
    assert one.stats.files == 0


def test_one_flush_ends_also_after_a_long_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rrd_writer, "VALUES", 3_000)
    engine = FakeEngine()
    one = writer(engine)
    one.add(values(range(3000), 0))
    run(one, 0, 5)
    engine.away = True
    for number in range(5, 8):
        one.add(values(range(3000), number))
        one.flush(tick(number))
    engine.away = False
    stored = [one.stats.stored]
    for second in range(6):
        one.flush(tick(9) + second)
        stored.append(one.stats.stored)
    assert [later - earlier for earlier, later in itertools.pairwise(stored)] == [3000, 3000, 3000, 0, 0, 0]


def test_values_that_come_while_the_engine_works_stand_behind_those_on_their_way() -> None:
    engine = FakeEngine()
    one = writer(engine, queue=4)
    one.add(values([1], 1))
    run(one, 1, 2)

    def interrupted(batch: Sequence[tuple[str, str]]) -> list[str]:
        for number in range(3, 9):
            one.add(values([1], number))
        raise EngineError("gone while it worked")

    one.add(values([1], 2))
    engine.update, kept = interrupted, engine.update  # type: ignore[method-assign]
    run(one, 2, 3)
    engine.update = kept  # type: ignore[method-assign]
    run(one, 9, 14)
    assert engine.numbers(path_of(1)) == ["1", "2", "U", "6", "7", "8"]
    assert (one.stats.stored, one.stats.dropped, one.stats.queued) == (5, 3, 0)


Action = tuple[str, object]
FILES = range(4)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sets(st.sampled_from(FILES), min_size=1)),
        st.tuples(st.just("wait"), st.integers(1, 70)),
        st.tuples(st.just("away"), st.booleans()),
        st.tuples(st.just("cut"), st.integers(0, 4)),
        st.tuples(st.just("refuse"), st.sets(st.sampled_from(FILES), max_size=2)),
        st.tuples(st.just("delete"), st.sampled_from(FILES)),
    ),
    max_size=40,
)


@settings(max_examples=150)
@example(actions=[("add", {0}), ("wait", 1), ("add", {0, 1, 2, 3}), ("add", {0})], queue=3, write_every=STEP)
@given(actions=ACTIONS, queue=st.sampled_from((3, 10, 1000)), write_every=st.sampled_from((STEP, 4 * STEP)))
def test_every_value_is_stored_once_and_in_order_or_counted_as_dropped(
    actions: list[Action], queue: int, write_every: int
) -> None:
    engine = FakeEngine()
    one = writer(engine, queue=queue, write_every=write_every, creations=2)
    added: dict[str, list[int]] = {path_of(file): [] for file in FILES}
    deleted: list[tuple[int, str]] = []
    second = START

    def wait(seconds: int) -> None:
        nonlocal second
        for _ in range(seconds):
            second += 1
            one.flush(float(second))
            assert one.stats.queued <= queue
            assert added_count() == one.stats.stored + one.stats.dropped + one.stats.queued

    def added_count() -> int:
        return sum(map(len, added.values()))

    do: dict[str, Callable[..., object]] = {
        "wait": wait,
        "away": lambda away: setattr(engine, "away", away),
        "cut": lambda cut: setattr(engine, "cut", cut),
        "refuse": lambda files: setattr(engine, "refused", set(map(path_of, files))),
        "delete": lambda file: deleted.extend(engine.files.pop(path_of(file), [])),
    }
    for action, argument in actions:
        if action == "add":
            assert isinstance(argument, set)
            second += STEP - second % STEP
            one.add(Update(path_of(file), second, str(second), KIND) for file in sorted(argument))
            for file in argument:
                added[path_of(file)].append(second)
        else:
            do[action](argument)
    engine.away, engine.cut, engine.refused = False, -1, set()
    wait(4 * rrd_writer.LONGEST_TROUBLE + 4 * write_every)
    assert (one.stats.queued, one.stats.refused) == (0, 0)
    assert one.stats.away == ""
    stored = 0
    for path, times in added.items():
        found = engine.files.get(path, [])
        real = [time for time, number in found if number != "U"]
        assert [str(time) for time in real] == [number for _, number in found if number != "U"]
        assert [time for time, _ in found] == sorted({time for time, _ in found})
        assert set(real) <= set(times)
        assert not {time for time, number in found if number == "U"} & set(real)
        for earlier, later in itertools.pairwise(found):
            assert later[0] - earlier[0] == STEP or later[1] == "U"
        stored += len(real)
    assert stored + len([one for one in deleted if one[1] != "U"]) == one.stats.stored


def test_a_file_takes_little_memory() -> None:
    engine = FakeEngine()
    one = writer(engine)
    count = 5_000
    paths = [f"{NOWHERE}/cluster/host{number}/some.metric.rrd" for number in range(count)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        one.add(Update(path, tick(1), "12.34", KIND) for path in paths)
        each = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    assert each < 450


def test_files_on_disk_are_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "x.rrd"
    path.write_bytes(b"this was never an RRD file")
    engine = FakeEngine()
    one = writer(engine)
    one.add([Update(str(path), tick(1), "1", KIND)])
    one.flush(tick(1))
    assert engine.files == {}
    assert one.take_notes()["refused"] == (1, f"{path}: is no RRD file")
