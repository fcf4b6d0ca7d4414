"""Views and reports for ganglia-web: one page for each pool's services, and one for each service of a pool.

    view_<pool>_services.json      the services of a pool, stacked: CPU, memory, disk, and on how many hosts
    view_<pool>_<service>.json     a service: its hosts stacked, and its reports over the pool
    <service>_report.json          CPU and the number of instances, of a host, a pool or the grid
    <service>_memory_report.json   memory
    <service>_io_report.json       bytes read from and written to disks

In a view, a composite graph names each RRD file; sums of pools lie under the host name
`__SummaryInfo__`. Unlike aggregate graphs, which know regular expressions of hosts but no
clusters, it stays within its pool, however many hosts that has.
Source: ganglia-web 3.7.5, functions.php and graph.php.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sflow_gmetrics.layout import Form
from sflow_gmetrics.snapshot import Snapshot

from .ganglia import GangliaCluster, GangliaRow, Plan, clusters_of, rows_of
from .rrd import SUMMARY
from .view_files import MARK, FileNames, write_views

__all__ = ["render_views", "write_views"]

Json = dict[str, Any]

SERVICES = 200
"""How many services of a pool get views: those that have used most CPU."""
STACKED = 20
"""How many services are stacked in a graph of a pool."""
HOSTS = 100
"""How many hosts are stacked in a graph of a service."""
REPORTS = 8
"""How many services have their CPU report on the page of a pool."""

CPU, MEMORY, READ, WRITTEN = "vcpu_util", "vmem_used", "vdisk_bytes_read", "vdisk_bytes_written"
PERCENT, BYTES, RATE = "% of one CPU", "bytes", "bytes/sec"
POOL_CONTEXTS = ["cluster", "meta", "grid"]
"""Where a sum has a number of hosts."""

COLOURS = (
    *("3366cc", "dc3912", "ff9900", "109618", "990099", "0099c6", "dd4477", "66aa00", "b82e2e", "316395"),
    *("994499", "22aa99", "aaaa11", "6633cc", "e67300", "8b0707", "651067", "329262", "5574a6", "3b3eac"),
)
RESERVED = frozenset(
    "apache apache_response cpu disk io load load_all mem metric moab_cores moab_jobs moab_nodes network "
    "nfs_v3_client packet sample varnish host_disk host_errors services_cpu services_memory".split()
)
"""Reports that ganglia-web, or a site with our ganglia/conf, has already: no service's report takes such a name."""


@dataclass(slots=True)
class _Seen:
    """A service of a pool: its name in Ganglia, the CPU time it has used on each host (ms), its metrics.

    The metrics of a JVM have names of their own, kept under those of other services.
    """

    name: str
    hosts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    plan: Plan | None = None

    @property
    def label(self) -> str:
        """The name in a legend, where there is little room."""
        return self.name.removesuffix(".service")

    @property
    def cpu(self) -> int:
        """What it has used on all hosts."""
        return sum(self.hosts.values())


def render_views(snapshot: Snapshot) -> dict[str, bytes]:
    """The files by name, for the services that live now."""
    pools = [(cluster.name, _busiest(_services(cluster), SERVICES)) for cluster in clusters_of(snapshot)]
    stems = _stems(one.name for _, services in pools for one in services)
    files: dict[str, Json] = {}
    for _, services in pools:
        for one in services:
            for name, report in _reports(one, stems[one.name]):
                files.setdefault(f"{name}.json", report)
    rrd = snapshot.config.rrd
    by_host = not rrd.root or "service" in rrd.levels
    names = FileNames()
    of_pools = [names.give(f"{pool}_services") for pool, _ in pools]
    for name, (pool, services) in zip(of_pools, pools, strict=True):
        if services:
            files[f"view_{name}.json"] = _view(name, _pool_items(pool, services, stems))
        for one in services:
            own = names.give(f"{pool}_{one.name}")
            files[f"view_{own}.json"] = _view(own, _service_items(pool, one, stems[one.name], by_host))
    return {name: _text(content) for name, content in files.items()}


def _text(content: Json) -> bytes:
    return (json.dumps({"generated_by": MARK, **content}, indent=1) + "\n").encode("ascii")


def _stems(names: Iterable[str]) -> dict[str, str]:
    """What the reports of each service begin with; a service has the same in every pool."""
    given = FileNames(f"{name}_report" for name in RESERVED)
    return {name: given.give(name, ("_report", "_memory_report", "_io_report")) for name in sorted(set(names))}


# --- what there is


def _services(cluster: GangliaCluster) -> list[_Seen]:
    found: dict[str, _Seen] = {}
    for host_name, host in cluster.hosts:
        if host.up:
            for row in rows_of(host, frozenset()):
                if row.name:
                    one = found.get(row.name) or found.setdefault(row.name, _Seen(row.name))
                    one.hosts[host_name] = _cpu_time(row)
                    if row.plan is not one.plan:  # most hosts have the same
                        one.plan = row.plan
                        for metric in row.plan.metrics:
                            one.metrics.setdefault(metric.name.removeprefix("jvm_"), metric.name)
    return [one for one in found.values() if CPU in one.metrics or MEMORY in one.metrics]


def _cpu_time(row: GangliaRow) -> int:
    """The CPU time that a row has used, in ms; 0 where that is not known."""
    index = _cpu_index(row.row.form)
    return 0 if index is None else row.row.totals[index] or 0


def _cpu_index(form: Form) -> int | None:
    """Which of a form's counters becomes the CPU metric."""
    found: tuple[int | None] | None = form.derived.get("views cpu")
    if found is None:
        counters = enumerate(form.counters)
        index = next((at for at, one in counters if any(metric.name == CPU for metric in one.ganglia)), None)
        found = form.derived["views cpu"] = (index,)
    return found[0]


