"""Columns: what one declared field of many rows is on a Prometheus page, in base units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import UNITS, Family, Field, Kind, Role
from sflow_gmetrics.snapshot import Row

from .exposition import Number, label_text


class Members:
    """The rows of one form, whose they are, and their numbers by column."""

    def __init__(self) -> None:
        self.places: list[tuple[str, ...]] = []
        self.rows: list[Row] = []

    @cached_property
    def values(self) -> list[tuple[Any, ...]]:
        """One column for each field of the form."""
        return list(zip(*(row.values for row in self.rows), strict=True))

    @cached_property
    def totals(self) -> list[tuple[int | None, ...]]:
        """One column for each counter of the form."""
        return list(zip(*(row.totals for row in self.rows), strict=True))


def group_by_form(places: Sequence[tuple[str, ...]], rows: Sequence[Row]) -> dict[Form, Members]:
    """Rows and whose they are, those of one form together."""
    forms: dict[Form, Members] = {}
    for place, row in zip(places, rows, strict=True):
        members = forms.get(row.form)
        if members is None:
            members = forms[row.form] = Members()
        members.places.append(place)
        members.rows.append(row)
    return forms


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One family of a form: where its number stands in a row and how to read it."""

    family: Family
    kind: Kind
    extra: str
    read: Callable[[Members], Sequence[Number | None]]
    per_application: bool


def columns_of(form: Form, role: Role) -> list[Column]:
    """The columns of a form in the order of its fields; worked out once for each form."""
    key = f"prometheus {role.value}"
    columns: list[Column] | None = form.derived.get(key)
    if columns is None:
        columns = form.derived[key] = [
            Column(
                one.family,
                one.kind,
                label_text(*zip(*one.family.labels, strict=True)) if one.family.labels else "",
                _reader(form, one),
                structure.name.startswith("app_"),
            )
            for structure in form.structures
            if structure.role is role
            for one in structure.fields
            if one.family is not None and (form.value_index(one) is not None)
        ]
    return columns


def _reader(form: Form, one: Field) -> Callable[[Members], Sequence[Number | None]]:
    """A function from rows to one number each, None where it is not known."""
    scale = UNITS[one.unit].scale
    up, down = scale.numerator, scale.denominator
    index = form.value_index(one)
    assert index is not None and one.family is not None
    if one.is_counter:
        at = form.counter_index(one)
        assert at is not None
        return lambda members: scaled(members.totals[at], up, down)
    if one.family.name.endswith("boot_time_seconds"):
        return lambda members: [row.moments.get(index) for row in members.rows]
    if one.truth:
        return lambda members: [int(value == 1) for value in members.values[index]]
    unknown = [unavailable_value(one), *([0] if one.zero_unknown else [])]

    def gauges(members: Members) -> Sequence[Number | None]:
        numbers: Sequence[Any] = members.values[index]
        if any(value in numbers for value in unknown):
            numbers = [None if value in unknown else value for value in numbers]
        if one.type.code == "f":
            return [None if value is None else float32(value) for value in numbers]
        return scaled(numbers, up, down)

    return gauges


def scaled(numbers: Sequence[Any], up: int, down: int) -> Sequence[Number | None]:
    """The numbers times up / down; None stays."""
    if up == down == 1:
        return numbers
    if None in numbers:
        return [None if value is None else value * up / down for value in numbers]
    if up == 1:
        return [value / down for value in numbers]
    return [value * up / down for value in numbers]


def float32(value: float) -> float:
    """The decimal that a person would write for a 32-bit float."""
    return float(f"{value:.7g}")
