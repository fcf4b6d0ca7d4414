"""RRD files in gmetad's layout: which files a tree has, and what goes into each at a tick.

    <root>/__SummaryInfo__/<metric>.rrd               sum, num    the grid
    <root>/<cluster>/__SummaryInfo__/<metric>.rrd     sum, num    a pool
    <root>/<cluster>/<host>/<metric>.rrd              sum         a host, and the services on it
    <root>/<grid>/__SummaryInfo__/<metric>.rrd        sum, num    another collector's grid

Every value is the text that the XML shows. What is not in the tree gets nothing: its line
ends in a gap.
Source: Ganglia 3.7.2, gmetad's rrd_helpers as measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import compress, repeat

from sflow_gmetrics.config import RrdConfig
from sflow_gmetrics.names import safe_host
from sflow_gmetrics.snapshot import Snapshot

from .rrd_file import NewFile
from .rrd_queue import Update
from .tree import ClusterView, GridView, Line, Lines, Summary, grid_of

SUMMARY = "__SummaryInfo__"
HEARTBEATS = 8
"""A data source is unknown after so many steps without a value, as with gmetad."""
_FILE = re.compile(r"[A-Za-z0-9_@ -][A-Za-z0-9._@ -]{0,180}")
_SLOPES = {"positive": "COUNTER", "derivative": "DERIVE"}


@dataclass(frozen=True, slots=True)
class Profile:
    """How a kind of file is made: its data sources (name, type) and archives; `step` in seconds."""

    sources: tuple[tuple[str, str], ...]
    archives: tuple[str, ...]
    step: int

    @property
    def heartbeat(self) -> int:
        """Seconds without a value after which it is unknown."""
        return HEARTBEATS * self.step

    def __call__(self, path: str, start: int) -> NewFile:
        """A file of this kind whose first value is later than `start`."""
        return NewFile(path, start, self.step, self.heartbeat, self.sources, self.archives)

    @property
    def size(self) -> int:
        """The size of a file in bytes: a head for file, data sources and archives, then 8 bytes for each number."""
        rows = sum(int(archive.split(":")[3]) for archive in self.archives)
        count = len(self.sources)
        return 144 + 232 * count + (128 + 80 * count) * len(self.archives) + 8 * rows * count


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a row of numbers: which of the numbers have one, and for each of these its path and its kind."""

    wanted: tuple[bool, ...]
    paths: tuple[str, ...]
    kinds: tuple[Profile, ...]


class Layout:
    """The files of a configuration.

    What files a row of numbers has is worked out once, and kept while the row is there.
    """

    def __init__(self, config: RrdConfig) -> None:
        self.config = config
        self.root = config.root.rstrip("/") or "/"
        self._wanted = _filter(config)
        self._profiles: dict[tuple[bool, bool, str], Profile] = {}
        self._rows: dict[tuple[str, Lines], _Files] = {}
        self._rows_before: dict[tuple[str, Lines], _Files] = {}

    def updates(self, snapshot: Snapshot, tick: int) -> Iterator[Update]:
        """Everything that is to be stored at this tick: "12.34", or "12.34:3" for a sum over three hosts."""
        grid = grid_of(snapshot)
        levels = self.config.levels
        self._rows, self._rows_before = {}, self._rows
        for cluster in grid.clusters:
            if "host" in levels or "service" in levels:
                yield from self._cluster(cluster, tick)
            if "pool" in levels:
                yield from self._summary(f"{self.root}/{cluster.name}", cluster.summary(), tick)
        if "pool" in levels:
            for below in grid.grids:
                yield from self._summary(f"{self.root}/{below.name}", below.summary(), tick)
            yield from self._summary(self.root, grid.summary(), tick)

    def _cluster(self, cluster: ClusterView, tick: int) -> Iterator[Update]:
        for host, rows in cluster.rows():
            place = f"{self.root}/{cluster.name}/{safe_host(host.name)}"
            for lines, texts in rows:
                key = (place, lines)
                files = self._rows_before.get(key) or self._files(place, lines)
                self._rows[key] = files
                yield from map(Update, files.paths, repeat(tick), compress(texts, files.wanted), files.kinds)

    def _files(self, place: str, lines: Lines) -> _Files:
        levels = self.config.levels
        found = [
            self._path(place, line.name) if ("service" if line.service else "host") in levels else ""
            for line in lines.lines
        ]
        kinds = (self.profile(line, summary=False) for line in compress(lines.lines, found))
        return _Files(tuple(map(bool, found)), tuple(filter(None, found)), tuple(kinds))

    def _summary(self, place: str, summary: Summary, tick: int) -> Iterator[Update]:
        for name, one in summary.sums.items():
            path = self._path(f"{place}/{SUMMARY}", name)
            if path:
                yield Update(path, tick, f"{one.text}:{one.num}", self.profile(one.line, summary=True))

    def _path(self, place: str, metric: str) -> str:
        """The file of a metric; "" for one that is not wanted or whose name cannot be a file's."""
        return f"{place}/{metric}.rrd" if self._wanted(metric) and _FILE.fullmatch(metric) else ""

    def profile(self, line: Line, *, summary: bool) -> Profile:
        """The kind of file that a metric has."""
        key = (summary, line.service, line.slope)
        found = self._profiles.get(key)
        if found is None:
            kind = _SLOPES.get(line.slope, "GAUGE")
            sources = (("sum", kind), ("num", "GAUGE")) if summary else (("sum", kind),)
            archives = self.config.service_rra if line.service and not summary else self.config.rra
            found = self._profiles[key] = Profile(sources, archives, self.config.step)
        return found


def _filter(config: RrdConfig) -> Callable[[str], bool]:
    """Whether a metric gets files; remembered for each name."""
    include = [re.compile(pattern) for pattern in config.include]
    exclude = [re.compile(pattern) for pattern in config.exclude]
    if not include and not exclude:
        return lambda _name: True
    known: dict[str, bool] = {}

    def wanted(name: str) -> bool:
        found = known.get(name)
        if found is None:
            if len(known) > 1_000_000:
                known.clear()
            found = not include or any(one.fullmatch(name) for one in include)
            found = known[name] = found and not any(one.fullmatch(name) for one in exclude)
        return found

    return wanted


# --- how much it will be


@dataclass(frozen=True, slots=True)
class Need:
    """Files of one level and the bytes they take."""

    level: str
    files: int
    bytes: int


def needs(config: RrdConfig, hosts: int, services: int, grid: GridView) -> list[Need]:
    """What a fleet of `hosts` with `services` each will need on disk.

    `grid` is the tree of one host with one service, which says how many metrics those have.
    """
    layout = Layout(config)
    rows = [row for cluster in grid.clusters for _, found in cluster.rows() for row in found]
    lines = [line for one, _ in rows for line in one.lines]
    found = []
    for level, service, count in (("host", False, hosts), ("service", True, hosts * services)):
        if level in config.levels:
            mine = [line for line in lines if line.service is service and layout._wanted(line.name)]
            size = sum(layout.profile(line, summary=False).size for line in mine)
            found.append(Need(level, count * len(mine), count * size))
    if "pool" in config.levels:
        own = [line for line in lines if not line.service and layout._wanted(line.name)]
        theirs = [line for line in lines if line.service and layout._wanted(line.name)]
        files = 2 * (len(own) + services * len(theirs))  # each pool, here one, and the grid
        size = layout.profile((own or theirs)[0], summary=True).size if own or theirs else 0
        found.append(Need("pool", files, files * size))
    return found
