"""The engines against peers that behave badly: a fake rrdcached and programs that are no rrdtool."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporters.rrd_engines import Rrdcached, RrdtoolPipe, open_engine
from exporters.rrd_file import NewFile, read_header
from sflow_gmetrics.config import RrdConfig
from sflow_gmetrics.errors import EngineError

Answer = Callable[[int, list[str]], list[bytes]]
"""The pieces in which a fake answers the batch of this number; an empty piece hangs up."""
FILE = NewFile("/rrd/x.rrd", 100, 15, 120, (("sum", "GAUGE"),), ("AVERAGE:0.5:1:10",))
GO_AHEAD = b"0 Go ahead.\n"


def told(*errors: str) -> bytes:
    return f"{len(errors)} errors\n".encode() + b"".join(error.encode() + b"\n" for error in errors)


class FakeDaemon:
    """Speaks as much of rrdcached's language as these tests need, and keeps the batches."""

    def __init__(self, answer: Answer) -> None:
        self.batches: list[list[str]] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                with connection, connection.makefile("r", encoding="utf-8", newline="\n") as lines:
                    self._serve(connection, lines)

    def _serve(self, connection: socket.socket, lines: Iterator[str]) -> None:
        with contextlib.suppress(OSError):
            for line in lines:
                assert line == "BATCH\n"
                batch = list(iter(lambda: next(lines), ".\n"))
                self.batches.append(batch)
                for piece in self._answer(len(self.batches), batch):
                    if not piece:
                        return
                    connection.sendall(piece)
                    time.sleep(0.001)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)


@contextlib.contextmanager
def talking(answer: Answer, timeout: float = 5.0) -> Iterator[tuple[FakeDaemon, Rrdcached]]:
    daemon = FakeDaemon(answer)
    engine = Rrdcached(daemon.address, timeout)
    engine.local = False
    try:
        yield daemon, engine
    finally:
        engine.close()
        daemon.close()


def test_what_is_sent_and_how_paths_are_escaped() -> None:
    with talking(lambda _number, _batch: [GO_AHEAD + told()]) as (daemon, engine):
        assert engine.update([("/a b/c\\d.rrd", "15:1 30:2"), ("/e.rrd", "15:3:4")]) == ["", ""]
        assert engine.create([FILE]) == [""]
    assert daemon.batches == [
        ["UPDATE /a\\ b/c\\\\d.rrd 15:1 30:2\n", "UPDATE /e.rrd 15:3:4\n"],
        ["CREATE /rrd/x.rrd -b 100 -s 15 -O DS:sum:GAUGE:120:U:U RRA:AVERAGE:0.5:1:10\n"],
    ]


def test_an_answer_in_single_bytes_with_errors_of_several_lines() -> None:
    answer = GO_AHEAD + b"4 errors\n1 one\nmore of it\n3 three\n5 -1\n"
    with talking(lambda _number, _batch: [bytes([byte]) for byte in answer]) as (_, engine):
        errors = engine.update([(f"/{number}.rrd", "15:1") for number in range(5)])
    assert errors == ["one more of it", "", "three", "", "-1"]


def test_what_follows_a_known_value_is_sent_again() -> None:
    known = (
        "illegal attempt to update using time 30.000000 when last update time is 45.000000 (minimum one second step)"
    )

    def answer(number: int, _batch: list[str]) -> list[bytes]:
        return [GO_AHEAD + (told(f"2 {known}", "3 " + known.replace("45", "90")) if number == 1 else told())]

    with talking(answer) as (daemon, engine):
        assert engine.update([("/a", "15:1"), ("/b c", "15:1 30:2 45:3 60:4 75:5"), ("/d", "30:1 90:2")]) == [""] * 3
    assert daemon.batches[1] == ["UPDATE /b\\ c 60:4 75:5\n"]


def test_a_refusal_that_never_ends_does_not_hold_us() -> None:
    never = "1 illegal attempt to update using time 1.0 when last update time is 1.000000 (minimum one second step)"
    with talking(lambda _number, _batch: [GO_AHEAD + told(never)]) as (daemon, engine):
        assert engine.update([("/a", "15:1 30:2 45:3")]) == [""]
    assert [batch[0].split(" ", 2)[2] for batch in daemon.batches] == ["15:1 30:2 45:3\n", "30:2 45:3\n", "45:3\n"]


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [GO_AHEAD, b""],
        [GO_AHEAD, b"2 errors\n1 a\n", b""],
        [GO_AHEAD + b"0 err", b""],
        [b"-1 Unknown command: BATCH\n"],
        [GO_AHEAD + b"many errors\n"],
        [GO_AHEAD + b"-1 errors\n"],
        [GO_AHEAD + b"1000000 errors\n" + b"1 a\n" * 10_000],
        [GO_AHEAD + b"1 errors\nwhat is this\n"],
        [GO_AHEAD + b"1 errors\n7 there is no seventh\n"],
        [b"x" * 100_000],
    ],
    ids=repr,
)
def test_after_an_answer_that_makes_no_sense_the_connection_is_a_new_one(pieces: list[bytes]) -> None:
    good = [GO_AHEAD + told("1 this one")]
    with talking(lambda number, _batch: pieces if number == 1 else good) as (_, engine):
        with pytest.raises(EngineError, match=r"rrdcached at 127\.0\.0\.1"):
            engine.update([("/a", "15:1")])
        assert engine.update([("/a", "15:1"), ("/b", "15:1")]) == ["this one", ""]


