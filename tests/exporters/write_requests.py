"""Remote write as a store sees it: requests read by Google's protobuf, and a store that follows them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cramjam import snappy
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STALE = 0x7FF0_0000_0000_0002
Labels = tuple[tuple[str, str], ...]
_KINDS = {"string": 9, "double": 1, "int64": 3}
_MESSAGES = {
    "WriteRequest": (("timeseries", "TimeSeries"),),
    "TimeSeries": (("labels", "Label"), ("samples", "Sample")),
    "Label": (("name", "string"), ("value", "string")),
    "Sample": (("value", "double"), ("timestamp", "int64")),
}


def _write_request() -> Any:
    """The class of the message, as Prometheus declares it."""
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            one = message.field.add(name=field, number=number, label=1 if kind in _KINDS else 3)
            if kind in _KINDS:
                one.type = _KINDS[kind]
            else:
                one.type, one.type_name = 11, f".prometheus.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WriteRequest: Any = _write_request()


class Sent(NamedTuple):
    """One sample of a request; `value` is None for a stale marker."""

    labels: Labels
    value: float | None
    time_ms: int


def read_body(body: bytes) -> list[Sent]:
    """The samples of a request as it is posted."""
    return read_series([bytes(snappy.decompress_raw(body))])


def read_series(series: Iterable[bytes]) -> list[Sent]:
    """The samples of encoded series. Fails where a series is not as the specification wants it."""
    request = WriteRequest()
    request.ParseFromString(b"".join(series))
    return list(_samples(request))


def _samples(request: Any) -> Iterator[Sent]:
    for one in request.timeseries:
        labels = tuple((label.name, label.value) for label in one.labels)
        names = [name for name, _ in labels]
        assert names == sorted(set(names)), "names in order, each once"
        assert all(name and value for name, value in labels), "nothing is empty"
        assert "__name__" in names
        (sample,) = one.samples
        (bits,) = struct.unpack("<Q", struct.pack("<d", sample.value))
        yield Sent(labels, None if bits == STALE else sample.value, sample.timestamp)


class Store:
    """What a store shows in instant queries, after all that it was sent."""

    def __init__(self) -> None:
        self.series: dict[Labels, float] = {}
        self.times: dict[Labels, int] = {}

    def take(self, sent: Iterable[Sent]) -> None:
        """Samples in their order. Fails where time goes back, or something ends that was not there."""
        for labels, value, time_ms in sent:
            assert time_ms > self.times.get(labels, -1), f"{labels} at {time_ms} is not new"
            self.times[labels] = time_ms
            if value is None:
                del self.series[labels]
            else:
                self.series[labels] = value
