"""The eleven ways in which a Ganglia metric follows from fields of a sample.

An operator belongs to the field in whose declaration it stands; `bind` turns it, for one
form of sample, into a function from a Row to a number, a text, or None for "not known".
Source: the arithmetic of Ganglia's gmond/sflow.c, with the differences named at each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .errors import DeclarationError
from .schema import Kind
from .xdr import F32

if TYPE_CHECKING:
    from .schema import Field

Value = float | int | str | None


class Row(Protocol):
    """What an operator reads of a data source: its newest sample and the step that led to it.

    `values` are the numbers in the order of the form, `deltas` what each counter added in
    the last `elapsed` seconds (None where that is not known), `moments` are start times by
    value index, held still where the agent's seconds only jitter.
    """

    @property
    def values(self) -> tuple[float, ...]: ...
    @property
    def deltas(self) -> list[int | None]: ...
    @property
    def elapsed(self) -> float: ...
    @property
    def moments(self) -> Mapping[int, float]: ...
    @property
    def texts(self) -> Mapping[str, str]: ...


class Lookup(Protocol):
    """A form of sample: where a field's value and its counter's delta stand in a row."""

    def value_index(self, one: Field) -> int | None: ...
    def counter_index(self, one: Field) -> int | None: ...
    def shares(self, group: str) -> list[int]: ...


Bound = Callable[[Row], Value]


class Operator:
    """One derivation. `check` is called when the declarations are imported."""

    kinds: tuple[Kind, ...] = ()

    def check(self, place: str, one: Field) -> None:
        """Raises DeclarationError where the operator does not fit the field."""
        if one.kind not in self.kinds:
            raise DeclarationError(f"{place}: {type(self).__name__} does not work on a field of kind {one.kind.value}")

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        """A function for rows of this form, or None when the form lacks a field that it needs."""
        raise NotImplementedError


def _delta(one: Field, form: Lookup, scale: float) -> Bound | None:
    index = form.counter_index(one)
    if index is None:
        return None

    def rate(row: Row) -> Value:
        delta = row.deltas[index]
        return None if delta is None else delta * scale / row.elapsed

    return rate


@dataclass(frozen=True, slots=True)
class Rate(Operator):
    """Increase per second."""

    def check(self, place: str, one: Field) -> None:
        """A rate is of a counter."""
        _counter_only(place, self, one)

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        return _delta(one, form, 1.0)


@dataclass(frozen=True, slots=True)
class ScaledRate(Operator):
    """Increase per second times a factor (mJ to W)."""

    factor: float

    def check(self, place: str, one: Field) -> None:
        """A rate is of a counter."""
        _counter_only(place, self, one)

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        return _delta(one, form, self.factor)


@dataclass(frozen=True, slots=True)
class PercentOfTime(Operator):
    """Milliseconds per second as a percentage of one CPU; more than 100 on several."""

    def check(self, place: str, one: Field) -> None:
        """Time is a counter in ms."""
        _counter_only(place, self, one)
        if one.unit != "ms":
            raise DeclarationError(f"{place}: PercentOfTime wants ms, not {one.unit!r}")

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        return _delta(one, form, 0.1)


@dataclass(frozen=True, slots=True)
class Share(Operator):
    """A counter's increase as a percentage of that of all counters of its group (CPU modes)."""

    group: str

    def check(self, place: str, one: Field) -> None:
        """A share is of a counter."""
        _counter_only(place, self, one)

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        index = form.counter_index(one)
        everything = form.shares(self.group)
        if index is None:
            return None

        def share(row: Row) -> Value:
            deltas = row.deltas
            delta = deltas[index]
            if delta is None:
                return None
            total = 0
            for other in everything:
                total += deltas[other] or 0
            return delta * 100.0 / total if total else None

        return share


@dataclass(frozen=True, slots=True)
class RatioOfDeltas(Operator):
    """Increase per increase of another counter (ms per read). Nothing done is 0."""

    by: Field

    def check(self, place: str, one: Field) -> None:
        """Both are counters."""
        _counter_only(place, self, one)
        _counter_only(place, self, self.by)

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        index, by = form.counter_index(one), form.counter_index(self.by)
        if index is None or by is None:
            return None

        def ratio(row: Row) -> Value:
            delta, divisor = row.deltas[index], row.deltas[by]
            if delta is None or divisor is None:
                return None
            return delta / divisor if divisor else 0.0

        return ratio


