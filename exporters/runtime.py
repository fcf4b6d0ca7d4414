"""What the running program says of itself: its process, its pages, its storage and its sources.

These are prometheus_client's own metrics; they stand behind the rendered page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

from sflow_gmetrics.remote import Remote
from sflow_gmetrics.state import Written

from . import remote_write_queue
from .exposition import EOF
from .http_port import CLIENTS
from .rrd_writer import Stats
from .selection import Selection

ReadState = Callable[[], tuple[bool, float] | None]
"""Whether a file, as it was read last, is in use, and when what is in use was read; None without a file."""


class Runtime:
    """Counts what is rendered and served, and asks the others when it is read.

    `storage` gives the RRD writer's statistics and the engine's name, None without one;
    `sources` the other collectors that are polled, `stores` what was written to each store.
    """

    def __init__(
        self,
        storage: Callable[[], tuple[str, Stats] | None] = lambda: None,
        sources: Callable[[], Iterable[Remote]] = tuple,
        stores: Callable[[], Mapping[str, remote_write_queue.Stats]] = dict,
    ) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self.scrapes = prometheus_client.Counter(
            "sflow_collector_scrapes",
            "HTTP answers by endpoint and status.",
            ("endpoint", "code"),
            registry=self.registry,
        )
        self.xml_requests = prometheus_client.Counter(
            "sflow_collector_xml_requests", "Documents asked for, by port.", ("port",), registry=self.registry
        )
        self._duration = prometheus_client.Gauge(
            "sflow_collector_render_duration_seconds",
            "How long the newest page took to make.",
            ("endpoint",),
            registry=self.registry,
        )
        self._connections = prometheus_client.Gauge(
            "sflow_collector_http_connections", "HTTP connections that are open.", registry=self.registry
        )
        prometheus_client.Gauge(
            "sflow_collector_http_connections_limit", "How many HTTP connections there can be.", registry=self.registry
        ).set(CLIENTS)
        self._xml_connections = prometheus_client.Gauge(
            "sflow_collector_xml_connections", "Readers of XML that are connected.", ("port",), registry=self.registry
        )
        self._xml_hung_up = prometheus_client.Counter(
            "sflow_collector_xml_hangups",
            "Readers of XML that were not waited for any longer, by port and reason.",
            ("port", "reason"),
            registry=self.registry,
        )
        self._hung_up = prometheus_client.Counter(
            "sflow_collector_http_hangups",
            "HTTP clients that were not waited for any longer, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.started = prometheus_client.Gauge(
            "sflow_collector_start_time_seconds", "When the collector started.", registry=self.registry
        )
        self.started.set_to_current_time()
        self.registry.register(_Others(storage, sources, stores))

    def watch_connections(self, count: Callable[[], float]) -> None:
        """Show how many HTTP connections are open."""
        self._connections.set_function(count)

    def watch_config(self, state: ReadState, web_state: ReadState) -> None:
        """Show whether the files of the configuration and of the web port are what is in use."""
        self.registry.register(
            _ReadFile(
                "sflow_collector_config_last_reload_successful",
                "sflow_collector_config_last_reload_success_timestamp_seconds",
                state,
            )
        )
        self.registry.register(
            _ReadFile(
                "sflow_collector_web_config_last_reload_successful",
                "sflow_collector_web_config_last_reload_success_timestamp_seconds",
                web_state,
            )
        )

    def watch_state(self, written: Written) -> None:
        """Show when the state was written last, how, and how often that failed."""
        self.registry.register(_State(written))

    def watch_xml(self, port: str, count: Callable[[], float]) -> None:
        """Show how many readers an XML port has."""
        self._xml_connections.labels(port).set_function(count)

    def xml_hung_up(self, port: str, reason: str) -> None:
        """A reader of XML has been hung up on."""
        self._xml_hung_up.labels(port, reason).inc()

    def answered(self, endpoint: str, code: int) -> None:
        """A request has been answered."""
        self.scrapes.labels(endpoint, str(code)).inc()

    def hung_up(self, reason: str) -> None:
        """An HTTP client has been hung up on."""
        self._hung_up.labels(reason).inc()

    def timed(self, endpoint: str, render: Callable[[], bytes]) -> bytes:
        """Render a page and keep how long it took."""
        begin = time.perf_counter()
        body = render()
        self._duration.labels(endpoint).set(time.perf_counter() - begin)
        return body

    def timed_page(
        self, endpoint: str, selection: Selection, render: Callable[[Callable[[], bytes]], bytes], *, openmetrics: bool
    ) -> bytes:
        """A page for Prometheus: `render` gets what makes its end, the runtime's metrics that the selection wants."""
        begin = time.perf_counter()

        def end() -> bytes:
            self._duration.labels(endpoint).set(time.perf_counter() - begin)
            return self._metrics(selection, openmetrics=openmetrics)

        return render(end)

    def _metrics(self, selection: Selection, *, openmetrics: bool) -> bytes:
        if not selection.wants_collector:
            return b""
        registry: Any = _Chosen(self.registry, selection)
        if openmetrics:
            text: bytes = openmetrics_exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
            return text.removesuffix(EOF)
        return prometheus_client.generate_latest(registry)


