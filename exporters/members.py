"""The rows of a page's hosts and services, and their numbers as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple
from weakref import WeakMethod

from sflow_gmetrics.layout import Form, Shape
from sflow_gmetrics.snapshot import Pool, PoolService, Row, Rows

from .wire_columns import WireColumns

AT_ONCE = 1_000
"""How many rows are read together: they stay in the processor's cache, and other threads get their turn."""


class _Columns(dict[int, list[Any]]):
    """Columns by index, each read when it is first asked for.

    It does not hold whose columns they are: that would be a circle, and all that was read for a
    page would stay until somebody looks for garbage.
    """

    def __init__(self, read: Callable[[int], list[Any]]) -> None:
        super().__init__()
        self._read = WeakMethod(read)

    def __missing__(self, index: int) -> list[Any]:
        read = self._read()
        assert read is not None
        column = self[index] = read(index)
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
        self.places: list[Any] = []
        self.spans: list[tuple[int, int, int]] = []
        self._parts: list[Rows] = []
        self.values: Mapping[int, list[Any]] = _Columns(self._value)
        self.totals: Mapping[int, list[int | None]] = _Columns(self._total)
        self.counters: Mapping[int, list[int | None]] = _Columns(self._counter)
        self.base: Mapping[int, list[int | None]] = _Columns(self._base)

    def extend(self, owner: int, places: Sequence[Any], rows: Rows) -> None:
        """Take rows of an owner, all of one shape."""
        first = len(self.places)
        self.places += places
        self.spans.append((owner, first, len(self.places)))
        self._parts.append(rows)

    @cached_property
    def rows(self) -> list[Row]:
        """All rows."""
        return list(chain.from_iterable(self._parts))

    @cached_property
    def times(self) -> list[float]:
        """When the newest sample of each row came, in seconds since the epoch."""
        return list(map(attrgetter("received"), self.rows))

    @cached_property
    def knows_all(self) -> bool:
        """Whether every counter of every row is known."""
        return not self._careful and not any(None in ahead for ahead in self._ahead)

    @cached_property
    def _tables(self) -> list[WireColumns]:
        """The bytes of the samples, a bounded number at once."""
        tables = []
        for shape, parts in groupby(self._parts, lambda rows: rows.shapes[0]):
            samples = list(chain.from_iterable([rows.samples for rows in parts]))
            tables += [
                WireColumns(shape, samples[start : start + AT_ONCE]) for start in range(0, len(samples), AT_ONCE)
            ]
        return tables

    @cached_property
    def _careful(self) -> list[tuple[int, Row]]:
        """The rows, and where they stand, whose numbers are not just what their samples say."""
        pairs = zip(self.spans, self._parts, strict=True)
        return [(first + number, rows[number]) for (_, first, _), rows in pairs for number in rows.special]

    @cached_property
    def _ahead(self) -> list[tuple[int | None, ...]]:
        """By how much the totals of each row are ahead of what its sample says; empty if no total is."""
        level = self.form.level
        if all(rows.offsets.count(level) == len(rows) for rows in self._parts):
            return []
        return list(chain.from_iterable([rows.offsets for rows in self._parts]))

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
        return list(map(itemgetter(at), chain.from_iterable([rows.bases for rows in self._parts])))

    def base_sums(self, span: int) -> list[int | None]:
        """The sum of `base` over a span by counter, None where not all are known; as before while all is the same.

        Bases hardly ever change, but there are many numbers in them.
        """
        before, now = self._base_sums
        bases, first = self._parts[span].bases, self.spans[span][1]
        found = now.get(first) or before.get(first)
        if found is None or found.bases != bases:
            found = _Sums(bases, [_sum(column) for column in zip(*bases, strict=True)])
        now[first] = found
        return found.sums

    @cached_property
    def _base_sums(self) -> tuple[dict[int, _Sums], dict[int, _Sums]]:
        """What was worked out for the rows of this key last, and what is now, which takes its place."""
        known: dict[object, dict[int, _Sums]] = self.form.derived.setdefault("sums of bases", {})
        before = known.get(self.key[1], {})
        now = known[self.key[1]] = {}
        return before, now


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
    shapes: dict[Shape, list[tuple[int, Sequence[Any], Rows]]] = {}
    for owner, (places, rows) in enumerate(owners):
        for shape, some in _by_shape(places, rows if isinstance(rows, Rows) else Rows(rows)):
            shapes.setdefault(shape, []).append((owner, *some))
    forms: dict[Form, Members] = {}
    for shape, parts in shapes.items():
        members = forms.get(shape.form) or forms.setdefault(shape.form, Members(shape.form, key))
        for part in parts:
            members.extend(*part)
    return list(forms.values())


def _by_shape(places: Sequence[Any], rows: Rows) -> Iterable[tuple[Shape, tuple[Sequence[Any], Rows]]]:
    shapes = rows.shapes
    if not shapes:
        return []
    if shapes.count(shapes[0]) == len(shapes):  # the usual case: one service on many hosts
        return [(shapes[0], (places, rows))]
    found: dict[Shape, list[int]] = {}
    for number, shape in enumerate(shapes):
        found.setdefault(shape, []).append(number)
    return [(shape, ([places[number] for number in numbers], rows.some(numbers))) for shape, numbers in found.items()]


class ServiceTable:
    """The services of a pool as columns, an owner for each service of the pool.

    `live` are the members that live, `everyone` all rows that count for the pool. Where the two
    are the same, which is usual, they are read once.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def _members(self, name: str, owned: Callable[[PoolService], Owned | None]) -> list[Members]:
        return group_by_form((owned(one) or ((), ()) for one in self._pool.services), (self._pool.name, name))

    @cached_property
    def _shared(self) -> list[Members]:
        return self._members("all", lambda one: (one.places, one.rows) if one.plain else None)

    @cached_property
    def live(self) -> list[Members]:
        """The members that live now."""
        others = self._members(
            "live", lambda one: None if one.plain else (one.places, [member.row for member in one.members])
        )
        return [*self._shared, *others]

    @cached_property
    def everyone(self) -> list[Members]:
        """All rows that count."""
        return [*self._shared, *self._members("everyone", lambda one: None if one.plain else (one.rows, one.rows))]
