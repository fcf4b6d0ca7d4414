"""One Host sFlow agent: a host, its data sources, and what it has lost."""

from __future__ import annotations

from operator import add

from .datagram import SAMPLE_TYPES
from .source import Source
from .stream import Stream

SAMPLES = (*sorted(set(SAMPLE_TYPES.values())), "unknown")
"""What samples are, as they are counted."""
RESETS = ("wrap", "restart", "decrease", "gap", "invalid")


class Agent:
    """An agent by its announced address: the identity of a host.

    `name` is the host name that it announced ("" until its host sample came), `sources` its
    data sources by class and index as 8 bytes, `departed` what merged services keep of
    members that have gone (see `Ledger`).
    """

    def __init__(self, address: str, now: float) -> None:
        self.address = address
        self.name = ""
        self.pool = ""
        self.first_heard = now
        self.streams: dict[int, Stream] = {}
        self.streams_before = [0, 0, 0, 0]
        """The counts of streams that have been forgotten."""
        self.keys: set[bytes] = set()
        """By which its streams are found; each ends with the number of the sub-agent."""
        self.conflicts = 0
        """How many datagrams another machine has sent that announces the same address."""
        self.rival = ""
        self.looked = 0.0
        """What that machine calls itself, and when it was looked for."""
        self.sources: dict[bytes, Source] = {}
        self.host: Source | None = None
        self.interval = 0.0
        self.born = 0.0
        """When the host booted, as it said first; 0 while it has not. Then all its counters were 0."""
        self.samples = dict.fromkeys(SAMPLES, 0)
        self.oldest = 0.0
        """When the source that had been silent longest was alive, as it was last looked at: others are younger."""
        self.tidied = 0.0
        """When it was last looked for sources to forget because there were too many."""
        self.samples_lost = self.samples_restarted = 0
        self.resets = dict.fromkeys(RESETS, 0)
        self.memory = 0
        """About how many bytes it takes, with its sources."""
        self.named = self.folded = 0
        """How many services have a name of their own, and how many are folded into one."""
        self.departed: dict[str, dict[tuple[str, str], int]] = {}
        self.moved = 0
        """The version of the ledger when work of its sources went there last."""
        self._cpus = 0

    @property
    def cpus(self) -> int:
        """How many CPUs the host has; 0 while it is not known."""
        return self._cpus

    @cpus.setter
    def cpus(self, cpus: int) -> None:
        if cpus != self._cpus:
            self._cpus = cpus
            self.forget_allowances()

    def forget_allowances(self) -> None:
        """Send the next sample of every source over the careful path (the bounds have changed)."""
        for stream in self.streams.values():
            stream.disband()
        for source in self.sources.values():
            source.forget_allowance()

    def settle(self) -> None:
        """Let the sources know what has come in convoys."""
        for stream in self.streams.values():
            for convoy in list(stream.convoys.values()):
                convoy.settle()

    def add_counts(self, samples: dict[str, int], resets: dict[str, int]) -> None:
        """Add to these what it has counted."""
        for sums, counts in ((samples, self.samples), (resets, self.resets)):
            for kind, count in counts.items():
                sums[kind] += count

    def stream_of(self, epoch: int) -> Stream | None:
        """The stream that is in this epoch; None where it has begun another since, or is another machine's."""
        return next((one for one in self.streams.values() if one.epoch == epoch and not one.foreign), None)

    def forget_streams(self, before: float) -> list[bytes]:
        """Drop the sub-agents that have been silent since then and have no sources any more; returns their keys.

        Some agents speak as another one after each restart. Where nobody has been heard, all stay.
        """
        silent = {n for n, stream in self.streams.items() if max(stream.last_heard, stream.suspected) <= before}
        if not silent or self.last_heard <= before:
            return []
        in_use = {source.epoch for source in self.sources.values()}
        gone = {number for number in silent if self.streams[number].epoch not in in_use}
        for number in gone:
            self.streams[number].disband()
            self.streams_before = list(map(add, self.streams_before, self.streams.pop(number).counts))
        keys = [key for key in self.keys if int.from_bytes(key[-4:]) in gone]
        self.keys.difference_update(keys)
        return keys

    @property
    def stream_counts(self) -> list[int]:
        """How many datagrams have come, were lost, came late or twice; and how often a stream began anew."""
        counts = [stream.counts for stream in self.streams.values()]
        return list(map(sum, zip(self.streams_before, *counts, strict=True)))

    @property
    def last_heard(self) -> float:
        """When the newest datagram of the agent came, in seconds since the epoch; one that is a suspect yet counts."""
        return max((stream.last_heard for stream in self.streams.values()), default=self.first_heard)

    @property
    def started(self) -> float:
        """When the agent last started, in seconds since the epoch."""
        return max((stream.started for stream in self.streams.values()), default=self.first_heard)
