"""Columns: what one declared field of many rows is on a Prometheus page, in base units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import UNITS, Family, Field, Kind, Role

from .members import Members
from .sink import Convert, Description


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

    @property
    def is_counter(self) -> bool:
        """Whether its numbers are the totals of a counter."""
        return self.family.type == "counter"


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
        return column(lambda members: members.counters[at], (None,), base_units(one))
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
