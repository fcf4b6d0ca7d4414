"""Files of state and journals: written whole, found whole, and refused with a clear word when they are not."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters import prometheus
from sflow_gmetrics import Collector, persistence
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.errors import ConfigError, InputError, StateError
from sflow_gmetrics.journal import Journal, new_journal, read_journal
from sflow_gmetrics.persistence import Persistence, check_state
from sflow_gmetrics.simulation import Churn, Fleet
from sflow_gmetrics.simulation.fleet import pools_toml
from sflow_gmetrics.state import VERSION
from sflow_gmetrics.state_file import StateFile, StateWriter
from sflow_gmetrics.sweeper import Sweeper
from tests.core.builders import START, Sender, host, service
from tests.e2e.servers import wait_for

CHURN = Churn(restarts=120, failures=120, outage=150)
Datagrams = list[tuple[float, bytes]]


def config(folder: Path, forget_after: int = 1) -> Config:
    """What is silent is forgotten soon, so that its work goes to the pools while a state is written."""
    return parse_config(f'[sflow]\nforget_after = {forget_after}\n[state]\ndirectory = "{folder}"\n{pools_toml()}')


def datagrams(seconds: float = 900, seed: int = 1) -> Datagrams:
    return list(Fleet(5, 6, 20, seed=seed, start=START, churn=CHURN).datagrams(START + seconds))


class Traffic:
    """A collector's lock; each time that somebody lets it go, some datagrams come."""

    def __init__(self, come: Callable[[], None]) -> None:
        self._lock = threading.RLock()
        self._come = come
        self._busy = False

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        try:
            if not self._busy:
                self._busy = True
                self._come()
                self._busy = False
        finally:
            self._lock.release()


class Run:
    """One run of the program without its ports: datagrams are taken and kept until it is killed."""

    def __init__(
        self,
        folder: Path,
        now: float = START,
        coming: Iterable[tuple[float, bytes]] = (),
        forget_after: int = 1,
        begun: bool = True,
    ) -> None:
        self.now = now
        self._writing = False
        self._coming = iter(coming)
        self.kept = Persistence(
            config(folder, forget_after), lambda: self.collector, Traffic(self._come), lambda: self.now
        )
        self.collector = self.kept.recover()
        self.sweeper = Sweeper(now)
        RUNS.append(self)
        if begun:
            self.kept._begin_journal(starting=True)
        self.kept._journal.start()

    def _come(self) -> None:
        """Between two turns of who writes the state, some come."""
        if self._writing and threading.current_thread() is threading.main_thread():
            for _, one in zip(range(7), self._coming, strict=False):
                self.take(one)

    def take(self, *some: tuple[float, bytes]) -> None:
        for now, payload in some:
            self.now = now
            self.sweeper.sweep(self.collector, now)
            self.collector.receive(payload, now)
            self.kept.keep(now, payload)

    def write(self) -> None:
        self._writing = True
        self.kept._write()
        self._writing = False

    def page(self) -> list[str]:
        """All lines, in an order of their own: that of agents may be another one."""
        return sorted(prometheus.render(self.collector.snapshot(self.now)).decode().splitlines())

    def kill(self) -> list[str]:
        """It ends without another word; what it showed last was in the journal."""
        shown = self.page()
        self.close()
        return shown

    def close(self) -> None:
        RUNS.remove(self)
        self.kept._journal.stop()
        if self.kept._directory >= 0:
            os.close(self.kept._directory)


RUNS: list[Run] = []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    for run in RUNS:
        run.close()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- nothing is lost