def page_name(family: Metric) -> str:
    """The name of a family's samples: that of a counter ends in _total."""
    return f"{family.name}_total" if family.type == "counter" else family.name


class _Chosen:
    """What a selection wants of a registry."""

    def __init__(self, registry: prometheus_client.CollectorRegistry, selection: Selection) -> None:
        self._registry = registry
        self._selection = selection

    def collect(self) -> Iterable[Metric]:
        """The families that are wanted."""
        return (one for one in self._registry.collect() if self._selection.wants(page_name(one)))


class _ReadFile(Collector):
    """Whether what is in a file is what holds."""

    def __init__(self, successful: str, timestamp: str, state: ReadState) -> None:
        self._successful, self._timestamp, self._state = successful, timestamp, state

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: there may be no file."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The two families, where there is a file."""
        state = self._state()
        if state is not None:
            good, loaded = state
            yield GaugeMetricFamily(self._successful, "Whether the file, as it was read last, is in use.", value=good)
            yield GaugeMetricFamily(self._timestamp, "When what is in use was read.", value=loaded)


class _Others(Collector):
    """Storage, sources and stores, read when the page is made."""

    def __init__(
        self,
        storage: Callable[[], tuple[str, Stats] | None],
        sources: Callable[[], Iterable[Remote]],
        stores: Callable[[], Mapping[str, remote_write_queue.Stats]],
    ) -> None:
        self._storage = storage
        self._sources = sources
        self._stores = stores

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: what there is depends on the configuration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families that have something to say."""
        found = self._storage()
        if found is not None:
            yield from _storage_families(*found)
        sources = list(self._sources())
        if sources:
            up = GaugeMetricFamily(
                "sflow_collector_source_up", "Whether the newest poll of the source succeeded.", labels=("source",)
            )
            duration = GaugeMetricFamily(
                "sflow_collector_source_poll_duration_seconds",
                "How long the newest poll of the source took.",
                labels=("source",),
            )
            for one in sources:
                up.add_metric((one.name,), float(not one.error))
                duration.add_metric((one.name,), one.duration)
            yield up
            yield duration
        stores = self._stores()
        if stores:
            yield from _store_families(stores)


def _store_families(stores: Mapping[str, remote_write_queue.Stats]) -> Iterable[Metric]:
    samples = CounterMetricFamily(
        "sflow_collector_remote_write_samples", "Samples for a store by outcome.", labels=("endpoint", "outcome")
    )
    pending = GaugeMetricFamily(
        "sflow_collector_remote_write_pending_samples", "Samples that wait for a store.", labels=("endpoint",)
    )
    highest = GaugeMetricFamily(
        "sflow_collector_remote_write_highest_timestamp_seconds",
        "The time up to which everything has been sent to a store.",
        labels=("endpoint",),
    )
    for name, stats in stores.items():
        for outcome in ("sent", "failed", "retried", "dropped"):
            samples.add_metric((name, outcome), getattr(stats, outcome))
        pending.add_metric((name,), stats.pending)
        highest.add_metric((name,), stats.highest)
    return samples, pending, highest


class _State(Collector):
    """What has become of the files of state."""

    def __init__(self, written: Written) -> None:
        self._written = written

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The newest state, and what went wrong."""
        found = self._written
        for name, text, value in (
            (
                "sflow_collector_state_last_write_timestamp_seconds",
                "When the state was written last; 0: not yet.",
                found.time,
            ),
            (
                "sflow_collector_state_write_duration_seconds",
                "How long it took to write the newest state.",
                found.seconds,
            ),
            ("sflow_collector_state_size_bytes", "How large the file of the newest state is.", found.size),
            ("sflow_collector_state_interval_seconds", "How often a state is due.", found.interval),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        yield CounterMetricFamily(
            "sflow_collector_state_write_errors", "Writes of state or journal that failed.", value=found.errors
        )


def _storage_families(backend: str, stats: Stats) -> Iterable[Metric]:
    updates = CounterMetricFamily(
        "sflow_collector_rrd_updates",
        "Values for RRD files that are stored (ok) or lost (dropped), and requests that failed, whose values wait "
        "(error).",
        labels=("backend", "outcome"),
    )
    for outcome, count in (("ok", stats.stored), ("error", stats.errors), ("dropped", stats.dropped)):
        updates.add_metric((backend, outcome), count)
    yield updates
    for name, text, value in (
        ("sflow_collector_rrd_queue_length", "Values that wait for the RRD engine.", stats.queued),
        ("sflow_collector_rrd_files", "RRD files that are written.", stats.files),
        ("sflow_collector_rrd_files_refused", "RRD files that are refused now: their values wait.", stats.refused),
        ("sflow_collector_rrd_up", "Whether the RRD engine answers.", int(not stats.away)),
        ("sflow_collector_rrd_last_write_timestamp_seconds", "When values were stored last.", stats.last_write),
    ):
        yield GaugeMetricFamily(name, text, value=value)
