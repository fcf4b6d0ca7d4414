"""Our encoder of remote write beside Google's protobuf, and a store that follows us beside the page."""

from __future__ import annotations

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from exporters import write_request
from exporters.remote_write import NewSamples
from sflow_gmetrics import Collector
from sflow_gmetrics.config import RemoteWriteConfig
from sflow_gmetrics.datagram import Datagram, Sample, encode_datagram
from tests.exporters.test_prometheus import read
from tests.exporters.write_requests import Store, WriteRequest, read_body, read_series
from tests.property.strategies import counters_samples, datagrams
from tests.property.test_outputs import EVERYTHING, NOW, QUICK

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True)
TIMES = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.floats() | st.integers(0, (1 << 64) - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
SERIES = st.tuples(st.dictionaries(NAMES, TEXTS, max_size=6), FLOATS, TIMES)


@given(st.lists(SERIES, max_size=5))
def test_google_reads_what_we_write(series: list[tuple[dict[str, str], float, int]]) -> None:
    expected = WriteRequest()
    encoded = []
    for labels, value, time_ms in series:
        one = expected.timeseries.add()
        for name in sorted(labels):
            if labels[name]:
                one.labels.add(name=name, value=labels[name])
        one.samples.add(value=math.nan if math.isnan(value) else value, timestamp=time_ms)
        parts = (write_request.encode_value(value), write_request.encode_time(time_ms))
        encoded.append(write_request.encode_series(write_request.encode_labels(labels), *parts))
    found = WriteRequest()
    found.ParseFromString(b"".join(encoded))
    assert str(found) == str(expected)


@given(st.lists(st.tuples(NAMES, TEXTS.filter(bool), FLOATS), min_size=1, max_size=50))
def test_a_body_is_one_snappy_block_and_no_number_ends_a_series(series: list[tuple[str, str, float]]) -> None:
    bodies = [
        write_request.encode_series(
            write_request.encode_labels({"__name__": name, "zz": text}),
            write_request.encode_value(value),
            write_request.encode_time(at),
        )
        for at, (name, text, value) in enumerate(series)
    ]
    sent = read_body(write_request.compress(bodies))
    assert [(dict(one.labels)["zz"], one.time_ms) for one in sent] == [
        (text, at) for at, (_, text, _) in enumerate(series)
    ]
    assert all(one.value is not None for one in sent)


def _follow(rounds: list[tuple[bytes, float]]) -> None:
    """A store that is sent what is new, again and again, always shows what the page shows; and nothing at the end."""
    collector, store, now = Collector(EVERYTHING), Store(), NOW
    config = RemoteWriteConfig("http://h/", groups=EVERYTHING.web.groups, external_labels={"job": "", "instance": ""})
    samples = NewSamples(config, "here")
    for payload, seconds in rounds:
        now += seconds
        collector.receive(payload, now)
        now += 0.25
        snapshot = collector.snapshot(now)
        sent = read_series(samples.take(snapshot))
        store.take(sent)
        page = {
            (("__name__", name), *((key, text) for key, text in labels if text)): float(value)
            for (name, labels), value in read(snapshot).items()
        }
        page[("__name__", "up"),] = 1.0
        assert store.series.keys() == page.keys()
        for labels in {one.labels for one in sent if one.value is not None}:
            assert store.series[labels] == page[labels] or math.isnan(store.series[labels]), labels
    store.take(read_series(samples.end(now)))
    assert not store.series


@QUICK
@given(st.lists(st.tuples(datagrams().map(encode_datagram), st.floats(0.001, 200)), max_size=4))
def test_a_store_that_follows_shows_the_page(rounds: list[tuple[bytes, float]]) -> None:
    _follow(rounds)


def _payloads(rounds: list[list[Sample]]) -> list[bytes]:
    """The datagrams of one agent, which sends these samples one after the other."""
    return [
        encode_datagram(Datagram("10.0.0.1", 0, at, at * 1000, tuple(samples))) for at, samples in enumerate(rounds, 1)
    ]


@QUICK
@given(
    st.lists(st.lists(counters_samples(), min_size=1, max_size=3), max_size=6).map(_payloads),
    st.lists(st.floats(0.001, 60), min_size=6, max_size=6),
)
def test_a_store_that_follows_one_agent_shows_the_page(payloads: list[bytes], pauses: list[float]) -> None:
    """The sources of one agent, whose samples change as they like."""
    _follow(list(zip(payloads, pauses, strict=False)))