@pytest.mark.parametrize("seed", range(10))
def test_all_that_was_shown_is_known_after_a_crash(folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is written while datagrams come and services restart: each agent at another moment."""
    monkeypatch.setattr(persistence, "AT_ONCE", 1)
    coming = iter(datagrams(seed=seed))
    run = Run(folder, coming=coming)
    shown: list[str] = []
    for _ in range(4):
        for _, one in zip(range(40), coming, strict=False):
            run.take(one)
        run.write()
        for _, one in zip(range(seed * 5), coming, strict=False):
            run.take(one)
        shown = run.kill()
        run = Run(folder, run.now, coming)
        assert run.page() == shown
    assert len(shown) > 500


def test_the_first_run_may_be_killed_before_its_first_state(folder: Path) -> None:
    run = Run(folder)
    run.take(*datagrams(100))
    shown = run.kill()
    assert files(folder) == {"0000000001.journal"}
    assert Run(folder, run.now).page() == shown


def test_what_is_known_from_having_been_away_is_known_after_a_crash_too(folder: Path) -> None:
    """An agent restarts while nobody listens: the second program sees it at once, and the third knows it as well."""
    run = Run(folder, forget_after=3600)
    sender = Sender(run.collector, now=START, uptime=10)
    for step in range(1, 6):
        run.take((sender.now, sender.payload(host(step), service(step, cpuTime=step * 100))))
        sender.tick(20)
    run.write()
    run.kill()
    for number in range(1, 4):
        sender.now += 500
        sender.uptime = 110 + 50.0 * number  # it has started meanwhile, and its numbers go on
        run = Run(folder, sender.now, forget_after=3600)
        if number == 2:
            run.write()  # nobody has been heard yet: that is known, too
            run.kill()
            run = Run(folder, sender.now, forget_after=3600)
        run.take((sender.now, sender.payload(host(1), service(1, cpuTime=7))))
        shown = run.kill()
        assert f'sflow_agent_restarts_total{{agent="10.0.0.1"}} {number}' in shown
        assert Run(folder, sender.now, forget_after=3600).kill() == shown


def test_a_newest_state_that_is_damaged_is_set_aside_and_the_one_before_knows_as_much(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = datagrams(300)
    run = Run(folder)
    run.take(*some[:50])
    run.write()
    run.take(*some[50:100])
    run.write()
    run.take(*some[100:])
    shown = run.kill()
    newest = folder / "0000000003.state.gz"
    newest.write_bytes(newest.read_bytes()[:-100])
    with caplog.at_level(logging.INFO):
        after = Run(folder, run.now)
    assert after.page() == shown
    assert "0000000003.state.gz: it is torn. It is kept as 0000000003.state.gz.refused and not used" in caplog.text
    assert "0000000003.state.gz.refused" in files(folder)
    after.write()
    assert after.kept._generation == 5, "no number is given twice"


def test_two_states_are_kept_with_the_journals_that_they_need(folder: Path) -> None:
    run = Run(folder)
    some = datagrams(100)
    for at in range(5):
        run.take(*some[at * 10 : at * 10 + 10])
        run.write()
    assert files(folder) == {f"000000000{one}.{kind}" for one in (5, 6) for kind in ("journal", "state.gz")}


def test_without_a_good_state_all_begins_anew_whatever_the_journals_say(folder: Path) -> None:
    """Half of what was counted would look to Prometheus as if it had been done once more."""
    run = Run(folder)
    some = datagrams(100)
    run.take(*some[:30])
    run.write()
    run.write()
    run.take(*some[30:])
    run.kill()
    for path in folder.glob("*.state.gz"):
        path.write_bytes(b"")
    assert not Run(folder, run.now).collector.agents


def test_what_a_killed_writer_left_is_removed(folder: Path) -> None:
    run = Run(folder)
    (folder / "0000000001.state.gz.new").write_bytes(b"half")
    run.write()
    assert not list(folder.glob("*.new"))


def test_a_directory_belongs_to_one_program(folder: Path) -> None:
    run = Run(folder)
    with pytest.raises(InputError, match="is used by another program that runs"):
        Persistence(config(folder), Collector, threading.Lock(), time.time).recover()
    run.kill()
    Run(folder)


def test_kernel_drops_that_were_shown_are_known(folder: Path) -> None:
    run = Run(folder)
    for drops in (3, 8):
        run.collector.kernel_drops = drops
        run.kept.keep_drops(drops)
        if drops == 3:
            run.write()
    shown = run.kill()
    assert "sflow_collector_kernel_drops_total 8" in shown
    assert Run(folder).page() == shown


def test_a_reload_leaves_the_directory_as_it_is(folder: Path) -> None:
    before = config(folder)
    check_state(parse_config(f'[state]\ndirectory = "{folder}"\ninterval = 5'), before)
    for other in ("", 'directory = "/elsewhere"'):
        with pytest.raises(ConfigError, match="directory cannot change while the program runs: restart it"):
            check_state(parse_config(f"[state]\n{other}"), before)


# --- the end


def test_the_end_writes_a_state_and_takes_no_longer_than_it_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = datagrams(200)
    collectors = [Collector()]
    kept = Persistence(config(folder, 3600), lambda: collectors[0], threading.Lock(), lambda: some[-1][0])
    collectors[0] = kept.recover()
    kept.start()
    wait_for("the first state", lambda: "0000000002.state.gz" in files(folder))
    for now, payload in some:
        collectors[0].receive(payload, now)
        kept.keep(now, payload)
    assert kept.works(1.0)
    kept.stop()
    assert "0000000003.state.gz" in files(folder), "that of the start has number 2"
    assert not kept.works(1.0)
    shown = prometheus.render(collectors[0].snapshot(some[-1][0]))

    monkeypatch.setattr(persistence, "END", 0.0)  # there is no time: the journal has it all
    again = Persistence(config(folder, 3600), lambda: collectors[0], threading.Lock(), lambda: some[-1][0])
    collectors[0] = again.recover()
    again.start()
    again.stop()
    assert "0000000006.state.gz" not in files(folder)
    after = Persistence(config(folder, 3600), Collector, threading.Lock(), lambda: some[-1][0])
    assert prometheus.render(after.recover().snapshot(some[-1][0])) == shown
    after.stop()


# --- what a disk can do


def test_a_directory_that_cannot_be_written_is_said_once_and_counted(folder: Path) -> None:
    run = Run(folder)
    run.take(*datagrams(60))
    run.write()
    aside = folder.with_name("away")
    folder.rename(aside)
    folder.write_bytes(b"a file is no directory")
    for _ in range(3):
        with pytest.raises(OSError, match="exists"):
            run.write()
    for _ in range(3):
        run.kept._note_trouble(OSError(28, "No space left on device"))
    assert run.kept.written.errors == 3
    notes = run.kept.take_notes()
    assert list(notes) == ["trouble"]
    assert "No space left on device" in notes["trouble"][1]
    folder.unlink()
    run.write()  # it has vanished: it is made again
    assert list(run.kept.take_notes()) == ["back"]


class Hanging(io.FileIO):
    """A file on a disk that does not answer."""

    def __init__(self, path: Path, hung: threading.Event) -> None:
        super().__init__(path, "w")
        self._hung = hung

    def write(self, data: Any) -> int:
        self._hung.wait(10)
        return super().write(data)


def test_a_disk_that_hangs_holds_up_one_page_for_a_moment_and_no_datagram(tmp_path: Path) -> None:
    hung = threading.Event()
    journal = Journal(threading.Lock(), lambda: None, lambda _: None)
    journal.begin(Hanging(tmp_path / "journal", hung))
    journal.start()
    journal.add(1.0, b"x")
    begin = time.monotonic()
    for _ in range(100):
        journal.settle()
    assert time.monotonic() - begin < 5, "only the first waits"
    hung.set()
    journal.stop()
    assert not journal.works()


def test_a_journal_that_cannot_be_written_says_so_and_takes_no_more(tmp_path: Path) -> None:
    failed: list[OSError] = []
    journal = Journal(threading.Lock(), lambda: None, failed.append)
    journal.begin(io.FileIO("/dev/full", "w"))
    journal.start()
    for _ in range(3):
        journal.add(1.0, b"x")
        journal.settle()
    journal.begin(new_journal(tmp_path / "next"))
    journal.add(2.0, b"y")
    journal.stop()
    assert len(failed) == 1
    assert list(read_journal(tmp_path / "next")) == [(0, 2.0, b"y")]


# --- hostile files


@pytest.fixture(scope="module")
def written_journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, float, bytes]]]:
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal(threading.Lock(), lambda: None, lambda _: None)
    journal.begin(new_journal(path))
    frames = [(at, START + at, bytes([at]) * at * 3) for at in range(20)]
    for _, now, payload in frames:
        journal.add(now, payload)
    journal.start()
    journal.stop()
    assert list(read_journal(path)) == frames
    return path, frames


@given(st.data())
@settings(max_examples=300)
def test_a_journal_is_read_up_to_where_it_is_damaged(
    written_journal: tuple[Path, list[tuple[int, float, bytes]]], data: st.DataObject
) -> None:
    path, frames = written_journal
    whole = path.read_bytes()
    broken = path.with_name("broken")
    broken.write_bytes(damaged(whole, data))
    try:
        found = list(read_journal(broken))
    except StateError:
        return
    assert found == frames[: len(found)]


def damaged(whole: bytes, data: st.DataObject) -> bytes:
    """Torn, with a bit that fell over, or with something in it or behind it."""
    at = data.draw(st.integers(0, len(whole) - 1))
    what = data.draw(st.sampled_from(["torn", "bit", "zeros", "behind"]))
    if what == "torn":
        return whole[:at]
    if what == "bit":
        return whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    if what == "zeros":
        return whole[:at] + bytes(len(whole) - at)
    return whole + data.draw(st.binary(min_size=1, max_size=50))


@pytest.fixture(scope="module")
def written_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Run(tmp_path_factory.mktemp("whole") / "state")
    run.take(*datagrams(100))
    run.write()
    run.kill()
    (path,) = run.kept._folder.glob("*.state.gz")
    return path


@given(st.data())
@settings(max_examples=300)
def test_a_file_that_is_not_as_it_was_written_is_refused(written_state: Path, data: st.DataObject) -> None:
    whole = written_state.read_bytes()
    good = list(StateFile(written_state, VERSION).agents())
    broken = written_state.with_name("broken")
    broken.write_bytes(damaged(whole, data))
    try:
        found = list(StateFile(broken, VERSION).agents())
    except StateError:
        return
    assert found == good, "a bit of gzip's header that means nothing"


def refusal(path: Path) -> str:
    with pytest.raises(StateError) as caught:
        list(StateFile(path, VERSION).agents())
    return str(caught.value)


def test_every_refusal_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.state.gz"

    def about(text: bytes) -> str:
        path.write_bytes(gzip.compress(text))
        return refusal(path)

    head = json.dumps({"format": "sflow_gmetrics state", "version": VERSION, "time": 1}).encode()
    assert about(b'{"format": "something else"}\n\n\n') == "it is no state of sflow_gmetrics"
    assert about(b"hello\n") == "a line of it is no JSON"
    assert about(b"[]\n") == "a line of it is no table"
    assert about(b"[" * 100_000 + b"\n") == "a line of it is no JSON"
    assert about(head.replace(b": 2", b": 1") + b"\n{}\n{}\n") == "it has version 1, this program reads 2"
    assert about(head.replace(b": 1}", b": null}") + b"\n") == "it does not say when it was written"
    assert about(head + b"\n") == "it is torn"
    assert about(head + b"\n{}\n{}\n") == "its checksum is wrong: it is torn or damaged"
    path.write_bytes(b"plain text")
    assert refusal(path) == "it is not gzipped, or damaged"
    path.unlink()
    assert refusal(path) == "it cannot be read: No such file or directory"
    path.mkdir()
    assert refusal(path) == "it cannot be read: Is a directory"


def test_a_small_file_that_unpacks_to_a_huge_line_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sflow_gmetrics.state_file.LONGEST_LINE", 8 << 20)
    path = tmp_path / "bomb"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        for _ in range(64):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    assert refusal(path) == "a line of it is longer than any can be"


def test_a_whole_file_of_nonsense_is_refused_and_set_aside(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    with StateWriter(folder / "0000000007.state.gz", VERSION, START) as file:
        file.add({"mark": 0, "agent": {"address": "10.0.0.1"}})
        file.add({"mark": 0, "collector": {"ledger": []}})
        file.finish([])
    assert not Run(folder).collector.agents
    assert "something in it is not where it should be" in caplog.text


def test_a_foreign_journal_is_set_aside(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(folder)
    run.take(*datagrams(60))
    run.write()
    shown = run.kill()
    (folder / "0000000003.journal").write_bytes(b"what is this?")
    assert Run(folder, run.now).page() == shown
    assert "0000000003.journal: it is no journal of this version. It is kept as" in caplog.text