def _busiest(services: Iterable[_Seen], most: int) -> list[_Seen]:
    """Those that have used most CPU, in the order of their names."""
    return sorted(sorted(services, key=lambda one: (-one.cpu, one.name))[:most], key=lambda one: one.name)


# --- reports


def _reports(one: _Seen, stem: str) -> Iterator[tuple[str, Json]]:
    metrics = {kind: f"{one.name}.{name}" for kind, name in one.metrics.items()}
    if CPU in metrics:
        instances = _series(metrics[CPU], "instances", COLOURS[3], "line", ds="num", line_width="2")
        total = _series(metrics[CPU], "total CPU", COLOURS[0], "stack")
        yield _report(f"{stem}_report", f"{one.name} CPU", PERCENT, [total, instances | {"contexts": POOL_CONTEXTS}])
    disk = [
        _series(metrics[kind], label, colour, "stack")
        for kind, label, colour in ((READ, "read", COLOURS[3]), (WRITTEN, "written", COLOURS[2]))
        if kind in metrics
    ]
    if disk:
        yield _report(f"{stem}_io_report", f"{one.name} disk", RATE, disk)
    if MEMORY in metrics:
        used = _series(metrics[MEMORY], "memory", COLOURS[4], "stack")
        yield _report(f"{stem}_memory_report", f"{one.name} memory", BYTES, [used], scale="1024")


def _report(name: str, title: str, unit: str, series: list[Json], **more: str) -> tuple[str, Json]:
    head = {"report_name": name, "report_type": "standard", "title": title, "vertical_label": unit}
    return name, {**head, **more, "series": series}


def _series(metric: str, label: str, colour: str, kind: str, **more: str) -> Json:
    return {"metric": metric, "color": colour, "label": label, "type": kind, **more}


# --- views


def _view(name: str, items: list[Json]) -> Json:
    return {"view_name": name, "view_type": "standard", "default_size": "default", "items": items}


def _composite(item: str, title: str, unit: str, series: list[Json], **more: str) -> list[Json]:
    """A graph of named RRD files, where it has any."""
    return [{"item_id": item, "title": title, "vertical_label": unit, **more, "series": series}] if series else []


def _stack(pool: str, places: Iterable[tuple[str, str, str]], kind: str = "stack", **more: str) -> list[Json]:
    """One series a (label, host, metric)."""
    return [
        {
            **_series(metric, label, COLOURS[index % len(COLOURS)], kind, **more),
            "clustername": pool,
            "hostname": host,
        }
        for index, (label, host, metric) in enumerate(places)
    ]


def _pool_items(pool: str, services: list[_Seen], stems: dict[str, str]) -> list[Json]:
    shown = _busiest(services, STACKED)
    of = "services" if len(shown) == len(services) else f"the {len(shown)} busiest services"

    def sums(kind: str) -> list[tuple[str, str, str]]:
        return [(one.label, SUMMARY, f"{one.name}.{one.metrics[kind]}") for one in shown if kind in one.metrics]

    items = [
        *_composite("cpu", f"{pool}, CPU of {of}", PERCENT, _stack(pool, sums(CPU))),
        *_composite("memory", f"{pool}, memory of {of}", BYTES, _stack(pool, sums(MEMORY)), scale="1024"),
        *_composite("read", f"{pool}, read from disk by {of}", RATE, _stack(pool, sums(READ))),
        *_composite("written", f"{pool}, written to disk by {of}", RATE, _stack(pool, sums(WRITTEN))),
    ]
    reports = [f"{stems[one.name]}_report" for one in _busiest(services, REPORTS) if CPU in one.metrics]
    counts = _stack(pool, sums(CPU), "line", ds="num", line_width="2")
    items += [_on_pool(pool, report) for report in reports]
    return items + _composite("instances", f"{pool}, hosts that run {of}", "hosts", counts)


def _service_items(pool: str, one: _Seen, stem: str, by_host: bool) -> list[Json]:
    items: list[Json] = []
    if by_host:
        hosts = sorted(sorted(one.hosts, key=lambda host: (-one.hosts[host], host))[:HOSTS])
        of = "" if len(hosts) == len(one.hosts) else f", the {len(hosts)} busiest hosts"
        for item, kind, what, unit, scale in (
            ("cpu", CPU, "CPU", PERCENT, {}),
            ("memory", MEMORY, "memory", BYTES, {"scale": "1024"}),
        ):
            if kind in one.metrics:
                series = _stack(pool, [(host, host, f"{one.name}.{one.metrics[kind]}") for host in hosts])
                items += _composite(item, f"{one.name} on {pool}, {what} by host{of}", unit, series, **scale)
    items += [_on_pool(pool, name) for name, _ in _reports(one, stem)]
    if by_host and CPU in one.metrics and len(one.hosts) <= HOSTS:
        items.append(_everywhere(f"{one.name}.{one.metrics[CPU]}", f"{one.name} CPU of each host, all pools"))
    return items


def _on_pool(pool: str, report: str) -> Json:
    return {"graph": report, "cluster": pool}


def _everywhere(metric: str, title: str) -> Json:
    """An aggregate graph of one metric of all hosts, as lines."""
    return {
        "aggregate_graph": "true",
        "host_regex": [{"regex": ".*"}],
        "metric_regex": [{"regex": exactly(metric)}],
        "graph_type": "line",
        "vertical_label": PERCENT,
        "title": title,
    }


def exactly(metric: str) -> str:
    """A regular expression that only this metric matches: ganglia-web puts it between slashes, without their escape,
    and holds it against the URL-encoded name.
    """
    return f"^{re.escape(quote(metric, safe='~'))}$"
