"""What is made for a reader goes with the last reference to it: nothing waits until somebody looks for garbage."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from exporters import gmetad, gmond, interactive, landing, prometheus
from exporters.rrd import Layout
from sflow_gmetrics import Snapshot
from sflow_gmetrics.config import RrdConfig
from tests.exporters.trees import snapshot

OUTPUTS: dict[str, Callable[[Snapshot], object]] = {
    "metrics": prometheus.render,
    "openmetrics": prometheus.render_openmetrics,
    "gmond": gmond.render,
    "gmetad": gmetad.render,
    "interactive": lambda one: interactive.answer(b"/?filter=summary", one),
    "landing": lambda one: landing.render(one, ""),
    "rrd": lambda one: list(Layout(RrdConfig(root="/rrds")).updates(one, 100)),
}


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("output", OUTPUTS)
def test_no_output_makes_garbage(output: str) -> None:
    one = snapshot()
    for _ in range(2):  # what is remembered for the next time, and what was remembered of others
        OUTPUTS[output](one)
    gc.collect()
    OUTPUTS[output](one)
    assert gc.collect() == 0
