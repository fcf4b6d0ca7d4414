"""`serve` is killed at random moments, or ended, while a fleet sends: what readers have seen goes on."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sflow_gmetrics.simulation import Churn, Fleet
from sflow_gmetrics.simulation.fleet import pools_toml
from tests.e2e.servers import (
    HOME,
    Served,
    command,
    environment,
    feeding,
    free_port,
    prometheus,
    running,
    served,
    wait_for,
)
from tests.e2e.stores import receiver
from tests.e2e.test_remote_write import on_page, outcome, store, times_of

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("SFLOW_GMETRICS_KILLS", "3"))
"""How often the program is killed; 50 by hand."""
OF_THE_PROCESS = re.compile(r"process_|sflow_collector_(scrapes|xml_requests|http_hangups|state_write_errors)_total")
"""Counters of the running program, which begin with it."""


def written_config(folder: Path, more: str = "") -> tuple[Path, int]:
    """A configuration with a state, and its UDP port, which stays the same."""
    port = free_port(socket.SOCK_DGRAM)
    file = folder / "serve.toml"
    file.write_text(
        f'[sflow]\nlisten = ["{HOME}:{port}"]\n[gmond]\nlisten = "{HOME}:0"\ncluster = "e2e"\n'
        f'[web]\nlisten = "{HOME}:{free_port()}"\n[state]\ndirectory = "{folder / "state"}"\ninterval = 1\n'
        f"{more}{pools_toml()}",
        "utf-8",
    )
    return file, port


@contextlib.contextmanager
def program(folder: Path, config: Path, number: int = 0) -> Iterator[Served]:
    with running(
        command("serve", "--config", str(config)), folder / f"serve-{number}.log", env=environment(), cwd=folder
    ) as one:
        wait_for("its start", lambda: one.search("listening for sFlow"), 40)
        yield served(one)


def counters(page: str) -> dict[str, float]:
    """All counters that are not the process' own, by series."""
    names = set(re.findall(r"^# TYPE (\S+) counter$", page, re.MULTILINE))
    found = {}
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] in names and not OF_THE_PROCESS.match(series):
            found[series] = float(value)
    return found


def fallen(seen: dict[str, float], page: str) -> dict[str, tuple[float, float]]:
    """The series that are less than they were; `seen` takes up the new values."""
    now = counters(page)
    less = {series: (seen[series], value) for series, value in now.items() if value < seen.get(series, 0.0)}
    seen.update(now)
    return less


@pytest.mark.parametrize("churn", [Churn(), Churn(restarts=120, failures=40, outage=5)], ids=["steady", "churn"])
@pytest.mark.timeout(60 + 15 * KILLS)
def test_nothing_falls_when_it_is_killed_at_any_moment(tmp_path: Path, churn: Churn) -> None:
    config, port = written_config(tmp_path)
    rng = random.Random(KILLS)
    seen: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        for number in range(KILLS):
            if number % 5 == 2:  # killed while it starts
                arguments = command("serve", "--config", str(config))
                early = subprocess.Popen(arguments, env=environment(), cwd=tmp_path, stderr=subprocess.DEVNULL)
                time.sleep(rng.uniform(0.1, 1.0))
                early.kill()
                early.wait()
            with program(tmp_path, config, number) as ours:
                if number == 0:
                    fleet = Fleet(8, 6, 1.0, seed=5, start=time.time(), churn=churn)
                    lock = stack.enter_context(feeding((HOME, port), fleet))
                    wait_for("all", lambda: len(re.findall("sflow_host_up.* 1", ours.page().decode())) == 8)
                end = time.monotonic() + rng.uniform(0.3, 3.0)
                while time.monotonic() < end:
                    assert not fallen(seen, ours.page().decode())
                    time.sleep(rng.uniform(0.0, 0.3))
                assert number == 0 or "state: 8 agents of" in ours.program.said()
                assert "refused" not in ours.program.said()
                ours.program.process.kill()
                ours.program.process.wait()
        with program(tmp_path, config, KILLS) as ours:
            time.sleep(2.5)  # until every service has been heard again
            assert not fallen(seen, ours.page().decode())
            if not (churn.restarts or churn.failures):
                _compare_with_the_truth(ours, fleet, lock)
    assert any("sflow_pool_service_cpu" in series for series in seen)


def _compare_with_the_truth(ours: Served, fleet: Fleet, lock: contextlib.AbstractContextManager[bool]) -> None:
    """Where nothing restarts, nothing at all is missing: the agents' counters go on."""
    with lock:
        for agent in fleet.agents:
            fleet.remove_host(agent.name)
    for service in fleet.agents[0].services:
        pool = fleet.agents[0].pool
        truth = fleet.ledger.account(pool, service.name).certain.cpu_ms / 1000
        series = f'sflow_pool_service_cpu_seconds_total{{pool="{pool}",service="{service.name}",kind="systemd"}}'
        end = time.monotonic() + 5
        while (shown := counters(ours.page().decode())[series]) != pytest.approx(truth, abs=1e-6):
            assert time.monotonic() < end, (series, shown, truth)
            time.sleep(0.1)


