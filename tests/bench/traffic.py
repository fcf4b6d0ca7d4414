"""What the benchmarks are fed with: a simulated fleet, in rounds in which every source sends once."""

from __future__ import annotations

from collections.abc import Iterator

from sflow_gmetrics import Collector, Config, Snapshot
from sflow_gmetrics.simulation import Fleet

START = 1_700_000_000.0
INTERVAL = 20.0


def rounds(hosts: int, services: int, interval: float) -> Iterator[list[tuple[float, bytes]]]:
    """The datagrams of each round with their times, in seconds from the start of the first."""
    fleet = Fleet(hosts, services, interval)
    end = interval
    while True:
        yield list(fleet.datagrams(end - 1e-6))
        end += interval


class Site:
    """A collector in this process, and the fleet that it hears."""

    def __init__(self, hosts: int, services: int) -> None:
        self.collector = Collector(Config())
        self._rounds = rounds(hosts, services, INTERVAL)
        self._now = START
        for _ in range(2):
            self.next()

    def next(self) -> None:
        """Every source sends once."""
        for at, payload in next(self._rounds):
            self._now = START + at
            self.collector.receive(payload, self._now)

    def snapshot(self) -> Snapshot:
        """The state after the last datagram."""
        return self.collector.snapshot(self._now)
