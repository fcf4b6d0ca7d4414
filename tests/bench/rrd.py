"""RRD files: values of a site stored through rrdcached and through rrdtool, against Debian's gmetad.

CPU of a stored value in all processes involved. Ours: snapshot, sums, queue, and rrdcached or
rrdtool. gmetad's: reading the same hosts' gmond XML, its sums, and its own RRD code. Files have
the compact archives everywhere and are made before the time begins. The site has at most
HOSTS hosts, so that the files find room; our time is simulated, gmetad's is real.

With `write_every` 15 s each value goes to its file alone, with 60 s four go together: rrdcached
keeps nothing beyond that, for it has to write all it has at the end of each `write_every`. It
does so with one thread: several that have much to do at once mostly wait for each other. What
remains is librrd opening and mapping a file, which costs the same in all of these programs.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from exporters import gmond
from exporters.rrd import SUMMARY, Layout
from exporters.rrd_engines import RrdtoolPipe, open_engine
from exporters.rrd_writer import RrdWriter
from sflow_gmetrics.config import COMPACT_RRA, RrdConfig
from tests.conftest import SYSTEM_PATH
from tests.e2e.gmetads import gmetad_of
from tests.e2e.rrdcached import Daemon, rrdcached
from tests.e2e.servers import wait_for

from .gmetad_xml import speaking
from .measure import Result, Size, cpu_of, settle
from .traffic import START, Site

HOSTS = 20
STEP = 15
MINUTE = 60
CASES = (("rrdcached", STEP), ("rrdcached", MINUTE), ("rrdcached", 5 * MINUTE), ("rrdtool", STEP), ("rrdtool", MINUTE))
"""Engines, and every how many seconds a file is written."""
ROUNDS = 3
"""How often each file is written, or for how many minutes; the first time makes the files and is not counted."""
POLL = 2
"""gmetad's step in seconds; the times in its documents agree."""
POLLS = 8


def run(size: Size) -> list[Result]:
    """What a value costs, by engine and by how many go together."""
    hosts = min(size.hosts, HOSTS)
    rrdtool, daemon, gmetad = (shutil.which(one, path=SYSTEM_PATH) for one in ("rrdtool", "rrdcached", "gmetad"))
    theirs = _gmetad(gmetad, hosts, size.services) if gmetad is not None else None
    results = []
    for engine, write_every in CASES:
        path = daemon if engine == "rrdcached" else rrdtool
        if path is None:
            continue
        ours, own, values = _ours(path if engine == "rrdcached" else "", hosts, size.services, write_every)
        what = f"RRD values by {engine}, {write_every // STEP} at once, peer gmetad"
        note = f"{values:,} values of {hosts} hosts; {own:.1f} of it in our process"
        mark = 4 if (engine, write_every) == ("rrdcached", MINUTE) else None
        results.append(Result(what, "us/value", ours, theirs, mark=mark, note=note))
    return results


# --- ours


