"""The page against prometheus_client: the same families and samples, whatever names and values there are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from exporters import prometheus
from exporters.created import CreatedPage
from exporters.exposition import EOF, LabelTexts
from exporters.page import Page
from exporters.registry import MetricSink, SnapshotCollector
from exporters.selection import Selection
from exporters.sink import Description, Samples, Sink
from sflow_gmetrics.snapshot import Snapshot
from tests.exporters.test_prometheus import EVERYTHING, RECORDINGS, replayed
from tests.exporters.test_selection import fleet_snapshot

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
BEGAN = 1_600_000_000.5

Read = dict[tuple[str, str, str, tuple[tuple[str, str], ...]], str]
"""Type, help, sample name and labels to the value as repr shows it, so that NaN equals NaN."""
parse_openmetrics: Any = openmetrics_parser.text_string_to_metric_families
generate_openmetrics: Any = openmetrics_exposition.generate_latest


def read(text: bytes, openmetrics: bool) -> Read:
    """The samples of a page; none stands twice."""
    families: list[Metric] = list((parse_openmetrics if openmetrics else parse_text)(text.decode("utf-8")))
    found: Read = {}
    for family in families:
        for one in family.samples:
            key = (str(family.type), family.documentation, one.name, tuple(sorted(one.labels.items())))
            assert key not in found
            found[key] = repr(one.value + 0.0)  # -0.0 is 0.0
    return found


class _Given(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def rendered(collector: Collector, openmetrics: bool) -> bytes:
    """prometheus_client's own page."""
    registry = CollectorRegistry()
    registry.register(collector)
    page: bytes = (generate_openmetrics if openmetrics else generate_latest)(registry)
    return page


# --- anything

_names = st.from_regex(r"\A[a-z_][a-z0-9_]{0,8}\Z").map(lambda name: f"x_{name}y")
_label_names = st.lists(st.from_regex(r"\A[a-z][a-z0-9_]{0,5}\Z").map(lambda name: f"{name}z"), max_size=3, unique=True)
_texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ('"', "\\", "\\n", "\n", "%", "%s", "{}", '",b="c', "#", " ", "\r", "\u2028", "é", "\U0001f600", "\0")
)
_gauges = st.floats() | st.integers(-(2**70), 2**70) | st.sampled_from((0, -0.0, float("inf"), float("nan"), 5e-324))
_counters = st.floats(min_value=0, allow_nan=False) | st.integers(0, 2**70)


@st.composite
def handed_over(draw: st.DrawFn) -> list[tuple[Description, tuple[str, ...], list[tuple[str, ...]], Samples]]:
    """Columns of a few families: their labels, and rows of which some are not known."""
    found = []
    for base in draw(st.lists(_names, max_size=4, unique=True)):
        counter = draw(st.booleans())
        name = f"{base}_total" if counter else base
        family = Description(name, "counter" if counter else "gauge", draw(_texts))
        names = tuple(draw(_label_names))
        rows = draw(st.lists(st.tuples(*[_texts] * len(names)), min_size=1, max_size=5, unique=True))
        numbers = draw(
            st.lists(st.none() | (_counters if counter else _gauges), min_size=len(rows), max_size=len(rows))
        )
        began = draw(st.none() | st.lists(st.sampled_from((0.0, 1.5e9)), min_size=len(rows), max_size=len(rows)))
        extra = (("mode", draw(_texts)),) if bool(names) and draw(st.booleans()) else ()
        found.append((family, names, rows, Samples(name, (), numbers, extra, (None,), None, None, began)))
    return found


def fill(sink: Sink, given: list[tuple[Description, tuple[str, ...], list[tuple[str, ...]], Samples]]) -> Sink:
    for family, names, rows, samples in given:
        if len(rows) == 1 and not samples.extra and samples.numbers[0] is not None and samples.began is None:
            sink.add(family, names, rows[0], samples.numbers[0])
        else:
            sink.column(family.name, family, samples._replace(labels=sink.labels(family.name, names, rows)))
    return sink


