"""How large a soak is, and what befalls its fleet."""

from __future__ import annotations

from dataclasses import dataclass, field

from sflow_gmetrics.simulation import Churn

POLL = 5.0
"""Seconds between two rounds of those who poll: gmetad, Prometheus, our own readers, the sources."""
AUDITS = 20
"""How often the pools are held against the ledger in one soak."""


@dataclass(frozen=True)
class Plan:
    """A soak.

    `interval` is the agents' polling interval and `forget_after` that of the collector, in
    seconds. With an `outage` shorter and longer than `forget_after`, hosts return both while
    they are remembered and when they are not. `series` is [services] series: it makes room for
    the names of a twentieth as many services that are gone.

    What the collector remembers follows the fleet. That must vary by less than memory may, or a
    soak shows chance: so hosts come and go hundreds of times, but of many, few are away at once.
    """

    minutes: float = 60.0
    hosts: int = 36
    services: int = 12
    interval: float = 3.0
    forget_after: float = 30.0
    series: int = 9_000
    churn: Churn = field(default_factory=lambda: Churn(restarts=20, failures=4, outage=40, renewals=2))
    seed: int = 1

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.minutes * 60


def short(minutes: float = 1.0) -> Plan:
    """A soak so short that all must happen at once."""
    churn = Churn(restarts=120, failures=60, outage=10, renewals=60)
    return Plan(minutes, hosts=8, services=6, interval=2.0, forget_after=8.0, series=1_500, churn=churn)
