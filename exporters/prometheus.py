"""The Prometheus page: text format 0.0.4, and OpenMetrics 1.0.

Grouped by service name: host families, service families, and the pool families that sum a
service over its hosts. A family that follows from a field is declared with it; the others
stand in `families.py`. What is not known or no longer there is not on the page.
Source: Prometheus exposition formats; OpenMetrics 1.0.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sflow_gmetrics import __version__
from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import UNITS, Family, Field, Kind, Role
from sflow_gmetrics.snapshot import Host, Pool, PoolService, Row, Service, Snapshot, SumKey, by_form
from sflow_gmetrics.structures import COUNTER_RECORDS

from . import families as f
from .exposition import FamilyText, Number, Templates, label_text
from .families import Extra

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
GROUPS_OFF = frozenset(("interface", "netstat", "vdi"))
"""The groups that are shown only where [web] groups names them."""

_LABELS = {Role.HOST: f.HOST, Role.SERVICE: f.SERVICE, Role.INTERFACE: f.INTERFACE}
_RUNNING = frozenset((0, 1, 2))
"""Domain states that mean it runs: no state, running, blocked."""

_templates = Templates()


def render(snapshot: Snapshot) -> bytes:
    """The page in text format 0.0.4."""
    return _render(snapshot, openmetrics=False)


def render_openmetrics(snapshot: Snapshot) -> bytes:
    """The page in OpenMetrics 1.0."""
    return _render(snapshot, openmetrics=True)


def _render(snapshot: Snapshot, *, openmetrics: bool) -> bytes:
    page = _Page(frozenset(snapshot.config.web.groups))
    _templates.begin()
    hosts = [host for host in snapshot.hosts() if host.up]
    _hosts(page, snapshot)
    _role(page, Role.HOST, [((host.pool, host.name), host.row) for host in hosts if host.row is not None])
    services = [((host.pool, host.name, one.name, one.kind), one) for host in hosts for one in host.services]
    _role(page, Role.SERVICE, [(place, one.row) for place, one in services])
    _services(page, services)
    if "interface" in page.groups:
        interfaces = [((host.pool, host.name, one.name), one.row) for host in hosts for one in host.interfaces]
        _role(page, Role.INTERFACE, interfaces)
        _interfaces(page, interfaces)
    for pool in snapshot.pools:
        _pool(page, pool)
    _agents(page, snapshot)
    _collector(page, snapshot)
    text = page.text(openmetrics=openmetrics)
    return text.encode("utf-8")


class _Page:
    """The families of a page in the order in which they are to stand."""

    def __init__(self, groups: frozenset[str]) -> None:
        self.groups = groups
        self.families: dict[str, FamilyText] = {}

    def declared(self, family: Family, kind: Kind) -> FamilyText:
        found = self.families.get(family.name)
        if found is None:
            type_name = "counter" if kind is Kind.COUNTER else "gauge"
            found = self.families[family.name] = FamilyText(family.name, type_name, family.help)
        return found

    def add(self, extra: Extra, values: Iterable[str], number: Number) -> None:
        found = self.families.get(extra.name)
        if found is None:
            found = self.families[extra.name] = FamilyText(extra.name, extra.type, extra.help)
        found.add(label_text(extra.labels, values), number)

    def many(self, extra: Extra, rows: Sequence[tuple[str, ...]], numbers: Sequence[Number]) -> None:
        """Many samples of one family, from a template that is kept."""
        if rows:
            family = self.families.setdefault(extra.name, FamilyText(extra.name, extra.type, extra.help))
            labels = _templates.labels(extra.labels, rows)
            family.blocks.append(_templates.render(extra.name, extra.name, "", labels, numbers))

    def text(self, *, openmetrics: bool) -> str:
        body = "".join(family.text(openmetrics=openmetrics) for family in self.families.values())
        return body + "# EOF\n" if openmetrics else body


# --- families that follow from fields


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One family of a form: where its number stands in a row and how to read it."""

    family: Family
    kind: Kind
    extra: str
    read: Callable[[list[Row]], list[Number | None]]
    per_application: bool


