"""The /metrics page: our render against prometheus_client.generate_latest over the same samples.

CPU time of one process; the least of the repeats counts. Before each repeat every source has
sent new numbers, so that the steady page keeps only the texts of labels. The peer is given its
samples ready, parsed from our page.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporters import prometheus
from sflow_gmetrics import Snapshot

from .measure import Result, Size, cpu_ms, settle
from .traffic import Site

FIRST_PAGES = 3


class _Given(Collector):
    """A collector of prometheus_client that has the families already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def registry_of(page: bytes) -> CollectorRegistry:
    """A registry with the samples of a page."""
    registry = CollectorRegistry()
    registry.register(_Given(list(text_string_to_metric_families(page.decode("utf-8")))))
    return registry


def run(size: Size) -> list[Result]:
    """The first page, the steady page, the steady page of a large site, and the same with the snapshot."""
    sites = [Site(size.hosts, size.services) for _ in range(FIRST_PAGES)]
    settle()
    first = min(_ours(site)[1] for site in sites)
    snapshot, ours, theirs, series = _steady(sites[-1], size.repeats)
    note = f"{series:,} series"
    results = [
        Result("/metrics, first page, peer prometheus_client", "ms", first, theirs, note=note),
        Result("/metrics, steady, peer prometheus_client", "ms", ours, theirs, mark=12, note=note),
        Result("/metrics, steady, snapshot and page", "ms", snapshot + ours, theirs, note=note),
    ]
    del sites
    large = Site(size.large_hosts, size.services)
    settle(size.large_hosts * (size.services + 1))
    _, first = _ours(large)
    snapshot, ours, theirs, series = _steady(large, min(size.repeats, 5))
    note = f"{series:,} series; the first page {first:.0f} ms"
    return [
        *results,
        Result("/metrics, steady, large site", "ms", ours, theirs, mark=20, note=note),
        Result("/metrics, steady, large site, snapshot and page", "ms", snapshot + ours, theirs, note=note),
    ]


def _ours(site: Site) -> tuple[float, float]:
    """CPU of a snapshot, and of its page."""
    made: list[Snapshot] = []
    taken = cpu_ms(lambda: made.append(site.snapshot()))
    return taken, cpu_ms(lambda: prometheus.render(made[0]))


def _steady(site: Site, repeats: int) -> tuple[float, float, float, int]:
    """The least that we (snapshot, page) and the peer have used, and the series of a page."""
    ours = []
    for _ in range(repeats):
        site.next()
        ours.append(_ours(site))
    page = prometheus.render(site.snapshot())
    registry = registry_of(page)
    theirs = [cpu_ms(lambda: generate_latest(registry)) for _ in range(min(repeats, 4))]
    series = sum(not line.startswith(b"#") for line in page.splitlines())
    return min(taken for taken, _ in ours), min(page for _, page in ours), min(theirs), series
