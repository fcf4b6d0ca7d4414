"""What is known after a crash in cases that are rare: odd samples, other pools, leaps, late mounts, two bad states."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.datagram import Sample, encode_sample
from sflow_gmetrics.errors import InputError
from sflow_gmetrics.persistence import Persistence
from sflow_gmetrics.reconfigure import reconfigure
from sflow_gmetrics.state_file import StateWriter
from tests.core import test_persistence
from tests.core.builders import START, Sender, host, sample, service
from tests.core.test_persistence import RUNS, Run, files

READ = "sflow_pool_service_disk_read_bytes_total"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    for run in RUNS:
        run.close()


def sums(run: Run, family: str = READ) -> dict[str, float]:
    """What a page says of a family, by pool."""
    lines = (line.rpartition(" ") for line in run.page() if line.startswith(f"{family}{{"))
    return {name.split('"')[1]: float(value) for name, _, value in lines}


class Site:
    """One agent and the runs of the program that hear it: it reads 1000 bytes and sends 300 in a round."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.pool = "old"
        monkeypatch.setattr(test_persistence, "config", lambda *_: self.config)
        self.run = Run(folder)
        self.sender = Sender(self.run.collector)
        self.round = 0

    @property
    def config(self) -> Config:
        return parse_config(f"[state]\ndirectory = '{self.folder}'\n[[pools]]\nname = '{self.pool}'\nhosts = '.*'\n")

    def send(self, *more: Sample, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.round += 1
            self.sender.tick(20)
            own = host(self.round, bytes_out=300 * self.round), service(self.round, rd_bytes=1000 * self.round)
            self.run.take((self.sender.now, self.sender.payload(*own, *more)))

    def crash(self) -> list[str]:
        """kill -9 and the next program; what was shown before."""
        shown = self.run.kill()
        self.run = Run(self.folder, self.sender.now + 1)
        return shown


@pytest.fixture
def site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(folder, monkeypatch)


def with_adapters(number: int, count: int) -> bytes:
    """A host that says to have so many adapters, and tells of one."""
    whole = bytearray(encode_sample(host(number, "web-2")))
    whole[20:24] = (int.from_bytes(whole[20:24]) + 1).to_bytes(4)
    whole += struct.pack("!IIIII8s", 2001, 20, count, 2, 1, bytes(8))
    whole[4:8] = (len(whole) - 8).to_bytes(4)
    return bytes(whole)


@pytest.mark.parametrize("structures", [("app_operations",), ("virt_cpu",), ("mib2_ip_group",)])
def test_a_host_whose_source_becomes_something_else_costs_nobody_his_state(
    site: Site, structures: tuple[str, ...]
) -> None:
    site.send(rounds=3)
    other = Sender(site.run.collector, "10.0.0.2", now=site.sender.now)
    for one in (host(1, "web-2"), sample(2, 2, 1, structures, {}, 4)):
        site.run.take((other.now, other.payload(one)))
        other.tick(1)
    site.run.write()
    shown = site.crash()
    assert site.run.page() == shown
    assert not [name for name in files(site.folder) if "refused" in name]


def test_what_was_taken_as_a_sample_is_one_in_a_state_too(site: Site) -> None:
    """What is in a record that is not read is not looked at when a sample comes either."""
    other = Sender(site.run.collector, "10.0.0.2")
    for number, count in enumerate((1, 1, 0x8000_0000)):
        site.send()
        site.run.take((site.sender.now, other.payload(with_adapters(number, count))))
    site.run.write()
    shown = site.crash()
    assert site.run.page() == shown
    assert not [name for name in files(site.folder) if "refused" in name]


def test_work_that_a_pool_was_shown_with_stays_with_it_when_the_first_state_was_not_yet_written(site: Site) -> None:
    site.send(rounds=4)
    site.run.write()
    site.crash()
    site.pool = "new"
    site.crash()
    site.send(rounds=4)
    assert sums(site.run) == {"old": 3000, "new": 4000}
    shown = site.crash()
    assert site.run.page() == shown


def test_work_that_a_pool_was_shown_with_after_a_reload_stays_with_it(site: Site) -> None:
    site.send(rounds=4)
    site.run.write()
    site.pool = "new"
    reconfigure(site.run.collector, site.config)
    site.run.kept.use(site.config)
    site.send(rounds=4)
    assert sums(site.run) == {"old": 3000, "new": 4000}
    shown = site.crash()
    assert site.run.page() == shown


def test_the_interval_that_is_shown_is_that_of_the_configuration_in_use(site: Site) -> None:
    site.run.kept.use(parse_config(f"[state]\ndirectory = '{site.folder}'\ninterval = 3600\n"))
    assert site.run.kept.written.interval == 3600


def test_what_a_leap_of_the_clock_has_spared_is_spared_after_a_crash(site: Site) -> None:
    site.send(rounds=4)
    site.run.write()
    site.sender.now += 7200
    site.send(rounds=2)
    assert sums(site.run) == {"old": 5000}
    shown = site.crash()
    assert site.run.page() == shown


def test_a_clock_that_goes_back_after_a_state_costs_nothing_and_keeps_nobody_for_long(site: Site) -> None:
    site.send(rounds=4)
    other = Sender(site.run.collector, "10.0.0.2", now=site.sender.now)
    site.run.take((other.now, other.payload(host(1, "web-2"))))
    site.run.write()
    site.send(rounds=3)
    site.sender.now -= 7200
    site.send(rounds=2)
    assert sums(site.run) == {"old": 8000}
    site.crash()
    assert sums(site.run) == {"old": 8000}
    assert len(site.run.collector.agents) == 2
    site.send(rounds=200)
    assert [agent.name for agent in site.run.collector.agents.values()] == ["web-1"]


def test_a_machine_that_has_taken_an_address_over_has_no_past_after_a_crash_either(site: Site) -> None:
    site.send(rounds=5)
    other = Sender(site.run.collector, now=site.sender.now, uptime=900_000.0)
    other.sequence = 5000
    for number in range(1, 40):
        other.tick(20)
        site.run.take((other.now, other.payload(host(number, "web-2"))))
    site.sender.now = other.now
    assert "'web-1'" not in str([agent.name for agent in site.run.collector.agents.values()])
    site.run.write()
    site.crash()
    other.tick(1)
    site.run.take((other.now, other.payload(service(90, rd_bytes=90_000))))
    assert sums(site.run) == {"old": 4000}


def test_a_directory_that_comes_after_the_start(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What it holds is kept; it is not gone on with, for totals have begun anew, and not removed."""
    site.send(rounds=3)
    site.run.write()
    site.run.kill()
    before = files(site.folder)
    site.folder.rename(site.folder.with_name("disk"))
    site.folder.write_text("in the way of the mount")
    site.run = Run(site.folder, site.sender.now, begun=False)
    site.send(rounds=3)
    site.folder.unlink()
    site.folder.with_name("disk").rename(site.folder)
    site.run.write()
    assert {f"{name}.refused" for name in before} <= files(site.folder)
    assert "came after the start, when everything had begun anew" in caplog.text
    with pytest.raises(InputError, match="used by another program"):
        Persistence(site.config, Collector, threading.Lock(), lambda: START).recover()
    shown = site.crash()
    assert sums(site.run) == {"old": 2000}
    assert site.run.page() == shown


def test_a_directory_that_comes_after_the_start_and_is_somebody_elses(site: Site) -> None:
    site.run.kill()
    site.folder.rename(site.folder.with_name("disk"))
    site.folder.write_text("in the way of the mount")
    site.run = Run(site.folder, START, begun=False)
    site.folder.unlink()
    site.folder.with_name("disk").rename(site.folder)
    other = Persistence(site.config, Collector, threading.Lock(), lambda: START)
    other.recover()
    before = files(site.folder)
    with pytest.raises(BlockingIOError, match="used by another program"):
        site.run.write()
    assert files(site.folder) == before
    other.stop()
    site.run.write()


@pytest.mark.parametrize("both", [True, False])
def test_after_a_beginning_without_states_a_crash_loses_nothing(site: Site, both: bool) -> None:
    """The states before were damaged, or taken away by somebody."""
    site.send(rounds=3)
    site.run.write()
    site.run.write()
    site.run.kill()
    for path in site.folder.glob("*.state.gz"):
        if both:
            path.write_bytes(b"torn")
        else:
            path.unlink()
    site.run = Run(site.folder, site.sender.now + 1)
    assert sums(site.run) == {}
    site.send(rounds=3)
    shown = site.crash()
    assert sums(site.run) == {"old": 2000}
    assert site.run.page() == shown


def test_only_drafts_of_ours_are_removed(site: Site) -> None:
    foreign = site.folder / "sflow-gmetrics.toml.new"
    foreign.write_text("mine")
    (site.folder / "rrds.new").mkdir()
    (site.folder / "0000000007.state.gz.new").write_text("of a program that was killed")
    site.send()
    site.run.write()
    assert {"sflow-gmetrics.toml.new", "rrds.new"} <= files(site.folder)
    assert "0000000007.state.gz.new" not in files(site.folder)


def test_a_journal_that_fails_when_it_is_closed_is_told_of_and_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(_file: FileIO) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    failed: list[OSError] = []
    journal = site.run.kept._journal
    monkeypatch.setattr(journal, "_failed", failed.append)

    class Bad(FileIO):
        def close(self) -> None:
            super().close()
            close(self)

    with journal._lock:
        journal.begin(Bad(site.folder / "bad", "w"))
    site.send()
    site.run.write()
    journal.settle()
    assert [error.errno for error in failed] == [errno.EDQUOT]
    assert journal.works()


@pytest.mark.parametrize("step", ["first line", "name"])
def test_nothing_is_left_of_a_state_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "first line":
        monkeypatch.setattr(StateWriter, "add", fails)
    else:
        monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="No space"), StateWriter(tmp_path / "1.state.gz", 2, 1.0) as file:
        file.finish([])
    assert os.listdir(tmp_path) == []
