"""The Prometheus page: text format 0.0.4, and OpenMetrics 1.0.

Grouped by service name: host families, service families, and the pool families that sum a
service over its hosts. A family that follows from a field is declared with it; the others
stand in `families.py`. What is not known or no longer there is not on the page.
Source: Prometheus exposition formats; OpenMetrics 1.0.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

from sflow_gmetrics import __version__
from sflow_gmetrics.layout import Form
from sflow_gmetrics.schema import Field, Role
from sflow_gmetrics.snapshot import Host, Row, Service, Snapshot
from sflow_gmetrics.structures import COUNTER_RECORDS

from . import families as f
from .columns import Members, columns_of, group_by_form
from .exposition import Samples, Templates
from .families import Extra
from .page import Page
from .pool_sums import write_pool

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
    _templates.begin()
    page = Page(frozenset(snapshot.config.web.groups), _templates)
    hosts = [host for host in snapshot.hosts() if host.up]
    _hosts(page, snapshot)
    known = [(host, host.row) for host in hosts if host.row is not None]
    _role(page, Role.HOST, group_by_form([(host.pool, host.name) for host, _ in known], [row for _, row in known]))
    services = [one for host in hosts for one in host.services]
    forms = group_by_form([one.place for one in services], [one.row for one in services])
    _role(page, Role.SERVICE, forms)
    _services(page, services, forms)
    if "interface" in page.groups:
        ports = [(host, one) for host in hosts for one in host.interfaces]
        forms = group_by_form([(host.pool, host.name, one.name) for host, one in ports], [one.row for _, one in ports])
        _role(page, Role.INTERFACE, forms)
        _interfaces(page, forms)
    for pool in snapshot.pools:
        write_pool(page, pool)
    _agents(page, snapshot)
    _collector(page, snapshot)
    return page.text(openmetrics=openmetrics)


# --- families that follow from fields


def _role(page: Page, role: Role, forms: Mapping[Form, Members]) -> None:
    """All families of the rows of one role, form by form."""
    names = _LABELS[role]
    for form, members in forms.items():
        labels = _templates.labels((role, form), names, members.places)
        applications: list[str] = []
        for index, column in enumerate(columns_of(form, role)):
            if column.family.group and column.family.group not in page.groups:
                continue
            chosen = labels
            if column.per_application:
                applications = applications or _applications(role, form, members)
                chosen = applications
            numbers = column.read(members)
            samples = Samples(column.family.name, chosen, numbers, column.extra, column.unknown, column.convert)
            page.column((role, form, index), column.family, column.kind, samples)


def _applications(role: Role, form: Form, members: Members) -> list[str]:
    """The labels of rows that are told apart by application too."""
    rows = [(*place, row.texts.get("application", "")) for place, row in zip(members.places, members.rows, strict=True)]
    return _templates.labels((role, form, "application"), (*_LABELS[role], "application"), rows)


# --- hosts, services, interfaces


def _hosts(page: Page, snapshot: Snapshot) -> None:
    """Which hosts there are, whether they are heard, and what they are."""
    hosts = list(snapshot.hosts())
    labels = _templates.labels("hosts", f.HOST, [(host.pool, host.name) for host in hosts])
    page.many(f.HOST_UP, labels, [int(host.up) for host in hosts])
    samples = [round(host.row.alive, 3) if host.up and host.row is not None else None for host in hosts]
    page.many(f.HOST_LAST_SAMPLE, labels, samples)
    _infos(
        page,
        f.HOST_INFO,
        [
            (host.pool, host.name, host.address, host.texts.get("uuid", ""), *_system(host))
            for host in hosts
            if host.up and host.texts
        ],
    )


def _infos(page: Page, extra: Extra, rows: Sequence[tuple[str, ...]], key: object = None) -> None:
    """A family that is always 1."""
    page.many(extra, _templates.labels((extra.name, key), extra.labels, rows), [1] * len(rows), key)


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
_STATE = _field(2101, "state")
_IF_TYPE, _IF_DIRECTION, _IF_STATUS = _field(1, "ifType"), _field(1, "ifDirection"), _field(1, "ifStatus")


def _services(page: Page, services: Sequence[Service], forms: Mapping[Form, Members]) -> None:
    """What the services are and whether they run."""
    _infos(page, f.SERVICE_INFO, [one.info for one in services])
    for form, members in forms.items():
        index = form.value_index(_STATE)
        if index is not None:
            labels = _templates.labels((Role.SERVICE, form), f.SERVICE, members.places)
            page.many(f.SERVICE_UP, labels, [int(value in _RUNNING) for value in members.values[index]], form)
        if form.is_jvm:
            texts = [tuple(row.texts.get(key, "") for key in _JVM_TEXTS) for row in members.rows]
            _infos(page, f.JVM_INFO, [(*a, *b) for a, b in zip(members.places, texts, strict=True)], form)


def _interfaces(page: Page, forms: Mapping[Form, Members]) -> None:
    """What the interfaces are and whether they work."""
    duplex = {1: "full", 2: "half", 3: "in", 4: "out"}
    for form, members in forms.items():
        index, kind, direction = (form.value_index(one) for one in (_IF_STATUS, _IF_TYPE, _IF_DIRECTION))
        if index is None or kind is None or direction is None:
            continue
        rows = [
            (*place, str(row.values[0]), str(row.values[kind]), duplex.get(row.values[direction], "unknown"))
            for place, row in zip(members.places, members.rows, strict=True)
        ]
        _infos(page, f.INTERFACE_INFO, rows, form)
        labels = _templates.labels((Role.INTERFACE, form), f.INTERFACE, members.places)
        status = members.values[index]
        page.many(f.INTERFACE_ADMIN_UP, labels, [value & 1 for value in status], form)
        page.many(f.INTERFACE_UP, labels, [value >> 1 & 1 for value in status], form)


# --- the agents and the collector itself


def _agents(page: Page, snapshot: Snapshot) -> None:
    agents = snapshot.agents
    places = [(one.address, one.pool, one.host, str(sub_agent)) for one in agents for sub_agent in one.sub_agents]
    _infos(page, f.AGENT_INFO, places)
    labels = _templates.labels("agents", ("agent",), [(one.address,) for one in agents])
    for extra, numbers in (
        (f.AGENT_DATAGRAMS, [one.datagrams for one in agents]),
        (f.AGENT_LOST, [one.lost for one in agents]),
        (f.AGENT_REORDERED, [one.reordered for one in agents]),
        (f.AGENT_SAMPLES_LOST, [one.samples_lost for one in agents]),
        (f.AGENT_RESTARTS, [one.restarts for one in agents]),
        (f.AGENT_LAST_SEEN, [round(one.last_heard, 3) for one in agents]),
    ):
        page.many(extra, labels, numbers)


def _collector(page: Page, snapshot: Snapshot) -> None:
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
