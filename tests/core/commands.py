"""Commands as a person types them, for tests."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.servers import HOME, command, environment
from tests.recordings import CAPTURES

DEPLOY = Path(__file__).parents[2] / "deploy"
SYSTEMD = CAPTURES / "hsflowd-systemd.pcap.gz"


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=30, check=False, **options
    )


def refusal(*arguments: str) -> str:
    """The one line that a command says when it cannot do what it is told."""
    result = run(*arguments)
    assert result.returncode == 1, result
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("sflow-gmetrics: ")
    return line


def address(bound: socket.socket) -> str:
    return "{}:{}".format(*bound.getsockname())


def listener(kind: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    bound.bind((HOME, 0))
    if kind == socket.SOCK_STREAM:
        bound.listen()
    return bound
