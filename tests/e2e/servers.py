"""Real servers for tests: each a context manager that starts a program on 127.0.0.1 and ends it.

Our own `serve` picks its ports itself and says them in its log; where a program cannot do
that, it is given ports that were free a moment before.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sflow_gmetrics.replay import Packet, open_sender, replay

ROOT = Path(__file__).parents[2]
HOME = "127.0.0.1"
Address = tuple[str, int]

CONFIG = """
[sflow]
listen = ["127.0.0.1:0"]
receive_buffer = 1048576
[gmond]
listen = "127.0.0.1:0"
cluster = "e2e"
[web]
listen = "127.0.0.1:0"
"""


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 10.0, pause: float = 0.05) -> Any:
    """The first true result of `condition`. Fails when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"in {seconds:g} s there was no sign of: {what}"
        time.sleep(pause)
    return result


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOME, 0))
        port: int = probe.getsockname()[1]
        return port


def read_all(address: Address, request: bytes = b"") -> bytes:
    """What a TCP server says until it hangs up."""
    with socket.create_connection(address, timeout=15) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def is_listening(port: int) -> bool:
    """Whether a TCP connection to this port of 127.0.0.1 is taken."""
    with contextlib.suppress(OSError), socket.create_connection((HOME, port), timeout=1):
        return True
    return False


def fetch(url: str, **headers: str) -> bytes:
    """The body of a page; `headers` with _ for -. Raises urllib.error.HTTPError."""
    request = urllib.request.Request(url, headers={key.replace("_", "-"): value for key, value in headers.items()})
    with urllib.request.urlopen(request, timeout=15) as answer:
        body: bytes = answer.read()
        return body


# --- programs


def command(*arguments: str) -> list[str]:
    """Our own program with these arguments."""
    return [sys.executable, "-m", "sflow_gmetrics", *arguments]


