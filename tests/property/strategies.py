"""Hypothesis strategies for whole datagrams, derived from the declared structures, and for damage to them."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from sflow_gmetrics.datagram import (
    COUNTERS,
    COUNTERS_EXPANDED,
    DISCARD,
    FLOW,
    FLOW_EXPANDED,
    RTFLOW,
    RTMETRIC,
    SAMPLE_TYPES,
    Datagram,
    Record,
    Sample,
    encode_structure,
)
from sflow_gmetrics.schema import Structure
from sflow_gmetrics.structures import COUNTER_RECORDS, FLOW_RECORDS
from sflow_gmetrics.xdr import Cursor, XdrType, mac_text, text

u32 = st.integers(0, 2**32 - 1)
_macs = st.binary(min_size=6, max_size=6).map(mac_text)
_ip4 = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
_ip6 = st.integers(0, 2**128 - 1).map(lambda number: str(ipaddress.IPv6Address(number)))
_hex = st.binary(max_size=24).map(bytes.hex)
addresses = st.one_of(_ip4, _ip6, st.just(""))
strings = st.binary(max_size=24).map(text)

_SCALARS: Mapping[str, SearchStrategy[Any]] = {
    "u32": u32,
    "i32": st.integers(-(2**31), 2**31 - 1),
    "u64": st.integers(0, 2**64 - 1),
    "i64": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "mac": _macs,
    "ip4": _ip4,
    "ip6": _ip6,
    "opaque[16]": st.uuids(version=None).map(str) | st.just(str(uuid.UUID(int=0))),
    "4 x u8": st.lists(st.integers(0, 255), min_size=4, max_size=4).map(lambda octets: ",".join(map(str, octets))),
    "address": addresses,
    "string": strings,
    "opaque": _hex,
    "u32<>": st.lists(u32, max_size=4),
    "mac<>": st.lists(_macs, max_size=3),
}


def _adapters() -> SearchStrategy[Any]:
    macs = st.lists(_macs, max_size=2)
    return st.builds(lambda index, mac: {"ifIndex": index, "num_macs": len(mac), "mac": mac}, u32, macs)


def _segments() -> SearchStrategy[Any]:
    path = st.lists(u32, max_size=3)
    return st.builds(lambda kind, numbers: {"type": kind, "n": len(numbers), "as": numbers}, u32, path)


def _lanes(xdr: XdrType) -> SearchStrategy[Any]:
    """A lane is words only; its names are read from one that is decoded."""
    (lane,) = xdr.read(Cursor(b"\0\0\0\1" + bytes(256)))
    return st.fixed_dictionaries(dict.fromkeys(lane, st.integers(0, 2**31 - 1)))


_GROUPS: Mapping[str, Callable[[XdrType], SearchStrategy[Any]]] = {
    "num_adapters": lambda _: _adapters(),
    "n_segments": lambda _: _segments(),
    "num_lanes": _lanes,
}


def values_of(xdr: XdrType) -> SearchStrategy[Any]:
    """Values that this type can carry."""
    if xdr.name == "group<>":
        return st.lists(_GROUPS[xdr.count_name](xdr), max_size=2)
    return _SCALARS[xdr.name]


@st.composite
def fields_of(draw: st.DrawFn, structure: Structure) -> dict[str, Any]:
    """Fields of a structure, counts included; where older agents send a prefix, sometimes only that."""
    count = draw(st.integers(structure.required, len(structure.members)))
    values: dict[str, Any] = {}
    for name, xdr in structure.members[:count]:
        value = draw(values_of(xdr))
        if xdr.count_name:
            values[xdr.count_name] = len(value) // xdr.item_length
        values[name] = value
    return values


@st.composite
def known_records(draw: st.DrawFn, known: Mapping[int, Structure]) -> Record:
    """A record of one of these structures."""
    structure = draw(st.sampled_from(list(known.values())))
    return encode_structure(structure, draw(fields_of(structure)))


@st.composite
def unknown_records(draw: st.DrawFn, known: Mapping[int, Structure]) -> Record:
    """A record that nobody has declared."""
    raw = draw(st.binary(max_size=40))
    return Record(draw(u32.filter(lambda tag: tag not in known)), len(raw), raw=raw)


def records(known: Mapping[int, Structure]) -> SearchStrategy[tuple[Record, ...]]:
    """A few records, most of them known."""
    one = st.one_of(known_records(known), known_records(known), unknown_records(known))
    return st.lists(one, max_size=4).map(tuple)


def _source(expanded: bool) -> SearchStrategy[tuple[int, int]]:
    return st.tuples(u32, u32) if expanded else st.tuples(st.integers(0, 2**8 - 1), st.integers(0, 2**24 - 1))


@st.composite
def counters_samples(draw: st.DrawFn) -> Sample:
    """A counters sample, compact or expanded."""
    tag = draw(st.sampled_from((COUNTERS, COUNTERS_EXPANDED)))
    ds_class, ds_index = draw(_source(tag == COUNTERS_EXPANDED))
    return Sample("counters", tag, draw(u32), ds_class, ds_index, records=draw(records(COUNTER_RECORDS)))


@st.composite
def flow_samples(draw: st.DrawFn) -> Sample:
    """A flow sample, compact or expanded, or a discarded packet."""
    tag = draw(st.sampled_from((FLOW, FLOW_EXPANDED, DISCARD)))
    ds_class, ds_index = draw(_source(tag != FLOW))
    if tag == DISCARD:
        names: tuple[str, ...] = ("drops", "input", "output", "reason")
    else:
        names = ("rate", "pool", "drops", "input_format", "input", "output_format", "output")
    port = st.integers(0, 2**30 - 1) if tag == FLOW else u32
    form = st.integers(0, 3) if tag == FLOW else u32
    values = {"input": port, "output": port, "input_format": form, "output_format": form}
    fields = {name: draw(values.get(name, u32)) for name in names}
    return Sample(SAMPLE_TYPES[tag], tag, draw(u32), ds_class, ds_index, fields, draw(records(FLOW_RECORDS)))


_TYPED = {
    RTMETRIC: {
        "string": "string",
        "counter32": "u32",
        "counter64": "u64",
        "gauge32": "u32",
        "gauge64": "u64",
        "float": "float",
        "double": "double",
    },
    RTFLOW: {
        "string": "string",
        "mac": "mac",
        "ip4": "ip4",
        "ip6": "ip6",
        "int32": "i32",
        "int64": "i64",
        "float": "float",
        "double": "double",
    },
}


@st.composite
def typed_samples(draw: st.DrawFn) -> Sample:
    """An rtmetric or rtflow sample."""
    tag = draw(st.sampled_from((RTMETRIC, RTFLOW)))
    kinds = draw(st.lists(st.sampled_from(sorted(_TYPED[tag])), max_size=5))
    values = [{"name": draw(strings), "type": kind, "value": draw(_SCALARS[_TYPED[tag][kind]])} for kind in kinds]
    fields: dict[str, Any] = {"datasource": draw(strings)}
    if tag == RTMETRIC:
        return Sample("rtmetric", tag, fields=fields | {"metrics": values})
    return Sample("rtflow", tag, fields=fields | {"rate": draw(u32), "pool": draw(u32), "fields": values})


def unknown_samples() -> SearchStrategy[Sample]:
    """A sample of a kind that nobody has declared."""
    tags = u32.filter(lambda tag: tag not in SAMPLE_TYPES)
    return st.builds(lambda tag, raw: Sample("unknown", tag, raw=raw), tags, st.binary(max_size=40))


def samples() -> SearchStrategy[Sample]:
    """Any sample."""
    return st.one_of(counters_samples(), counters_samples(), flow_samples(), typed_samples(), unknown_samples())


def datagrams() -> SearchStrategy[Datagram]:
    """Any datagram."""
    return st.builds(Datagram, addresses, u32, u32, u32, st.lists(samples(), max_size=3).map(tuple))


# --- damage

_WORDS = st.sampled_from((0, 1, 2, 3, 4, 5, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFC, 0xFFFF_FFFF)) | u32


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """These bytes after a few accidents: flipped bits, cuts, insertions, other lengths, pieces moved."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        accident = draw(st.sampled_from(("flip", "cut", "remove", "insert", "word", "move")))
        if accident == "flip" and place < len(data):
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif accident == "cut":
            del data[place:]
        elif accident == "remove":
            del data[place : place + draw(st.integers(1, 16))]
        elif accident == "insert":
            data[place:place] = draw(st.binary(max_size=16))
        elif accident == "word":
            place &= ~3
            data[place : place + 4] = draw(_WORDS).to_bytes(4, "big")
        elif accident == "move":
            piece = data[place : place + 8]
            target = draw(st.integers(0, len(data)))
            data[target:target] = piece
    return bytes(data)
