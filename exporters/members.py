"""The rows of a page's hosts and services, and their numbers as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import attrgetter, is_, itemgetter
from typing import Any, NamedTuple

from sflow_gmetrics.layout import Form, Shape
from sflow_gmetrics.snapshot import Pool, Row, Service

from .wire_columns import WireColumns

AT_ONCE = 1_000
"""How many rows are read together: they stay in the processor's cache, and other threads get their turn."""

KNOWN = 10_000
"""Of how many groups of rows of a form sums are remembered."""


class _Columns(dict[int, list[Any]]):
    """Columns by index, each read when it is first asked for."""

    def __init__(self, read: Callable[[int], list[Any]]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, index: int) -> list[Any]:
        column = self[index] = self._read(index)
        return column


class Members:
    """The rows of one form, whose they are, and their numbers by column.

    `key` tells them from others, in every snapshot. `spans` are (owner, from, to): the rows of an
    owner, which can have several spans. `values` are the columns of gauges and other numbers
    that are no counters, by index in the form's fields; `totals` and `base` those of counters,
    by index in the form's counters, and `counters` the totals that the newest sample knows.
    """

    def __init__(self, form: Form, key: object) -> None:
        self.form = form
        self.key = (form, key)
        self._runs: list[tuple[Shape, list[bytes]]] = []
        self._bases: list[list[int | None]] = []
        self._offsets: list[tuple[int | None, ...]] = []
        self._special: list[int] = []
        self.places: list[Any] = []
        self.rows: list[Row] = []
        self.spans: list[tuple[int, int, int]] = []
        self.values: Mapping[int, list[Any]] = _Columns(self._value)
        self.totals: Mapping[int, list[int | None]] = _Columns(self._total)
        self.counters: Mapping[int, list[int | None]] = _Columns(self._counter)
        self.base: Mapping[int, list[int | None]] = _Columns(self._base)

    def extend(self, shape: Shape, run: _Run) -> None:
        """Take the rows of one more shape."""
        before = len(self.rows)
        self._runs.append((shape, run.samples))
        self._bases += run.bases
        self._offsets += run.offsets
        self._special += [before + number for number in run.special]
        self.places += run.places
        self.rows += run.rows
        self.spans += [(owner, before + first, before + last) for owner, first, last in run.spans]

    @cached_property
    def times(self) -> list[float]:
        """When the newest sample of each row came, in seconds since the epoch."""
        return list(map(attrgetter("received"), self.rows))

    @cached_property
    def knows_all(self) -> bool:
        """Whether every counter of every row is known."""
        return not self._special and not any(None in ahead for ahead in self._ahead)

    @cached_property
    def _tables(self) -> list[WireColumns]:
        """The bytes of the samples, a bounded number at once."""
        return [
            WireColumns(shape, samples[start : start + AT_ONCE])
            for shape, samples in self._runs
            for start in range(0, len(samples), AT_ONCE)
        ]

    @cached_property
    def _careful(self) -> list[tuple[int, Row]]:
        """The rows, and where they stand, whose numbers are not just what their samples say."""
        return [(number, self.rows[number]) for number in self._special]

    @cached_property
    def _ahead(self) -> list[tuple[int | None, ...]]:
        """By how much the totals of each row are ahead of what its sample says; empty if no total is."""
        return self._offsets if self._offsets.count((0,) * len(self._raw)) < len(self._offsets) else []

    @cached_property
    def _raw(self) -> list[int]:
        """Where the raw value of each counter stands."""
        return [index for index, one in enumerate(self.form.fields) if one.is_counter]

    def _wire(self, index: int) -> list[Any]:
        return list(chain.from_iterable([table.column(index) for table in self._tables]))

    def _value(self, index: int) -> list[Any]:
        column = self._wire(index)
        for number, row in self._careful:
            column[number] = row.values[index]
        return column

    def _total(self, at: int) -> list[int | None]:
        column: list[Any] = self._wire(self._raw[at])
        ahead = list(map(itemgetter(at), self._ahead))
        if any(ahead):
            column = [None if more is None else number + more for number, more in zip(column, ahead, strict=True)]
        for number, row in self._careful:
            column[number] = row.totals[at]
        return column

    def _counter(self, at: int) -> list[int | None]:
        unavailable = self.form.counters[at].type.unavailable
        column = self.totals[at]
        missed = [
            number for number, row in self._careful if at in row.missed and row.values[self._raw[at]] == unavailable
        ]
        if missed:
            column = column.copy()
            for number in missed:
                column[number] = None
        return column

    def _base(self, at: int) -> list[int | None]:
        return list(map(itemgetter(at), self._bases))

    def base_sums(self, first: int, last: int) -> list[int | None]:
        """The sum of `base` over some rows by counter, None where not all are known; remembered while all is the same.

        Bases hardly ever change, but there are many numbers in them.
        """
        known: dict[tuple[object, int], _Sums] = self.form.derived.setdefault("sums of bases", {})
        bases = self._bases[first:last]
        found = known.get((self.key[1], first))
        if found is None or found.bases != bases:
            if len(known) >= KNOWN:
                known.clear()
            found = known[self.key[1], first] = _Sums(bases, [_sum(column) for column in zip(*bases, strict=True)])
        return found.sums