def _columns(form: Form, role: Role) -> list[Column]:
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


def _reader(form: Form, one: Field) -> Callable[[list[Row]], list[Number | None]]:
    """A function from rows to one number each, None where it is not known."""
    scale = UNITS[one.unit].scale
    up, down = scale.numerator, scale.denominator
    index = form.value_index(one)
    assert index is not None and one.family is not None
    if one.is_counter:
        at = form.counter_index(one)
        assert at is not None
        return lambda rows: scaled([row.totals[at] for row in rows], up, down)
    if one.family.name.endswith("boot_time_seconds"):
        return lambda rows: [row.moments.get(index) for row in rows]
    unknown = {unavailable_value(one)} | ({0} if one.zero_unknown else set())
    if one.type.code == "f":
        return lambda rows: [_float32(row.values[index]) if row.values[index] not in unknown else None for row in rows]

    def gauges(rows: list[Row]) -> list[Number | None]:
        numbers: list[Any] = [row.values[index] for row in rows]
        if not unknown.isdisjoint(numbers):
            numbers = [None if value in unknown else value for value in numbers]
        return scaled(numbers, up, down)

    return gauges


def scaled(numbers: list[Any], up: int, down: int) -> list[Number | None]:
    """The numbers times up / down; None stays."""
    if up == down == 1:
        return numbers
    if None in numbers:
        return [None if value is None else value * up / down for value in numbers]
    if up == 1:
        return [value / down for value in numbers]
    return [value * up / down for value in numbers]


def _float32(value: float) -> float:
    """The decimal that a person would write for a 32-bit float."""
    return float(f"{value:.7g}")


def _role(page: _Page, role: Role, rows: Sequence[tuple[tuple[str, ...], Row]]) -> None:
    """All families of the rows of one role, form by form."""
    forms: dict[Form, list[tuple[tuple[str, ...], Row]]] = {}
    for entry in rows:
        forms.setdefault(entry[1].form, []).append(entry)
    names = _LABELS[role]
    for form, members in forms.items():
        labels = _templates.labels(names, (values for values, _ in members))
        own = [row for _, row in members]
        applications: list[str] | None = None
        for index, column in enumerate(_columns(form, role)):
            if column.family.group and column.family.group not in page.groups:
                continue
            if column.per_application and applications is None:
                applications = _templates.labels(
                    (*names, "application"), ((*values, row.texts.get("application", "")) for values, row in members)
                )
            chosen = applications if column.per_application and applications is not None else labels
            numbers = column.read(own)
            key: object = (id(form), role, index)
            if None in numbers:
                known = [(label, value) for label, value in zip(chosen, numbers, strict=True) if value is not None]
                if not known:
                    continue
                chosen, numbers = [label for label, _ in known], [value for _, value in known]
            block = _templates.render(key, column.family.name, column.extra, chosen, numbers)  # type: ignore[arg-type]
            page.declared(column.family, column.kind).blocks.append(block)


# --- hosts, services, interfaces


def _hosts(page: _Page, snapshot: Snapshot) -> None:
    for host in snapshot.hosts():
        place = (host.pool, host.name)
        page.add(f.HOST_UP, place, int(host.up))
        if not host.up:
            continue
        if host.row is not None:
            page.add(f.HOST_LAST_SAMPLE, place, round(host.row.alive, 3))
        if host.texts:
            page.add(f.HOST_INFO, (*place, host.address, host.texts.get("uuid", ""), *_system(host)), 1)


def _system(host: Host) -> tuple[str, str, str]:
    words = [_word(host.row, one) for one in (_OS_NAME, _MACHINE)]
    return words[0], host.texts.get("os_release", ""), words[1]


