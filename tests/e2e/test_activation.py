"""Sockets that somebody else has opened: passed as systemd passes them, and by systemd's own tool."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.servers import (
    HOME,
    Program,
    Served,
    command,
    environment,
    fetch,
    free_port,
    read_all,
    running,
    served,
    wait_for,
)
from tests.recordings import payloads

pytestmark = pytest.mark.e2e

CONFIG = """
[sflow]
listen = ["127.0.0.1:0"]
[gmond]
listen = "127.0.0.1:0"
cluster = "e2e"
[web]
listen = "off"
"""
LAUNCHER = """
import fcntl, os, sys
names, sockets, arguments = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
spare = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 100) for one in sockets]
for place, one in enumerate(spare):
    os.dup2(one, 3 + place)
os.closerange(3 + len(spare), 256)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(spare)), LISTEN_FDNAMES=names)
os.execv(arguments[0], arguments)
"""
"""Does what systemd does between fork and exec: the sockets become 3, 4, ... and are told in the environment."""


def bound(kind: int = socket.SOCK_STREAM, port: int = 0, host: str = HOME) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    one.bind((host, port))
    if kind == socket.SOCK_STREAM:
        one.listen()
    return one


@contextlib.contextmanager
def launched(folder: Path, names: str, sockets: list[socket.socket], config: str = CONFIG) -> Iterator[Program]:
    """`serve` with these sockets."""
    file = folder / "serve.toml"
    file.write_text(config, "utf-8")
    descriptors = [one.fileno() for one in sockets]
    arguments = [sys.executable, "-c", LAUNCHER, names, ",".join(map(str, descriptors))]
    arguments += command("serve", "--config", str(file))
    with running(arguments, folder / "serve.log", env=environment(), pass_fds=descriptors) as program:
        yield program


def ports(*sockets: socket.socket) -> list[int]:
    return [one.getsockname()[1] for one in sockets]


def asked_for(page: bytes) -> set[str]:
    """The ports from which one document has been taken."""
    return set(re.findall(r'^sflow_collector_xml_requests_total{port="(.*)"} 1.0$', page.decode(), re.MULTILINE))


def test_every_port_is_taken_by_its_name_and_outlives_a_restart(tmp_path: Path) -> None:
    names = "web:gmetad-interactive:sflow:gmond:web:gmetad-xml:sflow"
    kinds = [socket.SOCK_DGRAM if name == "sflow" else socket.SOCK_STREAM for name in names.split(":")]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(bound(kind)) for kind in kinds]
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for _ in range(2):
            with launched(tmp_path, names, sockets) as program:
                check(served(program), sender, *ports(*sockets))
            assert program.process.returncode == 0, program.said()


def check(
    one: Served,
    sender: socket.socket,
    web: int,
    asked: int,
    sflow: int,
    gmond: int,
    other_web: int,
    tree: int,
    last: int,
) -> None:
    """All of them work."""
    assert (one.web, one.gmond) == (f"http://{HOME}:{web}", (HOME, gmond))
    for port in (sflow, last):
        sender.sendto(payloads("hsflowd-host")[0], (HOME, port))
    wait_for("both", lambda: re.search(rb"^sflow_collector_datagrams_total 2$", one.page(), re.MULTILINE))
    assert b"is healthy" in fetch(f"http://{HOME}:{other_web}/-/healthy")
    for port, request in ((gmond, b""), (tree, b""), (asked, b"/\n")):
        assert read_all((HOME, port), request).endswith(b"</GANGLIA_XML>\n")
    wait_for("the counts", lambda: asked_for(one.page()) == {"gmond", "gmetad-xml", "gmetad-interactive"})
    assert b'sflow_collector_scrapes_total{code="200",endpoint="/metrics"}' in one.page()


def test_without_our_names_the_numbers_tell_which_port_it_is(tmp_path: Path) -> None:
    with bound() as web, bound() as gmond, bound(socket.SOCK_DGRAM) as sflow:
        numbers = ports(gmond, web)
        config = CONFIG.replace('"off"', f'"{HOME}:{numbers[1]}"').replace(
            '[gmond]\nlisten = "127.0.0.1:0"', f'[gmond]\nlisten = "{HOME}:{numbers[0]}"'
        )
        with launched(tmp_path, "unknown:sflow.socket:unknown", [web, gmond, sflow], config) as program:
            one = served(program)
            assert (one.web, one.gmond[1]) == (f"http://{HOME}:{numbers[1]}", numbers[0])
            assert one.sflow == sflow.getsockname()
            assert b"is ready" in one.page("/-/ready")


def test_they_stay_with_another_configuration(tmp_path: Path) -> None:
    with (
        bound() as web,
        bound(socket.SOCK_DGRAM) as sflow,
        bound() as gmond,
        socket.socket() as waiting,
        launched(tmp_path, "web:sflow:gmond", [web, sflow, gmond]) as program,
    ):
        one = served(program)
        (tmp_path / "serve.toml").write_text(
            CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{free_port()}") + '[[pools]]\nname = "all"\nhosts = ".*"\n'
        )
        waiting.connect(gmond.getsockname())
        program.process.send_signal(signal.SIGHUP)
        wait_for("another configuration", lambda: program.search("has been read again and is in use"))
        assert b"</GANGLIA_XML>" in b"".join(iter(lambda: waiting.recv(1 << 16), b""))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(payloads("hsflowd-host")[0], sflow.getsockname())
        wait_for("a host in its pool", lambda: b'pool="all"' in one.page())
        assert read_all(gmond.getsockname()).endswith(b"</GANGLIA_XML>\n")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("unknown", socket.SOCK_STREAM, "is none of our ports: set FileDescriptorName="),
        ("gmond", socket.SOCK_DGRAM, "has the wrong type"),
        ("sflow", socket.SOCK_STREAM, "has the wrong type"),
    ],
)
def test_a_socket_that_is_for_nobody_is_an_error(tmp_path: Path, name: str, kind: int, said: str) -> None:
    with bound(kind) as one, launched(tmp_path, name, [one]) as program:
        assert program.process.wait(20) == 1
        assert said in program.said()
        assert "Traceback" not in program.said()


def test_a_connection_is_no_listening_socket(tmp_path: Path) -> None:
    with bound() as listener, socket.create_connection(listener.getsockname()) as one:
        with launched(tmp_path, "web", [one]) as program:
            assert program.process.wait(20) == 1
        assert "does not listen: set Accept=no" in program.said()


def test_sockets_for_another_process_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(CONFIG, "utf-8")
    others = {**environment(), "LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    with running(command("serve", "--config", str(file)), tmp_path / "serve.log", env=others) as program:
        wait_for("the ports", lambda: program.search("gmond XML on TCP"))
        assert "http://" not in program.said(), "the web port stays off"


def test_the_tool_of_systemd_passes_them_as_we_expect(tmp_path: Path) -> None:
    tool = shutil.which("systemd-socket-activate")
    assert tool is not None, "it is in Debian's package systemd"
    file = tmp_path / "serve.toml"
    file.write_text(CONFIG, "utf-8")
    web, gmond = free_port(), free_port()
    arguments = [tool, "-l", f"{HOME}:{web}", "-l", f"{HOME}:{gmond}", "--fdname=web:gmond"]
    arguments += [f"--setenv=PYTHONPATH={environment()['PYTHONPATH']}", "--setenv=PYTHONUNBUFFERED=1"]
    arguments += command("serve", "--config", str(file))
    with running(arguments, tmp_path / "serve.log", env=environment()) as program:

        def healthy() -> bool:
            program.runs()
            with contextlib.suppress(OSError):
                return b"is healthy" in fetch(f"http://{HOME}:{web}/-/healthy")
            return False

        wait_for("the page", healthy, 20)
        assert read_all((HOME, gmond)).endswith(b"</GANGLIA_XML>\n")
