"""What the program says of itself stands behind its page, and the whole page can still be read in both formats."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters import prometheus
from exporters.rrd_writer import Stats
from exporters.runtime import Runtime
from exporters.selection import Selection
from sflow_gmetrics.remote import Remote
from tests.exporters.trees import snapshot

STATS = Stats(stored=7, errors=2, queued=3, dropped=4, files=5, refused=9, created=6, last_write=1234.5, away="")
REMOTES = (Remote("far", 5.0, 0.25), Remote("near", 0.0, 1.5, "refuses the connection"))
STORAGE = {
    "sflow_collector_rrd_queue_length",
    "sflow_collector_rrd_files",
    "sflow_collector_rrd_files_refused",
    "sflow_collector_rrd_up",
    "sflow_collector_rrd_last_write_timestamp_seconds",
}
SOURCES = {"sflow_collector_source_up", "sflow_collector_source_poll_duration_seconds"}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def page(runtime: Runtime, openmetrics: bool) -> list[Metric]:
    """The families of a whole page."""
    render = prometheus.render_openmetrics if openmetrics else prometheus.render
    body = runtime.timed_page(
        "metrics", Selection(), lambda end: render(snapshot(), None, end), openmetrics=openmetrics
    )
    text = body.decode("utf-8")
    assert text.count("# EOF") == openmetrics
    if openmetrics:
        return list(parse_openmetrics(text))  # type: ignore[no-untyped-call]
    return list(parse_text(text))


def samples(families: list[Metric]) -> Samples:
    found = {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}
    assert len(found) == sum(len(family.samples) for family in families), "a series stands twice"
    return found


@pytest.mark.parametrize("openmetrics", [False, True])
def test_the_page_with_its_own_families_can_be_read(openmetrics: bool) -> None:
    runtime = Runtime(lambda: ("rrdcached", STATS), lambda: REMOTES)
    families = page(runtime, openmetrics)
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert set(names) >= STORAGE | SOURCES
    found = samples(families)
    backend = ("backend", "rrdcached")
    for outcome, count in (("ok", 7), ("error", 2), ("dropped", 4)):
        assert found["sflow_collector_rrd_updates_total", (backend, ("outcome", outcome))] == count
    assert [found[name, ()] for name in sorted(STORAGE)] == [5, 9, 1234.5, 3, 1]
    for source, up, seconds in (("far", 1, 0.25), ("near", 0, 1.5)):
        assert found["sflow_collector_source_up", (("source", source),)] == up
        assert found["sflow_collector_source_poll_duration_seconds", (("source", source),)] == seconds
    assert found["sflow_collector_render_duration_seconds", (("endpoint", "metrics"),)] > 0
    assert found["process_cpu_seconds_total", ()] > 0
    assert found["sflow_collector_start_time_seconds", ()] > 1.7e9
    assert any(name.startswith("sflow_host_") for name in names), "the page itself is still there"


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_is_not_configured_is_not_there(openmetrics: bool) -> None:
    names = {family.name for family in page(Runtime(), openmetrics)}
    assert not names & (STORAGE | SOURCES | {"sflow_collector_rrd_updates"})
    assert "process_cpu_seconds" in {name.removesuffix("_total") for name in names}


def test_an_engine_that_is_away() -> None:
    runtime = Runtime(lambda: ("rrdtool", replace(STATS, away="rrdtool: no such file")))
    assert samples(page(runtime, False))["sflow_collector_rrd_up", ()] == 0


def test_it_is_asked_whenever_the_page_is_made() -> None:
    counts = itertools.count(1)
    runtime = Runtime(lambda: ("rrdtool", replace(STATS, files=next(counts))))
    read = [samples(page(runtime, False))["sflow_collector_rrd_files", ()] for _ in range(3)]
    assert read == [1, 2, 3]


def test_names_of_sources_are_labels_whatever_they_are() -> None:
    runtime = Runtime(sources=lambda: [Remote('a"b\\c\nd')])
    for openmetrics in (False, True):
        assert samples(page(runtime, openmetrics))["sflow_collector_source_up", (("source", 'a"b\\c\nd'),)] == 1
