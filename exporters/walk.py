"""A snapshot's way into a sink: every family that the sink's selection wants.

A family that follows from a field is declared with it; the others stand in `families.py`. What
is not known or no longer there is not handed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from sflow_gmetrics.datagram import decode_structure
from sflow_gmetrics.errors import DecodeError
from sflow_gmetrics.schema import Field, Role
from sflow_gmetrics.snapshot import AgentStats, Host, Pool, Row, Service, Snapshot
from sflow_gmetrics.structures import COUNTER_RECORDS, counter_field
from sflow_gmetrics.structures.host import MACHINE_TYPES, OS_NAMES
from sflow_gmetrics.structures.virtual import DOMAIN_STATES
from sflow_gmetrics.xdr import Cursor

from . import families as f
from .columns import columns_of
from .members import Members, ServiceTable, group_by_form
from .pool_sums import write_pool
from .self_metrics import write_collector
from .sink import Samples, Sink

_LABELS = {Role.HOST: f.HOST, Role.SERVICE: f.SERVICE, Role.INTERFACE: f.INTERFACE}
_JVM_TEXTS = ("vm_name", "vm_vendor", "vm_version")
_OF_STATES = frozenset((f.SERVICE_UP.name, f.SERVICE_STATE.name))
_OF_SERVICES = _OF_STATES.union(
    (f.SERVICE_INFO.name, f.JVM_INFO.name),
    (
        one.family.name
        for structure in COUNTER_RECORDS.values()
        if structure.role is Role.SERVICE
        for one in structure.fields
        if one.family is not None
    ),
)
"""The families of the service level."""
Births = Mapping[tuple[str, str], float]
"""When each host (pool and name) had booted as it was first heard; empty where nobody wants to know."""
_RUNNING = frozenset((0, 1, 2))
"""Domain states that mean it runs: no state, running, blocked."""


def write(sink: Sink, snapshot: Snapshot) -> None:
    """Hand over everything that the sink's selection wants."""
    selection = sink.selection
    pools = [pool for pool in snapshot.pools if selection.takes_pool(pool.name)]
    hosts = [host for pool in pools for host in pool.hosts if selection.takes_host(host.name, host.address)]
    up = [host for host in hosts if host.up]
    births = {(host.pool, host.name): host.born for host in up} if selection.began else {}
    series = _Series(sink)
    if "host" in selection.levels:
        known = {(host.pool, host.name): host for host in up if host.row is not None}
        tables = group_by_form([(list(known), [host.row for host in known.values() if host.row is not None])])
        _hosts(sink, hosts)
        _host_infos(sink, known, tables)
        _role(sink, Role.HOST, tables, births)
        _agents(sink, snapshot.agents)
        series.count("host")
    services_of = {pool.name: ServiceTable(pool) for pool in pools}
    if "service" in selection.levels and selection.wants_some(_OF_SERVICES):
        services = list(chain.from_iterable(map(attrgetter("services"), up)))
        if selection.takes_every_host and len(services) == _members_of(pools):  # none is folded into another
            members = [members for table in services_of.values() for members in table.live]
        else:
            members = group_by_form([([one.place for one in services], [one.row for one in services])])
        _services(sink, services, members, births)
        series.count("service")
    if "host" in selection.levels and "interface" in selection.groups:
        _interfaces(sink, up, births)
        series.count("interface")
    if "pool" in selection.levels:
        for pool in pools:
            if selection.in_shard(pool.name):
                write_pool(sink, pool, services_of[pool.name])
        series.count("pool")
    if selection.wants_collector:
        write_collector(sink, snapshot, series.levels)


def _members_of(pools: Iterable[Pool]) -> int:
    return sum(len(service.members) for pool in pools for service in pool.services)


class _Series:
    """How many series a sink has taken, level by level."""

    def __init__(self, sink: Sink) -> None:
        self.levels: dict[str, int] = {}
        self._sink = sink
        self._before = sink.taken

    def count(self, level: str) -> None:
        """What it has taken since the last call is of this level."""
        self.levels[level] = self._sink.taken - self._before
        self._before = self._sink.taken


class Heard(NamedTuple):
    """Rows of any form, as those who know when they were heard."""

    rows: Sequence[Row]

    @property
    def times(self) -> Sequence[float]:
        """When the newest sample of each row came, in seconds since the epoch."""
        return [row.received for row in self.rows]


