"""Forgets in time what is gone, but nothing that only could not be heard."""

from __future__ import annotations

from .collector import Collector

LEAP = 60.0
"""Seconds between two looks from which on a clock has leapt, or the machine has stood still."""
MERCY = 300.0
"""For how many seconds nothing is then forgotten."""


class Sweeper:
    """Looks after what is gone at `sweep`, which is to be called often; `now` is when it was called last."""

    def __init__(self, now: float | None = None) -> None:
        self.now = now

    def sweep(self, collector: Collector, now: float) -> None:
        """Forget what is gone. After a leap of the clock, or a standstill of ours, everybody has time to be heard."""
        if self.now is not None and not -LEAP < now - self.now < LEAP:
            collector.spared_until = now + MERCY
        self.now = now
        collector.sweep(now)
