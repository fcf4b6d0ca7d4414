"""sFlow version 5 datagrams: bytes to values and back.

`decode_datagram` returns a Datagram or raises DecodeError; any other exception is a bug.
An unknown record is a value with its bytes, a malformed one a value with its reason, and
damage stays where it is: it ends its sample, not the datagram.
Source: sFlow version 5, section 5; Host sFlow's sflow_receiver.c and sflowtool for what
agents do beyond it (sample tags 4300:1002 and 4300:1003).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import DecodeError, EncodeError
from .schema import Structure
from .structures import COUNTER_RECORDS, FLOW_RECORDS
from .xdr import (
    F32,
    F64,
    I32,
    I64,
    IP4,
    IP6,
    MAC,
    U32,
    U64,
    Cursor,
    XdrType,
    read_address,
    read_fields,
    string,
    write_address,
    write_fields,
)

VERSION = 5
FLOW, COUNTERS, FLOW_EXPANDED, COUNTERS_EXPANDED, DISCARD = 1, 2, 3, 4, 5
RTMETRIC = 4300 << 12 | 1002
RTFLOW = 4300 << 12 | 1003

SAMPLE_TYPES: Mapping[int, str] = {
    FLOW: "flow",
    COUNTERS: "counters",
    FLOW_EXPANDED: "flow",
    COUNTERS_EXPANDED: "counters",
    DISCARD: "discard",
    RTMETRIC: "rtmetric",
    RTFLOW: "rtflow",
}

_STRING = string()
_RTMETRIC_TYPES: tuple[tuple[str, XdrType], ...] = (
    ("string", _STRING),
    ("counter32", U32),
    ("counter64", U64),
    ("gauge32", U32),
    ("gauge64", U64),
    ("float", F32),
    ("double", F64),
)
_RTFLOW_TYPES: tuple[tuple[str, XdrType], ...] = (
    ("string", _STRING),
    ("mac", MAC),
    ("ip4", IP4),
    ("ip6", IP6),
    ("int32", I32),
    ("int64", I64),
    ("float", F32),
    ("double", F64),
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a sample.

    `structure` and `fields` where the tag is known and the bytes fit; else `raw` holds the
    bytes, and `malformed` says what is wrong with them if the tag is known.
    """

    tag: int
    length: int
    structure: Structure | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    malformed: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: `type` as in SAMPLE_TYPES or "unknown".

    `ds_class` and `ds_index` name the data source; rtmetric, rtflow and unknown samples have
    none. `fields` holds what the sample's own header says besides (sampling rate, ports), or
    the metrics of an rtmetric. `malformed` is set where the sample breaks off; where nothing
    of it could be read, `raw` holds its bytes.
    """

    type: str
    tag: int
    sequence: int | None = None
    ds_class: int | None = None
    ds_index: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    raw: bytes = b""
    malformed: str | None = None


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram. `agent` is the announced address, "" if unknown; `uptime_ms` the agent's, not the host's."""

    agent: str
    sub_agent_id: int
    sequence: int
    uptime_ms: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the samples, and where they begin."""

    agent: str
    sub_agent_id: int
    sequence: int
    uptime_ms: int
    n_samples: int
    offset: int


def decode_header(payload: bytes) -> Header:
    """The header of a datagram. Raises DecodeError."""
    cursor = Cursor(payload)
    version = cursor.u32()
    if version != VERSION:
        raise DecodeError("bad_version", f"sFlow version {version}, only version 5 is understood")
    agent = read_address(cursor)
    if not agent and not _walks(payload, cursor.offset) and _walks(payload, cursor.offset + 4):
        cursor.skip(4)  # Host sFlow writes 4 bytes of address even where the type says unknown
    sub_agent_id, sequence, uptime_ms, n_samples = (cursor.u32() for _ in range(4))
    return Header(agent, sub_agent_id, sequence, uptime_ms, n_samples, cursor.offset)


def _walks(payload: bytes, offset: int) -> bool:
    """Whether a header that continues here is followed by exactly its samples."""
    if offset + 16 > len(payload):
        return False
    (n_samples,) = struct.unpack_from("!I", payload, offset + 12)
    offset += 16
    for _ in range(n_samples):
        if offset + 8 > len(payload):
            return False
        (length,) = struct.unpack_from("!I", payload, offset + 4)
        offset += 8 + length
    return offset == len(payload)


def decode_datagram(payload: bytes) -> Datagram:
    """A whole datagram. Raises DecodeError when its header is not sFlow v5, and nothing else."""
    header = decode_header(payload)
    cursor = Cursor(payload, header.offset)
    samples: list[Sample] = []
    for _ in range(header.n_samples):
        sample = decode_sample(cursor)
        samples.append(sample)
        if sample.malformed and not cursor.remaining:
            break
    return Datagram(header.agent, header.sub_agent_id, header.sequence, header.uptime_ms, tuple(samples))


def decode_sample(cursor: Cursor) -> Sample:
    """The next sample; it never raises, but says `malformed` and goes on behind the sample, or to the end."""
    if cursor.remaining < 8:
        cursor.offset = cursor.end
        return Sample("unknown", 0, malformed="truncated: the datagram ends before its last sample")
    tag, length = cursor.u32(), cursor.u32()
    kind = SAMPLE_TYPES.get(tag, "unknown")
    if length > cursor.remaining:
        reason = f"truncated: a sample of {length} bytes, {cursor.remaining} left"
        cursor.offset = cursor.end
        return Sample(kind, tag, malformed=reason)
    body = cursor.limit(length)
    decoder = _DECODERS.get(tag)
    if decoder is None:
        return Sample(kind, tag, raw=body.take(length))
    try:
        return decoder(tag, body)
    except DecodeError as error:
        raw = cursor.data[cursor.offset - length : cursor.offset]
        return Sample(kind, tag, raw=raw, malformed=f"{error.reason}: {error.detail}")


def _decode_records(
    cursor: Cursor, count: int, known: Mapping[int, Structure]
) -> tuple[tuple[Record, ...], str | None]:
    records: list[Record] = []
    for _ in range(count):
        if cursor.remaining < 8:
            return tuple(records), "truncated: the sample ends before its last record"
        tag, length = cursor.u32(), cursor.u32()
        structure = known.get(tag)
        if length > cursor.remaining:
            reason = f"truncated: a record of {length} bytes, {cursor.remaining} left in its sample"
            records.append(Record(tag, length, structure, malformed=reason))
            return tuple(records), reason
        body = cursor.limit(length)
        if structure is None:
            records.append(Record(tag, length, raw=body.take(length)))
            continue
        try:
            fields = decode_structure(structure, body)
        except DecodeError as error:
            reason = f"{error.reason}: {structure.name}: {error.detail}"
            records.append(
                Record(tag, length, structure, raw=cursor.data[body.end - length : body.end], malformed=reason)
            )
            return tuple(records), reason
        records.append(Record(tag, length, structure, fields))
    return tuple(records), None


def decode_structure(structure: Structure, body: Cursor) -> dict[str, Any]:
    """The fields of a record by name.

    Old agents send only the first `required` fields and newer ones may send more than is
    known: the fields that are there are read, bytes behind them are passed over. Raises
    DecodeError.
    """
    members = structure.members
    if structure.required == len(members):
        return read_fields(body, members)
    values = read_fields(body, members[: structure.required])
    for member in members[structure.required :]:
        if not body.remaining:
            break
        values.update(read_fields(body, (member,)))
    return values


def _counters(tag: int, body: Cursor) -> Sample:
    sequence = body.u32()
    ds_class, ds_index = _data_source(tag == COUNTERS_EXPANDED, body)
    records, malformed = _decode_records(body, body.u32(), COUNTER_RECORDS)
    return Sample("counters", tag, sequence, ds_class, ds_index, records=records, malformed=malformed)


def _data_source(expanded: bool, body: Cursor) -> tuple[int, int]:
    if expanded:
        return body.u32(), body.u32()
    source = body.u32()
    return source >> 24, source & 0xFF_FFFF


def _port(expanded: bool, body: Cursor) -> tuple[int, int]:
    """Format and value of an interface: 0 an ifIndex, 1 dropped (reason), 2 several."""
    if expanded:
        return body.u32(), body.u32()
    port = body.u32()
    return port >> 30, port & 0x3FFF_FFFF


def _flow(tag: int, body: Cursor) -> Sample:
    expanded = tag == FLOW_EXPANDED
    sequence = body.u32()
    ds_class, ds_index = _data_source(expanded, body)
    fields = {name: body.u32() for name in ("rate", "pool", "drops")}
    fields["input_format"], fields["input"] = _port(expanded, body)
    fields["output_format"], fields["output"] = _port(expanded, body)
    records, malformed = _decode_records(body, body.u32(), FLOW_RECORDS)
    return Sample("flow", tag, sequence, ds_class, ds_index, fields, records, malformed=malformed)


def _discard(tag: int, body: Cursor) -> Sample:
    sequence, ds_class, ds_index = body.u32(), body.u32(), body.u32()
    fields = {name: body.u32() for name in ("drops", "input", "output", "reason")}
    records, malformed = _decode_records(body, body.u32(), FLOW_RECORDS)
    return Sample("discard", tag, sequence, ds_class, ds_index, fields, records, malformed=malformed)


def _typed_values(body: Cursor, types: tuple[tuple[str, XdrType], ...]) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = []
    for _ in range(body.count(12)):
        name = _STRING.read(body)
        start = body.offset
        number = body.u32()
        if number >= len(types):
            raise DecodeError("bad_length", f"value type {number} of {name!r} is not known", start)
        type_name, xdr = types[number]
        values.append({"name": name, "type": type_name, "value": xdr.read(body)})
    return values


def _rtmetric(tag: int, body: Cursor) -> Sample:
    fields = {"datasource": _STRING.read(body), "metrics": _typed_values(body, _RTMETRIC_TYPES)}
    return Sample("rtmetric", tag, fields=fields)


def _rtflow(tag: int, body: Cursor) -> Sample:
    fields = {"datasource": _STRING.read(body), "rate": body.u32(), "pool": body.u32()}
    return Sample("rtflow", tag, fields=fields | {"fields": _typed_values(body, _RTFLOW_TYPES)})


_DECODERS: Mapping[int, Callable[[int, Cursor], Sample]] = {
    FLOW: _flow,
    COUNTERS: _counters,
    FLOW_EXPANDED: _flow,
    COUNTERS_EXPANDED: _counters,
    DISCARD: _discard,
    RTMETRIC: _rtmetric,
    RTFLOW: _rtflow,
}


# --- the way back, for tests and the simulator


def _words(*values: int) -> bytes:
    try:
        return struct.pack(f"!{len(values)}I", *values)
    except struct.error as error:
        raise EncodeError(f"{values} do not fit in 32 bits each: {error}") from None


def encode_record(record: Record) -> bytes:
    """A record with its tag and length. An optional field that is not there ends it. Raises EncodeError."""
    if record.structure is None or record.malformed:
        body = record.raw
    else:
        members = [member for member in record.structure.members if member[0] in record.fields]
        body = write_fields(dict(record.fields), members)
    return _words(record.tag, len(body)) + body


def encode_structure(structure: Structure, fields: Mapping[str, Any]) -> Record:
    """A record of this structure, for encode_record."""
    record = Record(structure.tag, 0, structure, fields)
    return Record(structure.tag, len(encode_record(record)) - 8, structure, fields)


def encode_sample(sample: Sample) -> bytes:
    """A sample with its tag and length. Raises EncodeError."""
    return _words(sample.tag, len(body := _encode_body(sample))) + body


def _encode_body(sample: Sample) -> bytes:
    if sample.tag in (RTMETRIC, RTFLOW):
        return sample.raw if sample.malformed else _encode_typed(sample)
    if sample.tag not in SAMPLE_TYPES or sample.sequence is None or sample.ds_class is None or sample.ds_index is None:
        return sample.raw
    expanded = sample.tag in (FLOW_EXPANDED, COUNTERS_EXPANDED, DISCARD)
    head = _words(sample.sequence)
    head += _words(sample.ds_class, sample.ds_index) if expanded else _words(sample.ds_class << 24 | sample.ds_index)
    fields = sample.fields
    if sample.type == "flow":
        head += _words(fields["rate"], fields["pool"], fields["drops"])
        for port in ("input", "output"):
            form, value = fields[port + "_format"], fields[port]
            head += _words(form, value) if expanded else _words(form << 30 | value)
    elif sample.type == "discard":
        head += _words(fields["drops"], fields["input"], fields["output"], fields["reason"])
    return head + _words(len(sample.records)) + b"".join(map(encode_record, sample.records))


def _encode_typed(sample: Sample) -> bytes:
    head = _STRING.write(sample.fields["datasource"])
    if sample.tag == RTFLOW:
        head += _words(sample.fields["rate"], sample.fields["pool"])
    types = _RTFLOW_TYPES if sample.tag == RTFLOW else _RTMETRIC_TYPES
    names = [name for name, _ in types]
    values = sample.fields["fields" if sample.tag == RTFLOW else "metrics"]
    body = _words(len(values))
    for value in values:
        number = names.index(value["type"])
        body += _STRING.write(value["name"]) + _words(number) + types[number][1].write(value["value"])
    return head + body


def encode_datagram(datagram: Datagram) -> bytes:
    """The bytes of a datagram. Raises EncodeError."""
    head = _words(VERSION) + write_address(datagram.agent)
    head += _words(datagram.sub_agent_id, datagram.sequence, datagram.uptime_ms, len(datagram.samples))
    return head + b"".join(map(encode_sample, datagram.samples))
