"""What is declared, as tables: for the README in Markdown, for `sflow-gmetrics metrics` aligned in columns.

Nothing here knows a structure, a metric or a family by name: all rows follow from the
declarations. Families that belong to no field (those of pools, agents and the collector itself)
are given by whoever renders them, as `extra`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Protocol

from .operators import (
    EnumText,
    NowMinus,
    Operator,
    PercentOfTime,
    Rate,
    RatioOfDeltas,
    RatioOfGauges,
    ScaledGauge,
    ScaledRate,
    Share,
)
from .schema import Field, Role, Structure, tag_text
from .structures import COUNTER_RECORDS, FLOW_RECORDS

Row = tuple[str, ...]

STRUCTURE_COLUMNS = ("tag", "record", "structure", "fields", "describes", "form known from")
METRIC_COLUMNS = ("metric", "type", "units", "slope", "group", "title", "from", "switch")
FAMILY_COLUMNS = ("family", "type", "labels", "from", "switch", "help")

LABELS: Mapping[Role, Row] = {
    Role.HOST: ("pool", "host"),
    Role.SERVICE: ("pool", "host", "service", "kind"),
    Role.INTERFACE: ("pool", "host", "interface"),
    Role.NONE: (),
}
"""Which labels name the one whom a structure describes."""
POOL_LABELS: Mapping[Role, Row] = {Role.HOST: ("pool",), Role.SERVICE: ("pool", "service", "kind")}
"""Which of them are left when the hosts of a pool are summed."""


class Described(Protocol):
    """A family that belongs to no field; an object of any class with these attributes will do."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def labels(self) -> Iterable[str]: ...
    @property
    def help(self) -> str: ...


def structures_table() -> str:
    """The structures in Markdown."""
    return _markdown(STRUCTURE_COLUMNS, structure_rows())


def ganglia_table() -> str:
    """The Ganglia metrics in Markdown."""
    return _markdown(METRIC_COLUMNS, metric_rows())


def families_table(extra: Iterable[Described] = ()) -> str:
    """The Prometheus families in Markdown."""
    return _markdown(FAMILY_COLUMNS, family_rows(extra))


def metrics_text(extra: Iterable[Described] = ()) -> str:
    """All three for a terminal: a heading and aligned columns each."""
    parts = (
        ("Structures", STRUCTURE_COLUMNS, structure_rows()),
        ("Ganglia metrics", METRIC_COLUMNS, metric_rows()),
        ("Prometheus families", FAMILY_COLUMNS, family_rows(extra)),
    )
    return "\n".join(f"{heading} ({len(rows)})\n\n{_aligned(columns, rows)}" for heading, columns, rows in parts)


def structure_rows() -> list[Row]:
    """A row for each structure, counter records first, in the order of their tags."""
    return [
        (
            tag_text(tag),
            record,
            structure.name,
            str(len(structure.fields)),
            structure.role.value if structure.role is not Role.NONE else "-",
            structure.source or "-",
        )
        for record, registry in (("counter", COUNTER_RECORDS), ("flow", FLOW_RECORDS))
        for tag, structure in sorted(registry.items())
    ]


def metric_rows() -> list[Row]:
    """A row for each Ganglia metric; one that follows from several structures names them all."""
    origins: dict[Row, list[str]] = {}
    for structure, one in _fields():
        for metric in one.ganglia:
            key = (metric.name, metric.type, metric.units, metric.slope, metric.group, metric.title, metric.switch)
            origins.setdefault(key, []).append(derivation(metric.operator, f"{structure.name}.{one.name}"))
    return [(*key[:-1], ", ".join(origin), key[-1]) for key, origin in origins.items()]


def family_rows(extra: Iterable[Described] = ()) -> list[Row]:
    """A row for each Prometheus family: those of fields, their sums over pools, and `extra`."""
    origins: dict[Row, dict[str, list[str]]] = {}
    sums: dict[Row, dict[str, list[str]]] = {}
    for structure, one in _fields():
        if (family := one.family) is None:
            continue
        kind = "counter" if one.is_counter else "gauge"
        own = tuple(label for label, _ in family.labels)
        key = (family.name, kind, ", ".join(LABELS[structure.role] + own), family.group, family.help)
        origins.setdefault(key, {}).setdefault(structure.name, []).append(one.name)
        if family.pool is not None:
            labels = ", ".join(POOL_LABELS[structure.role] + own)
            key = (family.pool.name, kind, labels, family.pool.group, family.pool.help)
            sums.setdefault(key, {}).setdefault(structure.name, []).append(one.name)
    rows = [(*key[:3], _origin(origin), *key[3:]) for key, origin in (origins | sums).items()]
    return rows + [(one.name, one.type, ", ".join(one.labels), "-", "", one.help) for one in extra]


def _fields() -> Iterator[tuple[Structure, Field]]:
    for _, structure in sorted(COUNTER_RECORDS.items()):
        for one in structure.fields:
            yield structure, one


def _origin(by_structure: Mapping[str, Sequence[str]]) -> str:
    """One field by its name, several by their number."""
    return ", ".join(
        f"{structure}.{names[0]}" if len(names) == 1 else f"{structure} ({len(names)} fields)"
        for structure, names in by_structure.items()
    )


@singledispatch
def derivation(_operator: Operator, field: str) -> str:
    """How an operator derives a metric from a field, in few words; the field alone where it is shown as it is."""
    return field


@derivation.register
def _(_operator: Rate, field: str) -> str:
    return f"{field} per s"


@derivation.register
def _(operator: ScaledRate, field: str) -> str:
    return f"{field} per s x {operator.factor:g}"


@derivation.register
def _(_operator: PercentOfTime, field: str) -> str:
    return f"{field} as % of time"


@derivation.register
def _(operator: Share, field: str) -> str:
    return f"{field} as % of all {operator.group}"


@derivation.register
def _(operator: RatioOfDeltas, field: str) -> str:
    return f"{field} per {operator.by.name}"


@derivation.register
def _(operator: ScaledGauge, field: str) -> str:
    return f"{field} / {operator.divisor}"


@derivation.register
def _(operator: RatioOfGauges, field: str) -> str:
    return f"{field} as % of {operator.by.name}"


@derivation.register
def _(_operator: NowMinus, field: str) -> str:
    return f"now - {field}"


@derivation.register
def _(_operator: EnumText, field: str) -> str:
    return f"{field} in words"


def _markdown(columns: Row, rows: Iterable[Row]) -> str:
    lines = (columns, tuple("---" for _ in columns), *rows)
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def _aligned(columns: Row, rows: Sequence[Row]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in (columns, *rows)
    )
