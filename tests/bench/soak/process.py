"""Memory and descriptors of a process over time."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import rss_of

WINDOWS = 30
"""The last half of a soak in parts, of each of which the least counts: a document that readers share is no leak."""
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Look:
    """One look: when, in seconds from the start, resident KB, and how many descriptors and threads there were."""

    at: float
    rss: float
    descriptors: int
    threads: int


def look_at(pid: int, at: float) -> Look:
    """The process now."""
    threads = len(os.listdir(f"/proc/{pid}/task"))
    return Look(at, rss_of(pid), len(os.listdir(f"/proc/{pid}/fd")), threads)


def descriptors_of(pid: int) -> Counter[str]:
    """What the descriptors of a process are, without numbers."""
    kinds: Counter[str] = Counter()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            kinds[re.sub(r"[\d\[\]:]+", "", os.readlink(one)) or "?"] += 1
    return kinds


def part(looks: Sequence[Look], first: float, last: float) -> Sequence[Look]:
    """The looks between two shares of the time, each from 0 to 1."""
    end = looks[-1].at
    return [one for one in looks if first * end <= one.at <= last * end]


def levels(looks: Sequence[Look], of: Callable[[Sequence[float]], float], windows: int = WINDOWS) -> list[float]:
    """The memory in each of so many equal parts of the time: the median `of` a part, say, or its least."""
    begin, end = looks[0].at, looks[-1].at
    width = (end - begin) / windows or 1.0
    parts: list[list[float]] = [[] for _ in range(windows)]
    for one in looks:
        parts[min(int((one.at - begin) / width), windows - 1)].append(one.rss)
    return [of(one) for one in parts if one]


def swing(looks: Sequence[Look], of: Callable[[Sequence[float]], float] = min) -> float:
    """How far the levels of the last half are apart, as a share of the least of them.

    What leaks is there in every moment, and raises the least of a part. The documents of one
    round of readers are not: whether they are there for a little more or less than half of the
    time would decide on the median.
    """
    found = levels(part(looks, 0.5, 1.0), of)
    return max(found) / min(found) - 1


def grown_descriptors(looks: Sequence[Look]) -> tuple[int, int]:
    """The least number of descriptors in the second quarter and in the last one.

    Readers come and go, but there is always a moment without them; a descriptor that is lost
    stays, and raises the least.
    """
    before, after = part(looks, 0.25, 0.5), part(looks, 0.75, 1.0)
    return min(one.descriptors for one in before), min(one.descriptors for one in after)


def sparkline(values: Sequence[float]) -> str:
    """The values as blocks, the least of them at the bottom and the greatest at the top."""
    least, span = min(values), max(values) - min(values) or 1.0
    return "".join(BLOCKS[int((one - least) / span * (len(BLOCKS) - 1))] for one in values)
