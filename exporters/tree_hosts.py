"""The hosts of the tree that gmetad shows: ours from a snapshot, those of others from their documents.

Both give their XML in pieces, and their numbers in rows: a row's metrics are described by one
`Lines` object that stays the same as long as they are the same, so that whoever sums or stores
the numbers can work out once what to do with each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from sflow_gmetrics.remote import NUMERIC_TYPES, RemoteHost, RemoteMetric
from sflow_gmetrics.snapshot import Host, Snapshot

from . import gmond
from .ganglia import Plan, rows_of, safe_value

_HOLE = "\1"
FORGET = 60.0
"""For how many seconds at least it is remembered what the numbers of a row are, when nobody asks for it."""


class Line(NamedTuple):
    """A number that a host shows, without its value. `service` says that it is one of a service, not the host's own."""

    name: str
    units: str
    slope: str
    title: str
    group: str
    decimals: int
    service: bool


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """What the numbers of a row are."""

    lines: tuple[Line, ...]


Row = tuple[Lines, Sequence[str]]
"""What the numbers are, and each of them as it is printed."""


class HostView(Protocol):
    """A host: its name, whether it is up, its HOST element's opening tag, and its metrics."""

    name: str
    up: bool

    def head(self) -> bytes:
        """The opening tag of its HOST element."""

    def body(self) -> Iterable[bytes]:
        """Its METRIC elements, in pieces."""

    def rows(self) -> Iterable[Row]:
        """Its numbers, those that have sums and RRD files; none while it is down."""


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

    def body(self) -> Iterable[bytes]:
        """Its METRIC elements, in pieces."""
        return map(self._writer.write, rows_of(self._host, self._switches)) if self.up else ()

    def rows(self) -> Iterator[Row]:
        """Its numbers."""
        for name, row, plan in rows_of(self._host, self._switches) if self.up else ():
            values = _numeric(plan).values(row)
            shown: tuple[bool, ...] = ()
            if None in values:
                shown = tuple([value is not None for value in values])
                values = [value for value in values if value is not None]
            if values:
                lines, formats = _shapes.of((plan, shown, name), self._snapshot.time)
                yield lines, (formats % tuple(values)).split(_HOLE)


@lru_cache(1000)
def _numeric(plan: Plan) -> Plan:
    """The part of a plan that gives numbers."""
    pairs = [pair for pair in zip(plan.metrics, plan.operators, strict=True) if pair[0].type in NUMERIC_TYPES]
    return Plan(tuple(metric for metric, _ in pairs), tuple(operator for _, operator in pairs))


_Key = tuple[Plan, tuple[bool, ...], str]
_Shape = tuple[Lines, str]


class _Shapes:
    """What the rows of the last minutes are, by what that depends on. Names of services come and go for years."""

    def __init__(self) -> None:
        self._new: dict[_Key, _Shape] = {}
        self._old: dict[_Key, _Shape] = {}
        self._since = 0.0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._new.keys() | self._old.keys())

    def of(self, key: _Key, now: float) -> _Shape:
        """What rows are that have been asked for now, in seconds since the epoch."""
        if not 0 <= now - self._since < FORGET:
            self._new, self._old, self._since = {}, self._new, now
        found = self._new.get(key)
        if found is None:
            found = self._new[key] = self._old.get(key) or _shape(*key)
        return found


_shapes = _Shapes()


def _shape(plan: Plan, shown: tuple[bool, ...], name: str) -> _Shape:
    """What the numbers of rows of this plan and name are (`shown`: which are known; empty: all), and their formats."""
    metrics = [one for index, one in enumerate(_numeric(plan).metrics) if not shown or shown[index]]
    prefix, caption = (f"{name}.", f"{name}: ") if name else ("", "")
    lines = tuple(
        Line(
            prefix + one.name,
            one.units,
            one.slope,
            caption + one.title,
            one.group,
            _decimals(one.format % 1),
            bool(name),
        )
        for one in metrics
    )
    return Lines(lines), _HOLE.join(one.format for one in metrics)


class Age(NamedTuple):
    """How long ago a document was read, and by how much it is overdue, in seconds.

    `stale`: that is too long ago to believe that anything is up.
    """

    seconds: int
    overdue: int
    stale: bool


class RemoteHostView:
    """A host of another collector, some time after it was read.

    Whether it is up, and which metrics it has, is as it was in the document until the next one is
    overdue; from then on they age. TN goes on as far as whoever reads it comes to the same end.
    """

    def __init__(self, host: RemoteHost, age: Age) -> None:
        self.name = host.name
        self._host = host
        self._age = age
        self._tn = host.tn + age.seconds
        patience = 4 * host.tmax or 60
        self.up = not age.stale and host.tn + age.overdue < patience
        if self.up:
            self._tn = min(self._tn, patience - 1)
        elif age.stale and host.tmax:
            self._tn = max(self._tn, patience + 1)

    def head(self) -> bytes:
        """The opening tag of its HOST element."""
        host = self._host
        return (
            f'<HOST NAME="{safe_value(host.name)}" IP="{safe_value(host.ip)}" REPORTED="{host.reported}" '
            f'TN="{self._tn}" TMAX="{host.tmax}" DMAX="{host.dmax}" LOCATION="{safe_value(host.location)}" '
            f'GMOND_STARTED="{host.started}" TAGS="{safe_value(host.tags)}">\n'
        ).encode("ascii")

    def body(self) -> Iterable[bytes]:
        """Its METRIC elements, in pieces."""
        return [self._metric(metric).encode("ascii") for metric in self._living()]

    def _living(self) -> Iterator[RemoteMetric]:
        for metric in self._host.metrics:
            if not metric.dmax or metric.tn + self._age.overdue <= metric.dmax:
                yield metric

    def _metric(self, metric: RemoteMetric) -> str:
        extras = "".join(
            f'<EXTRA_ELEMENT NAME="{safe_value(name)}" VAL="{safe_value(value)}"/>\n' for name, value in metric.extras
        )
        tn = metric.tn + self._age.seconds
        if metric.dmax:
            tn = min(tn, metric.dmax)
        return (
            f'<METRIC NAME="{safe_value(metric.name)}" VAL="{safe_value(metric.val)}" TYPE="{metric.type}" '
            f'UNITS="{safe_value(metric.units)}" TN="{tn}" TMAX="{metric.tmax}" '
            f'DMAX="{metric.dmax}" SLOPE="{metric.slope}">\n<EXTRA_DATA>\n{extras}</EXTRA_DATA>\n</METRIC>\n'
        )

    def rows(self) -> Iterator[Row]:
        """Its numbers, in one row."""
        if self.up:
            metrics = [metric for metric in self._living() if metric.type in NUMERIC_TYPES]
            yield Lines(tuple(map(_remote_line, metrics))), [metric.val for metric in metrics]


def _remote_line(metric: RemoteMetric) -> Line:
    extras = dict(metric.extras)
    title, group = extras.get("TITLE", metric.name), extras.get("GROUP", "")
    return Line(metric.name, metric.units, metric.slope, title, group, _decimals(metric.val), False)


def _decimals(text: str) -> int:
    """How many digits stand after the point."""
    return len(text.lower().partition("e")[0].partition(".")[2])
