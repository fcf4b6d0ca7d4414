"""The Prometheus page: text format 0.0.4, and OpenMetrics 1.0.

Grouped by service name: host families, service families, and the pool families that sum a
service over its hosts. A family that follows from a field is declared with it; the others
stand in `families.py`. What is not known or no longer there is not on the page.
Source: Prometheus exposition formats; OpenMetrics 1.0.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence

from sflow_gmetrics import __version__
from sflow_gmetrics.layout import Form
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import UNITS, Family, Field, Kind, Role
from sflow_gmetrics.snapshot import Host, Pool, PoolService, Row, Service, Snapshot, SumKey, by_form
from sflow_gmetrics.structures import COUNTER_RECORDS

from . import families as f
from .columns import columns_of, float32, group_by_form, scaled
from .exposition import FamilyText, Number, Templates, label_text
from .families import Extra

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
GROUPS_OFF = frozenset(("interface", "netstat", "vdi"))
"""The groups that are shown only where [web] groups names them."""

_LABELS = {Role.HOST: f.HOST, Role.SERVICE: f.SERVICE, Role.INTERFACE: f.INTERFACE}
_JVM_TEXTS = ("vm_name", "vm_vendor", "vm_version")
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
    known = [(host, host.row) for host in hosts if host.row is not None]
    _role(page, Role.HOST, [(host.pool, host.name) for host, _ in known], [row for _, row in known])
    services = [one for host in hosts for one in host.services]
    places = [one.place for one in services]
    _role(page, Role.SERVICE, places, [one.row for one in services])
    _services(page, places, services)
    if "interface" in page.groups:
        ports = [(host, one) for host in hosts for one in host.interfaces]
        where = [(host.pool, host.name, one.name) for host, one in ports]
        _role(page, Role.INTERFACE, where, [one.row for _, one in ports])
        _interfaces(page, where, [one.row for _, one in ports])
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

    def many(
        self, extra: Extra, rows: Sequence[tuple[str, ...]], numbers: Sequence[Number | None], key: object = None
    ) -> None:
        """Many samples of one family, from a template that is kept under `key`."""
        if rows:
            family = self.families.setdefault(extra.name, FamilyText(extra.name, extra.type, extra.help))
            labels = _templates.labels((extra.name, key), extra.labels, rows)
            family.blocks.append(_templates.render((extra.name, key), extra.name, "", labels, numbers))

    def text(self, *, openmetrics: bool) -> str:
        body = "".join(family.text(openmetrics=openmetrics) for family in self.families.values())
        return body + "# EOF\n" if openmetrics else body


# --- families that follow from fields


def _role(page: _Page, role: Role, places: Sequence[tuple[str, ...]], rows: Sequence[Row]) -> None:
    """All families of the rows of one role, form by form."""
    names = _LABELS[role]
    for form, members in group_by_form(places, rows).items():
        labels = _templates.labels((role, form), names, members.places)
        applications: list[str] = []
        for index, column in enumerate(columns_of(form, role)):
            if column.family.group and column.family.group not in page.groups:
                continue
            chosen = labels
            if column.per_application:
                applications = applications or _templates.labels(
                    (role, form, "application"),
                    (*names, "application"),
                    [
                        (*place, row.texts.get("application", ""))
                        for place, row in zip(members.places, members.rows, strict=True)
                    ],
                )
                chosen = applications
            block = _templates.render(
                (role, form, index), column.family.name, column.extra, chosen, column.read(members)
            )
            if block:
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


def _services(page: _Page, places: Sequence[tuple[str, ...]], services: Sequence[Service]) -> None:
    """What the services are and whether they run."""
    page.many(f.SERVICE_INFO, [one.info for one in services], [1] * len(services))
    for form, members in group_by_form(places, [one.row for one in services]).items():
        index = form.value_index(_STATE)
        if index is not None:
            page.many(f.SERVICE_UP, members.places, [int(value in _RUNNING) for value in members.values[index]], form)
        if form.is_jvm:
            for place, row in zip(members.places, members.rows, strict=True):
                page.add(f.JVM_INFO, (*place, *(row.texts.get(key, "") for key in _JVM_TEXTS)), 1)


def _interfaces(page: _Page, places: Sequence[tuple[str, ...]], rows: Sequence[Row]) -> None:
    duplex = {1: "full", 2: "half", 3: "in", 4: "out"}
    for place, row in zip(places, rows, strict=True):
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
    most = _gauge_sums(page, label, [member.row for member in service.members])
    if most is not None:
        page.add(f.POOL_SERVICE_MEMORY_MAX, place, most)


def _sums(page: _Page, label: str, sums: dict[SumKey, int]) -> None:
    """The pool's counters: increases of all members, in base units."""
    for (name, extra), total in sums.items():
        one = _POOL_FIELDS[name]
        assert one.family is not None and one.family.pool is not None
        scale = UNITS[one.unit].scale
        labels = f"{label},{label_text(*zip(*extra, strict=True))}" if extra else label
        (value,) = scaled([total], scale.numerator, scale.denominator)
        page.declared(one.family.pool, one.kind).add(labels, value or 0)


def _gauge_sums(page: _Page, label: str, rows: list[Row]) -> Number | None:
    """The pool's gauges: sums over the members that are live. The most memory of one of them is the result."""
    sums: dict[str, Number] = {}
    most: Number | None = None
    for form, members in by_form(rows).items():
        memory = form.value_index(_MEMORY)
        for name, index, unknown in _pool_gauges(form):
            values = [row.values[index] for row in members]
            if unknown in values:
                values = [value for value in values if value != unknown]
            if values:
                sums[name] = sums.get(name, 0) + sum(values)
                if index == memory:
                    most = max(*values, most or 0)
    for name, total in sums.items():
        one = _POOL_FIELDS[name]
        assert one.family is not None and one.family.pool is not None
        page.declared(one.family.pool, one.kind).add(label, total if isinstance(total, int) else float32(total))
    return most


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