def _word(row: Row | None, one: Field) -> str:
    if row is None:
        return ""
    operator = one.ganglia[0].operator.bind(one, row.form)
    return str(operator(row) or "") if operator is not None else ""


def _field(tag: int, name: str) -> Field:
    return next(one for one in COUNTER_RECORDS[tag].fields if one.name == name)


_OS_NAME, _MACHINE = _field(2000, "os_name"), _field(2000, "machine_type")
_STATE, _MEMORY = _field(2101, "state"), _field(2102, "memory")
_IF_TYPE, _IF_DIRECTION, _IF_STATUS = _field(1, "ifType"), _field(1, "ifDirection"), _field(1, "ifStatus")


def _services(page: _Page, services: Sequence[tuple[tuple[str, ...], Service]]) -> None:
    """What the services are and whether they run."""
    infos = [(*place, one.row.texts.get("uuid", ""), one.ds) for place, one in services]
    page.many(f.SERVICE_INFO, infos, [1] * len(infos))
    states: list[tuple[tuple[str, ...], int]] = []
    for place, one in services:
        row = one.row
        index = row.form.value_index(_STATE)
        if index is not None:
            states.append((place, int(row.values[index] in _RUNNING)))
        if "vm_name" in row.texts:
            names = (row.texts.get(key, "") for key in ("vm_name", "vm_vendor", "vm_version"))
            page.add(f.JVM_INFO, (*place, *names), 1)
    page.many(f.SERVICE_UP, [place for place, _ in states], [up for _, up in states])


def _interfaces(page: _Page, interfaces: Iterable[tuple[tuple[str, ...], Row]]) -> None:
    duplex = {1: "full", 2: "half", 3: "in", 4: "out"}
    for place, row in interfaces:
        index = row.form.value_index(_IF_STATUS)
        if index is None:
            continue
        kind, direction = row.form.value_index(_IF_TYPE), row.form.value_index(_IF_DIRECTION)
        assert kind is not None and direction is not None
        values = row.values
        words = (str(values[0]), str(values[kind]), duplex.get(values[direction], "unknown"))
        page.add(f.INTERFACE_INFO, (*place, *words), 1)
        page.add(f.INTERFACE_ADMIN_UP, place, values[index] & 1)
        page.add(f.INTERFACE_UP, place, values[index] >> 1 & 1)


# --- pools


def _pool(page: _Page, pool: Pool) -> None:
    up = sum(host.up for host in pool.hosts)
    if pool.hosts:
        page.add(f.POOL_HOSTS, (pool.name, "up"), up)
        page.add(f.POOL_HOSTS, (pool.name, "down"), len(pool.hosts) - up)
    label = label_text(("pool",), (pool.name,))
    _sums(page, label, pool.sums())
    _gauge_sums(page, label, [host.row for host in pool.hosts if host.row is not None])
    for service in pool.services:
        _pool_service(page, pool, service)


def _pool_service(page: _Page, pool: Pool, service: PoolService) -> None:
    place = (pool.name, service.name, service.kind)
    label = label_text(f.POOL_SERVICE, place)
    _sums(page, label, service.sums())
    page.add(f.POOL_SERVICE_HOSTS, place, len(service.members))
    rows = [member.row for member in service.members]
    _gauge_sums(page, label, rows)
    memory = [
        value
        for row in rows
        if (index := row.form.value_index(_MEMORY)) is not None
        and (value := row.values[index]) != unavailable_value(_MEMORY)
    ]
    if memory:
        page.add(f.POOL_SERVICE_MEMORY_MAX, place, max(memory))


def _sums(page: _Page, label: str, sums: dict[SumKey, int]) -> None:
    """The pool's counters: increases of all members, in base units."""
    for (name, extra), total in sums.items():
        one = _POOL_FIELDS[name]
        assert one.family is not None and one.family.pool is not None
        scale = UNITS[one.unit].scale
        labels = f"{label},{label_text(*zip(*extra, strict=True))}" if extra else label
        (value,) = scaled([total], scale.numerator, scale.denominator)
        page.declared(one.family.pool, one.kind).add(labels, value or 0)


