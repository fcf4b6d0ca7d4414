"""A snapshot as Ganglia sees it: safe names, and the metrics of every row in gmond's words.

What gmond XML, gmetad XML and RRD files have in common. Names become ASCII
`[A-Za-z0-9._-]`, because gmetad and ganglia-web break on anything else: distinct after
mapping, without `..`, hosts in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from sflow_gmetrics.layout import Form
from sflow_gmetrics.names import Names, safe_name, safe_value
from sflow_gmetrics.operators import Bound, Text, Value
from sflow_gmetrics.operators import Row as OperatorRow
from sflow_gmetrics.schema import Metric, Role
from sflow_gmetrics.snapshot import Host, Row, Snapshot

__all__ = [
    "SETTLING",
    "GangliaCluster",
    "GangliaRow",
    "Names",
    "Plan",
    "clusters_of",
    "host_tmax",
    "metric_tmax",
    "plan_of",
    "rows_of",
    "safe_name",
    "safe_value",
    "switches_of",
]

SETTLING = 90.0
"""For how many seconds a host that has not told its name is held back.

Its services are heard before its own sample; shown under its address, it would leave a dead
host behind in every gmetad and a directory of RRD files.
"""


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


class GangliaRow(NamedTuple):
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
    plans: dict[Form, Plan] = {}
    for service in host.services:
        form = service.row.form
        plan = plans.get(form) or plans.setdefault(form, plan_of(form, Role.SERVICE, switches))
        yield GangliaRow(names.give(service.name, service.ds.partition(":")[2]), service.row, plan)
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
    """The pools that have hosts, as clusters.

    At least one, so that a reader finds a document, but none that will stay empty: gmetad
    would show it for ever.
    """
    names = Names()
    clusters = []
    for pool in snapshot.pools:
        hosts = [
            (names.give(host.name, host.address, lower=True), host)
            for host in pool.hosts
            if host.announced or snapshot.time - host.first_heard >= SETTLING
        ]
        if hosts:
            clusters.append(GangliaCluster(pool.name, tuple(hosts)))
    if not clusters:
        pools = snapshot.config.pools
        clusters.append(GangliaCluster(pools[0].name if pools else snapshot.config.gmond.cluster, ()))
    return clusters


def host_tmax(host: Host) -> int:
    """TMAX of a HOST: gmetad takes it for dead after four of these. gmond's 20 s, or the agent's interval."""
    return max(20, ceil(host.interval))


def metric_tmax(row: Row) -> int:
    """TMAX of a METRIC: the source's own interval, in seconds."""
    return max(1, ceil(row.interval))