class _HeardServices(NamedTuple):
    """The same of services."""

    services: Sequence[Service]

    @property
    def times(self) -> Sequence[float]:
        """When the newest sample of each came, in seconds since the epoch."""
        return [one.row.received for one in self.services]


# --- families that follow from fields


def _role(sink: Sink, role: Role, tables: Iterable[Members], births: Births) -> None:
    """All families of the rows of one role, form by form."""
    names = _LABELS[role]
    for members in tables:
        columns = [
            (index, column)
            for index, column in enumerate(columns_of(members.form, role))
            if sink.selection.wants(column.family.name, column.group)
        ]
        if not columns:
            continue
        began = [births[place[0], place[1]] for place in members.places] if births else None
        labels = sink.labels((role, members.key), names, members.places)
        applications: Sequence[Any] = ()
        for index, column in columns:
            chosen = labels
            if column.per_application:
                applications = applications or _applications(sink, role, members)
                chosen = applications
            numbers = column.read(members)
            unknown = () if column.is_counter and members.knows_all else column.unknown
            samples = Samples(
                column.family.name, chosen, numbers, column.extra, unknown, column.convert, members, began
            )
            sink.column((role, members.key, index), column.family, samples)


def _applications(sink: Sink, role: Role, members: Members) -> Sequence[Any]:
    """The labels of rows that are told apart by application too."""
    rows = [(*place, row.texts.get("application", "")) for place, row in zip(members.places, members.rows, strict=True)]
    return sink.labels((role, members.key, "application"), (*_LABELS[role], "application"), rows)


# --- hosts, services, interfaces


def _hosts(sink: Sink, hosts: Sequence[Host]) -> None:
    """Which hosts there are, whether they are heard, and what they are."""
    labels = sink.labels("hosts", f.HOST, [(host.pool, host.name) for host in hosts])
    f.HOST_UP.many(sink, labels, [int(host.up) for host in hosts])
    samples = [round(host.row.alive, 3) if host.up and host.row is not None else None for host in hosts]
    f.HOST_LAST_SAMPLE.many(sink, labels, samples)
    if sink.selection.wants(f.HOST_ADAPTOR_INFO.name, f.HOST_ADAPTOR_INFO.group):
        places = [(host.pool, host.name, *one) for host in hosts if host.row is not None for one in _adaptors(host.row)]
        f.HOST_ADAPTOR_INFO.info(sink, places)


def _adaptors(row: Row) -> Iterable[tuple[str, str]]:
    """Index and MAC address of each network adaptor, each once."""
    try:
        adaptors = decode_structure(_ADAPTORS, Cursor(row.record(_ADAPTORS.tag)))["adapters"]
    except DecodeError:
        return ()
    return dict.fromkeys((str(one["ifIndex"]), mac) for one in adaptors for mac in one["mac"])


def _host_infos(sink: Sink, hosts: Mapping[tuple[str, str], Host], tables: Iterable[Members]) -> None:
    """What the hosts are that have said so."""
    if not sink.selection.wants(f.HOST_INFO.name, f.HOST_INFO.group):
        return
    for members in tables:
        systems, machines = _words(members, _OS_NAME, OS_NAMES), _words(members, _MACHINE, MACHINE_TYPES)
        infos: list[tuple[str, ...]] = []
        rows: list[Row] = []
        for place, row, system, machine in zip(members.places, members.rows, systems, machines, strict=True):
            texts = row.texts
            if texts:
                infos.append(
                    (*place, hosts[place].address, texts.get("uuid", ""), system, texts.get("os_release", ""), machine)
                )
                rows.append(row)
        f.HOST_INFO.info(sink, infos, members.key, Heard(rows))


def _words(members: Members, one: Field, words: Sequence[str]) -> Sequence[str]:
    """The word for each row's number; none where there is no number, or no word."""
    index = members.form.value_index(one)
    if index is None:
        return [""] * len(members.places)
    return [words[number] if number < len(words) else "" for number in members.values[index]]


_ADAPTORS = COUNTER_RECORDS[2001]
_OS_NAME, _MACHINE = counter_field(2000, "os_name"), counter_field(2000, "machine_type")
_STATE = counter_field(2101, "state")
_STATES = tuple(word.lower().replace(" ", "") for word in DOMAIN_STATES)
_IF_TYPE, _IF_DIRECTION, _IF_STATUS = (
    counter_field(1, "ifType"),
    counter_field(1, "ifDirection"),
    counter_field(1, "ifStatus"),
)


