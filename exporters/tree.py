"""The tree that gmetad shows: a grid of clusters of hosts of metrics, ours and those of others.

Local clusters come from the snapshot's pools, remote ones from the documents of other
collectors; both look the same from here on. Sums are made of the printed values, as a
gmetad above would make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from sflow_gmetrics.config import SourceConfig
from sflow_gmetrics.names import safe_title
from sflow_gmetrics.remote import Remote, RemoteCluster, RemoteGrid, RemoteSummary
from sflow_gmetrics.snapshot import Snapshot

from . import gmond
from .ganglia import GangliaCluster, clusters_of, safe_value, switches_of
from .tree_hosts import Age, HostView, Line, Lines, LocalHost, RemoteHostView, Row

__all__ = ["ClusterView", "GridView", "HostView", "Line", "Lines", "Sum", "Summary", "grid_of"]

PATIENCE = 4
"""After so many intervals without a good document, all hosts of a source are down."""
_INTERVAL = SourceConfig("", ()).interval


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

    def count(self, rows: Iterable[Row]) -> None:
        """Take in the numbers of hosts."""
        by_lines: dict[Lines, list[Sequence[str]]] = {}
        for lines, texts in rows:
            by_lines.setdefault(lines, []).append(texts)
        for lines, found in by_lines.items():
            for line, column in zip(lines.lines, zip(*found, strict=True), strict=True):
                self._add(line, sum(map(float, column)), len(column), line.decimals)

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


class ClusterView:
    """A cluster: the opening tag's attributes, its hosts, and their summary (made once).

    `given` is the summary of a cluster that has told nothing else.
    """

    def __init__(
        self, name: str, attributes: str, hosts: list[HostView], localtime: int, given: Summary | None = None
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.hosts = hosts
        self.localtime = localtime
        self._summary = None if hosts else given

    def host(self, name: str) -> HostView | None:
        """The host of this name."""
        return next((host for host in self.hosts if host.name == name), None)

    def rows(self) -> list[tuple[HostView, list[Row]]]:
        """The numbers of each host that is up; the summary is made of them on the way."""
        rows = [(host, list(host.rows())) for host in self.hosts if host.up]
        if self._summary is None:
            summary = Summary(len(rows), len(self.hosts) - len(rows))
            summary.count(row for _, found in rows for row in found)
            self._summary = summary  # only now: other threads may ask meanwhile
        return rows

    def summary(self) -> Summary:
        """Hosts and sums."""
        if self._summary is None:
            self.rows()
            assert self._summary is not None
        return self._summary


class GridView:
    """A grid: its clusters, the grids below it, and their summary (made once).

    `given` is the summary of a grid that has told nothing else.
    """

    def __init__(
        self,
        name: str,
        authority: str,
        localtime: int,
        clusters: list[ClusterView],
        grids: list[GridView],
        given: Summary | None = None,
    ) -> None:
        self.name = name
        self.authority = authority
        self.localtime = localtime
        self.clusters = clusters
        self.grids = grids
        self._summary = None if clusters or grids else given

    def summary(self) -> Summary:
        """Hosts and sums of everything below."""
        if self._summary is None:
            summary = Summary()
            for cluster in self.clusters:
                summary.merge(cluster.summary())
            for grid in self.grids:
                summary.merge(grid.summary())
            self._summary = summary
        return self._summary


def _given(given: RemoteSummary | None, age: Age) -> Summary | None:
    if given is None:
        return None
    if age.stale:
        return Summary(0, given.up + given.down)
    summary = Summary(given.up, given.down)
    for one in given.sums:
        extras = dict(one.extras)
        title, group = extras.get("TITLE", one.name), extras.get("GROUP", "")
        line = Line(one.name, one.units, one.slope, title, group, one.decimals, False)
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
    used = {snapshot.config.gmond.cluster, *(pool.name for pool in snapshot.config.pools)}  # also while they are empty
    for remote in snapshot.remotes:
        age = _age(remote, snapshot)
        clusters += [_remote(one, _name(one.name, remote.name, used), age) for one in remote.clusters]
        grids += [_remote_grid(one, _name(one.name, remote.name, used), age) for one in remote.grids]
    return GridView(safe_value(gmetad.grid), safe_value(gmetad.authority), int(snapshot.time), clusters, grids)


def _age(remote: Remote, snapshot: Snapshot) -> Age:
    intervals = {source.name: source.interval for source in snapshot.config.gmetad.sources}
    interval = intervals.get(remote.name, _INTERVAL)
    seconds = max(snapshot.time - remote.fetched, 0.0)
    return Age(int(seconds), max(int(seconds - interval), 0), seconds > PATIENCE * interval)


def _worth_showing(snapshot: Snapshot) -> list[GangliaCluster]:
    """The pools; a collector that has no agents of its own shows no empty cluster beside those of others."""
    clusters = clusters_of(snapshot)
    if snapshot.remotes:
        return [cluster for cluster in clusters if cluster.hosts]
    return clusters


def _name(name: str, source: str, used: set[str]) -> str:
    """The name, with that of its source behind it where another cluster or grid has it already."""
    name = safe_title(name)
    if name in used:
        name = f"{name}-{safe_title(source)}"
    while name in used:
        name += "_"
    used.add(name)
    return name


def _local(
    cluster: GangliaCluster, snapshot: Snapshot, switches: frozenset[str], writer: gmond.RowWriter
) -> ClusterView:
    hosts: list[HostView] = [LocalHost(name, host, snapshot, switches, writer) for name, host in cluster.hosts]
    return ClusterView(safe_value(cluster.name), gmond.cluster_attributes(snapshot), hosts, int(snapshot.time))


def _remote(cluster: RemoteCluster, name: str, age: Age) -> ClusterView:
    attributes = (
        f'LOCALTIME="{cluster.localtime}" OWNER="{safe_value(cluster.owner)}" '
        f'LATLONG="{safe_value(cluster.latlong)}" URL="{safe_value(cluster.url)}"'
    )
    hosts: list[HostView] = [RemoteHostView(host, age) for host in cluster.hosts]
    return ClusterView(name, attributes, hosts, cluster.localtime, _given(cluster.summary, age))


def _remote_grid(grid: RemoteGrid, name: str, age: Age) -> GridView:
    clusters = [_remote(cluster, cluster.name, age) for cluster in grid.clusters]
    grids = [_remote_grid(inner, inner.name, age) for inner in grid.grids]
    return GridView(name, safe_value(grid.authority), grid.localtime, clusters, grids, _given(grid.summary, age))
