"""A real rrdcached on a unix socket, and what is in RRD files, as rrdtool reads them."""

from __future__ import annotations

import contextlib
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.servers import Program, running, wait_for


@dataclass(frozen=True)
class Daemon:
    """A running rrdcached: `address` as our configuration takes it, `base` the directory it may write to."""

    program: Program
    address: str
    base: Path

    def kill(self) -> None:
        """End it without a chance to write anything."""
        self.program.process.kill()
        self.program.process.wait()


@contextlib.contextmanager
def rrdcached(
    path: str,
    folder: Path,
    base: Path,
    *,
    journal: bool = True,
    directories: bool = True,
    write_after: int = 300,
    spread: int = 0,
    search_after: int = 3600,
    threads: int = 4,
) -> Iterator[Daemon]:
    """rrdcached with its socket, pid file and journal in `folder`: it writes files `write_after` seconds late.

    `directories` lets it make some, `spread` is its -z and `search_after` its -f, in seconds, and
    `threads` write files. It may be started again in the same folder after having been killed, and
    then finds its journal.
    """
    for place in (base, folder / "journal"):
        place.mkdir(parents=True, exist_ok=True)
    where = folder / "s"
    arguments = [path, "-g", "-l", f"unix:{where}", "-p", str(folder / "pid"), "-b", str(base), "-B"]
    arguments += ["-w", str(write_after), "-z", str(spread), "-f", str(search_after)]
    arguments += ["-t", str(threads)]
    arguments += ["-R"] if directories else []
    arguments += ["-j", str(folder / "journal")] if journal else []
    where.unlink(missing_ok=True)
    with running(arguments, folder / "rrdcached.log") as program:
        wait_for("the socket of rrdcached", lambda: program.runs() and where.exists())
        yield Daemon(program, f"unix:{where}", base)


def fetch(path: Path, first: int, last: int, step: int = 15, daemon: str = "") -> dict[int, tuple[float, ...]]:
    """The known values of an RRD file from `first` to `last`, those that `daemon` still holds included."""
    arguments = ["rrdtool", "fetch", str(path), "AVERAGE", "-r", str(step), "-s", str(first - step), "-e", str(last)]
    text = subprocess.run(
        [*arguments, *(["--daemon", daemon] if daemon else [])], check=True, capture_output=True, text=True, timeout=20
    ).stdout
    rows = (line.split(":") for line in text.splitlines() if ":" in line)
    found = {int(time): tuple(map(float, numbers.split())) for time, numbers in rows}
    return {
        time: numbers
        for time, numbers in found.items()
        if first <= time <= last and not all(math.isnan(number) for number in numbers)
    }
