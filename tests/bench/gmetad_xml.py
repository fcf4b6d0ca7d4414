"""gmetad's xml_port: our render of the whole tree against Debian's gmetad, for the same hosts.

CPU of one dump. Ours is that of this process, a new round of samples before each dump and the
least of the repeats; gmetad's that of its process over several dumps, after it has read the
same document from us once. It writes no RRD files.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from exporters import gmetad, gmond
from tests.conftest import SYSTEM_PATH
from tests.e2e.gmetads import gmetad_of
from tests.e2e.servers import HOME, Address, read_all, wait_for

from .measure import Result, Size, cpu_ms, cpu_of, settle
from .traffic import Site

DUMPS = 10
SELDOM = 3600
"""How often gmetad polls, in seconds: once."""


def run(size: Size) -> list[Result]:
    """A dump of the whole tree."""
    site = Site(size.hosts, size.services)
    settle()
    ours = []
    for _ in range(size.repeats):
        site.next()
        snapshot = site.snapshot()
        ours.append(cpu_ms(lambda snapshot=snapshot: gmetad.render(snapshot)))  # type: ignore[misc]
    document = gmond.render(site.snapshot())
    metrics = document.count(b"<METRIC ")
    return [
        Result(
            "gmetad XML, whole tree, peer gmetad",
            "ms",
            min(ours),
            _theirs(document, metrics, size.repeats),
            mark=5,
            note=f"{metrics:,} metrics",
        )
    ]


@contextlib.contextmanager
def speaking(say: Callable[[], bytes]) -> Iterator[Address]:
    """A gmond port: whoever connects is told what `say` gives."""
    listener = socket.create_server((HOME, 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    client.sendall(say())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _theirs(document: bytes, metrics: int, repeats: int) -> float | None:
    """CPU milliseconds of gmetad for a dump; None where it is not installed."""
    path = shutil.which("gmetad", path=SYSTEM_PATH)
    if path is None:
        return None
    with (
        tempfile.TemporaryDirectory() as name,
        speaking(lambda: document) as source,
        gmetad_of(path, Path(name), {"bench": [source]}, step=SELDOM, more="write_rrds off") as peer,
    ):

        def dump() -> int:
            return read_all((HOME, peer.xml_port)).count(b"<METRIC ")

        wait_for("the whole tree in gmetad", lambda: dump() == metrics, seconds=30, pause=0.5)
        before = cpu_of(peer.program.process.pid)
        for _ in range(min(repeats, DUMPS)):
            assert dump() == metrics
        return (cpu_of(peer.program.process.pid) - before) / min(repeats, DUMPS) * 1000
