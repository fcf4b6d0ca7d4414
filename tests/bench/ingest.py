"""UDP ingest: a fleet's datagrams into Debian's gmond and into `serve`, at the same time and in real time.

CPU is user and system time of the process, the median of the rounds after the second (in the
first everything is new, and the second is the first with rates). gmond's XML is never read:
the released gmond crashes when it has sFlow metrics.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import SYSTEM_PATH
from tests.e2e.servers import CONFIG, HOME, Served, free_port, running, serving, wait_for

from .measure import Result, Size, cpu_of, rss_of, udp_queue
from .traffic import rounds

OURS = CONFIG.replace("receive_buffer = 1048576\n", "")
_GMOND = """
globals {{ daemonize = no  setuid = no  mute = yes  deaf = no  host_dmax = 0  cleanup_threshold = 300 }}
cluster {{ name = "bench" }}
udp_recv_channel {{ port = {udp}  bind = 127.0.0.1  buffer = 4194304 }}
tcp_accept_channel {{ port = {tcp}  bind = 127.0.0.1 }}
sflow {{ udp_port = {udp}  accept_vm_metrics = yes }}
"""


class _Heard:
    """One of the two programs: its process, its port, and what it has used at the end of each round."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((HOME, port))
        self.empty = rss_of(pid)
        self.cpu = [cpu_of(pid)]

    def end_round(self) -> None:
        wait_for("an empty receive queue", lambda: udp_queue(self.port)[0] == 0)
        self.cpu.append(cpu_of(self.pid))

    def microseconds(self, samples: int) -> float:
        """CPU of a sample: the median of the rounds."""
        used = [after - before for before, after in itertools.pairwise(self.cpu)]
        return statistics.median(used[2:]) / samples * 1e6


def run(size: Size) -> list[Result]:
    """CPU of a sample, and memory of a service."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        served = stack.enter_context(serving(folder, config=OURS))
        ours = _Heard(served.program.process.pid, served.sflow[1])
        peer = stack.enter_context(_gmond(folder))
        targets = [one for one in (ours, peer) if one is not None]
        for target in targets:
            stack.callback(target.socket.close)
        _feed(size, targets)
        return [*_results(size, served, ours, peer)]


@contextlib.contextmanager
def _gmond(folder: Path) -> Iterator[_Heard | None]:
    """Debian's gmond as an sFlow collector; None where it is not installed."""
    path = shutil.which("gmond", path=SYSTEM_PATH)
    if path is None:
        yield None
        return
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port()
    config = folder / "gmond.conf"
    config.write_text(_GMOND.format(udp=udp, tcp=tcp), "ascii")
    with running([path, "-c", str(config)], folder / "gmond.log") as program:
        wait_for("gmond", lambda: program.search("") and _is_bound(udp))
        yield _Heard(program.process.pid, udp)
        assert program.process.poll() is None, program.said()


def _is_bound(port: int) -> bool:
    try:
        udp_queue(port)
    except LookupError:
        return False
    return True


def _feed(size: Size, targets: list[_Heard]) -> None:
    """All rounds, each datagram at its time and to everybody."""
    start: float | None = None
    for datagrams in list(itertools.islice(rounds(size.hosts, size.services, size.interval), size.rounds)):
        start = time.monotonic() if start is None else start
        for at, payload in datagrams:
            pause = start + at - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            for target in targets:
                target.socket.send(payload)
        for target in targets:
            target.end_round()


def _results(size: Size, served: Served, ours: _Heard, peer: _Heard | None) -> Iterator[Result]:
    samples, services = size.hosts * (size.services + 1), size.hosts * size.services
    drops = [udp_queue(one.port)[1] for one in (ours, peer) if one is not None]
    note = f"dropped: {drops}" if any(drops) else "" if peer else "gmond is not installed"
    theirs = peer.microseconds(samples) if peer is not None else None
    yield Result("UDP ingest, CPU", "us/sample", ours.microseconds(samples), theirs, mark=5, note=note)
    grown = (rss_of(peer.pid) - peer.empty) / services if peer is not None else None
    state = (rss_of(ours.pid) - ours.empty) / services
    yield Result("memory of a service, nothing rendered yet", "KB/service", state, grown)
    served.xml()
    served.page()
    after = (rss_of(ours.pid) - ours.empty) / services
    yield Result("memory of a service, XML and /metrics just rendered", "KB/service", after, grown)
    time.sleep(2.0)
    later = (rss_of(ours.pid) - ours.empty) / services
    yield Result("memory of a service, two seconds later", "KB/service", later, grown, limit=10)