@given(handed_over())
@settings(max_examples=EXAMPLES)
def test_any_names_and_values_are_what_prometheus_client_makes_of_them(
    given: list[tuple[Description, tuple[str, ...], list[tuple[str, ...]], Samples]],
) -> None:
    for began in (False, True):
        selection = Selection(began=began)
        theirs = MetricSink(selection, BEGAN)
        ours: CreatedPage | Page = CreatedPage(selection, BEGAN) if began else Page(selection, LabelTexts())
        fill(theirs, given)
        fill(ours, given)
        assert ours.taken == theirs.taken
        families = [family for family in theirs.families.values() if family.samples]
        for openmetrics in (False, True):
            page = (
                ours.text(_end(openmetrics), openmetrics=openmetrics) if began else _text(given, selection, openmetrics)
            )
            assert read(page, openmetrics) == read(rendered(_Given(families), openmetrics), openmetrics)


def _text(given: Any, selection: Selection, openmetrics: bool) -> bytes:
    page = Page(selection, LabelTexts())
    fill(page, given)
    return page.text(_end(openmetrics), openmetrics=openmetrics)


def _end(openmetrics: bool) -> Callable[[], bytes]:
    return lambda: EOF if openmetrics else b""


# --- what there is


def snapshots() -> list[tuple[str, Snapshot]]:
    return [
        *((name, replayed(name, EVERYTHING)) for name in RECORDINGS),
        ("fleet", fleet_snapshot()),
        ("nothing", replayed(RECORDINGS[0], "[sflow]\nallow = ['192.0.2.0/24']")),
    ]


@pytest.mark.parametrize("began", [False, True], ids=["", "created"])
@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
@pytest.mark.parametrize(("name", "snapshot"), snapshots(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_collector_in_a_registry_gives_the_same_page(
    name: str, snapshot: Snapshot, openmetrics: bool, began: bool
) -> None:
    selection = Selection(began=began)
    render = prometheus.render_openmetrics if openmetrics else prometheus.render
    ours = read(render(snapshot, selection), openmetrics)
    assert ours == read(rendered(SnapshotCollector(lambda: snapshot, selection), openmetrics), openmetrics)
    assert any(sample.endswith("_created") for _, _, sample, _ in ours) is (began and snapshot.stats.started > 0)


def test_without_a_selection_it_shows_what_is_configured() -> None:
    snapshot = fleet_snapshot('[web]\nlevels = ["pool"]\ncreated_series = true\n')
    ours = read(prometheus.render(snapshot), False)
    assert ours == read(rendered(SnapshotCollector(lambda: snapshot), False), False)
    assert {name.split("_")[1] for _, _, name, _ in ours} == {"pool"}
    assert any(name.endswith("_created") for _, _, name, _ in ours)


def test_the_example_of_the_readme_works() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (example,) = [part for part in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "SnapshotCollector" in part]
    registry = CollectorRegistry()
    exec(example.replace("from prometheus_client import REGISTRY\n", ""), {"REGISTRY": registry})
    assert b"sflow_collector_build_info" in generate_latest(registry)


def test_a_counter_was_nothing_when_it_is_said_to_have_begun() -> None:
    """A host's when it had booted, a pool's when the collector began; neither moves when the host boots again."""
    from sflow_gmetrics import Collector as Ours
    from tests.core.builders import START, Sender, host, service

    sender = Sender(Ours())
    selection = Selection(began=True)

    def began() -> dict[str, float]:
        page = parse_text(prometheus.render(sender.snapshot(), selection).decode())
        return {one.name: one.samples[0].value for one in page if one.name.endswith("_created")}

    for step in range(1, 4):
        sender.send(host(step, uptime=1000 + 5 * step), service(step, cpuTime=100 * step))
        sender.tick(5)
    first = began()
    assert first["sflow_host_cpu_seconds_created"] == pytest.approx(START - 1005, abs=1)
    assert first["sflow_service_cpu_seconds_created"] == first["sflow_host_cpu_seconds_created"]
    assert first["sflow_pool_service_cpu_seconds_created"] == first["sflow_agent_datagrams_created"] == START
    sender.restart(5)
    for step in range(1, 4):
        sender.send(host(step, uptime=5 * step), service(step, cpuTime=10 * step))
        sender.tick(5)
    assert began() == first
