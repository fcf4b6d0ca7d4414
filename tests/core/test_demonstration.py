"""`serve --demo`: what a person sees in the first minute."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

from tests.e2e.servers import HOME, command, environment, fetch, read_all, running, wait_for


@contextlib.contextmanager
def taken_ports() -> Iterator[None]:
    """The demonstration's own ports are in use: by us, or by somebody else already."""
    with contextlib.ExitStack() as stack:
        for kind, port in ((socket.SOCK_DGRAM, 6343), (socket.SOCK_STREAM, 8649), (socket.SOCK_STREAM, 9343)):
            bound = stack.enter_context(socket.socket(socket.AF_INET, kind))
            with contextlib.suppress(OSError):
                bound.bind((HOME, port))
                if kind == socket.SOCK_STREAM:
                    bound.listen()
        yield


def demo_ports(text: str) -> dict[str, int] | None:
    """The ports that the demonstration's head names, when it is complete."""
    patterns = {
        "web": r"landing page +http://127\.0\.0\.1:(\d+)/\s",
        "metrics": r"http://127\.0\.0\.1:(\d+)/metrics",
        "gmond": r"gmond XML +TCP 127\.0\.0\.1:(\d+)\s",
        "sflow": r"sFlow +UDP 127\.0\.0\.1:(\d+)\s",
    }
    found = {name: re.search(pattern, text) for name, pattern in patterns.items()}
    return {name: int(one[1]) for name, one in found.items() if one} if all(found.values()) else None


def test_the_demonstration_shows_data_soon_on_ports_of_its_own(tmp_path: Path) -> None:
    with taken_ports(), running(command("serve", "--demo"), tmp_path / "log", env=environment()) as program:
        ports = wait_for("the head", lambda: program.runs() and demo_ports(program.said()))
        assert not set(ports.values()) & {6343, 8649, 9343}
        assert ports["web"] == ports["metrics"]
        url = f"http://{HOME}:{ports['web']}"
        wait_for(
            "data", lambda: b'sflow_pool_service_hosts{pool="web",service="nginx.service"' in fetch(f"{url}/metrics")
        )
        wait_for("a host in the XML", lambda: b'HOST NAME="web-host-01"' in read_all((HOME, ports["gmond"])))
        assert b"nginx.service" in fetch(f"{url}/")
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(3) == 0
        assert "Traceback" not in program.said()


class Terminal:
    """A program under a pseudo-terminal of 100 columns and 50 lines."""

    def __init__(self, arguments: list[str]) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(), "TERM": "xterm-256color"},
        )
        os.close(slave)
        self.text = ""

    def read(self) -> str:
        """All that was written up to now."""
        with contextlib.suppress(OSError):  # EIO: the program has ended
            while select.select([self.master], [], [], 0)[0] and (data := os.read(self.master, 1 << 16)):
                self.text += data.decode("utf-8", "replace")
        return self.text

    def wait_for(self, what: str, condition: Callable[[str], Any], seconds: float = 15) -> Any:
        return wait_for(what, lambda: condition(self.read()), seconds)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_the_demonstration_draws_a_table_in_a_terminal() -> None:
    with taken_ports(), contextlib.closing(Terminal(command("serve", "--demo"))) as terminal:
        terminal.wait_for("the head", demo_ports)
        terminal.wait_for("a pool", lambda text: "pool web" in text and "nginx.service" in text)
        assert "CPUs used" in terminal.text
        drawn = terminal.text.count("Ctrl-C ends")
        terminal.wait_for("two more drawings", lambda text: text.count("Ctrl-C ends") >= drawn + 2)
        begun = time.monotonic()
        os.write(terminal.master, b"\x03")
        assert wait_for("the end", lambda: terminal.process.poll() is not None, 5)
        assert terminal.process.returncode == 0
        assert time.monotonic() - begun < 2
        assert "Traceback" not in terminal.read()
        assert terminal.text.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"
