"""The configuration is read again while a fleet sends: by signal and by HTTP, good and bad, and with other ports."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from sflow_gmetrics.simulation import Fleet
from tests.e2e.servers import (
    HOME,
    Program,
    command,
    environment,
    feeding,
    fetch,
    free_port,
    is_listening,
    read_all,
    running,
    wait_for,
)

pytestmark = pytest.mark.e2e

HOSTS, SERVICES = 12, 6
OF_THE_PROGRAM = "process_|sflow_collector_scrapes_"
"""Counters that begin with it."""
POOLS = "[[pools]]\nname = 'web'\nhosts = 'web-.*'\n"
REWRITE = "[[services.rewrite]]\nmatch = '(queue-worker).*'\nreplace = '$1'\n"


class Counted:
    """A fleet, and how many datagrams it has given."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.count = 0

    def datagrams(self, now: float) -> Iterator[tuple[float, bytes]]:
        for one in self.fleet.datagrams(now):
            self.count += 1
            yield one


class Serving:
    """Our own `serve` with a configuration that changes, and its pages, on which no counter may fall."""

    def __init__(self, program: Program, file: Path, web: int) -> None:
        self.program, self.file, self.web = program, file, web
        self.newest: dict[str, float] = {}
        self.fallen: list[str] = []
        self._looking = threading.Lock()

    def page(self, path: str = "/metrics") -> str:
        return fetch(f"http://{HOME}:{self.web}{path}").decode()

    def look(self) -> dict[str, float]:
        """The samples of the page by name and labels."""
        with self._looking:
            lines = [line.rpartition(" ") for line in self.page().splitlines() if not line.startswith("#")]
            found = {name: float(value) for name, _, value in lines}
            for name, value in found.items():
                if re.match(r"[a-z_0-9]+_total(\{|$)", name) and value < self.newest.get(name, 0.0):
                    self.fallen.append(f"{name}: {value} after {self.newest[name]}")
            self.newest |= found
            return found

    def sum(self, name: str) -> float:
        """The sum of the samples of a name."""
        return sum(value for series, value in self.look().items() if series.partition("{")[0] == name)

    def reads(self) -> int:
        """How often it has said what has become of a configuration."""
        return len(re.findall("has been read again|all stays as it was", self.program.said()))

    def hang_up(self, text: str) -> None:
        """SIGHUP with another configuration."""
        self.file.write_text(text, "utf-8")
        before = self.reads()
        self.program.process.send_signal(signal.SIGHUP)
        wait_for("the end of a reload", lambda: self.program.runs() and self.reads() > before, 20)

    def post(self, text: str, method: str = "POST") -> tuple[str, str]:
        """/-/reload with another configuration: the status and what is said."""
        self.file.write_text(text, "utf-8")
        return self.curl(method)

    def curl(self, method: str) -> tuple[str, str]:
        program = shutil.which("curl")
        assert program is not None, "it is in Debian's package curl"
        words = [program, "-sS", "-m", "20", "-X", method, "-w", "\n%{http_code}", f"http://{HOME}:{self.web}/-/reload"]
        said, _, status = subprocess.run(words, capture_output=True, text=True, timeout=30).stdout.rpartition("\n")
        return status, said


def text(sflow: list[int], gmond: int, web: list[int], more: str = "", lifecycle: str = "true") -> str:
    places = [", ".join(f'"{HOME}:{port}"' for port in ports) for ports in (sflow, web)]
    return (
        f'[sflow]\nlisten = [{places[0]}]\nreceive_buffer = 1048576\n[gmond]\nlisten = "{HOME}:{gmond}"\n'
        f"[web]\nlisten = [{places[1]}]\nlifecycle = {lifecycle}\n{more}"
    )


@contextlib.contextmanager
def serving(folder: Path, first: str, web: int) -> Iterator[Serving]:
    file = folder / "serve.toml"
    file.write_text(first, "utf-8")
    with running(command("serve", "--config", str(file)), folder / "serve.log", env=environment()) as program:
        wait_for("its ports", lambda: program.search(f"metrics and landing page on http://{HOME}:{web}/"), 20)
        yield Serving(program, file, web)
        program.runs()
    assert program.process.returncode == 0, program.said()
    assert "Traceback" not in program.said()


@contextlib.contextmanager
def watched(one: Serving) -> Iterator[None]:
    """Meanwhile the page is looked at all the time."""
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(0.05):
            with contextlib.suppress(OSError, urllib.error.URLError, http.client.HTTPException):  # the port moves
                one.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(20)


