"""gmond XML: what an unmodified gmetad polls.

Deliberate differences from gmond 3.7.2: names are safe and distinct; TMAX is the agent's real
interval (gmond: 60) and DMAX four of them (600); a service that has stopped is gone at once
(gmond never drops it); what is not known is left out; `<service>.vmem_used` is shown; a host
is held back until it has told its name.
Source: Ganglia 3.7.2, gmond XML as measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

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

_NAME, _HOLE = "\0", "\1"
"""Stand in a template for the name of the service, which all its metrics share, and for each VAL and TN."""
_METRIC = (
    '<METRIC NAME="{prefix}{name}" VAL="\1" TYPE="{type}" UNITS="{units}" TN="\1" TMAX="{tmax}" DMAX="{dmax}" '
    'SLOPE="{slope}">\n<EXTRA_DATA>\n'
    '<EXTRA_ELEMENT NAME="TITLE" VAL="{caption}{title}"/>\n'
    '<EXTRA_ELEMENT NAME="DESC" VAL="{caption}{title}"/>\n'
    '<EXTRA_ELEMENT NAME="GROUP" VAL="{group}"/>\n'
    "</EXTRA_DATA>\n</METRIC>\n"
)
_TEMPLATES = 10_000
"""How many templates are kept: one for each set of metrics and interval, shared by all services."""


def render(snapshot: Snapshot) -> bytes:
    """The document: one CLUSTER a pool, hosts in lower case, services as `<service>.<metric>` on their host."""
    switches = switches_of(snapshot)
    attributes = cluster_attributes(snapshot)
    document, rows = BytesIO(), RowWriter(snapshot.time)
    document.write(f'{HEAD}<GANGLIA_XML VERSION="3.7.2" SOURCE="gmond">\n'.encode("ascii"))
    for cluster in clusters_of(snapshot):
        document.write(f'<CLUSTER NAME="{safe_value(cluster.name)}" {attributes}>\n'.encode("ascii"))
        for name, host in cluster.hosts:
            document.write(render_host(name, host, snapshot))
            if host.up:
                document.writelines(map(rows.write, rows_of(host, switches)))
            document.write(b"</HOST>\n")
        document.write(b"</CLUSTER>\n")
    document.write(b"</GANGLIA_XML>\n")
    return document.getvalue()


def cluster_attributes(snapshot: Snapshot) -> str:
    """The attributes that the CLUSTER elements of all pools have in common."""
    gmond = snapshot.config.gmond
    return (
        f'LOCALTIME="{int(snapshot.time)}" OWNER="{safe_value(gmond.owner)}" LATLONG="{safe_value(gmond.latlong)}" '
        f'URL="{safe_value(gmond.url)}"'
    )


def render_host(name: str, host: Host, snapshot: Snapshot) -> bytes:
    """The opening tag of a HOST element."""
    reported = host.row.alive if host.row is not None else host.last_heard
    return (
        f'<HOST NAME="{name}" IP="{safe_value(host.address)}" TAGS="" REPORTED="{reported:.0f}" '
        f'TN="{max(snapshot.time - reported, 0):.0f}" TMAX="{host_tmax(host)}" '
        f'DMAX="{snapshot.config.sflow.forget_after:.0f}" LOCATION="unspecified" '
        f'GMOND_STARTED="{max(host.started, 0):.0f}">\n'
    ).encode("ascii")


@dataclass(frozen=True, slots=True)
class _Template:
    """The METRIC elements of one set of metrics, with _NAME and _HOLE, and the formats of their values."""

    text: bytes
    formats: str


_Key = tuple[Plan, tuple[bool, ...], int, bool]
"""Which metrics of which plan (an empty tuple: all), their TMAX, and whether the name of a service precedes them."""
_templates: dict[_Key, _Template] = {}


class RowWriter:
    """Writes the METRIC elements of rows for one document.

    The same services run on many hosts: what their elements have in common is kept while the
    document lasts, as pieces between which a row puts its values and its age.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self._pieces: dict[tuple[_Key, str], tuple[str, list[bytes]]] = {}

    def write(self, one: GangliaRow) -> bytes:
        """The METRIC elements of one row."""
        name, row, plan = one
        values = plan.values(row)
        shown: tuple[bool, ...] = ()
        if None in values:
            shown = tuple([value is not None for value in values])
            values = [value for value in values if value is not None]
        if not values:
            return b""
        key = ((plan, shown, metric_tmax(row), bool(name)), name)
        formats, constant = self._pieces.get(key) or self._cut(key)
        pieces = constant.copy()
        pieces[1::4] = (formats % tuple(values)).encode("ascii").split(b"\1")
        pieces[3::4] = [b"%d" % max(self._now - row.alive, 0)] * len(values)
        return b"".join(pieces)

    def _cut(self, key: tuple[_Key, str]) -> tuple[str, list[bytes]]:
        template = _templates.get(key[0]) or _make_template(key[0])
        constant = template.text.replace(_NAME.encode(), key[1].encode("ascii")).split(_HOLE.encode())
        pieces = [b""] * (2 * len(constant) - 1)
        pieces[::2] = constant
        self._pieces[key] = (template.formats, pieces)
        return self._pieces[key]


def _make_template(key: _Key) -> _Template:
    plan, shown, tmax, named = key
    wanted = [metric for index, metric in enumerate(plan.metrics) if not shown or shown[index]]
    text = "".join(
        _METRIC.format(
            prefix=f"{_NAME}." if named else "",
            caption=f"{_NAME}: " if named else "",
            name=metric.name,
            type=metric.type,
            units=metric.units,
            tmax=tmax,
            dmax=4 * tmax,
            slope=metric.slope,
            title=metric.title,
            group=metric.group,
        )
        for metric in wanted
    )
    formats = _HOLE.join(metric.format.replace("%u", "%d") for metric in wanted)
    if len(_templates) >= _TEMPLATES:
        _templates.clear()
    _templates[key] = _Template(text.encode("ascii"), formats)
    return _templates[key]
