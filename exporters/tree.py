"""The tree that gmetad shows: a grid of clusters of hosts of metrics, ours and those of others.

Local clusters come from the snapshot's pools, remote ones from the documents of other
collectors; both look the same from here on. Sums are made of the printed values, as a
gmetad above would make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from sflow_gmetrics.remote import NUMERIC_TYPES, RemoteCluster, RemoteGrid, RemoteHost, RemoteMetric, RemoteSummary
from sflow_gmetrics.snapshot import Host, Snapshot

from . import gmond
from .ganglia import GangliaCluster, clusters_of, rows_of, safe_name, safe_value, switches_of


class Line(NamedTuple):
    """A metric of a host as it is printed. `service` says that it is one of a service, not the host's own."""

    name: str
    text: str
    type: str
    units: str
    slope: str
    title: str
    group: str
    service: bool

    @property
    def numeric(self) -> bool:
        """Whether it has sums and an RRD file."""
        return self.type in NUMERIC_TYPES


@dataclass(slots=True)
class Sum:
    """A metric summed over hosts. `line` is one of those summed, for what all have in common."""

    line: Line
    total: float = 0.0
    num: int = 0
    decimals: int = 0

    def add(self, total: float, num: int, decimals: int) -> None:
        """Take in more hosts."""
        self.total += total
        self.num += num
        self.decimals = max(self.decimals, decimals)

    @property
    def text(self) -> str:
        """The sum with as many decimals as its values have."""
        return f"{self.total:.{self.decimals}f}"


@dataclass(slots=True)
class Summary:
    """Hosts up and down, and the sums of their metrics by name."""

    up: int = 0
    down: int = 0
    sums: dict[str, Sum] = field(default_factory=dict)

    def count(self, hosts: Iterable[HostView]) -> None:
        """Take in the hosts: those that are down only as a number."""
        for host in hosts:
            if not host.up:
                self.down += 1
                continue
            self.up += 1
            for line in host.lines():
                if line.type in NUMERIC_TYPES:
                    self._add(line, float(line.text), 1, _decimals(line.text))

    def merge(self, other: Summary) -> None:
        """Take in another summary."""
        self.up += other.up
        self.down += other.down
        for one in other.sums.values():
            self._add(one.line, one.total, one.num, one.decimals)

    def _add(self, line: Line, total: float, num: int, decimals: int) -> None:
        found = self.sums.get(line.name)
        if found is None:
            found = self.sums[line.name] = Sum(line)
        found.add(total, num, decimals)


def _decimals(text: str) -> int:
    return len(text) - text.index(".") - 1 if "." in text else 0


class HostView(Protocol):
    """A host: its name, whether it is up, its HOST element's opening tag, and its metrics."""

    name: str
    up: bool

    def head(self) -> bytes:
        """The opening tag of its HOST element."""

    def body(self) -> bytes:
        """Its METRIC elements."""

    def lines(self) -> Iterator[Line]:
        """Its metrics one by one."""


class LocalHost:
    """A host of ours."""

    def __init__(
        self, name: str, host: Host, snapshot: Snapshot, switches: frozenset[str], writer: gmond.RowWriter
    ) -> None:
        self.name = name
        self.up = host.up
        self._host = host
        self._snapshot = snapshot
        self._switches = switches
        self._writer = writer

    def head(self) -> bytes:
        """The opening tag of its HOST element."""
        return gmond.render_host(self.name, self._host, self._snapshot)

    def body(self) -> bytes:
        """Its METRIC elements."""
        return b"".join(map(self._writer.write, rows_of(self._host, self._switches))) if self.up else b""

    def lines(self) -> Iterator[Line]:
        """Its metrics one by one."""
        if not self.up:
            return
        for row in rows_of(self._host, self._switches):
            prefix, caption = (f"{row.name}.", f"{row.name}: ") if row.name else ("", "")
            service = bool(row.name)
            for metric, value in zip(row.plan.metrics, row.plan.values(row.row), strict=True):
                if value is not None:
                    yield Line(
                        prefix + metric.name,
                        metric.format % value,
                        metric.type,
                        metric.units,
                        metric.slope,
                        caption + metric.title,
                        metric.group,
                        service,
                    )


class RemoteHostView:
    """A host of another collector, `age` seconds after it was read."""

    def __init__(self, host: RemoteHost, age: int) -> None:
        self.name = host.name
        self._host = host
        self._age = age
        tn = host.tn + age
        self.up = tn < 4 * host.tmax if host.tmax else tn < 60

    def head(self) -> bytes:
        """The opening tag of its HOST element."""
        host = self._host
        return (
            f'<HOST NAME="{safe_value(host.name)}" IP="{safe_value(host.ip)}" REPORTED="{host.reported}" '
            f'TN="{host.tn + self._age}" TMAX="{host.tmax}" DMAX="{host.dmax}" LOCATION="{safe_value(host.location)}" '
            f'GMOND_STARTED="{host.started}" TAGS="{safe_value(host.tags)}">\n'
        ).encode("ascii")

    def body(self) -> bytes:
        """Its METRIC elements."""
        return "".join([self._metric(metric) for metric in self._living()]).encode("ascii")

    def _living(self) -> Iterator[RemoteMetric]:
        for metric in self._host.metrics:
            if not metric.dmax or metric.tn + self._age <= metric.dmax:
                yield metric

    def _metric(self, metric: RemoteMetric) -> str:
        extras = "".join(
            f'<EXTRA_ELEMENT NAME="{safe_value(name)}" VAL="{safe_value(value)}"/>\n' for name, value in metric.extras
        )
        return (
            f'<METRIC NAME="{safe_value(metric.name)}" VAL="{safe_value(metric.val)}" TYPE="{metric.type}" '
            f'UNITS="{safe_value(metric.units)}" TN="{metric.tn + self._age}" TMAX="{metric.tmax}" '
            f'DMAX="{metric.dmax}" SLOPE="{metric.slope}">\n<EXTRA_DATA>\n{extras}</EXTRA_DATA>\n</METRIC>\n'
        )

    def lines(self) -> Iterator[Line]:
        """Its metrics one by one."""
        if self.up:
            for metric in self._living():
                extras = dict(metric.extras)
                title, group = extras.get("TITLE", metric.name), extras.get("GROUP", "")
                yield Line(metric.name, metric.val, metric.type, metric.units, metric.slope, title, group, False)