def _ours(daemon: str, hosts: int, services: int, write_every: int) -> tuple[float, float, int]:
    """CPU microseconds of a value, those of our own process among them, and how many values there were."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        root = folder / "rrds"
        server = stack.enter_context(rrdcached(daemon, folder, root, write_after=7200, threads=1)) if daemon else None
        config = RrdConfig(
            root=str(root),
            rrdcached=server.address if server is not None else "",
            step=STEP,
            write_every=write_every,
            rra=COMPACT_RRA,
            service_rra=COMPACT_RRA,
            creations=1_000_000,
        )
        engine = open_engine(config)
        writer = RrdWriter(config, engine)
        stack.callback(writer.close, START)

        def others() -> float:
            if server is not None:
                return cpu_of(server.program.process.pid)
            assert isinstance(engine, RrdtoolPipe)
            assert engine._child is not None
            return cpu_of(engine._child.pid)

        return _measure(hosts, services, Layout(config), writer, write_every, server, others)


def _measure(
    hosts: int,
    services: int,
    layout: Layout,
    writer: RrdWriter,
    write_every: int,
    server: Daemon | None,
    others: Callable[[], float],
) -> tuple[float, float, int]:
    site = Site(hosts, services)
    settle()
    start = int(START) // 300 * 300
    own = theirs = stored = 0.0
    length = max(write_every, MINUTE)
    for number in range(ROUNDS):
        if number == 1:
            own, theirs, stored = 0.0, others(), writer.stats.stored
        for tick in range(start + length * number, start + length * (number + 1), STEP):
            site.next()
            before = time.process_time()
            writer.add(list(layout.updates(site.snapshot(), tick)))
            for second in range(STEP):
                writer.flush(tick + second + 0.5)
            own += time.process_time() - before
            if server is not None and (tick + STEP) % write_every == 0:
                _write_out(server)
    stats = writer.stats
    assert (stats.errors, stats.dropped) == (0, 0), stats
    values = stats.stored - int(stored)
    if server is not None:
        assert _written(server) == stats.stored, "all is in the files"
    return (own + others() - theirs) / values * 1e6, own / values * 1e6, values


def _write_out(server: Daemon) -> None:
    """Have rrdcached write all that it has."""
    _ask(server, "FLUSHALL")
    wait_for("an rrdcached that has written all", lambda: not _stat(server, "QueueLength"), 60, pause=0.01)


def _written(server: Daemon) -> int:
    return wait_for("the last file", lambda: _stat(server, "DataSetsWritten"))  # type: ignore[no-any-return]


def _stat(server: Daemon, name: str) -> int:
    found = re.search(rf"{name}: (\d+)", _ask(server, "STATS"))
    assert found is not None
    return int(found[1])


def _ask(server: Daemon, command: str) -> str:
    """What rrdcached answers to a command."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(server.address.removeprefix("unix:"))
        client.sendall(f"{command}\nQUIT\n".encode())
        return b"".join(iter(lambda: client.recv(4096), b"")).decode()


# --- gmetad's


class _Polled:
    """Documents of a site in which POLL seconds pass from each to the next."""

    def __init__(self, hosts: int, services: int) -> None:
        site = Site(hosts, services)
        self._documents = []
        for _ in range(4):
            site.next()
            self._documents.append(gmond.render(site.snapshot()))
        self._time = re.compile(rb' LOCALTIME="\d+"')
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.given = 0

    def next(self) -> bytes:
        """The document of the next poll."""
        with self._lock:
            self.given = number = next(self._numbers)
        now = int(START) // POLL * POLL + POLL * number
        return self._time.sub(b' LOCALTIME="%d"' % now, self._documents[number % 4])


def _gmetad(path: str, hosts: int, services: int) -> float:
    """CPU microseconds of a value in gmetad."""
    polled = _Polled(hosts, services)
    with (
        tempfile.TemporaryDirectory() as name,
        speaking(polled.next) as source,
        gmetad_of(path, Path(name), {"bench": [source]}, step=POLL, archives=COMPACT_RRA) as peer,
    ):
        pid = peer.program.process.pid

        def polls(least: int) -> None:
            """Until so many documents more have been asked for, and the last but one has been stored."""
            wanted = polled.given + least
            wait_for("polls of gmetad", lambda: polled.given >= wanted, 120)

        def files() -> int:
            return sum(place.parent.name != SUMMARY or place.parent.parent != peer.rrds for place in _files(peer.rrds))

        wait_for("the first files", lambda: polled.given >= 2, 120)
        count = 0
        while count != files():
            count = files()
            polls(1)
        begun, before = polled.given, cpu_of(pid)
        polls(POLLS)
        used, taken = cpu_of(pid) - before, polled.given - begun
        assert files() == count, "files were made meanwhile"
        return used / (taken * count) * 1e6


def _files(root: Path) -> Iterator[Path]:
    return root.rglob("*.rrd")