def test_a_fleet_sends_all_the_time(tmp_path: Path) -> None:
    """Pools, names and ports change, some files are bad: nothing falls, and not one datagram is lost."""
    first, second = (free_port(socket.SOCK_DGRAM) for _ in range(2))
    gmond, gmond2, web, web2 = (free_port() for _ in range(4))
    fleet = Counted(Fleet(HOSTS, SERVICES, interval=0.5, start=time.time()))
    plain = text([first], gmond, [web])
    with serving(tmp_path, plain, web) as one, watched(one):
        with feeding((HOME, first), fleet):
            wait_for("the fleet", lambda: one.sum("sflow_host_up") == HOSTS)
            kept = http.client.HTTPConnection(HOME, web, timeout=15)
            kept.request("GET", "/-/ready")
            assert kept.getresponse().read() == b"sflow_gmetrics is ready.\n"

            one.hang_up(text([first], gmond, [web], POOLS + REWRITE))
            pools = one.look()
            assert any('pool="web",host="web-' in name for name in pools)
            assert any('service="queue-worker",' in name for name in pools)

            one.hang_up(text([first], gmond, [web], "[gmond2]\n"))
            status, said = one.post(text([first], gmond, [web], "[services]\ninclude = '('\n"))
            assert (status, "services.include" in said) == ("500", True)
            assert one.look()["sflow_collector_config_last_reload_successful"] == 0
            landing = one.page("/")
            assert re.search(
                r"The configuration of \d{4}-\d\d-\d\d [\d:]{8} UTC is not in use, that of .*include", landing
            )
            assert "unknown key 'gmond2'; did you mean 'gmond'?" in one.program.said()
            assert {name for name in one.look() if 'pool="web",host="web-' in name}, "all of the one before is in use"
            assert one.curl("GET")[0] == "405"

            both = text([first, second], gmond2, [web, web2], POOLS)
            assert one.post(both, "PUT") == ("200", "The configuration has been read and is in use.\n")
            assert one.look()["sflow_collector_config_last_reload_successful"] == 1
            assert "is not in use" not in one.page("/")
            assert not is_listening(gmond)
            assert b"<CLUSTER" in read_all((HOME, gmond2))
            kept.request("GET", "/-/healthy")
            assert kept.getresponse().read() == b"sflow_gmetrics is healthy.\n", "the connection is still there"
            kept.close()
        one.web = web2
        with feeding((HOME, second), fleet):
            assert one.post(text([second], gmond2, [web2]))[0] == "200"
            assert not is_listening(web)
            wait_for("all of it", lambda: one.sum("sflow_collector_datagrams_total") > HOSTS * 10, 20)
            one.hang_up(text([second], gmond2, [web2], POOLS))
        wait_for("every datagram", lambda: one.sum("sflow_collector_datagrams_total") == fleet.count)
        assert one.sum("sflow_agent_datagrams_lost_total") == one.sum("sflow_agent_samples_lost_total") == 0
        assert one.sum("sflow_collector_kernel_drops_total") == one.sum("sflow_collector_decode_errors_total") == 0
    assert not one.fallen


def test_a_port_that_is_taken_changes_nothing(tmp_path: Path) -> None:
    sflow, other, gmond, web = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM), free_port(), free_port()
    plain = text([sflow], gmond, [web])
    with serving(tmp_path, plain, web) as one, socket.socket() as taken:
        taken.bind((HOME, 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, said = one.post(text([sflow, other], port, [web], POOLS, lifecycle="false"))
        assert status == "500"
        assert f"[gmond] listen: TCP {HOME}:{port}: Address already in use; find it with 'ss -ltnp" in said
        assert b"<CLUSTER" in read_all((HOME, gmond))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((HOME, other))
        assert one.post(text([sflow], gmond, [web], lifecycle="false"))[0] == "200", "it was still allowed"
        assert one.curl("POST") == ("403", "403: set lifecycle = true in [web] to allow this, or send SIGHUP\n")
        one.file.unlink()
        one.program.process.send_signal(signal.SIGHUP)
        wait_for(
            "a line", lambda: one.program.search(r"all stays as it was: .*serve\.toml: cannot be read: No such file")
        )


def test_a_crash_right_after_a_reload(tmp_path: Path) -> None:
    """What the page has shown before and after it is still there in the next program."""
    sflow, gmond, web = free_port(socket.SOCK_DGRAM), free_port(), free_port()
    state = f"[state]\ndirectory = '{tmp_path}/state'\ninterval = 3600\n"
    fleet = Fleet(HOSTS, SERVICES, interval=0.5, start=time.time())
    file = tmp_path / "serve.toml"
    file.write_text(text([sflow], gmond, [web], state), "utf-8")
    arguments = command("serve", "--config", str(file))
    seen: dict[str, float] = {}
    changes = (POOLS + REWRITE, "[services]\nexclude = 'nginx'\n", POOLS)
    with feeding((HOME, sflow), fleet):
        for number, change in enumerate(changes):
            with running(arguments, tmp_path / f"{number}.log", env=environment()) as program:
                one = Serving(program, file, web)
                one.newest = seen = {name: seen[name] for name in seen if not re.match(OF_THE_PROGRAM, name)}
                wait_for("its ports", lambda: program.search(f"landing page on http://{HOME}:{web}/"), 20)
                wait_for("the fleet", lambda: one.sum("sflow_host_up") == HOSTS)  # noqa: B023
                one.hang_up(text([sflow], gmond, [web], state + change))
                assert one.look()["sflow_collector_config_last_reload_successful"] == 1
                program.process.kill()
                program.process.wait()
                assert not one.fallen
