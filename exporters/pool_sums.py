"""The pool families of Prometheus: hosts and services of a pool, summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import Field, Kind
from sflow_gmetrics.snapshot import Pool, SumKey
from sflow_gmetrics.structures import COUNTER_RECORDS, counter_field

from . import families as f
from .columns import base_units, described
from .members import Members, ServiceTable, group_by_form
from .sink import Number, Samples, Sink

_MEMORY = counter_field(2102, "memory")
_FIELDS: dict[str, Field] = {
    one.family.pool.name: one
    for structure in COUNTER_RECORDS.values()
    for one in structure.fields
    if one.family is not None and one.family.pool is not None
}
"""Any one field of each pool family: they have the same unit and kind."""
_OF_SERVICES = frozenset((f.POOL_SERVICE_HOSTS.name, f.POOL_SERVICE_MEMORY_MAX.name, *_FIELDS))


def write_pool(sink: Sink, pool: Pool, table: ServiceTable) -> None:
    """What the hosts of a pool have done together, and each of its services."""
    up = sum(host.up for host in pool.hosts)
    if pool.hosts:
        f.POOL_HOSTS.add(sink, (pool.name, "up"), up)
        f.POOL_HOSTS.add(sink, (pool.name, "down"), len(pool.hosts) - up)
    owner = sink.labels(("pool", pool.name), ("pool",), [(pool.name,)])
    _sums(sink, ("pool", pool.name), owner, [pool.kept], group_by_form([(pool.rows, pool.rows)], (pool.name, "hosts")))
    live = [host.row for host in pool.hosts if host.row is not None]
    _gauges(sink, ("pool", pool.name), owner, group_by_form([(live, live)]))
    if not pool.services or not sink.selection.wants_some(_OF_SERVICES):
        return
    key = ("pool services", pool.name)
    places = [(pool.name, service.name, service.kind) for service in pool.services]
    labels = sink.labels(key, f.POOL_SERVICE, places)
    _sums(sink, key, labels, [service.kept for service in pool.services], table.everyone)
    f.POOL_SERVICE_HOSTS.many(sink, labels, [len(service.members) for service in pool.services], pool.name)
    most = _gauges(sink, key, labels, table.live)
    f.POOL_SERVICE_MEMORY_MAX.many(sink, labels, most, pool.name)


def _sums(
    sink: Sink,
    key: object,
    labels: Sequence[Any],
    kept: Sequence[Mapping[SumKey, int]],
    tables: Sequence[Members],
) -> None:
    """Counters: increases of all rows of each owner and what was kept of others, in base units."""
    sums: dict[SumKey, list[int | None]] = {}
    for members in tables:
        for index, name in members.form.pool_counters:
            if not sink.selection.wants(name[0]):
                continue
            column = sums.setdefault(name, [None] * len(labels))
            totals = members.totals[index]
            for span, (owner, first, last) in enumerate(members.spans):
                added = _increase(members, index, totals[first:last], span)
                if added is not None:
                    column[owner] = (column[owner] or 0) + added
    for owner, increases in enumerate(kept):
        for name, added in increases.items():
            column = sums.setdefault(name, [None] * len(labels))
            column[owner] = (column[owner] or 0) + added
    for name, column in sums.items():
        _write(sink, key, name, labels, column)


def _increase(members: Members, index: int, totals: Sequence[int | None], span: int) -> int | None:
    """What all of one span have done since they began to count; None where that is not known of any."""
    base = members.base_sums(span)[index]
    if base is not None and (members.knows_all or None not in totals):
        return sum(totals) - base  # type: ignore[arg-type]
    _, first, last = members.spans[span]
    bases = members.base[index][first:last]
    known = [a - b for a, b in zip(totals, bases, strict=True) if a is not None and b is not None]
    return sum(known) if known else None


def _gauges(sink: Sink, key: object, labels: Sequence[Any], tables: Sequence[Members]) -> list[Number | None]:
    """Gauges: sums over the rows of each owner. The most memory of one row is the result, by owner."""
    sums: dict[str, list[Number | None]] = {}
    most: list[Number | None] = [None] * len(labels)
    for members in tables:
        memory = members.form.value_index(_MEMORY)
        for name, index, unknown in _gauges_of(members.form):
            if index != memory and not sink.selection.wants(name):
                continue
            column = sums.setdefault(name, [None] * len(labels))
            numbers: list[Number] = members.values[index]
            all_known = unknown not in numbers
            for owner, first, last in members.spans:
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
