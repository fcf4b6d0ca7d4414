"""The message of Prometheus remote write 1.0, encoded: labels, samples, series.

    WriteRequest { repeated TimeSeries timeseries = 1 }
    TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
    Label        { string name = 1; string value = 2 }
    Sample       { double value = 1; int64 timestamp = 2 }

The series of a request stand one behind the other, so a request is the concatenation of what
`encode_series` gives. Every value is written, also 0, which makes samples equally long.
Source: Prometheus remote write 1.0 specification; Protocol Buffers encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from cramjam import snappy

STALE = bytes.fromhex("020000000000f07f")
"""The one NaN that says "this series has ended", 0x7ff0000000000002 as a double on the wire."""
NAN = bytes.fromhex("010000000000f87f")
"""The NaN of all other values that are no number."""

CONTENT_TYPE = "application/x-protobuf"
CONTENT_ENCODING = "snappy"
VERSION = "0.1.0"

_pack_double = struct.Struct("<d").pack
_MASK64 = (1 << 64) - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_LENGTHS = [_varint(number) for number in range(2048)]


def _within(tag: bytes, message: bytes) -> bytes:
    """A message or string as the field of another: tag, length, bytes."""
    length = len(message)
    return tag + (_LENGTHS[length] if length < 2048 else _varint(length)) + message


def encode_label(name: str, value: str) -> bytes:
    """One label of a series; nothing where the value is empty, for that is no label."""
    if not value:
        return b""
    return _within(b"\x0a", _within(b"\x0a", name.encode()) + _within(b"\x12", value.encode()))


def encode_labels(labels: Mapping[str, str]) -> bytes:
    """All labels of a series, `__name__` among them, in the order of their names."""
    return b"".join([encode_label(name, labels[name]) for name in sorted(labels)])


def encode_value(number: float) -> bytes:
    """A number as a double. No number becomes the stale marker."""
    return _pack_double(number) if number == number else NAN


def encode_time(time_ms: int) -> bytes:
    """A sample's time, in milliseconds since the epoch, as the field of its sample."""
    return b"\x10" + _varint(time_ms & _MASK64)


def encode_series(labels: bytes, value: bytes, time: bytes) -> bytes:
    """A series with one sample, from what the other functions gave."""
    sample = b"\x12%c\x09%b%b" % (len(value) + len(time) + 1, value, time)
    return _within(b"\x0a", labels + sample)


def compress(series: Iterable[bytes]) -> bytes:
    """The body of a request: all of them in one snappy block."""
    return bytes(snappy.compress_raw(b"".join(series)))
