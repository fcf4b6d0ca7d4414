"""A datagram as JSON: what `decode` prints.

Everything that was on the wire is there, under the names of the specification; what a
sample or record does not have is left out, never null. Numbers that JSON does not know
(NaN, infinities) are null.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

from .datagram import Datagram, Record, Sample
from .schema import tag_text
from .xdr import F32

_F32 = struct.Struct("!f")


def datagram_json(datagram: Datagram) -> dict[str, Any]:
    """A datagram as nested dicts and lists that json.dumps takes, with allow_nan=False too."""
    return {
        "agent": datagram.agent,
        "sub_agent_id": datagram.sub_agent_id,
        "sequence": datagram.sequence,
        "uptime_ms": datagram.uptime_ms,
        "samples": [_sample_json(sample) for sample in datagram.samples],
    }


def _sample_json(sample: Sample) -> dict[str, Any]:
    result: dict[str, Any] = {"type": sample.type, "tag": tag_text(sample.tag)}
    header = {"sequence": sample.sequence, "ds_class": sample.ds_class, "ds_index": sample.ds_index}
    result |= {name: value for name, value in header.items() if value is not None}
    if sample.fields:
        result["fields"] = {name: _header_json(value) for name, value in sample.fields.items()}
    if sample.type in ("counters", "flow", "discard"):
        result["records"] = [_record_json(record) for record in sample.records]
    if sample.malformed is not None:
        result["malformed"] = _plain(sample.malformed)
    return result


def _header_json(value: Any) -> Any:
    """A field of a sample's own header; a list is the typed values of an rtmetric or rtflow."""
    if not isinstance(value, list):
        return _plain(value)
    return [
        _plain(typed) | ({"value": _float32(typed["value"])} if typed["type"] == F32.name else {}) for typed in value
    ]


def _record_json(record: Record) -> dict[str, Any]:
    tag = tag_text(record.tag)
    if record.malformed is not None:
        return {"tag": tag, "malformed": _plain(record.malformed)}
    if record.structure is None:
        return {"tag": tag, "length": record.length, "unknown": True}
    singles = {name for name, xdr in record.structure.members if xdr is F32}
    fields = {name: _float32(value) if name in singles else _plain(value) for name, value in record.fields.items()}
    return {"tag": tag, "structure": record.structure.name, "fields": fields}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value


def _float32(value: float) -> float | None:
    """The number with the fewest digits that is the same in 32 bits: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return None
    packed = _F32.pack(value)
    for digits in range(1, 9):
        shortest = float(f"{value:.{digits}g}")
        try:
            if _F32.pack(shortest) == packed:
                return shortest
        except OverflowError:  # rounded up beyond the greatest number of 32 bits
            continue
    return float(f"{value:.9g}")
