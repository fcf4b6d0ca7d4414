"""A snapshot as Ganglia sees it: safe names, and the metrics of every row in gmond's words.

What gmond XML, gmetad XML and RRD files have in common. Names become ASCII
`[A-Za-z0-9._-]`, because gmetad and ganglia-web break on anything else: distinct after
mapping, without `..`, hosts in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import Bound, Text, Value
from sflow_gmetrics.operators import Row as OperatorRow
from sflow_gmetrics.schema import Metric, Role
from sflow_gmetrics.snapshot import Host, Row, Snapshot

NAME_LENGTH = 64
"""How long a host's or a service's name can be; collisions add a suffix."""
SETTLING = 90.0
"""For how many seconds a host that has not told its name is held back.

Its services are heard before its own sample; shown under its address, it would leave a dead
host behind in every gmetad and a directory of RRD files.
"""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_DOTS = re.compile(r"\.\.+")
_UNSAFE_VALUE = re.compile(r"[^ !#-%(-;=?-~]")


@lru_cache(100_000)
def safe_name(raw: str) -> str:
    """A name that Ganglia can carry in XML, paths and URLs."""
    name = _DOTS.sub("_", _UNSAFE.sub("_", raw)).lstrip(".").rstrip(".")[:NAME_LENGTH]
    return name or "_"


def safe_value(raw: str) -> str:
    """A text in printable ASCII without the characters that XML gives a meaning."""
    return _UNSAFE_VALUE.sub("_", raw)[:256]


class Names:
    """Gives each raw name a safe one that no other has."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def give(self, raw: str, suffix: str, *, lower: bool = False) -> str:
        """The safe name, with the suffix behind it if another one has it already."""
        name = safe_name(raw)
        if lower:
            name = name.lower()
        if name in self._used:
            name = f"{name}-{safe_name(suffix)}"
        while name in self._used:
            name += "_"
        self._used.add(name)
        return name


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The metrics of a form: what to evaluate and what to call it."""

    metrics: tuple[Metric, ...]
    operators: tuple[Bound, ...]

    def values(self, row: Row) -> list[Value]:
        """One value a metric, None where it is not known."""
        return [operator(row) for operator in self.operators]


def plan_of(form: Form, role: Role, switches: frozenset[str]) -> Plan:
    """Which metrics a row of this form has when it describes a host, a service or an interface."""
    key = f"ganglia {role.value} {sorted(switches)}"
    plan: Plan | None = form.derived.get(key)
    if plan is None:
        plan = form.derived[key] = _make_plan(form, role, switches)
    return plan


def _make_plan(form: Form, role: Role, switches: frozenset[str]) -> Plan:
    metrics: list[Metric] = []
    operators: list[Bound] = []
    names: set[str] = set()
    for structure in form.structures:
        if role is Role.SERVICE and structure.name == "host_descr":
            continue  # as gmond: a service's kernel release is its host's
        if (structure.role is Role.INTERFACE) is not (role is Role.INTERFACE):
            continue
        for_jvm = form.is_jvm and any(metric.jvm for one in structure.fields for metric in one.ganglia)
        for one in structure.fields:
            for metric in one.ganglia:
                if metric.jvm != for_jvm or metric.name in names or (metric.switch and metric.switch not in switches):
                    continue
                operator = metric.operator.bind(one, form)
                if operator is not None:
                    names.add(metric.name)
                    metrics.append(metric)
                    operators.append(_safe(operator) if isinstance(metric.operator, Text) else operator)
    return Plan(tuple(metrics), tuple(operators))


def _safe(operator: Bound) -> Bound:
    """The same for a text from the wire: made safe."""

    def safe(row: OperatorRow) -> Value:
        value = operator(row)
        return None if value is None else safe_value(str(value))

    return safe


def switches_of(snapshot: Snapshot) -> frozenset[str]:
    """The switches of [gmond] that are on."""
    gmond = snapshot.config.gmond
    return frozenset(name for name in ("netstat", "interfaces") if getattr(gmond, name))


@dataclass(frozen=True, slots=True)
class GangliaRow:
    """A row with its place in Ganglia.

    Its metrics are `<name>.<metric>`; the host's own row has the name "", and plain metrics.
    """

    name: str
    row: Row
    plan: Plan


def rows_of(host: Host, switches: frozenset[str]) -> Iterable[GangliaRow]:
    """The rows of a host that is up: its own, its services', its interfaces' where they are switched on."""
    if host.row is not None:
        yield GangliaRow("", host.row, plan_of(host.row.form, Role.HOST, switches))
    names = Names()
    for service in host.services:
        name = names.give(service.name, service.ds.partition(":")[2])
        yield GangliaRow(name, service.row, plan_of(service.row.form, Role.SERVICE, switches))
    if "interfaces" in switches:
        for interface in host.interfaces:
            name = names.give(interface.name, str(interface.index))
            yield GangliaRow(name, interface.row, plan_of(interface.row.form, Role.INTERFACE, switches))


@dataclass(frozen=True, slots=True)
class GangliaCluster:
    """A pool with its hosts under the names that Ganglia gets."""

    name: str
    hosts: tuple[tuple[str, Host], ...]


def clusters_of(snapshot: Snapshot) -> list[GangliaCluster]:
    """The pools as clusters; at least the default one, so that a reader finds a document."""
    names = Names()
    clusters = []
    for pool in snapshot.pools:
        hosts = [
            (names.give(host.name, host.address, lower=True), host)
            for host in pool.hosts
            if host.announced or snapshot.time - host.first_heard >= SETTLING
        ]
        if hosts or pool.name == snapshot.config.gmond.cluster:
            clusters.append(GangliaCluster(pool.name, tuple(hosts)))
    if not clusters:
        clusters.append(GangliaCluster(snapshot.config.gmond.cluster, ()))
    return clusters


def host_tmax(host: Host) -> int:
    """TMAX of a HOST: gmetad takes it for dead after four of these. gmond's 20 s, or the agent's interval."""
    return max(20, ceil(host.interval))


def metric_tmax(row: Row) -> int:
    """TMAX of a METRIC: the source's own interval, in seconds."""
    return max(1, ceil(row.interval))
