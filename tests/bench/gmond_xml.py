"""gmond XML: our render against lxml's incremental writer, for the same document from the same values.

CPU time of one process, a new round of samples before each; the least of the repeats counts.
What lxml is to write has been derived before its time begins, ours derives as it writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from lxml import etree

from exporters import gmond
from exporters.ganglia import clusters_of, host_tmax, metric_tmax, rows_of, safe_value, switches_of
from sflow_gmetrics import Snapshot
from sflow_gmetrics.snapshot import Host

from .measure import Result, Size, cpu_ms, settle
from .traffic import Site

Attributes = dict[str, str]
MetricElement = tuple[Attributes, str, str]
"""The attributes of a METRIC, its title and its group."""
HostElement = tuple[Attributes, list[MetricElement]]
ClusterElement = tuple[Attributes, list[HostElement]]


def run(size: Size) -> list[Result]:
    """A document of the whole site; and for information the snapshot before it."""
    site = Site(size.hosts, size.services)
    gmond.render(site.snapshot())
    settle()
    ours, theirs, snapshots = [], [], []
    for _ in range(size.repeats):
        site.next()
        snapshots.append(cpu_ms(site.snapshot))
        snapshot = site.snapshot()
        ours.append(cpu_ms(lambda snapshot=snapshot: gmond.render(snapshot)))  # type: ignore[misc]
        elements = derive(snapshot)
        theirs.append(cpu_ms(lambda elements=elements: write(elements)))  # type: ignore[misc]
    metrics = gmond.render(snapshot).count(b"<METRIC ")
    return [
        Result("snapshot", "ms", min(snapshots), note=f"{size.hosts} hosts, {size.hosts * size.services} services"),
        Result("gmond XML, peer lxml", "ms", min(ours), min(theirs), mark=8, note=f"{metrics:,} metrics"),
    ]


def write(clusters: list[ClusterElement]) -> bytes:
    """The document as lxml writes it."""
    out = BytesIO()
    with etree.xmlfile(out, encoding="ISO-8859-1") as page:
        page.write_declaration()
        with page.element("GANGLIA_XML", VERSION="3.7.2", SOURCE="gmond"):
            for cluster, hosts in clusters:
                with page.element("CLUSTER", cluster):
                    for host, metrics in hosts:
                        with page.element("HOST", host):
                            for attributes, title, group in metrics:
                                metric = etree.Element("METRIC", attributes)
                                extra = etree.SubElement(metric, "EXTRA_DATA")
                                etree.SubElement(extra, "EXTRA_ELEMENT", NAME="TITLE", VAL=title)
                                etree.SubElement(extra, "EXTRA_ELEMENT", NAME="DESC", VAL=title)
                                etree.SubElement(extra, "EXTRA_ELEMENT", NAME="GROUP", VAL=group)
                                page.write(metric)
    return out.getvalue()


def derive(snapshot: Snapshot) -> list[ClusterElement]:
    """Everything that stands in the document."""
    config = snapshot.config.gmond
    return [
        (
            {
                "NAME": safe_value(cluster.name),
                "LOCALTIME": str(int(snapshot.time)),
                "OWNER": config.owner,
                "LATLONG": config.latlong,
                "URL": config.url,
            },
            [(_host(name, host, snapshot), list(_metrics(host, snapshot))) for name, host in cluster.hosts],
        )
        for cluster in clusters_of(snapshot)
    ]


def _host(name: str, host: Host, snapshot: Snapshot) -> Attributes:
    reported = host.row.alive if host.row is not None else host.last_heard
    return {
        "NAME": name,
        "IP": host.address,
        "TAGS": "",
        "REPORTED": f"{reported:.0f}",
        "TN": f"{snapshot.time - reported:.0f}",
        "TMAX": str(host_tmax(host)),
        "DMAX": f"{snapshot.config.sflow.forget_after:.0f}",
        "LOCATION": "unspecified",
        "GMOND_STARTED": f"{host.started:.0f}",
    }


def _metrics(host: Host, snapshot: Snapshot) -> Iterator[MetricElement]:
    for name, row, plan in rows_of(host, switches_of(snapshot)):
        tmax, age = metric_tmax(row), str(max(int(snapshot.time - row.alive), 0))
        for metric, value in zip(plan.metrics, plan.values(row), strict=True):
            if value is not None:
                attributes = {
                    "NAME": f"{name}.{metric.name}" if name else metric.name,
                    "VAL": metric.format % value,
                    "TYPE": metric.type,
                    "UNITS": metric.units,
                    "TN": age,
                    "TMAX": str(tmax),
                    "DMAX": str(4 * tmax),
                    "SLOPE": metric.slope,
                }
                yield attributes, f"{name}: {metric.title}" if name else metric.title, metric.group