def _gauge_sums(page: _Page, label: str, rows: list[Row]) -> None:
    """The pool's gauges: sums over the members that are live."""
    sums: dict[str, Number] = {}
    for form, members in by_form(rows).items():
        for name, index, unknown in _pool_gauges(form):
            values = [row.values[index] for row in members]
            if unknown in values:
                values = [value for value in values if value != unknown]
            if values:
                sums[name] = sums.get(name, 0) + sum(values)
    for name, total in sums.items():
        one = _POOL_FIELDS[name]
        assert one.family is not None and one.family.pool is not None
        page.declared(one.family.pool, one.kind).add(label, total if isinstance(total, int) else _float32(total))


def _pool_gauges(form: Form) -> list[tuple[str, int, float | None]]:
    found: list[tuple[str, int, float | None]] | None = form.derived.get("prometheus pool")
    if found is None:
        found = form.derived["prometheus pool"] = [
            (one.family.pool.name, index, unavailable_value(one))
            for index, one in enumerate(form.fields)
            if one.kind is Kind.GAUGE and one.family is not None and one.family.pool is not None
        ]
    return found


_POOL_FIELDS: dict[str, Field] = {
    one.family.pool.name: one
    for structure in COUNTER_RECORDS.values()
    for one in structure.fields
    if one.family is not None and one.family.pool is not None
}


# --- the agents and the collector itself


def _agents(page: _Page, snapshot: Snapshot) -> None:
    for agent in snapshot.agents:
        for sub_agent in agent.sub_agents:
            page.add(f.AGENT_INFO, (agent.address, agent.pool, agent.host, str(sub_agent)), 1)
        for extra, number in (
            (f.AGENT_DATAGRAMS, agent.datagrams),
            (f.AGENT_LOST, agent.lost),
            (f.AGENT_REORDERED, agent.reordered),
            (f.AGENT_SAMPLES_LOST, agent.samples_lost),
            (f.AGENT_RESTARTS, agent.restarts),
            (f.AGENT_LAST_SEEN, round(agent.last_heard, 3)),
        ):
            page.add(extra, (agent.address,), number)


def _collector(page: _Page, snapshot: Snapshot) -> None:
    stats = snapshot.stats
    page.add(f.BUILD_INFO, (__version__, platform.python_version()), 1)
    page.add(f.DATAGRAMS, (), stats.datagrams)
    page.add(f.DATAGRAM_BYTES, (), stats.bytes)
    page.add(f.KERNEL_DROPS, (), stats.kernel_drops)
    page.add(f.RECEIVE_BUFFER, (), stats.receive_buffer)
    for extra, counts in (
        (f.SAMPLES, stats.samples),
        (f.RECORDS, stats.records),
        (f.DECODE_ERRORS, stats.decode_errors),
        (f.DROPPED, stats.dropped),
    ):
        for key in sorted(counts):
            page.add(extra, (key,), counts[key])
    for tag in sorted(stats.unknown_records):
        enterprise, _, number = tag.partition(":")
        page.add(f.UNKNOWN_RECORDS, (enterprise, number), stats.unknown_records[tag])
    reasons: dict[str, int] = {}
    for agent in snapshot.agents:
        for reason, count in agent.resets.items():
            reasons[reason] = reasons.get(reason, 0) + count
    for reason in sorted(reasons):
        page.add(f.RESETS, (reason,), reasons[reason])
    up = sum(agent.up for agent in snapshot.agents)
    page.add(f.AGENTS, ("up",), up)
    page.add(f.AGENTS, ("down",), len(snapshot.agents) - up)
    for pool in snapshot.pools:
        page.add(f.SERVICES, (pool.name,), sum(len(host.services) for host in pool.hosts))