@dataclass(frozen=True, slots=True)
class Gauge(Operator):
    """The number itself."""

    def check(self, place: str, one: Field) -> None:
        """Any number will do."""
        _number_only(place, self, one)

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        index = form.value_index(one)
        if index is None:
            return None
        unavailable = unavailable_value(one)

        def value(row: Row) -> Value:
            number = row.values[index]
            return None if number == unavailable else number

        return value


@dataclass(frozen=True, slots=True)
class ScaledGauge(Operator):
    """The number divided; `whole` drops the fraction, as gmond does with KB."""

    divisor: int
    whole: bool = False

    def check(self, place: str, one: Field) -> None:
        """Any number will do."""
        _number_only(place, self, one)

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        index = form.value_index(one)
        if index is None:
            return None
        unavailable, divisor = unavailable_value(one), self.divisor
        if self.whole:

            def kilo(row: Row) -> Value:
                number = row.values[index]
                return None if number == unavailable else number // divisor

            return kilo

        def scaled(row: Row) -> Value:
            number = row.values[index]
            return None if number == unavailable else number / divisor

        return scaled


@dataclass(frozen=True, slots=True)
class RatioOfGauges(Operator):
    """The number as a percentage of another; nothing where that one is 0 or not known."""

    by: Field

    def check(self, place: str, one: Field) -> None:
        """Both are numbers."""
        _number_only(place, self, one)
        _number_only(place, self, self.by)

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        index, by = form.value_index(one), form.value_index(self.by)
        if index is None or by is None:
            return None
        unavailable, no_limit = unavailable_value(one), unavailable_value(self.by)

        def ratio(row: Row) -> Value:
            number, limit = row.values[index], row.values[by]
            if number == unavailable or limit == no_limit or not limit:
                return None
            return number * 100.0 / limit

        return ratio


@dataclass(frozen=True, slots=True)
class NowMinus(Operator):
    """The moment that lies the field's seconds before the sample: a start time."""

    def check(self, place: str, one: Field) -> None:
        """Only seconds can be taken from a time."""
        if one.unit != "s":
            raise DeclarationError(f"{place}: NowMinus wants s, not {one.unit!r}")

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        index = form.value_index(one)
        return None if index is None else lambda row: row.moments.get(index)


@dataclass(frozen=True, slots=True)
class EnumText(Operator):
    """The word for a number; a number without a word is not shown."""

    words: tuple[str, ...]

    def check(self, place: str, one: Field) -> None:
        """Words are for enumerations."""
        if one.kind is not Kind.ENUM:
            raise DeclarationError(f"{place}: EnumText wants an enumeration")

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        index = form.value_index(one)
        if index is None:
            return None
        words = dict(enumerate(self.words))
        return lambda row: words.get(int(row.values[index]))


@dataclass(frozen=True, slots=True)
class Text(Operator):
    """A text as it came; an empty one is not known."""

    def check(self, place: str, one: Field) -> None:
        """Texts are identities."""
        if one.kind is not Kind.IDENT or one.type.numeric:
            raise DeclarationError(f"{place}: Text wants a text")

    def bind(self, one: Field, form: Lookup) -> Bound | None:
        name = one.name
        return lambda row: row.texts.get(name) or None


def unavailable_value(one: Field) -> float | None:
    """The number that says "not known" in this field: all ones, or -1 in a float."""
    return -1.0 if one.type is F32 else one.type.unavailable


def _counter_only(place: str, operator: Operator, one: Field) -> None:
    if one.kind is not Kind.COUNTER:
        raise DeclarationError(f"{place}: {type(operator).__name__} works on counters, not on {one.name}")


def _number_only(place: str, operator: Operator, one: Field) -> None:
    if not one.type.numeric:
        raise DeclarationError(f"{place}: {type(operator).__name__} works on numbers, not on {one.name}")
