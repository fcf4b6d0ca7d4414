"""The pool families of Prometheus: hosts and services of a pool, summed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import Field, Kind
from sflow_gmetrics.snapshot import Pool, Row, SumKey
from sflow_gmetrics.structures import COUNTER_RECORDS

from . import families as f
from .columns import base_units, described, read_columns
from .sink import Number, Samples, Sink

_MEMORY = next(one for one in COUNTER_RECORDS[2102].fields if one.name == "memory")
_FIELDS: dict[str, Field] = {
    one.family.pool.name: one
    for structure in COUNTER_RECORDS.values()
    for one in structure.fields
    if one.family is not None and one.family.pool is not None
}
"""Any one field of each pool family: they have the same unit and kind."""


def write_pool(sink: Sink, pool: Pool) -> None:
    """What the hosts of a pool have done together, and each of its services."""
    up = sum(host.up for host in pool.hosts)
    if pool.hosts:
        f.POOL_HOSTS.add(sink, (pool.name, "up"), up)
        f.POOL_HOSTS.add(sink, (pool.name, "down"), len(pool.hosts) - up)
    owner = sink.labels(("pool", pool.name), ("pool",), [(pool.name,)])
    _sums(sink, ("pool", pool.name), owner, [pool.kept], [pool.rows])
    _gauges(sink, ("pool", pool.name), owner, [[host.row for host in pool.hosts if host.row is not None]])
    if not pool.services:
        return
    key = ("pool services", pool.name)
    places = [(pool.name, service.name, service.kind) for service in pool.services]
    labels = sink.labels(key, f.POOL_SERVICE, places)
    members = [service.members for service in pool.services]
    _sums(sink, key, labels, [service.kept for service in pool.services], [service.rows for service in pool.services])
    f.POOL_SERVICE_HOSTS.many(sink, labels, [len(one) for one in members], pool.name)
    most = _gauges(sink, key, labels, [[member.row for member in one] for one in members])
    f.POOL_SERVICE_MEMORY_MAX.many(sink, labels, most, pool.name)


class _Stack:
    """Rows of one form, one owner's behind the other's; `spans` are (owner, from, to)."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.spans: list[tuple[int, int, int]] = []


def _stacks(groups: Sequence[Iterable[Row]]) -> dict[Form, _Stack]:
    """The rows of all owners by form, so that a field can be read as a column and summed by owner."""
    stacks: dict[Form, _Stack] = {}
    for owner, rows in enumerate(groups):
        for form, run in groupby(rows, _form_of):
            stack = stacks.get(form) or stacks.setdefault(form, _Stack())
            start = len(stack.rows)
            stack.rows.extend(run)
            stack.spans.append((owner, start, len(stack.rows)))
    return stacks


_form_of = attrgetter("form")


def _sums(
    sink: Sink,
    key: object,
    labels: Sequence[Any],
    kept: Sequence[Mapping[SumKey, int]],
    groups: Sequence[Iterable[Row]],
) -> None:
    """Counters: increases of all rows of each owner and what was kept of others, in base units."""
    sums: dict[SumKey, list[int | None]] = {}
    for form, stack in _stacks(groups).items():
        indices = [index for index, _ in form.pool_counters]
        totals, base = read_columns(stack.rows, "totals", indices), read_columns(stack.rows, "base", indices)
        for index, name in form.pool_counters:
            column = sums.setdefault(name, [None] * len(groups))
            for owner, first, last in stack.spans:
                added = _increase(totals[index][first:last], base[index][first:last])
                if added is not None:
                    column[owner] = (column[owner] or 0) + added
    for owner, increases in enumerate(kept):
        for name, added in increases.items():
            column = sums.setdefault(name, [None] * len(groups))
            column[owner] = (column[owner] or 0) + added
    for name, column in sums.items():
        _write(sink, key, name, labels, column)


def _increase(totals: list[int | None], base: list[int | None]) -> int | None:
    """What all have done since they began to count; None where that is not known of any."""
    try:
        return sum(totals) - sum(base)  # type: ignore[arg-type]
    except TypeError:  # of some it is not known
        known = [a - b for a, b in zip(totals, base, strict=True) if a is not None and b is not None]
        return sum(known) if known else None


def _gauges(sink: Sink, key: object, labels: Sequence[Any], groups: Sequence[Iterable[Row]]) -> list[Number | None]:
    """Gauges: sums over the rows of each owner. The most memory of one row is the result, by owner."""
    sums: dict[str, list[Number | None]] = {}
    most: list[Number | None] = [None] * len(groups)
    for form, stack in _stacks(groups).items():
        memory = form.value_index(_MEMORY)
        gauges = _gauges_of(form)
        values = read_columns(stack.rows, "values", [index for _, index, _ in gauges])
        for name, index, unknown in gauges:
            column = sums.setdefault(name, [None] * len(groups))
            numbers: list[Number] = values[index]
            all_known = unknown not in numbers
            for owner, first, last in stack.spans:
                known = numbers[first:last]
                if not all_known:
                    known = [value for value in known if value != unknown]
                if known:
                    column[owner] = (column[owner] or 0) + sum(known)
                    if index == memory:
                        most[owner] = max(*known, most[owner] or 0)
    for name, column in sums.items():
        _write(sink, key, (name, ()), labels, column)
    return most


def _write(sink: Sink, key: object, name: SumKey, labels: Sequence[Any], numbers: Sequence[Number | None]) -> None:
    one = _FIELDS[name[0]]
    assert one.family is not None and one.family.pool is not None
    if sink.selection.wants(name[0]):
        samples = Samples(name[0], labels, numbers, name[1], (None,), base_units(one))
        sink.column((key, name), described(one.family.pool, one.kind), samples)


def _gauges_of(form: Form) -> list[tuple[str, int, float | None]]:
    """The pool families of a form's gauges: name, place in a row, the number that says "not known"."""
    found: list[tuple[str, int, float | None]] | None = form.derived.get("prometheus pool")
    if found is None:
        found = form.derived["prometheus pool"] = [
            (one.family.pool.name, index, unavailable_value(one))
            for index, one in enumerate(form.fields)
            if one.kind is Kind.GAUGE and one.family is not None and one.family.pool is not None
        ]
    return found