def test_no_answer_in_time() -> None:
    with (
        talking(lambda _number, _batch: [GO_AHEAD], timeout=0.2) as (_, engine),
        pytest.raises(EngineError, match="no answer in time"),
    ):
        engine.update([("/a", "15:1")])


def test_the_newest_acknowledged_updates_are_sent_again_over_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rrdcached, "REMEMBERED", 100)
    with talking(lambda _number, _batch: [GO_AHEAD + told()]) as (daemon, engine):
        for number in range(20):
            engine.update([("/some/path.rrd", f"{number}:1")])
        engine.close()
        sent = daemon.batches.copy()
        daemon.batches.clear()
        engine.update([("/some/path.rrd", "20:1")])
    assert daemon.batches == [*sent[-len(daemon.batches) + 1 :], ["UPDATE /some/path.rrd 20:1\n"]]
    assert 100 <= sum(len(batch[0]) for batch in daemon.batches[:-1]) < 200


def program(folder: Path, script: str) -> RrdtoolPipe:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return RrdtoolPipe(str(path), timeout=1.0)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "ended with 3"),
        ("read a; echo OK 1; exit 0", "ended with 0"),
        ("read a; echo OK 1; kill -TERM $$", "ended with -15"),
        ("read a; echo OK 1; kill -KILL $$", "ended with -9"),
        ("kill -SEGV $$", "ended with -11"),
        ("exec >&-; exec sleep 60", "timed out after 1.0 seconds"),
        ("exec yes", "does not stop talking"),
        ("exec sleep 60", "no answer in 1 s"),
        ("while read a; do echo OK u; done", "no answer in 1 s"),
        ("while read a; do echo hello; [ $a = pwd ] && echo / && echo OK u; done", "no sense: hello"),
        ("while read a; do [ $a = pwd ] && echo / && echo OK u; done", "0 answers to 2"),
        ("while read a; do echo OK u; [ $a = pwd ] && echo / && echo OK u; done", "3 answers to 2"),
    ],
)
def test_a_program_that_is_no_rrdtool(tmp_path: Path, script: str, why: str) -> None:
    engine = program(tmp_path, script)
    for _ in range(2):
        with pytest.raises(EngineError, match=why):
            engine.update([("/a", "15:1"), ("/b", "15:1")])
    engine.close()


def test_a_program_that_falls_over_files_is_started_again_behind_each(tmp_path: Path) -> None:
    script = (
        "while read a b path c; do case $a$path in"
        " pwd) echo /; echo OK u;; *bad*) kill -FPE $$;; *none*) echo ERROR: none;; *) echo OK u;; esac; done"
    )
    engine = program(tmp_path, script)
    files = ["/bad1", "/a", "/none", "/bad2", "/bad3", *(f"/{number}" for number in range(500)), "/bad4"]
    for _ in range(2):
        errors = engine.update([(path, "15:1") for path in files])
        refused = {path for path, error in zip(files, errors, strict=True) if error}
        assert refused == {"/bad1", "/none", "/bad2", "/bad3", "/bad4"}
        assert errors[0] == errors[-1] == "rrdtool ended with SIGFPE; the file may be damaged"
    engine.close()


def test_answers_of_several_lines_belong_to_the_command_before(tmp_path: Path) -> None:
    script = "while read a b c d; do case $a in pwd) echo /; echo OK u;; *) echo ERROR: $c; echo more;; esac; done"
    engine = program(tmp_path, script)
    assert engine.update([("/a", "15:1"), ("/b", "15:1")]) == ["'/a' more", "'/b' more"]
    engine.close()


def test_more_answers_than_a_pipe_holds(tmp_path: Path) -> None:
    script = (
        "while read a; do case $a in pwd) echo /; echo OK u;; *) printf 'ERROR: %01000d\\n' 7;; esac; done"  # 200 kB
    )
    engine = program(tmp_path, script)
    errors = engine.update([(f"/{'x' * 1000}{number}", "15:1") for number in range(400)])
    assert {len(error) for error in errors} == {1000}
    engine.close()


def test_the_configuration_says_which_engine() -> None:
    engines = [open_engine(RrdConfig(root="/x", rrdcached=address)) for address in ("", "unix:/run/x", "127.0.0.1:1")]
    assert [engine.name for engine in engines] == ["rrdtool", "rrdcached", "rrdcached"]


@pytest.mark.parametrize(
    "at", [40, 272, 280, 392, 400], ids=["step", "row_cnt", "pdp_cnt", "second row_cnt", "second pdp_cnt"]
)
def test_a_damaged_head_over_which_rrdtool_would_fall(tmp_path: Path, at: int) -> None:
    archives = b"".join(b"AVERAGE".ljust(24, b"\0") + struct.pack("@QQ", 10, steps) + bytes(80) for steps in (1, 4))
    head = struct.pack("@4s5s7xdQQQ", b"RRD\0", b"0003\0", 8.642135e130, 1, 2, 15).ljust(128, b"\0")
    content = head + b"sum".ljust(120, b"\0") + archives + struct.pack("@q", 100) + bytes(800)
    path = tmp_path / "x.rrd"
    path.write_bytes(content)
    assert read_header(str(path)) == (("sum",), 100)
    path.write_bytes(content[:at] + bytes(8) + content[at + 8 :])
    with pytest.raises(ValueError, match="is a damaged RRD file"):
        read_header(str(path))


@pytest.mark.parametrize("content", [b"", b"RRD\0", b"x" * 5000, b"RRD\0" + b"\xff" * 5000])
def test_what_is_no_rrd_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.rrd"
    assert read_header(str(path)) is None
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is "):
        read_header(str(path))
    with pytest.raises(IsADirectoryError):
        read_header(str(tmp_path))