def test_prometheus_sees_no_counter_begin_anew(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    path = require_program("prometheus")
    config, port = written_config(tmp_path)
    web = re.search(r'\[web\]\nlisten = "(.*)"', config.read_text())
    assert web
    with (
        feeding((HOME, port), Fleet(6, 5, 1.0, seed=7, start=time.time())),
        prometheus(path, tmp_path, f"http://{web[1]}") as theirs,
    ):
        for number, end in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
            with program(tmp_path, config, number) as ours:
                scrapes = "count_over_time(sflow_collector_datagrams_total[5m])"
                wanted = (theirs.number(scrapes) or 0) + 4
                wait_for("some scrapes", lambda: (theirs.number(scrapes) or 0) >= wanted, 15)  # noqa: B023
                ours.program.process.send_signal(end)
                ours.program.process.wait(5)
        names = [name for name in theirs.ask("label/__name__/values") if name.endswith("_total")]
        names = [name for name in names if not OF_THE_PROCESS.match(name)]
        assert len(names) > 40
        assert [name for name in names if theirs.query(f"resets({name}[5m]) > 0")] == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_store_takes_all_that_it_is_sent_after_a_restart(
    tmp_path: Path, require_program: Callable[[str], str], end: signal.Signals
) -> None:
    there_port = free_port()
    config, port = written_config(tmp_path, store(there_port, "it"))
    fleet = Fleet(4, 3, 3.0, seed=7, start=time.time())  # seldom, so that what was heard is older than the end
    load = "sflow_host_load1"
    with (
        receiver(require_program("prometheus"), tmp_path / "prometheus", there_port) as there,
        feeding((HOME, port), fleet),
    ):
        with program(tmp_path, config) as ours:
            wait_for("all hosts", lambda: len(there.query(load)) == 4, 20)
            known, written = time.time(), "sflow_collector_state_last_write_timestamp_seconds"
            wait_for("a state with them", lambda: on_page(ours, written) > known, 10)
            ours.program.process.send_signal(end)
            ours.program.process.wait(10)
        before = times_of(there, load)
        with program(tmp_path, config, 1) as ours:
            wait_for("the first gathering", lambda: outcome(ours, "it", "sent") or outcome(ours, "it", "failed"), 10)
            assert len(there.query(load)) == 4, "at once, not when they have sent again"
            wait_for("a later sample of each host", lambda: len(times_of(there, load)) >= len(before) + 8, 15)
            assert outcome(ours, "it", "failed") == outcome(ours, "it", "dropped") == 0


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[str], object]]:
    """A file system of its own; what is given may mount it again with other options."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_read_only_or_empty_stops_nothing(tmp_path: Path) -> None:
    config, port = written_config(tmp_path)
    with (
        small_disk(tmp_path / "disk") as remount,
        feeding((HOME, port), Fleet(8, 20, 1.0, seed=3, start=time.time())),
    ):
        text = config.read_text().replace(str(tmp_path / "state"), str(tmp_path / "disk" / "state"))
        config.write_text(text)
        (tmp_path / "disk" / "state").mkdir()
        remount("ro")
        with program(tmp_path, config) as ours:
            wait_for("errors", lambda: "sflow_collector_state_write_errors_total 3.0" in ours.page().decode(), 20)
            assert ours.program.said().count("Read-only file system") == 1
            ours.program.process.terminate()
            assert ours.program.process.wait(5) == 0
        remount("rw")
        with program(tmp_path, config, 1) as ours:

            def number(name: str) -> float:
                found = re.search(rf"^{name} (\S+)$", ours.page().decode(), re.MULTILINE)
                assert found
                return float(found[1])

            errors, written = (
                f"sflow_collector_state_{what}" for what in ("write_errors_total", "last_write_timestamp_seconds")
            )
            wait_for("a full disk", lambda: "No space left on device" in ours.program.said(), 20)
            before = number(errors)
            wait_for("one more error", lambda: number(errors) > before, 20)
            assert ours.program.said().count("No space left on device") == 1

            remount("size=20m")
            wait_for("a state", lambda: number(written) > 0, 20)
            wait_for("the good word", lambda: "the state is written again" in ours.program.said())

            shutil.rmtree(tmp_path / "disk" / "state")
            gone = time.time()
            wait_for("a new directory", lambda: number(written) > gone, 20)
            ours.program.process.terminate()
            assert ours.program.process.wait(5) == 0
        assert "Traceback" not in ours.program.said()
