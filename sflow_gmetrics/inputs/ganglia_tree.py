"""The tree of a Ganglia document, built from the starts and ends of its elements.

What is wrong with one element costs this element and what is in it; it is counted in `skipped`.
Source: the DTD of Ganglia 3.7.2.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar, cast

from ..errors import InputError
from ..names import renamed, safe_host, safe_metric, safe_title
from ..remote import RemoteCluster, RemoteGrid, RemoteHost, RemoteMetric, RemoteSum, RemoteSummary
from .ganglia_elements import (
    Attributes,
    SkippedError,
    cluster_of,
    extra_of,
    grid_of,
    host_of,
    metric_of,
    sum_of,
    whole,
)

DEEPEST = 16
"""How far elements can be in each other; nine GRIDs in GRIDs."""
MOST_ELEMENTS = 10_000_000
LONGEST_ATTRIBUTE = 65_536
"""Characters."""

CHILDREN = {
    "GANGLIA_XML": ("GRID", "CLUSTER"),
    "GRID": ("CLUSTER", "GRID", "HOSTS", "METRICS"),
    "CLUSTER": ("HOST", "HOSTS", "METRICS"),
    "HOST": ("METRIC",),
    "METRIC": ("EXTRA_DATA",),
    "METRICS": ("EXTRA_DATA",),
    "EXTRA_DATA": ("EXTRA_ELEMENT",),
    "EXTRA_ELEMENT": (),
    "HOSTS": (),
}

Item = RemoteMetric | RemoteSum | RemoteHost | RemoteCluster | RemoteGrid
T = TypeVar("T", RemoteMetric, RemoteSum, RemoteHost, RemoteCluster, RemoteGrid)
Extras = tuple[tuple[str, str], ...]


class _Open:
    """An element that has begun, and its EXTRA_DATA."""

    __slots__ = ("extras", "item", "tag")

    def __init__(self, tag: str, item: RemoteMetric | RemoteSum | None = None) -> None:
        self.tag = tag
        self.item: Item | None = item
        self.extras: list[tuple[str, str]] = []


class _Group(_Open):
    """A HOST, CLUSTER or GRID, or the root, and what has been read in it. Of two with one name the later stays."""

    __slots__ = ("clusters", "down", "grids", "hosts", "metrics", "summed", "sums", "up")

    def __init__(self, tag: str, item: RemoteHost | RemoteCluster | RemoteGrid | None = None) -> None:
        super().__init__(tag)
        self.item = item
        self.metrics: dict[str, RemoteMetric] = {}
        self.hosts: dict[str, RemoteHost] = {}
        self.clusters: dict[str, RemoteCluster] = {}
        self.grids: dict[str, RemoteGrid] = {}
        self.sums: dict[str, RemoteSum] = {}
        self.summed = False
        self.up = self.down = 0

    def summary(self) -> RemoteSummary | None:
        """HOSTS and METRICS, None where there are none."""
        if not self.summed:
            return None
        return RemoteSummary(self.up, self.down, _named(self.sums, safe_metric))


_PLAIN = {tag: _Open(tag) for tag in ("EXTRA_DATA", "EXTRA_ELEMENT", "HOSTS")}
"""Elements that hold nothing of their own."""


class GangliaTree:
    """A target for an XML parser: takes `start` and `end` of elements, and has the root's children at the end.

    Raises InputError where the document as a whole cannot be trusted.
    """

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self.elements = 0
        self._depth = 0
        self._passing = 0
        self._open: list[_Open] = []
        self._extras: dict[Extras, Extras] = {}
        self._root = _Group("")

    def start(self, tag: str, attributes: Attributes) -> None:
        """An element begins."""
        self._depth += 1
        self.elements += 1
        if self._depth > DEEPEST:
            _refuse(f"its elements are more than {DEEPEST} deep in each other; do two collectors poll each other?")
        if self.elements > MOST_ELEMENTS:
            _refuse(f"it has more than {MOST_ELEMENTS} elements; poll its clusters one by one")
        for value in attributes.values():
            if len(value) > LONGEST_ATTRIBUTE:
                _refuse(f"an attribute is longer than {LONGEST_ATTRIBUTE} characters; mend the metric that has it")
        if self._passing:
            return
        if not self._open:
            self._begin(tag, attributes)
            return
        try:
            if tag not in CHILDREN[self._open[-1].tag]:
                raise SkippedError("an element where it does not belong")
            self._open.append(self._entered(tag, attributes))
        except SkippedError as error:
            self.skipped[str(error)] += 1
            self._passing = self._depth

    def end(self, tag: str) -> None:
        """An element ends."""
        self._depth -= 1
        if self._passing:
            if self._depth < self._passing:
                self._passing = 0
            return
        one = self._open.pop()
        if one.item is not None:
            self._leave(one, cast(_Group, self._open[-1]))

    def close(self) -> None:
        """The document ends. The parser calls it after an error as well."""

    def result(self) -> tuple[tuple[RemoteCluster, ...], tuple[RemoteGrid, ...]]:
        """The clusters and the grids that stand at the top."""
        return _named(self._root.clusters, safe_title), _named(self._root.grids, safe_title)

    def forget(self) -> None:
        """Let go of all that has been read."""
        self._root, self._open, self._extras = _Group(""), [], {}

    def _begin(self, tag: str, attributes: Attributes) -> None:
        if tag != "GANGLIA_XML":
            _refuse("it is XML, but not Ganglia's; name the port of a gmond or the xml_port of a gmetad")
        if "VERSION" not in attributes:
            _refuse("its GANGLIA_XML has no VERSION; name the port of a gmond or the xml_port of a gmetad")
        self._root = _Group(tag)
        self._open.append(self._root)

    def _entered(self, tag: str, attributes: Attributes) -> _Open:
        """The element that begins, if it can be used."""
        if tag == "EXTRA_ELEMENT":
            self._open[-2].extras.append(extra_of(attributes))
        elif tag == "METRIC":
            return _Open(tag, metric_of(attributes))
        elif tag == "HOST":
            return _Group(tag, host_of(attributes, cast(RemoteCluster, self._open[-1].item).localtime))
        elif tag == "METRICS":
            return _Open(tag, sum_of(attributes))
        elif tag == "CLUSTER":
            return _Group(tag, cluster_of(attributes))
        elif tag == "GRID":
            return _Group(tag, grid_of(attributes))
        elif tag == "HOSTS":
            parent = cast(_Group, self._open[-1])
            parent.up, parent.down = whole(attributes, "UP", tag), whole(attributes, "DOWN", tag)
            parent.summed = True
        return _PLAIN[tag]

    def _leave(self, one: _Open, parent: _Group) -> None:
        """Give what has been read to the element around it."""
        item = one.item
        if isinstance(item, RemoteMetric):
            parent.metrics[item.name] = item._replace(extras=self._shared(one.extras)) if one.extras else item
        elif isinstance(item, RemoteSum):
            parent.sums[item.name] = dataclasses.replace(item, extras=self._shared(one.extras))
            parent.summed = True
        else:
            self._leave_group(cast(_Group, one), parent)

    def _leave_group(self, one: _Group, parent: _Group) -> None:
        item = one.item
        if isinstance(item, RemoteHost):
            parent.hosts[item.name] = dataclasses.replace(item, metrics=_named(one.metrics, safe_metric))
        elif isinstance(item, RemoteCluster):
            hosts = _named(one.hosts, safe_host)
            parent.clusters[item.name] = dataclasses.replace(item, hosts=hosts, summary=one.summary())
        elif isinstance(item, RemoteGrid):
            parent.grids[item.name] = dataclasses.replace(
                item,
                clusters=_named(one.clusters, safe_title),
                grids=_named(one.grids, safe_title),
                summary=one.summary(),
            )

    def _shared(self, extras: Iterable[tuple[str, str]]) -> Extras:
        """Title, description and group of a metric are the same on every host: kept once."""
        pairs = tuple(extras)
        return self._extras.setdefault(pairs, pairs)


def _named(items: dict[str, T], rule: Callable[[str], str]) -> tuple[T, ...]:
    """The items under names that Ganglia can carry."""
    for raw, name in renamed(items, rule).items():
        items[raw] = _renamed(items[raw], name)
    return tuple(items.values())


def _renamed(item: T, name: str) -> T:
    if isinstance(item, RemoteMetric):
        return item._replace(name=name)
    return dataclasses.replace(item, name=name)


def _refuse(problem: str) -> NoReturn:
    raise InputError(f"the document is refused: {problem}")
