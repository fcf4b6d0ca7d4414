"""Our own `serve` with all its ports, one above the other, for tests of several levels."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.e2e.servers import (
    HOME,
    Address,
    Program,
    Served,
    command,
    environment,
    free_port,
    read_all,
    running,
    served,
    wait_for,
)


@dataclass(frozen=True)
class Level:
    """Our own `serve` with all its ports."""

    served: Served
    xml: Address
    interactive: Address

    def ask(self, request: str) -> ElementTree.Element:
        """The answer of the interactive port."""
        return ElementTree.fromstring(read_all(self.interactive, request.encode() + b"\n"))

    def tree(self) -> ElementTree.Element:
        """The document of gmetad's xml_port."""
        return ElementTree.fromstring(read_all(self.xml))


@dataclass(frozen=True)
class Ports:
    """The ports that a program has again when it is started again."""

    sflow: int
    gmond: int
    xml: int

    @classmethod
    def free(cls) -> Ports:
        return cls(free_port(), free_port(), free_port())


def config(cluster: str, grid: str, ports: Ports | None = None, more: str = "") -> str:
    ports = ports or Ports(0, 0, 0)
    return f"""
    [sflow]
    listen = ["{HOME}:{ports.sflow}"]
    receive_buffer = 1048576
    [gmond]
    listen = "{HOME}:{ports.gmond}"
    cluster = "{cluster}"
    [web]
    listen = "{HOME}:0"
    [gmetad]
    xml_listen = "{HOME}:{ports.xml}"
    interactive_listen = "{HOME}:0"
    grid = "{grid}"
    authority = "http://{HOME}/{grid.split()[0]}/"
    {more}"""


@contextlib.contextmanager
def level(folder: Path, text: str) -> Iterator[Level]:
    """Our `serve` with this configuration."""
    folder.mkdir(exist_ok=True)
    file = folder / "serve.toml"
    file.write_text(text, "utf-8")
    arguments = command("serve", "--config", str(file))
    with running(arguments, folder / "serve.log", env=environment(), cwd=folder) as program:
        both = [_port(program, what) for what in ("gmetad XML", "gmetad's interactive port")]
        yield Level(served(program), *both)
    assert "Traceback" not in program.said()


def _port(program: Program, what: str) -> Address:
    found: re.Match[str] = wait_for(what, lambda: program.search(rf"{what} on TCP (\S+):(\d+)"))
    return found[1], int(found[2])
