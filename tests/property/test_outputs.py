"""Whatever is sent, the outputs are well-formed, and what has been counted never falls."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters import gmond
from sflow_gmetrics import Collector
from sflow_gmetrics.config import GROUPS, parse_config
from sflow_gmetrics.datagram import Datagram, Sample, encode_datagram
from sflow_gmetrics.snapshot import Snapshot
from tests.exporters.test_gmond import parsed
from tests.exporters.test_prometheus import Series, read
from tests.property.strategies import counters_samples, damaged, datagrams

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "60"))
QUICK = settings(max_examples=EXAMPLES, suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large))
EVERYTHING = parse_config(
    f"[web]\ngroups = {list(GROUPS)}\n[gmond]\nnetstat = true\ninterfaces = true\n"
    "[sflow]\nforget_after = 100\n[services]\nservices_per_host = 5\nexclude = '.*x'\n"
    "[[services.rewrite]]\nmatch = '(.).*'\nreplace = '$1'"
)
NOW = 1_700_000_000.0


def _outputs(snapshot: Snapshot) -> None:
    parsed(gmond.render(snapshot))
    read(snapshot)


@QUICK
@given(st.lists(st.tuples(datagrams(), st.floats(-10, 200)), max_size=4))
def test_any_datagrams_give_pages_that_can_be_read(sent: list[tuple[Datagram, float]]) -> None:
    collector = Collector(EVERYTHING)
    now = NOW
    for datagram, seconds in sent:
        now += seconds
        collector.receive(encode_datagram(datagram), now)
    _outputs(collector.snapshot(now))


@QUICK
@given(st.data())
def test_damaged_datagrams_give_pages_that_can_be_read(data: st.DataObject) -> None:
    collector = Collector(EVERYTHING)
    whole = encode_datagram(data.draw(datagrams()))
    for payload in (whole, data.draw(damaged(whole)), whole):
        collector.receive(payload, NOW)
    _outputs(collector.snapshot(NOW))


@QUICK
@given(st.lists(st.lists(counters_samples(), min_size=1, max_size=3), min_size=2, max_size=6), st.integers(0, 3))
def test_an_agent_that_sends_anything_breaks_nothing(rounds: list[list[Sample]], sources: int) -> None:
    """One agent, in the right order, a few sources whose samples change as they like; and no counter falls."""
    collector = Collector(EVERYTHING)
    before: dict[Series, float] = {}
    for number, samples in enumerate(rounds, 1):
        now = NOW + 5 * number
        mine = tuple(
            Sample("counters", 4, number, 3 if place < sources else 2, place + 1, records=one.records)
            for place, one in enumerate(samples)
        )
        collector.receive(encode_datagram(Datagram("10.0.0.1", 1, number, 5000 * number, mine)), now)
        snapshot = collector.snapshot(now)
        parsed(gmond.render(snapshot))
        after = {key: value for key, value in read(snapshot).items() if key[0].startswith("sflow_pool")}
        for key, value in before.items():
            assert after.get(key, 0) >= value, key
        before = {key: value for key, value in after.items() if key[0].endswith("_total")}


@given(st.binary(max_size=200), st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1e11))
@settings(max_examples=EXAMPLES)
def test_any_bytes_at_any_time(payload: bytes, now: float) -> None:
    collector = Collector()
    collector.receive(payload, now)
    collector.receive(b"\0\0\0\5" + payload, now)
    _outputs(collector.snapshot(now))
