"""Remote write: our samples of a site, gathered and encoded, against Google's protobuf building the same message.

CPU time of one process; the least of the repeats counts. Before each repeat every source has
sent, so that every sample is new; the walk over the snapshot is ours to pay. The peer is given
its labels, values and times ready. Both end with the same snappy.
"""

from __future__ import annotations

from cramjam import snappy

from exporters.remote_write import NewSamples
from exporters.write_request import compress
from sflow_gmetrics.config import RemoteWriteConfig
from tests.exporters.write_requests import Sent, WriteRequest, read_series

from .measure import Result, Size, cpu_ms, settle
from .traffic import Site


def run(size: Size) -> list[Result]:
    """The samples of a site whose sources have all sent."""
    site, samples = Site(size.hosts, size.services), NewSamples(RemoteWriteConfig("http://store/"), "here")
    samples.take(site.snapshot())
    settle()
    ours: list[float] = []
    bodies: list[bytes] = []
    for _ in range(size.repeats):
        site.next()
        snapshot = site.snapshot()
        ours.append(cpu_ms(lambda: bodies.append(compress(samples.take(snapshot)))))  # noqa: B023 (called at once)
    site.next()
    sent = read_series(samples.take(site.snapshot()))
    theirs = [cpu_ms(lambda: _peer(sent)) for _ in range(min(size.repeats, 4))]
    note = f"{len(sent):,} samples, {len(bodies[-1]) / len(sent):.1f} bytes each"
    return [Result("remote write, all new, peer protobuf", "ms", min(ours), min(theirs), note=note)]


def _peer(sent: list[Sent]) -> bytes:
    """The request as protobuf makes it."""
    request = WriteRequest()
    for labels, value, time_ms in sent:
        one = request.timeseries.add()
        for name, text in labels:
            one.labels.add(name=name, value=text)
        one.samples.add(value=value or 0.0, timestamp=time_ms)
    return bytes(snappy.compress_raw(request.SerializeToString()))