def environment() -> dict[str, str]:
    """What our own program needs to find itself, from whatever directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Program:
    """A running program and the file with what it said on stderr and stdout."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """All that it has said up to now."""
        return self.log.read_text("utf-8", "replace")

    def runs(self) -> bool:
        """True; fails, with what it has said, when it has ended."""
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.said()}"
        return True

    def search(self, pattern: str) -> re.Match[str] | None:
        """The first place in its log, once there is one. Fails when it has ended."""
        return re.search(pattern, self.said()) if self.runs() else None


@contextlib.contextmanager
def running(arguments: Sequence[str], log: Path, **options: Any) -> Iterator[Program]:
    """Start a program, and end it with SIGTERM, or SIGKILL when it does not hear."""
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
    try:
        yield Program(process, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Served:
    """Our own `serve` and where it listens."""

    program: Program
    sflow: Address
    gmond: Address
    web: str

    def page(self, path: str = "/metrics", **headers: str) -> bytes:
        """A page of the HTTP port."""
        return fetch(self.web + path, **headers)

    def xml(self) -> bytes:
        """The document of the gmond port."""
        return read_all(self.gmond)


def served(program: Program) -> Served:
    """The ports, as soon as the log of a `serve` with all outputs on says them."""

    def place(pattern: str) -> re.Match[str]:
        found: re.Match[str] = wait_for(pattern, lambda: program.search(pattern))
        return found

    sflow, gmond = (
        (found[1], int(found[2]))
        for found in map(place, (r"listening for sFlow on UDP (\S+):(\d+)", r"gmond XML on TCP (\S+):(\d+)"))
    )
    return Served(program, sflow, gmond, place(r"on (https?://\S+:\d+)/")[1])


@contextlib.contextmanager
def serving(folder: Path, more: str = "", config: str = CONFIG) -> Iterator[Served]:
    """`sflow-gmetrics serve` with CONFIG, and `more` tables behind it."""
    file = folder / "serve.toml"
    file.write_text(config + more, "utf-8")
    arguments = command("serve", "--config", str(file))
    with running(arguments, folder / "serve.log", env=environment(), cwd=folder) as program:
        yield served(program)
        program.runs()
    assert program.process.returncode == 0, program.said()
    assert "Traceback" not in program.said()


# --- what others run


@dataclass(frozen=True)
class Gmetad:
    """A real gmetad with its two ports and the root of its RRD files."""

    program: Program
    xml_port: int
    interactive_port: int
    rrds: Path

    def ask(self, request: str) -> bytes:
        """The answer of the interactive port."""
        return read_all((HOME, self.interactive_port), request.encode() + b"\n")


@contextlib.contextmanager
def gmetad(path: str, folder: Path, source: Address, step: int = 2) -> Iterator[Gmetad]:
    """gmetad polling a gmond port every `step` seconds; its RRD files are small and hold some minutes."""
    xml_port, interactive_port = free_port(), free_port()
    rrds = folder / "rrds"
    rrds.mkdir()
    config = folder / "gmetad.conf"
    config.write_text(
        f'data_source "e2e" {step} {source[0]}:{source[1]}\n'
        f'gridname "e2e grid"\nrrd_rootdir "{rrds}"\nRRAs "RRA:AVERAGE:0.5:1:120"\n'
        "trusted_hosts 127.0.0.1\nsetuid off\ncase_sensitive_hostnames 1\n"
        f"xml_port {xml_port}\ninteractive_port {interactive_port}\n",
        "utf-8",
    )
    with running([path, "-d", "1", "-c", str(config)], folder / "gmetad.log") as program:
        wait_for("gmetad's ports", lambda: program.runs() and all(map(is_listening, (xml_port, interactive_port))))
        yield Gmetad(program, xml_port, interactive_port, rrds)


@dataclass(frozen=True)
class Prometheus:
    """A real Prometheus and its API."""

    program: Program
    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of the API."""
        return json.loads(fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def query(self, expression: str) -> dict[frozenset[tuple[str, str]], float]:
        """The samples of an instant query: labels to value."""
        result = self.ask("query", query=expression)["result"]
        return {frozenset(one["metric"].items()): float(one["value"][1]) for one in result}

    def number(self, expression: str) -> float | None:
        """The value of a query with one sample, None without one."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)


@contextlib.contextmanager
def prometheus(
    path: str,
    folder: Path,
    target: str,
    interval: str = "1s",
    rules: Sequence[Path] = (),
    jobs: Sequence[dict[str, Any]] = (),
    more: Mapping[str, Any] | None = None,
) -> Iterator[Prometheus]:
    """Prometheus scraping the page of `target`, a URL.

    `rules` are rule files, `jobs` are others to scrape, and `more` are keys of how to scrape the target.
    """
    url = f"http://{HOME}:{free_port()}"
    scrape = {
        "job_name": "sflow",
        "honor_labels": True,
        "static_configs": [{"targets": [target.partition("://")[2]]}],
        **(more or {}),
    }
    settings: dict[str, Any] = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "scrape_configs": [*([scrape] if target else []), *jobs],
    }
    settings["rule_files"] = [str(one) for one in rules]
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(settings, ensure_ascii=False), "utf-8")
    arguments = [path, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    arguments += [f"--web.listen-address={url.removeprefix('http://')}", "--log.level=warn"]
    with running(arguments, folder / "prometheus.log", env={**os.environ, "GOMAXPROCS": "1"}) as program:

        def ready() -> bool:
            program.runs()
            with contextlib.suppress(OSError):
                return b"Ready" in fetch(f"{url}/-/ready")
            return False

        wait_for("a ready Prometheus", ready, 20)
        yield Prometheus(program, url)


# --- traffic


class _EndedError(Exception):
    """A replay is to end before its packets are all sent."""


@contextlib.contextmanager
def replaying(target: Address, packets: Iterable[Packet], speed: float = 1.0) -> Iterator[threading.Thread]:
    """Send packets from a thread, which has ended when all are sent."""
    ending = threading.Event()

    def sleep(seconds: float) -> None:
        if ending.wait(seconds):
            raise _EndedError

    def send() -> None:
        with open_sender(*target) as sender, contextlib.suppress(_EndedError):
            replay(packets, sender.send, speed=speed, sleep=sleep)

    with _thread(send, ending) as thread:
        yield thread


class Feed(Protocol):
    """Whoever has datagrams to send: those that are due up to `now` and were not given before."""

    def datagrams(self, now: float) -> Iterator[tuple[float, bytes]]: ...


@contextlib.contextmanager
def feeding(target: Address, fleet: Feed) -> Iterator[threading.Lock]:
    """Send a fleet's datagrams in real time (its `start` is about now); whoever changes it holds the lock."""
    ending, lock = threading.Event(), threading.Lock()

    def send() -> None:
        with open_sender(*target) as sender:
            while not ending.wait(0.02):
                with lock:
                    for _, payload in fleet.datagrams(time.time()):
                        sender.send(payload)

    with _thread(send, ending):
        yield lock


@contextlib.contextmanager
def _thread(run: Callable[[], None], ending: threading.Event) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        ending.set()
        thread.join(5)
