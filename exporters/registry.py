"""The collector as a collector of prometheus_client, for programs that have a registry of their own.

    registry.register(SnapshotCollector(lambda: collector.snapshot(time.time())))

Its families and samples are those of the page. It is the slow way: each sample is an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sflow_gmetrics.snapshot import Snapshot

from .selection import Selection
from .sink import Description, Number, Samples, Sink
from .walk import write


class SnapshotCollector(Collector):
    """What `snapshot()` has at each scrape; without a selection what its configuration shows."""

    def __init__(self, snapshot: Callable[[], Snapshot], selection: Selection | None = None) -> None:
        self._snapshot = snapshot
        self._selection = selection

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: which families there are depends on what agents send."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        snapshot = self._snapshot()
        sink = MetricSink(self._selection or Selection.of(snapshot.config), snapshot.stats.started)
        write(sink, snapshot)
        return list(sink.families.values())


class MetricSink(Sink):
    """Collects families of prometheus_client; counters that are told no other time began at `began`."""

    def __init__(self, selection: Selection, began: float) -> None:
        super().__init__(selection)
        self.families: dict[str, Metric] = {}
        self._began = began

    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Sequence[dict[str, str]]:
        """The labels of each row by name."""
        return [dict(zip(names, values, strict=True)) for values in rows]

    def add(self, family: Description, names: Iterable[str], values: Iterable[str], number: Number) -> None:
        """One sample."""
        self._sample(family, dict(zip(names, values, strict=True)), number, self._began)

    def column(self, key: object, family: Description, samples: Samples) -> None:
        """A sample for each row whose number is known."""
        extra = dict(samples.extra)
        for labels, number, began in samples.one_by_one(self._began):
            self._sample(family, labels | extra, number, began)

    def _sample(self, family: Description, labels: dict[str, str], number: Number, began: float) -> None:
        found = self.families.get(family.name)
        if found is None:
            make = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
            found = self.families[family.name] = make(family.name, family.help)
        found.add_sample(family.name, labels, float(number))
        self.taken += 1
        if self.selection.began and family.type == "counter" and began:
            found.add_sample(f"{found.name}_created", labels, began)
