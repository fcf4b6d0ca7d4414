"""What systemd hears from the program, on a real Unix socket: and that a stuck part silences the watchdog."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sflow_gmetrics.app import App
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.errors import InputError
from sflow_gmetrics.notify import Notifier, Watchdog
from sflow_gmetrics.storage import Storage
from tests.core.test_app import running, send
from tests.e2e.servers import CONFIG, is_listening, serving

Said = dict[str, str]


class Systemd:
    """The receiving end of sd_notify."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)

    def hear(self, seconds: float = 10.0) -> Said:
        """The next datagram as names and values. Raises TimeoutError."""
        self.socket.settimeout(seconds)
        return dict(line.split("=", 1) for line in self.socket.recv(65_536).decode().splitlines())

    def hear_until(self, name: str) -> Said:
        """The first datagram that says this name."""
        for _ in range(100):
            said = self.hear()
            if name in said:
                return said
        raise AssertionError(f"100 times something else than {name}")

    def forget(self) -> None:
        """Pass over what has been said until now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.hear(0)


@pytest.fixture(params=["path", "abstract"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A socket's address, and how NOTIFY_SOCKET names it."""
    if request.param == "path":
        return str(tmp_path / "notify"), str(tmp_path / "notify")
    name = f"sflow-gmetrics-test-{os.getpid()}-{time.monotonic_ns()}"
    return "\0" + name, "@" + name


@pytest.fixture
def systemd(place: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """A listening systemd, and the environment of a service with a watchdog of one second."""
    address, name = place
    one = Systemd(address)
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with one.socket:
        yield one


def config(more: str = "") -> Config:
    return parse_config(CONFIG + more)


by_path = pytest.mark.parametrize("place", ["path"], indirect=True)
"""Where the kind of address makes no difference."""


def test_a_life_from_ready_to_stopping(systemd: Systemd) -> None:
    with running(config()) as (_, listening):
        said = systemd.hear()
        assert said["READY"] == "1"
        assert listening.gmond is not None
        assert listening.web is not None
        assert is_listening(listening.gmond[1])
        assert is_listening(listening.web[1])
        assert "0 agents" in said["STATUS"]
        for _ in range(3):
            said = systemd.hear()
            assert said["WATCHDOG"] == "1"
        assert said["STATUS"]
    assert systemd.hear_until("STOPPING")["STOPPING"] == "1"


@by_path
def test_ready_is_said_only_when_every_port_is_open(systemd: Systemd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web = f'[web]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"'
        app = App(parse_config(CONFIG.replace('[web]\nlisten = "127.0.0.1:0"', web)))
        with pytest.raises(InputError):
            app.run()
    with pytest.raises(BlockingIOError):
        systemd.hear(0)


@by_path
def test_a_receive_thread_that_hangs_silences_the_watchdog(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = threading.Event()
    monkeypatch.setattr(App, "receive", lambda _app, _payloads: free.wait(30))
    with running(config()) as (_, listening):
        systemd.hear_until("WATCHDOG")
        send(listening.sflow[0], b"x")
        while not (said := systemd.hear()).get("STATUS", "").startswith("stuck"):
            pass
        assert said == {"STATUS": f"stuck: udp-{listening.sflow[0][1]}"}
        with pytest.raises(TimeoutError):
            systemd.hear(1.5)
        free.set()
        assert systemd.hear_until("WATCHDOG"), "it works again"
    assert sum("do not work any more" in text for text in caplog.messages) == 1


@by_path
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_receive_thread_that_died_silences_the_watchdog(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_app: App, _payloads: list[bytes]) -> None:
        raise RuntimeError("a fault that should not be")

    monkeypatch.setattr(App, "receive", fail)
    with running(config()) as (_, listening):
        systemd.hear_until("READY")
        send(listening.sflow[0], b"x")
        while not systemd.hear().get("STATUS", "").startswith("stuck: udp-"):
            pass
        with pytest.raises(TimeoutError):
            systemd.hear(1.5)


@by_path
def test_a_storage_thread_that_died_silences_the_watchdog(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Storage, "_run", lambda _storage: None)
    rrd = f'[rrd]\nroot = "{tmp_path / "rrds"}"\nrrdcached = "unix:{tmp_path / "nobody"}"\n'
    with running(config(rrd)):
        assert systemd.hear()["READY"] == "1"
        assert systemd.hear() == {"STATUS": "stuck: rrd"}
        with pytest.raises(TimeoutError):
            systemd.hear(1.5)


@by_path
def test_an_event_loop_that_hangs_silences_the_watchdog(systemd: Systemd) -> None:
    entered, free = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        free.wait(30)

    with running(config()) as (app, _):
        systemd.hear_until("WATCHDOG")
        assert app._loop is not None
        app._loop.call_soon_threadsafe(hang)
        assert entered.wait(10)
        systemd.forget()
        with pytest.raises(TimeoutError):
            systemd.hear(1.5)
        free.set()
        assert systemd.hear_until("WATCHDOG"), "it works again"


@pytest.mark.e2e
@by_path
def test_sighup_does_not_end_the_program(systemd: Systemd, tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert systemd.hear_until("READY")
        served.program.process.send_signal(signal.SIGHUP)
        assert systemd.hear_until("RELOADING")
        assert systemd.hear_until("READY"), "systemd waits for the end of a reload"
        assert b"healthy" in served.page("/-/healthy")


# --- what is said, and to whom


def test_a_reload_is_announced_and_ended(systemd: Systemd) -> None:
    one = Notifier()
    before = time.monotonic_ns() // 1000
    one.reloading()
    said = systemd.hear()
    assert said["RELOADING"] == "1"
    assert before <= int(said["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    one.ready("two\nREADY=0 lines")
    assert systemd.hear() == {"READY": "1", "STATUS": "two READY=0 lines"}


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
    ],
    ids=str,
)
def test_the_watchdog_s_time_is_what_systemd_says_to_this_process(environment: dict[str, str], seconds: float) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/nowhere", **environment}).watchdog == seconds
    assert Notifier(environment).watchdog == 0.0


@by_path
def test_without_a_watchdog_only_the_status_is_renewed(systemd: Systemd, place: tuple[str, str]) -> None:
    watchdog = Watchdog(Notifier({"NOTIFY_SOCKET": place[1]}), list, lambda: "5 agents")
    watchdog._look(0.0)
    assert systemd.hear() == {"STATUS": "5 agents"}


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative"])
def test_what_is_no_unix_socket_is_told_nothing(name: str) -> None:
    Notifier({"NOTIFY_SOCKET": name}).ready("")


def test_a_systemd_that_is_away_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    one = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    for _ in range(3):
        one.status("")
    assert caplog.messages == ["systemd cannot be told how this program is: NOTIFY_SOCKET: No such file or directory"]