class _Run:
    """Rows of one shape, and what they hold, each in a list of its own.

    `special` are the numbers of rows that are not just what their samples say.
    """

    def __init__(self) -> None:
        self.places: list[Any] = []
        self.rows: list[Row] = []
        self.spans: list[tuple[int, int, int]] = []
        self.samples: list[bytes] = []
        self.bases: list[list[int | None]] = []
        self.offsets: list[tuple[int | None, ...]] = []
        self.special: list[int] = []

    def extend(self, owner: int, places: Sequence[Any], rows: Sequence[Row], held: _Held) -> None:
        """Take some rows of an owner."""
        before = len(self.rows)
        self.places += places
        self.rows += rows
        self.spans.append((owner, before, len(self.rows)))
        self.samples += held.samples
        self.bases += held.bases
        self.offsets += held.offsets
        if held.missed.count(_NOTHING) < len(rows) or held.mended.count(None) < len(rows):
            pairs = enumerate(zip(held.missed, held.mended, strict=True), before)
            self.special += [number for number, (missed, mended) in pairs if missed or mended]


_NOTHING: frozenset[int] = frozenset()


class _Held(NamedTuple):
    """What many rows hold: a tuple of each sort of thing, and each row is looked at once."""

    shapes: tuple[Shape, ...]
    samples: tuple[bytes, ...]
    bases: tuple[list[int | None], ...]
    offsets: tuple[tuple[int | None, ...], ...]
    missed: tuple[frozenset[int], ...]
    mended: tuple[tuple[Any, ...] | None, ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Held:
        _, latest, bases, _, _, _, _, _, missed, _ = zip(*rows, strict=True)
        shapes, samples, _, _, _, mended, offsets = zip(*latest, strict=True)
        return cls(shapes, samples, bases, offsets, missed, mended)


_Some = tuple[Sequence[Any], Sequence[Row], _Held]


class _Sums(NamedTuple):
    """Bases, and what they are together, counter by counter."""

    bases: list[list[int | None]]
    sums: list[int | None]


def _sum(numbers: Sequence[int | None]) -> int | None:
    return None if None in numbers else sum(numbers)  # type: ignore[arg-type]


Owned = tuple[Sequence[Any], Sequence[Row]]
"""Rows, and whose each is: its label values, for those that have some."""


def group_by_form(owners: Iterable[Owned], key: object = None) -> list[Members]:
    """The rows of several owners, those of one form together, and among these those of one shape."""
    runs: dict[Shape, _Run] = {}
    for owner, (all_places, all_rows) in enumerate(owners):
        for start in range(0, len(all_rows), AT_ONCE):
            places, rows = all_places[start : start + AT_ONCE], all_rows[start : start + AT_ONCE]
            for shape, some in _by_shape(places, rows):
                run = runs.get(shape) or runs.setdefault(shape, _Run())
                run.extend(owner, *some)
    forms: dict[Form, Members] = {}
    for shape, run in runs.items():
        members = forms.get(shape.form) or forms.setdefault(shape.form, Members(shape.form, key))
        members.extend(shape, run)
    return list(forms.values())


def _by_shape(places: Sequence[Any], rows: Sequence[Row]) -> Iterable[tuple[Shape, _Some]]:
    held = _Held.of(rows)
    shapes = held.shapes
    if shapes.count(shapes[0]) == len(shapes):  # the usual case: one service on many hosts
        return [(shapes[0], (places, rows, held))]
    found: dict[Shape, list[int]] = {}
    for number, shape in enumerate(shapes):
        found.setdefault(shape, []).append(number)
    return [(shape, _chosen(numbers, places, rows)) for shape, numbers in found.items()]


def _chosen(numbers: list[int], places: Sequence[Any], rows: Sequence[Row]) -> _Some:
    some = [rows[number] for number in numbers]
    return [places[number] for number in numbers], some, _Held.of(some)


_NOBODY: Owned = ((), ())


def _owned(services: Sequence[Service]) -> Owned:
    """The rows of some services, and their labels."""
    if not services:
        return _NOBODY
    _, places, rows, _ = zip(*services, strict=True)
    return places, rows


class ServiceTable:
    """The services of a pool as columns, an owner for each service of the pool.

    `live` are the members that live, `everyone` all rows that count for the pool. Where the two
    are the same, which is usual, they are read once.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @cached_property
    def _members(self) -> list[Owned]:
        return [_owned(one.members) for one in self._pool.services]

    @cached_property
    def _alike(self) -> list[bool]:
        pairs = zip(self._members, self._pool.services, strict=True)
        return [len(rows) == len(one.rows) and all(map(is_, rows, one.rows)) for (_, rows), one in pairs]

    @cached_property
    def _shared(self) -> list[Members]:
        pairs = zip(self._members, self._alike, strict=True)
        return group_by_form((owned if alike else _NOBODY for owned, alike in pairs), (self._pool.name, "all"))

    @cached_property
    def live(self) -> list[Members]:
        """The members that live now."""
        pairs = zip(self._members, self._alike, strict=True)
        others = (_NOBODY if alike else owned for owned, alike in pairs)
        return [*self._shared, *group_by_form(others, (self._pool.name, "live"))]

    @cached_property
    def everyone(self) -> list[Members]:
        """All rows that count."""
        pairs = zip(self._pool.services, self._alike, strict=True)
        others = (_NOBODY if alike else (one.rows, one.rows) for one, alike in pairs)
        return [*self._shared, *group_by_form(others, (self._pool.name, "everyone"))]
