"""What a store is to be sent of a snapshot: every sample that is new, and an end for each series that has ended.

A sample is new when its source has sent again, and carries the time at which it came; what has
no source of its own (sums, counts, the collector itself) is of the snapshot's time. A series
that is in the snapshot no longer gets one stale marker, so that queries forget it at once.
Source: Prometheus remote write 1.0 specification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client import Metric

from sflow_gmetrics.config import RemoteWriteConfig
from sflow_gmetrics.config_check import unknown_key
from sflow_gmetrics.errors import ConfigError
from sflow_gmetrics.snapshot import Snapshot
from sflow_gmetrics.structures import COUNTER_RECORDS

from . import families as f
from .selection import Selection
from .sink import Description, Number, Samples, Sink, Timed
from .walk import write
from .write_request import STALE, encode_label, encode_series, encode_time, encode_value

UP = Description("up", "gauge", "Always 1, as Prometheus has it of a target that answers.")

Pieces = tuple[bytes, ...]
"""The encoded labels of one row, in the order of their names."""


class Rows(list[Pieces]):
    """The labels of many rows: their names, the values they were made of, and when each row was heard last.

    `new` are the places of the rows that were heard since the walk before, and the encoded times.
    """

    def __init__(self, names: tuple[str, ...], values: Sequence[tuple[str, ...]], pieces: Iterable[Pieces]) -> None:
        super().__init__(pieces)
        self.names = names
        self.values = values
        self.heard: Sequence[float | None] = [None] * len(self)
        self.new: list[tuple[int, bytes]] | None = None

    def inherit(self, before: Rows) -> None:
        """Some of the rows are those of an earlier list."""
        known = dict(zip(before, before.heard, strict=True))
        self.heard = [known.get(pieces) for pieces in self]

    def news(self, times: Sequence[float], before_ms: int, now: bytes) -> list[tuple[int, bytes]]:
        """`new`, worked out once a walk; `before_ms` is the time of the walk before, `now` that of this one.

        What has changed without having been heard since (it is back with its host, or a part of
        it has gone) is of this moment, because for a time before a store has had its sample.
        """
        if self.new is None:
            changed = [at for at, (old, heard) in enumerate(zip(self.heard, times, strict=True)) if old != heard]
            stamps = [milliseconds(times[at]) for at in changed]
            self.new = [
                (at, encode_time(ms) if ms > before_ms else now) for at, ms in zip(changed, stamps, strict=True)
            ]
            self.heard = times
        return self.new


class _Live(NamedTuple):
    """The series of one walk, by the template of their labels: lists of rows."""

    lists: dict[bytes, list[Sequence[Pieces]]]
    singles: dict[bytes, list[Pieces]]


class NewSamples(Sink):
    """Goes through one snapshot after the other, and remembers what has been in the last."""

    def __init__(self, config: RemoteWriteConfig, instance: str) -> None:
        super().__init__(Selection(frozenset(config.levels), frozenset(config.groups)))
        self._external = {"job": "sflow", "instance": instance, **config.external_labels}
        self._renamed = config.rename_labels
        self._include = [re.compile(one) for one in config.include]
        self._exclude = [re.compile(one) for one in config.exclude]
        self._wanted: dict[str, bool] = {}
        self._templates: dict[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]], bytes] = {}
        self._rows: dict[object, Rows] = {}
        self._rows_before: dict[object, Rows] = {}
        self._live = self._live_before = _Live({}, {})
        self._series: list[bytes] = []
        self._before_ms = self._time_ms = self._newest_ms = 0
        self._time = b""

    def take(self, snapshot: Snapshot, others: Iterable[Metric] = ()) -> list[bytes]:
        """The encoded series of what is new in a snapshot, and of what has ended since the last.

        `others` are metrics that are not in the snapshot, about this process.
        """
        self._begin(milliseconds(snapshot.time))
        write(self, snapshot)
        if "collector" in self.selection.levels:
            self.add(UP, (), (), 1)
            for metric in others:
                for name, labels, value, *_ in metric.samples:
                    self.add(Description(name, metric.type, metric.documentation), labels, labels.values(), value)
        return self._end()

    def end(self, time: float) -> list[bytes]:
        """The ends of all series, after their newest samples: nobody will send them any more."""
        self._begin(max(milliseconds(time), self._time_ms + 1, self._newest_ms + 1))
        return self._end()

    def after(self, other: NewSamples) -> NewSamples:
        """Itself; what it takes first comes after all that another one has given, also after the ends of its series."""
        self._time_ms = max(self._time_ms, other._time_ms)
        return self

    def begin(self, time: float) -> None:
        """What was heard before `time` is of the moment at which it is taken first.

        A program before this one, or an endpoint of another name, may have ended its series since.
        """
        self._time_ms = max(self._time_ms, milliseconds(time))

    def _begin(self, time_ms: int) -> None:
        self._rows_before, self._rows = self._rows, {}
        self._live_before, self._live = self._live, _Live({}, {})
        self._before_ms, self._time_ms, self._time = self._time_ms, time_ms, encode_time(time_ms)

    def _end(self) -> list[bytes]:
        self._series += self._ended()
        series, self._series = self._series, []
        return series

    # --- what the walk hands over

    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Rows:
        """The encoded labels of many rows; the same list while the rows are the same."""
        found = self._rows.get(key)
        if found is not None and found.values == rows:
            return found
        before = self._rows_before.get(key)
        if before is not None and before.values == rows:
            found = before
            found.new = None
        else:
            found = Rows(names, rows, self._encode_rows(names, rows))
            if before is not None:
                found.inherit(before)
        self._rows[key] = found
        return found

    def add(self, family: Description, names: Iterable[str], values: Iterable[str], number: Number) -> None:
        """One sample, of the snapshot's time."""
        if not self._wants(family.name):
            return
        names = tuple(names)
        template = self._template(family.name, names, ())
        (pieces,) = self._encode_rows(names, [tuple(values)])
        singles = self._live.singles.get(template)
        if singles is None:
            singles = self._live.singles[template] = []
            self._live.lists.setdefault(template, []).append(singles)
        singles.append(pieces)
        self.taken += 1
        self._series.append(encode_series(template % pieces, encode_value(number), self._time))

    def column(self, key: object, family: Description, samples: Samples) -> None:
        """Of many samples those that are new."""
        if not self._wants(family.name):
            return
        rows: Rows = samples.labels  # type: ignore[assignment]
        numbers, unknown = samples.numbers, samples.unknown
        template = self._template(family.name, rows.names, samples.extra)
        known: Sequence[Pieces] = rows
        new = [(rows[at], numbers[at], time) for at, time in self._news(rows, samples.rows)]
        if any(value in numbers for value in unknown):
            known = [pieces for pieces, value in zip(rows, numbers, strict=True) if value not in unknown]
            new = [one for one in new if one[1] not in unknown]
        self._live.lists.setdefault(template, []).append(known)
        self.taken += len(known)
        converted: Iterable[Number] = [value for _, value, _ in new]
        if samples.convert is not None:
            converted = samples.convert(list(converted))
        self._series += [
            encode_series(template % pieces, encode_value(value), time)
            for (pieces, _, time), value in zip(new, converted, strict=True)
        ]

    def _news(self, rows: Rows, timed: Timed | None) -> Iterable[tuple[int, bytes]]:
        if timed is None:
            return ((at, self._time) for at in range(len(rows)))
        if rows.new is None and timed.times:
            self._newest_ms = max(self._newest_ms, milliseconds(max(timed.times)))
        return rows.news(timed.times, self._before_ms, self._time)

    # --- names and labels

    def _wants(self, name: str) -> bool:
        found = self._wanted.get(name)
        if found is None:
            included = not self._include or any(one.fullmatch(name) for one in self._include)
            found = self._wanted[name] = included and not any(one.fullmatch(name) for one in self._exclude)
        return found

    def _order(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """The names of a row's labels as they are sent, in order, and the place of each in the row."""
        return sorted((self._renamed.get(name, name), at) for at, name in enumerate(names))

    def _encode_rows(self, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[Pieces]:
        encode = _remembering(encode_label)
        order = self._order(names)
        return [tuple([encode(name, row[at]) for name, at in order]) for row in rows]

    def _template(self, family: str, names: tuple[str, ...], extra: tuple[tuple[str, str], ...]) -> bytes:
        """The labels of a family's series, with %b in the place of those that differ by row."""
        found = self._templates.get((family, names, extra))
        if found is None:
            constant = {"__name__": family, **{self._renamed.get(name, name): value for name, value in extra}}
            parts: dict[str, bytes] = {name: b"%b" for name, _ in self._order(names)}
            for name, value in {**self._external, **constant}.items():
                parts.setdefault(name, encode_label(name, value).replace(b"%", b"%%"))
            found = self._templates[family, names, extra] = b"".join([parts[name] for name in sorted(parts)])
        return found

    # --- what has ended

    def _ended(self) -> Iterator[bytes]:
        sets: dict[int, frozenset[Pieces]] = {}

        def union(lists: Sequence[Sequence[Pieces]]) -> frozenset[Pieces]:
            for one in lists:
                if id(one) not in sets:
                    sets[id(one)] = frozenset(one)
            return frozenset().union(*[sets[id(one)] for one in lists])

        for template, before in self._live_before.lists.items():
            now = self._live.lists.get(template, [])
            if before != now:
                for pieces in union(before) - union(now):
                    yield encode_series(template % pieces, STALE, self._time)


def milliseconds(time: float) -> int:
    """Seconds as whole milliseconds."""
    return round(time * 1000)


def _remembering(encode: Callable[[str, str], bytes]) -> Callable[[str, str], bytes]:
    """The same function, that makes the same label once only: rows share most of theirs."""
    made: dict[tuple[str, str], bytes] = {}

    def encoded(name: str, value: str) -> bytes:
        found = made.get((name, value))
        if found is None:
            found = made[name, value] = encode(name, value)
        return found

    return encoded


def check_labels(config: RemoteWriteConfig, place: str) -> None:
    """Raises ConfigError where a label would get the name of another: two series could become one."""
    names = {*f.INTERFACE, *f.SERVICE, "application", *(name for extra in f.EXTRAS for name in extra.labels)}
    names |= {
        name
        for structure in COUNTER_RECORDS.values()
        for one in structure.fields
        if one.family is not None
        for name, _ in one.family.labels
    }
    taken = (names - set(config.rename_labels)) | {"job", "instance", *config.external_labels}
    for old, new in config.rename_labels.items():
        if old not in names:
            raise ConfigError(unknown_key(old, f"{place}.rename_labels.{old}", sorted(names)))
        if new in taken:
            raise ConfigError(f"{place}.rename_labels: {old!r} cannot become {new!r}, for there is such a label")
