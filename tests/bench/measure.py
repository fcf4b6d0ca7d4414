"""Numbers for benchmarks: CPU seconds, memory and queues, and how a result is judged and shown."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sflow_gmetrics import memory

FAR = 0.6
"""A mark is missed by far when less than this part of it is reached."""


@dataclass(frozen=True)
class Size:
    """How much work the benchmarks do."""

    hosts: int = 100
    services: int = 50
    rounds: int = 12
    interval: float = 2.0
    repeats: int = 9
    large_hosts: int = 900
    burst: int = 10_000
    burst_hosts: int = 900


@dataclass(frozen=True)
class Result:
    """A line of the table: what a unit costs us and the peer, and the mark.

    `mark` is how many times cheaper we are to be at least, `limit` what we may cost at the
    most. A result with neither is for information.
    """

    what: str
    unit: str
    ours: float
    peer: float | None = None
    mark: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times cheaper we are."""
        return self.peer / self.ours if self.peer is not None and self.ours else None

    @property
    def reached(self) -> float | None:
        """Which part of the mark is reached; None where there is no mark or nothing to compare with."""
        if self.limit is not None:
            return 1.0 if self.ours <= self.limit else self.limit / self.ours
        if self.mark is not None and self.ratio is not None:
            return self.ratio / self.mark
        return None

    @property
    def verdict(self) -> str:
        """OK, BELOW (the mark), or nothing."""
        return "" if self.reached is None else "OK" if self.reached >= 1 else "BELOW"

    @property
    def missed_by_far(self) -> bool:
        """Whether it is so bad that something must be broken."""
        return self.reached is not None and self.reached < FAR


def table(results: list[Result]) -> str:
    """All results as text."""
    lines = [f"{'':52}{'ours':>11}{'peer':>11}  {'unit':14}{'ratio':>7}{'mark':>8}"]
    for one in results:
        peer = f"{one.peer:11.2f}" if one.peer is not None else f"{'-':>11}"
        ratio = f"{one.ratio:6.1f}x" if one.ratio is not None else f"{'-':>7}"
        mark = f">={one.mark:g}x" if one.mark is not None else f"<={one.limit:g}" if one.limit is not None else ""
        note = f"  ({one.note})" if one.note else ""
        lines.append(f"{one.what:52}{one.ours:11.2f}{peer}  {one.unit:14}{ratio}{mark:>8}  {one.verdict}{note}")
    return "\n".join(lines)


def settle(sources: int = 0) -> None:
    """What `serve` does to the garbage collector for so many sources; the peers get the same."""
    gc.collect()
    gc.freeze()
    memory.expect(sources)


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of this process for one call."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def noise() -> str:
    """How much the same work varies here and now."""

    def work() -> int:
        return sum(len(str(number)) for number in range(50_000))

    times = sorted(cpu_ms(work) for _ in range(25))
    median, worst = times[len(times) // 2] / times[0] - 1, times[-1] / times[0] - 1
    load = os.getloadavg()[0]
    return f"the same loop takes {median:.0%} more than its best in the median, {worst:.0%} at worst; load {load:.1f}"


# --- other processes


def cpu_of(pid: int) -> float:
    """CPU seconds that the threads of a process have used, in user and system mode."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text("ascii").split()[0]) for one in threads) / 1e9


def rss_of(pid: int) -> float:
    """Resident memory of a process in KB."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


def udp_queue(port: int) -> tuple[int, int]:
    """Bytes that wait in the receive queue of a UDP port of IPv4, and how many datagrams it has dropped."""
    for line in Path("/proc/net/udp").read_text("ascii").splitlines()[1:]:
        words = line.split()
        if int(words[1].rpartition(":")[2], 16) == port:
            return int(words[4].rpartition(":")[2], 16), int(words[12])
    raise LookupError(f"no UDP socket on port {port}")
