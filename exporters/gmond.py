"""gmond XML: what an unmodified gmetad polls.

Deliberate differences from gmond 3.7.2: names are safe and distinct; TMAX is the agent's real
interval (gmond: 60) and DMAX four of them (600); a service that has stopped is gone at once
(gmond never drops it); what is not known is left out; `<service>.vmem_used` is shown; a host
is held back until it has told its name.
Source: Ganglia 3.7.2, gmond XML as measured.
"""

from __future__ import annotations

from sflow_gmetrics.operators import Value
from sflow_gmetrics.snapshot import Host, Snapshot

from .dtd import HEAD
from .ganglia import (
    GangliaRow,
    Plan,
    clusters_of,
    host_tmax,
    metric_tmax,
    rows_of,
    safe_value,
    switches_of,
)

_NAME = "\0"
"""Stands in a template for the name of the service, which all its metrics share."""
_METRIC = (
    '<METRIC NAME="{prefix}{name}" VAL="{format}" TYPE="{type}" UNITS="{units}" TN="%d" TMAX="{tmax}" DMAX="{dmax}" '
    'SLOPE="{slope}">\n<EXTRA_DATA>\n'
    '<EXTRA_ELEMENT NAME="TITLE" VAL="{caption}{title}"/>\n'
    '<EXTRA_ELEMENT NAME="DESC" VAL="{caption}{title}"/>\n'
    '<EXTRA_ELEMENT NAME="GROUP" VAL="{group}"/>\n'
    "</EXTRA_DATA>\n</METRIC>\n"
)
_templates: dict[tuple[Plan, tuple[bool, ...], int, bool], str] = {}
_TEMPLATES = 10_000
"""How many templates are kept: one for each set of metrics and interval, shared by all services."""


def render(snapshot: Snapshot) -> bytes:
    """The document: one CLUSTER a pool, hosts in lower case, services as `<service>.<metric>` on their host."""
    switches = switches_of(snapshot)
    now = int(snapshot.time)
    gmond = snapshot.config.gmond
    attributes = (
        f'LOCALTIME="{now}" OWNER="{safe_value(gmond.owner)}" LATLONG="{safe_value(gmond.latlong)}" '
        f'URL="{safe_value(gmond.url)}"'
    )
    parts = [HEAD, '<GANGLIA_XML VERSION="3.7.2" SOURCE="gmond">\n']
    for cluster in clusters_of(snapshot):
        parts.append(f'<CLUSTER NAME="{safe_value(cluster.name)}" {attributes}>\n')
        for name, host in cluster.hosts:
            parts.append(_host(name, host, snapshot))
            if host.up:
                parts.extend(render_row(row, snapshot.time) for row in rows_of(host, switches))
            parts.append("</HOST>\n")
        parts.append("</CLUSTER>\n")
    parts.append("</GANGLIA_XML>\n")
    return "".join(parts).encode("ascii")


def _host(name: str, host: Host, snapshot: Snapshot) -> str:
    reported = host.row.alive if host.row is not None else host.last_heard
    return (
        f'<HOST NAME="{name}" IP="{safe_value(host.address)}" TAGS="" REPORTED="{reported:.0f}" '
        f'TN="{max(snapshot.time - reported, 0):.0f}" TMAX="{host_tmax(host)}" '
        f'DMAX="{snapshot.config.sflow.forget_after:.0f}" LOCATION="unspecified" '
        f'GMOND_STARTED="{max(host.started, 0):.0f}">\n'
    )


def render_row(one: GangliaRow, now: float) -> str:
    """The METRIC elements of one row."""
    plan, row = one.plan, one.row
    values = plan.values(row)
    shown: tuple[bool, ...] = ()
    if None in values:
        shown = tuple(value is not None for value in values)
        values = [value for value in values if value is not None]
    key = (plan, shown, metric_tmax(row), bool(one.name))
    template = _templates.get(key) or _make_template(*key)
    arguments: list[Value] = [max(int(now - row.alive), 0)] * (2 * len(values))
    arguments[::2] = values
    return template.replace(_NAME, one.name) % tuple(arguments)


def _make_template(plan: Plan, shown: tuple[bool, ...], tmax: int, named: bool) -> str:
    if len(_templates) >= _TEMPLATES:
        _templates.clear()
    wanted = [metric for index, metric in enumerate(plan.metrics) if not shown or shown[index]]
    template = "".join(
        _METRIC.format(
            prefix=f"{_NAME}." if named else "",
            caption=f"{_NAME}: " if named else "",
            name=metric.name,
            format=metric.format.replace("%u", "%d"),
            type=metric.type,
            units=metric.units.replace("%", "%%"),
            tmax=tmax,
            dmax=4 * tmax,
            slope=metric.slope,
            title=metric.title.replace("%", "%%"),
            group=metric.group,
        )
        for metric in wanted
    )
    _templates[plan, shown, tmax, named] = template
    return template
