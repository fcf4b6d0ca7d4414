"""Columns: what one declared field of many rows is on a Prometheus page, in base units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Any

from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import UNITS, Family, Field, Kind, Role
from sflow_gmetrics.snapshot import Row

from .sink import Convert, Description

AT_ONCE = 1_000
"""How many rows are read together: they stay in the processor's cache while all their columns are read."""


def read_columns(rows: Sequence[Row], part: str, indices: Iterable[int]) -> dict[int, list[Any]]:
    """Some columns of the rows of one form, by index; `part` is "values", "totals" or "base"."""
    columns: dict[int, list[Any]] = {index: [] for index in indices}
    for start in range(0, len(rows), AT_ONCE):
        some = list(map(attrgetter(part), rows[start : start + AT_ONCE]))
        for index, column in columns.items():
            column += map(itemgetter(index), some)
    return columns


class Members:
    """The rows of one form, whose they are, and their numbers by column."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self.places: list[tuple[str, ...]] = []
        self.rows: list[Row] = []

    @cached_property
    def times(self) -> list[float]:
        """When the newest sample of each row came, in seconds since the epoch."""
        return [row.alive for row in self.rows]

    @cached_property
    def values(self) -> dict[int, list[Any]]:
        """The columns of gauges and other numbers that are no counters, by index."""
        return read_columns(
            self.rows, "values", [index for index, one in enumerate(self._form.fields) if not one.is_counter]
        )

    @cached_property
    def totals(self) -> dict[int, list[int | None]]:
        """The columns of counters, by index."""
        columns = read_columns(self.rows, "totals", range(len(self._form.counters)))
        for number, row in enumerate(self.rows):
            for at in row.missed:
                if row.values[self._raw[at]] == self._form.counters[at].type.unavailable:
                    columns[at][number] = None
        return columns

    @cached_property
    def _raw(self) -> list[int]:
        """Where the raw value of each counter stands."""
        return [index for index, one in enumerate(self._form.fields) if one.is_counter]


def group_by_form(places: Sequence[tuple[str, ...]], rows: Sequence[Row]) -> dict[Form, Members]:
    """Rows and whose they are, those of one form together."""
    forms: dict[Form, Members] = {}
    for place, row in zip(places, rows, strict=True):
        members = forms.get(row.form)
        if members is None:
            members = forms[row.form] = Members(row.form)
        members.places.append(place)
        members.rows.append(row)
    return forms


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One family of a form: where its numbers stand in the rows and how to show them.

    `extra` are its constant labels, `group` is the switch that turns it on.

    `read` gives the numbers as they are kept, `unknown` are those that say "not known", and
    `convert` turns the others into base units.
    """

    family: Description
    group: str
    extra: tuple[tuple[str, str], ...]
    read: Callable[[Members], list[Any]]
    unknown: tuple[float | None, ...]
    convert: Convert
    per_application: bool


def columns_of(form: Form, role: Role) -> list[Column]:
    """The columns of a form in the order of its fields; worked out once for each form."""
    key = f"prometheus {role.value}"
    columns: list[Column] | None = form.derived.get(key)
    if columns is None:
        columns = form.derived[key] = [
            _column(form, one, structure.name.startswith("app_"))
            for structure in form.structures
            if structure.role is role
            for one in structure.fields
            if one.family is not None and form.value_index(one) is not None
        ]
    return columns


def _column(form: Form, one: Field, per_application: bool) -> Column:
    index, at = form.value_index(one), form.counter_index(one)
    assert index is not None and one.family is not None
    family, group, extra = described(one.family, one.kind), one.family.group, one.family.labels

    def column(read: Callable[[Members], list[Any]], unknown: tuple[float | None, ...], convert: Convert) -> Column:
        return Column(family, group, extra, read, unknown, convert, per_application)

    if at is not None:
        return column(lambda members: members.totals[at], (None,), base_units(one))
    if one.family.name.endswith("boot_time_seconds"):
        return column(lambda members: [row.moments.get(index) for row in members.rows], (None,), as_it_is)
    if one.truth:
        return column(lambda members: members.values[index], (), lambda numbers: [int(one == 1) for one in numbers])
    unknown = (unavailable_value(one), *([0] if one.zero_unknown else []))
    return column(lambda members: members.values[index], unknown, base_units(one))


def described(family: Family, kind: Kind) -> Description:
    """A declared family as a sink wants it."""
    return Description(family.name, "counter" if kind is Kind.COUNTER else "gauge", family.help)


def base_units(one: Field) -> Convert:
    """A function from numbers of a field to the same in base units."""
    scale = UNITS[one.unit].scale
    up, down = scale.numerator, scale.denominator
    if one.type.code == "f":
        return lambda numbers: [float32(value) for value in numbers]
    if up == down == 1:
        return as_it_is
    if up == 1:
        return lambda numbers: [value / down for value in numbers]
    return lambda numbers: [value * up / down for value in numbers]


def as_it_is(numbers: Sequence[Any]) -> Sequence[Any]:
    """No conversion."""
    return numbers


def float32(value: float) -> float:
    """The decimal that a person would write for a 32-bit float."""
    return float(f"{value:.7g}")