def _services(sink: Sink, services: Sequence[Service], tables: Sequence[Members], births: Births) -> None:
    """What the services do, what they are, and whether they run."""
    _role(sink, Role.SERVICE, tables, births)
    f.SERVICE_INFO.info(sink, list(map(attrgetter("info"), services)), rows=_HeardServices(services))
    for members in tables:
        index = members.form.value_index(_STATE)
        if index is not None and sink.selection.wants_some(_OF_STATES):
            _states(sink, members, members.values[index])
        if members.form.is_jvm:
            texts = [tuple(row.texts.get(key, "") for key in _JVM_TEXTS) for row in members.rows]
            places = [(*a, *b) for a, b in zip(members.places, texts, strict=True)]
            f.JVM_INFO.info(sink, places, members.key, members)


def _states(sink: Sink, members: Members, states: Sequence[int]) -> None:
    """Whether services run, and their states in words."""
    labels = sink.labels((Role.SERVICE, members.key), f.SERVICE, members.places)
    f.SERVICE_UP.many(sink, labels, [1 if state in _RUNNING else 0 for state in states], members.key, members)
    if sink.selection.wants(f.SERVICE_STATE.name, f.SERVICE_STATE.group):
        words = [_STATES[state] if state < len(_STATES) else "unknown" for state in states]
        places = [(*place, word) for place, word in zip(members.places, words, strict=True)]
        f.SERVICE_STATE.info(sink, places, members.key, members)


def _interfaces(sink: Sink, hosts: Sequence[Host], births: Births) -> None:
    """What the interfaces do, what they are, and whether they work."""
    ports = [(host, one) for host in hosts for one in host.interfaces]
    places = [(host.pool, host.name, one.name) for host, one in ports]
    tables = group_by_form([(places, [one.row for _, one in ports])])
    _role(sink, Role.INTERFACE, tables, births)
    duplex = {1: "full", 2: "half", 3: "in", 4: "out"}
    for members in tables:
        index, kind, direction = (members.form.value_index(one) for one in (_IF_STATUS, _IF_TYPE, _IF_DIRECTION))
        if index is None or kind is None or direction is None:
            continue
        rows = [
            (*place, str(row.values[0]), str(row.values[kind]), duplex.get(row.values[direction], "unknown"))
            for place, row in zip(members.places, members.rows, strict=True)
        ]
        f.INTERFACE_INFO.info(sink, rows, members.key, members)
        labels = sink.labels((Role.INTERFACE, members.key), f.INTERFACE, members.places)
        status = members.values[index]
        f.INTERFACE_ADMIN_UP.many(sink, labels, [value & 1 for value in status], members.key, members)
        f.INTERFACE_UP.many(sink, labels, [value >> 1 & 1 for value in status], members.key, members)


# --- agents


def _agents(sink: Sink, everyone: Sequence[AgentStats]) -> None:
    """What the agents' streams have counted."""
    selection = sink.selection
    agents = [one for one in everyone if selection.takes_pool(one.pool) and selection.takes_host(one.host, one.address)]
    places = [(one.address, one.pool, one.host, str(sub_agent)) for one in agents for sub_agent in one.sub_agents]
    f.AGENT_INFO.info(sink, places)
    labels = sink.labels("agents", ("agent",), [(one.address,) for one in agents])
    heard = [one.first_heard for one in agents]
    for extra, numbers in (
        (f.AGENT_DATAGRAMS, [one.datagrams for one in agents]),
        (f.AGENT_LOST, [one.lost for one in agents]),
        (f.AGENT_REORDERED, [one.reordered for one in agents]),
        (f.AGENT_SAMPLES_LOST, [one.samples_lost for one in agents]),
        (f.AGENT_RESTARTS, [one.restarts for one in agents]),
        (f.AGENT_CONFLICTS, [one.conflicts for one in agents]),
        (f.AGENT_LAST_SEEN, [round(one.last_heard, 3) for one in agents]),
        (f.AGENT_CLOCK_AGREES, [int(one.clock_agrees) for one in agents]),
    ):
        extra.many(sink, labels, numbers, began=heard)
    samples = [(one, kind, count) for one in agents for kind, count in one.samples.items() if count]
    labels = sink.labels("agent samples", f.AGENT_SAMPLES.labels, [(one.address, kind) for one, kind, _ in samples])
    heard = [one.first_heard for one, _, _ in samples]
    f.AGENT_SAMPLES.many(sink, labels, [count for _, _, count in samples], began=heard)
