"""What a person wants to see first: pools, hosts and services with their CPU and memory.

The landing page and the table in the terminal show the same numbers; they come from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import Field
from sflow_gmetrics.snapshot import Pool, Row, Snapshot
from sflow_gmetrics.structures import counter_field

_CPU, _MEMORY = counter_field(2101, "cpuTime"), counter_field(2102, "memory")
_READ, _WRITTEN = counter_field(2103, "rd_bytes"), counter_field(2103, "wr_bytes")


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """A service of a pool: `cpus` used (1.0 is one CPU), memory in bytes, I/O in bytes per second."""

    name: str
    kind: str
    hosts: int
    cpus: float
    memory: int
    io: float


@dataclass(frozen=True, slots=True)
class PoolLines:
    """A pool with its services, those that use most CPU first."""

    name: str
    up: int
    down: int
    services: tuple[ServiceLine, ...]


def overview(snapshot: Snapshot) -> list[PoolLines]:
    """The pools that have hosts."""
    return [_pool(pool) for pool in snapshot.pools if pool.hosts]


def _pool(pool: Pool) -> PoolLines:
    lines = []
    for service in pool.services:
        rows = [member.row for member in service.members]
        if rows:
            cpus = _rate(rows, _CPU) / 1000
            io = _rate(rows, _READ) + _rate(rows, _WRITTEN)
            lines.append(ServiceLine(service.name, service.kind, len(rows), cpus, _gauge(rows, _MEMORY), io))
    up = sum(host.up for host in pool.hosts)
    lines.sort(key=lambda line: (-line.cpus, -line.memory, line.name))
    return PoolLines(pool.name, up, len(pool.hosts) - up, tuple(lines))


def _rate(rows: Iterable[Row], one: Field) -> float:
    """Increase per second over all rows; what is not known counts as nothing."""
    total = 0.0
    for row in rows:
        index = row.form.counter_index(one)
        if index is not None and (delta := row.deltas[index]) is not None:
            total += delta / row.elapsed
    return total


def _gauge(rows: Iterable[Row], one: Field) -> int:
    total = 0
    for row in rows:
        index = row.form.value_index(one)
        if index is not None and row.values[index] != unavailable_value(one):
            total += int(row.values[index])
    return total


def human_bytes(value: float) -> str:
    """1.4 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def human_age(seconds: float) -> str:
    """12 s, 3 min, 2 h."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
