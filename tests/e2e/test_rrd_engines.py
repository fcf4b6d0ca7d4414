"""Real rrdcached and rrdtool: what was added is what rrdtool reads, through kills, full disks and gaps."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from exporters.rrd_engines import Engine, Rrdcached, RrdtoolPipe
from exporters.rrd_file import EXISTS, NewFile, read_header
from exporters.rrd_writer import RrdWriter, Update
from sflow_gmetrics.config import RrdConfig
from sflow_gmetrics.errors import EngineError
from tests.e2e.rrdcached import Daemon, fetch, rrdcached
from tests.e2e.servers import wait_for

pytestmark = pytest.mark.e2e

STEP = 15
T0 = 1_700_000_010 // STEP * STEP
ONE = (("sum", "GAUGE"),)
BOTH = (("sum", "GAUGE"), ("num", "GAUGE"))
ROWS = 1000


def new_file(path: str, start: int, sources: tuple[tuple[str, str], ...] = ONE, rows: int = ROWS) -> NewFile:
    return NewFile(path, start, STEP, 8 * STEP, sources, (f"AVERAGE:0.5:1:{rows}",))


def tick(number: int) -> int:
    return T0 + number * STEP


@dataclass
class Stage:
    """An engine, where its files go, and how to read them."""

    engine: Engine
    base: Path
    daemon: Daemon | None

    def values(self, path: Path, count: int = 900) -> dict[int, tuple[float, ...]]:
        """The known values of a file by the number of their tick."""
        found = fetch(path, tick(1), tick(count), STEP, self.daemon.address if self.daemon else "")
        return {(time - T0) // STEP: numbers for time, numbers in found.items()}

    def writer(self, **settings: int) -> RrdWriter:
        return RrdWriter(RrdConfig(root=str(self.base), step=STEP, write_every=STEP, **settings), self.engine)  # type: ignore[arg-type]


@contextlib.contextmanager
def stage(kind: str, find: Callable[[str], str], folder: Path, base: Path) -> Iterator[Stage]:
    program = find("rrdtool")
    with contextlib.ExitStack() as stack:
        daemon = None
        engine: Engine = RrdtoolPipe(program)
        if kind == "rrdcached":
            daemon = stack.enter_context(rrdcached(find("rrdcached"), folder, base))
            engine = Rrdcached(daemon.address)
        base.mkdir(exist_ok=True)
        stack.callback(engine.close)
        yield Stage(engine, base, daemon)


@pytest.fixture(params=["rrdcached", "rrdtool"])
def any_stage(request: pytest.FixtureRequest, require_program: Callable[[str], str], tmp_path: Path) -> Iterator[Stage]:
    """Each engine in turn, with its files in a directory that has a space in its name."""
    with stage(request.param, require_program, tmp_path, tmp_path / "the files") as found:
        yield found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB. Skips where nothing may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], capture_output=True, text=True, timeout=10
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


def updates(paths: Iterable[Path], number: int, **how: int) -> list[Update]:
    """A value for each file at a tick: the tick's number with the file's place behind the point."""
    make = partial(new_file, **how)  # type: ignore[arg-type]
    return [Update(str(path), tick(number), f"{number}.{place}", make) for place, path in enumerate(paths, 1)]


def expected(place: int, numbers: Iterable[int]) -> dict[int, tuple[float, ...]]:
    return {number: (float(f"{number}.{place}"),) for number in numbers}


# --- the engines


NAMES = ("plain.rrd", "with space.rrd", 'back\\slash "quoted" it\'s.rrd', "tschüß.rrd", "deep/er/and deeper/x.rrd")


@pytest.mark.parametrize("name", NAMES)
def test_several_values_per_update_come_back_whatever_the_file_is_called(any_stage: Stage, name: str) -> None:
    path = any_stage.base / name
    assert any_stage.engine.create([new_file(str(path), T0, BOTH)]) == [""]
    header = read_header(str(path))
    assert header == (("sum", "num"), T0)
    text = " ".join(f"{tick(number)}:{number * 1.5}:{number}" for number in range(1, 5))
    assert any_stage.engine.update([(str(path), text)]) == [""]
    assert any_stage.values(path) == {number: (number * 1.5, float(number)) for number in range(1, 5)}


def test_a_value_is_stored_once_and_those_after_a_known_one_too(any_stage: Stage) -> None:
    path = any_stage.base / "x.rrd"
    any_stage.engine.create([new_file(str(path), T0)])
    for text in ("1:1 2:2", "1:9 2:9 3:3 3:9 2:9 4:4", "4:9", "3:9 4:9"):
        values = " ".join(f"{tick(int(one.split(':')[0]))}:{one.split(':')[1]}" for one in text.split())
        assert any_stage.engine.update([(str(path), values)]) == [""], text
    assert any_stage.values(path) == {number: (float(number),) for number in range(1, 5)}


def test_an_update_of_any_length_is_stored_even_when_its_beginning_is_known(any_stage: Stage) -> None:
    path = any_stage.base / "x.rrd"
    any_stage.engine.create([new_file(str(path), T0)])
    for first, last in ((1, 400), (200, 900)):
        text = " ".join(f"{tick(number)}:{number}" for number in range(first, last + 1))
        assert len(text) > 5000
        assert any_stage.engine.update([(str(path), text)]) == [""]
    assert any_stage.values(path) == {number: (float(number),) for number in range(1, 901)}


def test_an_error_belongs_to_its_own_entry(any_stage: Stage) -> None:
    good = [any_stage.base / f"{number}.rrd" for number in range(3)]
    assert any_stage.engine.create([new_file(str(path), T0) for path in good]) == [""] * 3
    value = f"{tick(1)}:7"
    bad = [str(any_stage.base / "none.rrd"), "two\nlines.rrd", f"/{'long/' * 1000}x.rrd"]
    batch = [(str(good[0]), value), (bad[0], value), (str(good[1]), value)]
    batch += [(bad[1], value), (bad[2], value), (str(good[2]), value)]
    errors = any_stage.engine.update(batch)
    assert [bool(error) for error in errors] == [False, True, False, True, True, False]
    assert "No such file" in errors[1]
    assert [any_stage.values(path) for path in good] == [{1: (7.0,)}] * 3
    errors = any_stage.engine.create([new_file(str(good[0]), T0), new_file("a\nb", T0), new_file(str(good[1]), T0)])
    assert [errors[0], errors[2]] == [EXISTS, EXISTS]
    assert "path" in errors[1]
    assert any_stage.values(good[0]) == {1: (7.0,)}


def test_thousands_of_updates_and_errors_pass_without_a_standstill(any_stage: Stage) -> None:
    path = any_stage.base / "x.rrd"
    any_stage.engine.create([new_file(str(path), T0)])
    lost = any_stage.base / ("long name " * 15) / "none.rrd"
    batch = [(f"{lost}{number}", f"{tick(1)}:1") for number in range(5000)]
    errors = any_stage.engine.update([*batch, (str(path), f"{tick(1)}:1")])
    assert all(errors[:-1])
    assert errors[-1] == ""
    assert any_stage.values(path) == {1: (1.0,)}


def test_a_daemon_that_makes_no_directories(require_program: Callable[[str], str], tmp_path: Path) -> None:
    base = tmp_path / "base"
    with rrdcached(require_program("rrdcached"), tmp_path, base, directories=False) as daemon:
        engine = Rrdcached(daemon.address)
        files = [new_file(str(base / name), T0) for name in ("a/x.rrd", "x.rrd", "b/c/x.rrd", "y.rrd")]
        engine.local = False
        errors = engine.create(files)
        assert [errors[1], errors[3]] == ["", ""]
        assert "No permission to recursively create" in errors[0]
        assert "-R" in errors[2]
        engine.local = True
        assert engine.create(files) == ["", EXISTS, "", EXISTS]
        assert all(Path(file.path).exists() for file in files)
        engine.close()


def test_rrdtool_is_started_again_when_it_was_killed(require_program: Callable[[str], str], tmp_path: Path) -> None:
    program, pid, path = tmp_path / "rrdtool", tmp_path / "pid", tmp_path / "x.rrd"
    program.write_text(f'#!/bin/sh\necho $$ > {pid}\nexec {require_program("rrdtool")} "$@"\n')
    program.chmod(0o755)
    here = Stage(RrdtoolPipe(str(program)), tmp_path, None)
    here.engine.create([new_file(str(path), T0)])
    here.engine.update([(str(path), f"{tick(1)}:1")])
    os.kill(int(pid.read_text()), signal.SIGKILL)
    with pytest.raises(EngineError, match=str(program)):
        here.engine.update([(str(path), f"{tick(2)}:2")])
    assert here.engine.update([(str(path), f"{tick(2)}:2")]) == [""]
    here.engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert here.values(path) == {1: (1.0,), 2: (2.0,)}


def test_a_damaged_file_over_which_rrdtool_falls_holds_up_no_other_one(
    require_program: Callable[[str], str], tmp_path: Path
) -> None:
    with stage("rrdtool", require_program, tmp_path, tmp_path / "files") as here:
        paths = [here.base / f"{number}.rrd" for number in range(1, 5)]
        writer = here.writer()
        for number in range(1, 4):
            writer.add(updates(paths, number))
            for second in range(tick(number), tick(number + 1)):
                writer.flush(second)
            if number == 1:
                whole = paths[1].read_bytes()
                paths[1].write_bytes(whole[:40] + bytes(8) + whole[48:])  # the step
        assert [here.values(path) for path in (paths[0], *paths[2:])] == [
            expected(place, range(1, 4)) for place in (1, 3, 4)
        ]
        assert (writer.stats.refused, writer.stats.queued, writer.stats.away) == (1, 2, "")
        count, detail = writer.take_notes()["refused"]
        assert count > 2
        assert detail.startswith(f"{paths[1]}: is a damaged RRD file")
        paths[1].write_bytes(whole)
        for second in range(tick(4), tick(6)):
            writer.flush(second)
        assert here.values(paths[1]) == expected(2, range(1, 4))
        assert (writer.stats.refused, writer.stats.queued, writer.stats.dropped) == (0, 0, 0)


def test_a_file_that_is_taken_for_damaged_wrongly_has_its_values_a_second_later(
    require_program: Callable[[str], str], tmp_path: Path
) -> None:
    program, pid = tmp_path / "rrdtool", tmp_path / "pid"
    program.write_text(f'#!/bin/sh\necho $$ > {pid}\nexec {require_program("rrdtool")} "$@"\n')
    program.chmod(0o755)
    here = Stage(RrdtoolPipe(str(program)), tmp_path, None)
    paths, writer = [tmp_path / f"{number}.rrd" for number in range(1, 4)], here.writer()
    writer.add(updates(paths, 1))
    writer.flush(tick(1))
    os.kill(int(pid.read_text()), signal.SIGSEGV)
    writer.add(updates(paths, 2))
    writer.flush(tick(2))
    assert (writer.stats.refused, writer.stats.queued, writer.stats.away) == (1, 1, "")
    assert "rrdtool ended with SIGSEGV" in writer.take_notes()["refused"][1]
    writer.flush(tick(2) + 1)
    assert (writer.stats.refused, writer.stats.queued, writer.stats.dropped) == (0, 0, 0)
    assert [here.values(path) for path in paths] == [expected(place, (1, 2)) for place in (1, 2, 3)]
    here.engine.close()


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    for engine in (Rrdcached(f"unix:{tmp_path}/none"), Rrdcached("127.0.0.1:1"), RrdtoolPipe(f"{tmp_path}/none")):
        with pytest.raises(EngineError, match=r"none|127\.0\.0\.1:1"):
            engine.update([("/x.rrd", "1:1")])
        engine.close()


# --- the writer on top of them


def test_nothing_acknowledged_is_lost_when_rrdcached_is_killed(
    require_program: Callable[[str], str], tmp_path: Path
) -> None:
    base = tmp_path / "the files"
    paths = [base / "web cluster" / f"host{number}" / "load.rrd" for number in range(1, 21)]
    start = partial(rrdcached, require_program("rrdcached"), tmp_path, base)
    with start() as daemon:
        here = Stage(Rrdcached(daemon.address), base, daemon)
        writer = here.writer()
        for number in range(1, 21):
            writer.add(updates(paths, number))
            for second in range(STEP):
                writer.flush(tick(number) + second)
            if number == 12:
                assert (writer.stats.stored, writer.stats.away) == (12 * 20, "")
                daemon.kill()
        assert (writer.stats.stored, writer.stats.queued) == (12 * 20, 8 * 20)
        assert "rrdcached" in writer.stats.away
    with start() as daemon:
        for second in range(2 * STEP):
            writer.flush(tick(25) + second)
        stats = writer.stats
        assert (stats.stored, stats.queued, stats.dropped, stats.away) == (20 * 20, 0, 0, "")
        here.daemon = daemon
        for place, path in enumerate(paths, 1):
            assert here.values(path) == expected(place, range(1, 21)), path
        here.engine.close()
    assert {"away", "back"} <= writer.take_notes().keys()


def test_values_wait_for_an_engine_that_starts_late(require_program: Callable[[str], str], tmp_path: Path) -> None:
    base = tmp_path / "base"
    path = base / "x.rrd"
    engine = Rrdcached(f"unix:{tmp_path}/s")
    writer = Stage(engine, base, None).writer()
    for number in range(1, 5):
        writer.add(updates([path], number))
        writer.flush(tick(number))
    assert writer.stats.queued == 4
    with rrdcached(require_program("rrdcached"), tmp_path, base) as daemon:
        writer.flush(tick(60))
        assert (writer.stats.queued, writer.stats.created, writer.stats.away) == (0, 1, "")
        assert Stage(engine, base, daemon).values(path) == expected(1, range(1, 5))
        engine.close()


def test_a_gap_stays_a_gap_also_after_a_restart(any_stage: Stage) -> None:
    path = any_stage.base / "x.rrd"
    there = (1, 2, 3, 6, 7)
    writer = any_stage.writer()
    for number in there:
        writer.add(updates([path], number))
        writer.flush(tick(number))
        writer.flush(tick(number) + STEP)
    assert any_stage.values(path) == expected(1, there)
    writer = any_stage.writer()
    for number in (10, 11):
        writer.add(updates([path], number))
        writer.close(tick(number))
    assert any_stage.values(path) == expected(1, (*there, 10, 11))
    assert writer.stats.errors == 0


def test_a_file_with_other_data_sources_is_left_alone_and_holds_up_nobody(any_stage: Stage) -> None:
    foreign, text, own = (any_stage.base / name for name in ("foreign.rrd", "text.rrd", "own.rrd"))
    any_stage.engine.create([new_file(str(foreign), T0, BOTH)])
    text.write_bytes(b"not at all an RRD file" * 100)
    before = foreign.read_bytes()
    writer = any_stage.writer()
    for number in range(1, 4):
        writer.add(updates([foreign, text, own], number))
        writer.flush(tick(number))
        writer.flush(tick(number) + STEP - 1)
    assert any_stage.values(own) == expected(3, range(1, 4))
    assert foreign.read_bytes() == before
    assert (writer.stats.stored, writer.stats.queued) == (3, 6)
    count, said = writer.take_notes()["refused"]
    assert count >= 2
    assert "foreign.rrd: has the data sources sum, num, not sum" in said or "text.rrd: is no RRD file" in said
    foreign.unlink()
    text.unlink()
    writer.flush(tick(20))
    assert (writer.stats.stored, writer.stats.queued) == (9, 0)


def test_a_deleted_file_is_made_again(any_stage: Stage) -> None:
    path = any_stage.base / "x.rrd"
    writer = any_stage.writer()
    writer.add(updates([path], 1))
    writer.flush(tick(1))
    assert any_stage.values(path) == expected(1, [1])
    writer.flush(tick(1) + 1)
    path.unlink()
    for number in (2, 3, 4):
        writer.add(updates([path], number))
        writer.flush(tick(number))
        writer.flush(tick(number) + STEP - 1)
    assert any_stage.values(path) == expected(1, (2, 3, 4))
    assert writer.stats.created == 2


@pytest.mark.parametrize("kind", ["rrdcached", "rrdtool"])
def test_a_full_disk_holds_up_only_new_files_and_heals(
    kind: str, require_program: Callable[[str], str], tmp_path: Path, disk: Path
) -> None:
    (tmp_path / "run").mkdir()
    rows = 10_000
    paths = [disk / f"{number}.rrd" for number in range(1, 6)]
    with stage(kind, require_program, tmp_path / "run", disk) as here:
        writer = here.writer()
        for number in range(1, 4):
            writer.add(updates(paths, number, rows=rows))
            writer.flush(tick(number))
            writer.flush(tick(number) + STEP - 1)
        made = [path for path in paths if path.exists()]
        assert 1 <= len(made) <= 3
        assert (writer.stats.stored, writer.stats.queued, writer.stats.away) == (len(made) * 3, (5 - len(made)) * 3, "")
        assert "No space left on device" in writer.take_notes()["refused"][1]
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True, timeout=10)
        writer.flush(tick(10))
        assert (writer.stats.stored, writer.stats.queued) == (15, 0)
        for place, path in enumerate(paths, 1):
            assert here.values(path) == expected(place, range(1, 4))


@pytest.mark.parametrize("kind", ["rrdcached", "rrdtool"])
def test_a_read_only_disk_loses_nothing(
    kind: str, require_program: Callable[[str], str], tmp_path: Path, disk: Path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    inside, outside, late = disk / "x.rrd", base / "y.rrd", disk / "sub" / "z.rrd"
    (tmp_path / "run").mkdir()
    if kind == "rrdcached":
        disk, base = tmp_path, tmp_path  # it may write to one directory only, so that one holds all
    with stage(kind, require_program, tmp_path / "run", base) as here:
        writer = here.writer()
        writer.add(updates([inside, outside], 1))
        writer.flush(tick(1))
        here.values(inside)
        here.engine.close()
        mount = inside.parent
        subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True, timeout=10)
        for number in (2, 3):
            writer.add(updates([inside, outside, late], number))
            writer.flush(tick(number))
            writer.flush(tick(number) + STEP - 1)
        assert here.values(outside) == expected(2, range(1, 4))
        assert "Read-only file system" in writer.take_notes()["refused"][1]
        subprocess.run(["mount", "-o", "remount,rw", str(mount)], check=True, timeout=10)
        writer.flush(tick(20))
        writer.flush(tick(21))
        assert here.values(inside) == expected(1, range(1, 4))
        assert here.values(late) == expected(3, (2, 3))
        assert writer.stats.queued == 0


def test_rrdcached_writes_what_it_holds_by_itself(require_program: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "base" / "x.rrd"
    with rrdcached(require_program("rrdcached"), tmp_path, path.parent, write_after=1, search_after=1) as daemon:
        writer = Stage(Rrdcached(daemon.address), path.parent, daemon).writer()
        writer.add(updates([path], 1))
        writer.close(tick(1))
        wait_for("the value in the file", lambda: fetch(path, tick(1), tick(1)) == {tick(1): (1.1,)})