class ClusterView:
    """A cluster: the opening tag's attributes, its hosts, and their summary (made once)."""

    def __init__(
        self, name: str, attributes: str, hosts: list[HostView], localtime: int, given: RemoteSummary | None = None
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.hosts = hosts
        self.localtime = localtime
        self._given = given
        self._summary: Summary | None = None

    def host(self, name: str) -> HostView | None:
        """The host of this name."""
        return next((host for host in self.hosts if host.name == name), None)

    def summary(self) -> Summary:
        """Hosts and sums."""
        if self._summary is None:
            summary = _given_summary(self._given)
            summary.count(self.hosts)
            self._summary = summary  # only now: other threads may ask meanwhile
        return self._summary


class GridView:
    """A grid: its clusters, the grids below it, and their summary (made once)."""

    def __init__(
        self,
        name: str,
        authority: str,
        localtime: int,
        clusters: list[ClusterView],
        grids: list[GridView],
        given: RemoteSummary | None = None,
    ) -> None:
        self.name = name
        self.authority = authority
        self.localtime = localtime
        self.clusters = clusters
        self.grids = grids
        self._given = given
        self._summary: Summary | None = None

    def summary(self) -> Summary:
        """Hosts and sums of everything below."""
        if self._summary is None:
            summary = _given_summary(self._given)
            for cluster in self.clusters:
                summary.merge(cluster.summary())
            for grid in self.grids:
                summary.merge(grid.summary())
            self._summary = summary
        return self._summary


def _given_summary(given: RemoteSummary | None) -> Summary:
    if given is None:
        return Summary()
    summary = Summary(given.up, given.down)
    for one in given.sums:
        extras = dict(one.extras)
        line = Line(
            one.name,
            f"{one.sum:.{one.decimals}f}",
            one.type,
            one.units,
            one.slope,
            extras.get("TITLE", one.name),
            extras.get("GROUP", ""),
            False,
        )
        summary.sums[one.name] = Sum(line, one.sum, one.num, one.decimals)
    return summary


# --- the whole tree


@lru_cache(maxsize=1)
def grid_of(snapshot: Snapshot) -> GridView:
    """Our grid: the pools and what other collectors have, each cluster and grid under a name of its own.

    Those who ask about one snapshot share the view, and with it the sums.
    """
    switches = switches_of(snapshot)
    gmetad = snapshot.config.gmetad
    writer = gmond.RowWriter(snapshot.time)
    clusters = [_local(cluster, snapshot, switches, writer) for cluster in _worth_showing(snapshot)]
    grids: list[GridView] = []
    used = {cluster.name for cluster in clusters}
    for remote in snapshot.remotes:
        age = max(int(snapshot.time - remote.fetched), 0)
        clusters += [_remote(one, _name(one.name, remote.name, used), age) for one in remote.clusters]
        grids += [_remote_grid(one, _name(one.name, remote.name, used), age) for one in remote.grids]
    return GridView(safe_value(gmetad.grid), safe_value(gmetad.authority), int(snapshot.time), clusters, grids)


def _worth_showing(snapshot: Snapshot) -> list[GangliaCluster]:
    """The pools; a collector that has no agents of its own shows no empty cluster beside those of others."""
    clusters = clusters_of(snapshot)
    if snapshot.remotes:
        return [cluster for cluster in clusters if cluster.hosts]
    return clusters


def _name(name: str, source: str, used: set[str]) -> str:
    """The name, with that of its source behind it where another cluster or grid has it already."""
    name = " ".join(safe_name(word) for word in name.split(" ") if word) or "_"
    if name in used:
        name = f"{name}-{safe_name(source)}"
    while name in used:
        name += "_"
    used.add(name)
    return name


def _local(
    cluster: GangliaCluster, snapshot: Snapshot, switches: frozenset[str], writer: gmond.RowWriter
) -> ClusterView:
    hosts: list[HostView] = [LocalHost(name, host, snapshot, switches, writer) for name, host in cluster.hosts]
    return ClusterView(safe_value(cluster.name), gmond.cluster_attributes(snapshot), hosts, int(snapshot.time))


def _remote(cluster: RemoteCluster, name: str, age: int) -> ClusterView:
    attributes = (
        f'LOCALTIME="{cluster.localtime}" OWNER="{safe_value(cluster.owner)}" '
        f'LATLONG="{safe_value(cluster.latlong)}" URL="{safe_value(cluster.url)}"'
    )
    hosts: list[HostView] = [RemoteHostView(host, age) for host in cluster.hosts]
    return ClusterView(name, attributes, hosts, cluster.localtime, cluster.summary)


def _remote_grid(grid: RemoteGrid, name: str, age: int) -> GridView:
    clusters = [_remote(cluster, cluster.name, age) for cluster in grid.clusters]
    grids = [_remote_grid(inner, inner.name, age) for inner in grid.grids]
    return GridView(name, safe_value(grid.authority), grid.localtime, clusters, grids, grid.summary)
