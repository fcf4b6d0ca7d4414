"""Smooth load: what a service or a host does over time, in closed form."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

PEAK = 1.7
"""The highest level of any load; the mean is 1, the lowest 0.3."""


@dataclass(frozen=True, slots=True)
class Load:
    """A level that swings around 1 and never reaches 0.

    `swing`, `pace` (radians a second) and `phase` of two sine waves. Being integrable it gives
    the same totals however often it is asked.
    """

    waves: tuple[tuple[float, float, float], ...]

    def level(self, at: float) -> float:
        """The level at this second."""
        return 1.0 + sum(swing * math.sin(pace * at + phase) for swing, pace, phase in self.waves)

    def total(self, at: float) -> float:
        """The level summed over time from second 0; grows with every second."""
        (swing, pace, phase), (swing2, pace2, phase2) = self.waves
        return (
            at
            + swing / pace * (math.cos(phase) - math.cos(pace * at + phase))
            + swing2 / pace2 * (math.cos(phase2) - math.cos(pace2 * at + phase2))
        )


def random_load(rng: random.Random) -> Load:
    """A slow wave of minutes to hours and a faster one upon it."""
    slow, fast = rng.uniform(600, 7200), rng.uniform(45, 300)
    turn = 2 * math.pi
    return Load(((0.5, turn / slow, rng.uniform(0, turn)), (PEAK - 1.5, turn / fast, rng.uniform(0, turn))))
