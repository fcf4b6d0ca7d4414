"""The /metrics page: our render against prometheus_client.generate_latest over the same samples.

CPU time of one process; the least of the repeats counts. Before each repeat every source has
sent new numbers, so that the steady page keeps only labels, templates and what has really not
changed. The peer is given its samples ready, parsed from our page.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporters import prometheus

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
    """The first page, the steady page, and the steady page of a large site."""
    sites = [Site(size.hosts, size.services) for _ in range(FIRST_PAGES)]
    settle()
    first = min(_ours(site) for site in sites)
    ours, theirs, series = _steady(sites[-1], size.repeats)
    results = [
        Result("/metrics, first page, peer prometheus_client", "ms", first, theirs, note=f"{series:,} series"),
        Result("/metrics, steady, peer prometheus_client", "ms", ours, theirs, mark=12, note=f"{series:,} series"),
    ]
    del sites
    large = Site(size.large_hosts, size.services)
    settle()
    first = _ours(large)
    ours, theirs, series = _steady(large, min(size.repeats, 3))
    note = f"{series:,} series; the first page {first:.0f} ms; to be >=20x later"
    return [*results, Result("/metrics, steady, large site", "ms", ours, theirs, note=note)]


def _ours(site: Site) -> float:
    snapshot = site.snapshot()
    return cpu_ms(lambda: prometheus.render(snapshot))


def _steady(site: Site, repeats: int) -> tuple[float, float, int]:
    """The least that we and the peer have used, and the series of a page."""
    ours = []
    for _ in range(repeats):
        site.next()
        ours.append(_ours(site))
    page = prometheus.render(site.snapshot())
    registry = registry_of(page)
    theirs = [cpu_ms(lambda: generate_latest(registry)) for _ in range(min(repeats, 4))]
    return min(ours), min(theirs), sum(not line.startswith(b"#") for line in page.splitlines())
