"""The benchmarks run and say something; on a tiny size, where their times mean nothing."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator

import pytest
from lxml import etree
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporters import gmond, prometheus
from tests.bench import burst, gmond_xml, ingest, metrics_page, remote_write
from tests.bench.measure import Result, Size, table
from tests.bench.traffic import Site

TINY = Size(hosts=3, services=4, rounds=4, interval=0.1, repeats=2, large_hosts=4, burst=40, burst_hosts=5)


@pytest.fixture(autouse=True)
def _garbage_collection() -> Iterator[None]:
    """Leave the garbage collector as it was: a benchmark tunes it."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.parametrize("benchmark", [gmond_xml.run, metrics_page.run])
def test_a_rendering_benchmark_has_times(benchmark: Callable[[Size], list[Result]]) -> None:
    results = benchmark(TINY)
    assert all(math.isfinite(one.ours) and one.ours > 0 for one in results)
    assert any(one.peer is not None and one.mark is not None for one in results)


def test_remote_write_is_measured_beside_protobuf() -> None:
    (result,) = remote_write.run(TINY)
    assert result.peer is not None
    assert result.ours > 0


@pytest.mark.e2e
def test_ingest_counts_what_a_real_server_uses() -> None:
    cpu, empty, rendered, later = ingest.run(TINY)
    assert cpu.mark == 5
    assert cpu.ours >= 0
    assert later.limit == 10
    assert later.ours > 0
    assert empty.unit == rendered.unit == later.unit


@pytest.mark.e2e
def test_a_small_burst_is_not_lost() -> None:
    assert [one.ours for one in burst.run(TINY)] == [0, 0, 0]


def test_lxml_writes_the_same_document() -> None:
    snapshot = Site(3, 4).snapshot()
    ours = etree.fromstring(gmond.render(snapshot))
    theirs = etree.fromstring(gmond_xml.write(gmond_xml.derive(snapshot)))
    for element in ours.iter():
        element.text = element.tail = None
    assert len(ours.findall(".//METRIC")) > 100
    assert etree.tostring(theirs) == etree.tostring(ours)


def test_the_peer_of_the_metrics_page_has_the_same_samples() -> None:
    page = prometheus.render(Site(3, 4).snapshot())
    again = generate_latest(metrics_page.registry_of(page))

    def samples(text: bytes) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
        families = text_string_to_metric_families(text.decode("utf-8"))
        return {(one.name, frozenset(one.labels.items()), one.value) for family in families for one in family.samples}

    assert len(samples(page)) > 100
    assert samples(again) == samples(page)


def test_marks_are_judged() -> None:
    good = Result("good", "ms", 1.0, 10.0, mark=8)
    below = Result("below", "ms", 2.0, 10.0, mark=8)
    broken = Result("broken", "ms", 20.0, limit=10)
    assert [one.verdict for one in (good, below, broken)] == ["OK", "BELOW", "BELOW"]
    assert [one.missed_by_far for one in (good, below, broken)] == [False, False, True]
    assert Result("alone", "ms", 1.0, mark=8).verdict == ""
    assert len(table([good, below, broken]).splitlines()) == 4
