"""What has been read from other collectors: their grids, clusters and hosts as values.

A reader of XML makes them, an exporter shows them beside our own.
Source: the DTD of Ganglia 3.7.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

NUMERIC_TYPES = frozenset(("int8", "uint8", "int16", "uint16", "int32", "uint32", "float", "double"))


class RemoteMetric(NamedTuple):
    """A METRIC: attributes as text, `extras` the (name, value) pairs of its EXTRA_DATA in their order."""

    name: str
    val: str
    type: str
    units: str = ""
    tn: int = 0
    tmax: int = 60
    dmax: int = 0
    slope: str = "both"
    source: str = "gmond"
    extras: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteHost:
    """A HOST. Times in seconds; `tn` is how long ago it was heard when the document was made."""

    name: str
    ip: str
    reported: int
    tn: int
    tmax: int
    dmax: int = 0
    location: str = "unspecified"
    started: int = 0
    tags: str = ""
    metrics: tuple[RemoteMetric, ...] = ()

    @property
    def up(self) -> bool:
        """As gmetad judges: heard within four TMAX."""
        return self.tn < 4 * self.tmax if self.tmax else self.tn < 60


@dataclass(frozen=True, slots=True)
class RemoteSum:
    """A METRICS element: the sum of a metric over `num` hosts."""

    name: str
    sum: float
    num: int
    type: str
    units: str = ""
    slope: str = "both"
    decimals: int = 2
    extras: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteSummary:
    """HOSTS and METRICS elements of a cluster or grid that gives no detail."""

    up: int = 0
    down: int = 0
    sums: tuple[RemoteSum, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteCluster:
    """A CLUSTER with its hosts, or with a summary only."""

    name: str
    localtime: int
    owner: str = "unspecified"
    latlong: str = "unspecified"
    url: str = "unspecified"
    hosts: tuple[RemoteHost, ...] = ()
    summary: RemoteSummary | None = None


@dataclass(frozen=True, slots=True)
class RemoteGrid:
    """A GRID with clusters and grids in it, or with a summary only."""

    name: str
    authority: str
    localtime: int
    clusters: tuple[RemoteCluster, ...] = ()
    grids: tuple[RemoteGrid, ...] = ()
    summary: RemoteSummary | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """The newest good document of one source, and how its polling goes.

    `fetched` is when it came (seconds since the epoch, 0: never), `error` what is wrong now ("" nothing).
    """

    name: str
    fetched: float = 0.0
    duration: float = 0.0
    error: str = ""
    address: str = ""
    clusters: tuple[RemoteCluster, ...] = field(default=())
    grids: tuple[RemoteGrid, ...] = field(default=())
