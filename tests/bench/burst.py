"""A burst into `serve` with its default configuration, in peace and while a large page is made: nothing may be lost.

The burst in peace comes at the full speed of the loopback; that during a scrape at 50,000
datagrams per second, so that it lasts while the page is made.
"""

from __future__ import annotations

import itertools
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

from sflow_gmetrics import Config
from tests.e2e.servers import Served, serving, wait_for

from .ingest import OURS
from .measure import Result, Size, udp_queue
from .traffic import rounds

_RATE = 50_000
"""Datagrams per second while a page is rendered."""
_TOGETHER = 50
"""Datagrams that are sent without a pause."""
_PACED = 1 << 16
"""Bytes that may wait in the queue while the sources are introduced."""


def run(size: Size) -> list[Result]:
    """Datagrams lost, and how long the collector takes to catch up; quiet, and while a page is rendered."""
    payloads = (payload for datagrams in rounds(size.burst_hosts, size.services, 20.0) for _, payload in datagrams)
    with tempfile.TemporaryDirectory() as name, serving(Path(name), config=OURS) as served:
        port = served.sflow[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(served.sflow)
            for number, payload in enumerate(itertools.islice(payloads, 2 * size.burst)):
                sender.send(payload)
                if number % 16 == 0:
                    wait_for("room in the queue", lambda: udp_queue(port)[0] < _PACED, pause=0.001)
            served.page()
            start = time.monotonic()
            lines = served.page().count(b"\n")
            half = (time.monotonic() - start) / 2
            results = [_result("quiet", size, *_burst(sender, served, list(itertools.islice(payloads, size.burst))))]
            for when, wait in (("begins", 0.02), ("is half done", half)):
                burst = _burst(sender, served, list(itertools.islice(payloads, size.burst)), wait)
                results.append(_result(f"a scrape {when}", size, *burst, f"{lines:,} lines; "))
    return results


def _result(when: str, size: Size, lost: int, seconds: float, taken: float, about: str = "") -> Result:
    note = f"{about}sent in {taken * 1000:.0f} ms, caught up after {seconds * 1000:.0f} ms{_advice(lost)}"
    return Result(f"burst of {size.burst:,} datagrams, {when}", "lost", lost, limit=0, note=note)


def _burst(
    sender: socket.socket, served: Served, payloads: list[bytes], wait: float | None = None
) -> tuple[int, float, float]:
    """Datagrams lost, seconds until the queue was empty, seconds to send them.

    With `wait` a scrape has begun that many seconds before.
    """
    port = served.sflow[1]
    before = udp_queue(port)[1]
    scraper = threading.Thread(target=served.page)
    if wait is not None:
        scraper.start()
        time.sleep(wait)
    start = time.monotonic()
    for number, payload in enumerate(payloads):
        if wait is not None and number % _TOGETHER == 0:
            time.sleep(max(start + number / _RATE - time.monotonic(), 0.0))
        sender.send(payload)
    taken = time.monotonic() - start
    wait_for("an empty receive queue", lambda: udp_queue(port)[0] == 0, seconds=60, pause=0.002)
    seconds = time.monotonic() - start
    if wait is not None:
        scraper.join()
    return udp_queue(port)[1] - before, seconds, taken


def _advice(lost: int) -> str:
    """Where datagrams were lost: what would help."""
    if not lost:
        return ""
    wanted = Config().sflow.receive_buffer
    allowed = int(Path("/proc/sys/net/core/rmem_max").read_text("ascii"))
    if os.geteuid() != 0 and allowed < wanted:
        return f"; net.core.rmem_max is {allowed} and must be {wanted}"
    return f"; a receive_buffer of {wanted} is too small"
