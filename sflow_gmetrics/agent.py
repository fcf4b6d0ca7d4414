"""One Host sFlow agent: a host, its data sources, and what it has lost."""

from __future__ import annotations

from typing import Any

from .datagram import SAMPLE_TYPES
from .layout import Form
from .source import Source
from .stream import Stream

SAMPLES = (*sorted(set(SAMPLE_TYPES.values())), "unknown")
"""What samples are, as they are counted."""
RESETS = ("wrap", "restart", "decrease", "gap", "invalid")


class Agent:
    """An agent by its announced address: the identity of a host.

    `name` is the host name that it announced ("" until its host sample came), `sources` its
    data sources by class and index as 8 bytes, `departed` what merged services keep of
    members that have been forgotten.
    """

    def __init__(self, address: str, now: float) -> None:
        self.address = address
        self.name = ""
        self.pool = ""
        self.first_heard = self.last_heard = now
        self.streams: dict[int, Stream] = {}
        self.sources: dict[bytes, Source] = {}
        self.host: Source | None = None
        self.interval = 0.0
        self.born = 0.0
        """When the host booted, as it said first; 0 while it has not. Then all its counters were 0."""
        self.samples = dict.fromkeys(SAMPLES, 0)
        self.tidied = 0.0
        """When it was last looked for sources to forget because there were too many."""
        self.samples_lost = self.samples_restarted = 0
        self.resets = dict.fromkeys(RESETS, 0)
        self.named = self.folded = 0
        """How many services have a name of their own, and how many are folded into one."""
        self.departed: dict[str, dict[tuple[str, str], int]] = {}
        self._cpus = 0
        self._allowances: dict[tuple[Any, ...], list[float]] = {}

    @property
    def cpus(self) -> int:
        """How many CPUs the host has; 0 while it is not known."""
        return self._cpus

    @cpus.setter
    def cpus(self, cpus: int) -> None:
        if cpus != self._cpus:
            self._cpus = cpus
            self._allowances.clear()
            for source in self.sources.values():
                source.forget_allowance()

    def has_restarted_since(self, epoch: int) -> bool:
        """Whether the stream that was in this epoch has begun another; else another sub-agent speaks."""
        return all(stream.epoch != epoch for stream in self.streams.values())

    def allowances(self, form: Form, elapsed: float) -> list[float]:
        """Form.allowances for this host, shared by the sources that need the same."""
        key = (id(form), elapsed)
        found = self._allowances.get(key)
        if found is None:
            if len(self._allowances) > 100:
                self._allowances.clear()
            found = self._allowances[key] = form.allowances(elapsed, self._cpus)
        return found

    @property
    def started(self) -> float:
        """When the agent last started, in seconds since the epoch."""
        return max((stream.started for stream in self.streams.values()), default=self.first_heard)
