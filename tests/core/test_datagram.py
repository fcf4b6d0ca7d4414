"""Datagrams: forms that agents really send, damage that stays where it is, and the way back to bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sflow_gmetrics.datagram import (
    COUNTERS,
    COUNTERS_EXPANDED,
    DISCARD,
    FLOW,
    FLOW_EXPANDED,
    RTFLOW,
    RTMETRIC,
    Datagram,
    Record,
    Sample,
    decode_datagram,
    decode_header,
    encode_datagram,
    encode_record,
    encode_sample,
    encode_structure,
)
from sflow_gmetrics.errors import DecodeError, EncodeError
from sflow_gmetrics.inputs.pcap import read_capture
from sflow_gmetrics.schema import Structure
from sflow_gmetrics.structures import COUNTER_RECORDS, FLOW_RECORDS
from tests.recordings import CAPTURES

RECORDINGS = ("all_counters.pcap", "hsflowd-host.pcap.gz", "hsflowd-systemd.pcap.gz", "hsflowd-flows.pcap.gz")
STRUCTURES = {one.name: one for one in (*COUNTER_RECORDS.values(), *FLOW_RECORDS.values())}


def words(*values: int) -> bytes:
    return struct.pack(f"!{len(values)}I", *values)


def block(tag: int, body: bytes) -> bytes:
    return words(tag, len(body)) + body


def parent(index: int) -> Record:
    return encode_structure(STRUCTURES["host_parent"], {"dsClass": 2, "dsIndex": index})


def counters(*records: Record, sequence: int = 1) -> Sample:
    return Sample("counters", COUNTERS_EXPANDED, sequence, 3, 100_001, records=records)


def wire(*samples: bytes, address: bytes = words(1, 0x0A000001), count: int | None = None) -> bytes:
    """A datagram of sub-agent 100001, sequence 7, uptime 5000 ms."""
    head = words(5) + address + words(100_001, 7, 5000, len(samples) if count is None else count)
    return head + b"".join(samples)


def payloads(recording: str) -> list[bytes]:
    return [packet.payload for packet in read_capture(CAPTURES / recording, port=None)]


# --- headers

GOOD = encode_sample(counters(parent(1)))


@pytest.mark.parametrize(
    ("address", "agent"),
    [
        pytest.param(words(1, 0x0A000001), "10.0.0.1", id="IPv4"),
        pytest.param(words(2, 0x20010DB8, 0, 0, 1), "2001:db8::1", id="IPv6"),
        pytest.param(words(0), "", id="unknown"),
        pytest.param(words(0, 0), "", id="unknown, with Host sFlow's 4 bytes"),
        pytest.param(words(0, 0x7F000001), "", id="unknown, with 4 stale bytes"),
    ],
)
@pytest.mark.parametrize("samples", [(), (GOOD,), (GOOD, GOOD, GOOD)], ids=len)
def test_header_with_every_kind_of_agent_address(address: bytes, agent: str, samples: tuple[bytes, ...]) -> None:
    datagram = decode_datagram(wire(*samples, address=address))
    assert (datagram.agent, datagram.sub_agent_id, datagram.sequence, datagram.uptime_ms) == (agent, 100_001, 7, 5000)
    assert datagram.samples == (counters(parent(1)),) * len(samples)


def test_header_says_where_the_samples_begin() -> None:
    payload = wire(GOOD, address=words(0, 0))
    header = decode_header(payload)
    assert header.n_samples == 1
    assert payload[header.offset :] == GOOD


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (words(5), "truncated"),
        (words(4) + bytes(60), "bad_version"),
        (words(0x0500_0000) + bytes(60), "bad_version"),
        (words(5, 3) + bytes(60), "bad_address"),
        (words(5, 1, 0x0A000001, 0, 1, 1), "truncated"),
        (words(5, 2, 0, 0, 0), "truncated"),
    ],
)
def test_what_is_no_datagram_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_datagram(payload)
    assert caught.value.reason == reason


def test_bytes_behind_the_last_sample_do_not_matter() -> None:
    assert decode_datagram(wire(GOOD) + b"trailing") == decode_datagram(wire(GOOD))


def test_count_of_samples_that_are_not_there_ends_with_one_malformed_sample() -> None:
    datagram = decode_datagram(wire(GOOD, count=0xFFFF_FFFF))
    assert len(datagram.samples) == 2
    assert datagram.samples[0].malformed is None
    assert str(datagram.samples[1].malformed).startswith("truncated")


# --- forms


@pytest.mark.parametrize(
    ("compact", "expanded"),
    [
        pytest.param(
            block(COUNTERS, words(9, 3 << 24 | 0xFEDCBA, 1) + encode_record(parent(1))),
            block(COUNTERS_EXPANDED, words(9, 3, 0xFEDCBA, 1) + encode_record(parent(1))),
            id="counters",
        ),
        pytest.param(
            block(FLOW, words(9, 0xFF << 24 | 7, 400, 8000, 2, 1 << 30 | 5, 0x3FFFFFFF, 0)),
            block(FLOW_EXPANDED, words(9, 0xFF, 7, 400, 8000, 2, 1, 5, 0, 0x3FFFFFFF, 0)),
            id="flow",
        ),
    ],
)
def test_compact_and_expanded_forms_say_the_same(compact: bytes, expanded: bytes) -> None:
    first, second = decode_datagram(wire(compact, expanded)).samples
    assert first.malformed is None
    assert replace(first, tag=second.tag) == second
    assert encode_sample(first) == compact
    assert encode_sample(second) == expanded


def test_flow_sample_names_its_ports() -> None:
    (sample,) = decode_datagram(wire(block(FLOW, words(9, 7, 400, 8000, 2, 1 << 30 | 5, 2 << 30 | 3, 0)))).samples
    assert sample.fields == {
        "rate": 400,
        "pool": 8000,
        "drops": 2,
        "input_format": 1,
        "input": 5,
        "output_format": 2,
        "output": 3,
    }


def test_discarded_packet_says_why() -> None:
    (sample,) = decode_datagram(wire(block(DISCARD, words(1, 0, 4, 17, 2, 3, 262, 0)))).samples
    assert (sample.type, sample.ds_class, sample.ds_index) == ("discard", 0, 4)
    assert sample.fields == {"drops": 17, "input": 2, "output": 3, "reason": 262}


@pytest.mark.parametrize(("name", "lengths"), [("host_cpu", {17: 68, 20: 80}), ("jmx_statistics", {17: 100, 19: 108})])
def test_older_agents_send_the_first_fields_only(name: str, lengths: dict[int, int]) -> None:
    structure = STRUCTURES[name]
    for count, length in lengths.items():
        body = bytes(range(1, length + 1))
        (sample,) = decode_datagram(wire(block(4, words(1, 2, 1, 1) + block(structure.tag, body)))).samples
        (record,) = sample.records
        assert record.malformed is None
        assert list(record.fields) == [one.name for one in structure.fields[:count]]
        assert encode_record(record) == block(structure.tag, body)


@pytest.mark.parametrize(("name", "length"), [("host_cpu", 64), ("host_cpu", 78), ("jmx_statistics", 96)])
def test_record_that_ends_within_its_fields_is_malformed(name: str, length: int) -> None:
    tag = STRUCTURES[name].tag
    (sample,) = decode_datagram(wire(block(4, words(1, 2, 1, 1) + block(tag, bytes(length))))).samples
    assert str(sample.malformed).startswith(f"truncated: {name}")


def test_fields_that_a_newer_agent_adds_are_passed_over() -> None:
    longer = block(STRUCTURES["host_parent"].tag, words(2, 1, 99))
    body = words(1, 3, 100_001, 2) + longer + encode_record(parent(5))
    (sample,) = decode_datagram(wire(block(COUNTERS_EXPANDED, body))).samples
    assert sample.malformed is None
    assert [record.fields["dsIndex"] for record in sample.records] == [1, 5]
    assert sample.records[0].length == 12


@pytest.mark.parametrize("garbage", [b"\0\0\0", b"\xff\xff\xff", b"old"])
def test_stale_bytes_in_the_padding_change_nothing(garbage: bytes) -> None:
    def descr(stale: bytes) -> bytes:
        name, release = b"\0\0\0\5nginx" + stale, b"\0\0\0\6" + b"6.1.00" + stale[:2]
        return block(STRUCTURES["host_descr"].tag, name + bytes(16) + words(3, 2) + release)

    def adapters(stale: bytes) -> bytes:
        return block(STRUCTURES["host_adapters"].tag, words(1, 2, 1) + bytes.fromhex("020000000001") + stale[:2])

    def datagram(stale: bytes) -> Datagram:
        return decode_datagram(wire(block(4, words(1, 2, 1, 2) + adapters(stale) + descr(stale))))

    found = datagram(garbage)
    assert found == datagram(bytes(3))
    assert found.samples[0].records[1].fields["hostname"] == "nginx"
    assert found.samples[0].records[0].fields["adapters"][0]["mac"] == ["02:00:00:00:00:01"]


# --- damage is local


def test_unknown_record_is_kept_as_bytes() -> None:
    unknown = Record(0xFFF << 12 | 7, 5, raw=b"\1\2\3\4\5")
    sample = counters(parent(1), unknown, parent(2))
    (found,) = decode_datagram(encode_datagram(Datagram("10.0.0.1", 0, 1, 1, (sample,)))).samples
    assert found == sample


def test_unknown_sample_is_kept_as_bytes() -> None:
    odd, good = decode_datagram(wire(block(4413 << 12 | 9, b"abcdef"), GOOD)).samples
    assert (odd.type, odd.tag, odd.raw, odd.malformed) == ("unknown", 4413 << 12 | 9, b"abcdef", None)
    assert good == counters(parent(1))


def test_same_tag_means_another_structure_in_a_flow_sample() -> None:
    body = words(9, 0, 7, 400, 8000, 0, 0, 1, 0, 2, 1) + block(2100, words(6) + bytes([10, 0, 0, 1] * 2) + words(80, 9))
    (sample,) = decode_datagram(wire(block(FLOW_EXPANDED, body))).samples
    assert sample.records[0].structure is FLOW_RECORDS[2100]
    assert sample.records[0].structure is not COUNTER_RECORDS[2100]
    assert sample.records[0].fields["local_ip"] == "10.0.0.1"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(block(2002, words(2)), id="record too short for its fields"),
        pytest.param(words(2002, 0xFFFF_FFFF), id="record longer than its sample"),
        pytest.param(words(2002), id="record without a length"),
        pytest.param(block(2000, words(0xFFFF_FFF0)), id="string longer than its record"),
        pytest.param(block(2001, words(0x4000_0000, 1, 1)), id="count greater than the record"),
    ],
)
def test_malformed_record_ends_its_sample_and_nothing_else(damage: bytes) -> None:
    bad = block(4, words(2, 3, 100_002, 3) + encode_record(parent(1)) + damage + encode_record(parent(3)))
    before, sample, after = decode_datagram(wire(GOOD, bad, GOOD)).samples
    assert before == after == counters(parent(1))
    assert str(sample.malformed).split(":")[0] in DecodeError.REASONS
    assert (sample.sequence, sample.ds_class, sample.ds_index) == (2, 3, 100_002)
    assert sample.records[0] == parent(1)
    assert all(record.malformed for record in sample.records[1:])


def test_record_cannot_read_its_neighbour() -> None:
    """A string that claims the bytes of the next record is malformed, although the datagram has them."""
    bad = block(4, words(1, 3, 9, 2) + block(2000, words(24)) + block(2000, b"x" * 40))
    (sample,) = decode_datagram(wire(bad)).samples
    assert str(sample.malformed).startswith("truncated: host_descr")


def test_sample_longer_than_the_datagram_is_the_last() -> None:
    datagram = decode_datagram(wire(GOOD, words(COUNTERS_EXPANDED, 4000) + GOOD, count=3))
    assert [sample.malformed is None for sample in datagram.samples] == [True, False]


def test_sample_too_short_for_its_own_header_is_malformed() -> None:
    samples = decode_datagram(wire(block(COUNTERS_EXPANDED, words(1, 3)), block(FLOW, b""), GOOD)).samples
    assert [sample.malformed is None for sample in samples] == [False, False, True]


# --- recordings


@pytest.mark.parametrize("recording", RECORDINGS)
def test_recording_is_decoded_whole(recording: str) -> None:
    for payload in payloads(recording):
        for sample in decode_datagram(payload).samples:
            assert sample.malformed is None
            assert all(record.structure is not None for record in sample.records)


@pytest.mark.parametrize("recording", RECORDINGS)
def test_recording_survives_a_second_way_over_the_wire(recording: str) -> None:
    for payload in payloads(recording):
        datagram = decode_datagram(payload)
        again = encode_datagram(datagram)
        assert decode_datagram(again) == datagram
        assert len(again) == len(payload)


def _shapes(recording: str) -> Iterator[bytes]:
    """The datagrams that bring a sample of a new shape: tags and lengths of sample and records."""
    seen: set[Any] = set()
    for payload in payloads(recording):
        shapes = {
            (one.tag, *((rec.tag, rec.length) for rec in one.records)) for one in decode_datagram(payload).samples
        }
        if not shapes <= seen:
            seen |= shapes
            yield payload


@pytest.mark.parametrize("recording", RECORDINGS)
def test_truncated_anywhere_it_gives_the_samples_before_or_a_decode_error(recording: str) -> None:
    for payload in _shapes(recording):
        whole = decode_datagram(payload)
        begin = decode_header(payload).offset
        for length in range(len(payload)):
            if length < begin:
                with pytest.raises(DecodeError):
                    decode_datagram(payload[:length])
                continue
            *before, last = decode_datagram(payload[:length]).samples
            assert tuple(before) == whole.samples[: len(before)]
            assert str(last.malformed).startswith("truncated")


# --- the way back


@pytest.mark.parametrize("name", ["host_parent", "virt_cpu", "extended_tcp_info"])
def test_value_that_does_not_fit_is_not_encoded(name: str) -> None:
    structure = STRUCTURES[name]
    fields: dict[str, Any] = dict.fromkeys((one.name for one in structure.fields), 1)
    assert encode_structure(structure, fields).length == 4 * len(fields)
    with pytest.raises(EncodeError):
        encode_structure(structure, fields | {structure.fields[-1].name: 1 << 32})


@pytest.mark.parametrize(
    "datagram",
    [
        Datagram("10.0.0.1", 0, 1 << 32, 1),
        Datagram("web-01", 0, 1, 1),
        Datagram("", 0, 1, 1, (replace(counters(), sequence=-1),)),
    ],
)
def test_header_that_does_not_fit_is_not_encoded(datagram: Datagram) -> None:
    with pytest.raises(EncodeError):
        encode_datagram(datagram)


def _wire_size(structure: Structure) -> int:
    return sum(one.type.size for one in structure.fields)


@pytest.mark.parametrize("name", [name for name, one in STRUCTURES.items() if all(f.type.code for f in one.fields)])
def test_fixed_structure_keeps_every_byte(name: str) -> None:
    """Distinct bytes in every field come back in the same place; only the padding of MAC addresses becomes 0."""
    structure = STRUCTURES[name]
    body = bytes(number % 100 + 1 for number in range(_wire_size(structure)))
    tags = FLOW_RECORDS if structure in FLOW_RECORDS.values() else COUNTER_RECORDS
    head = words(1, 3, 9, 1) if tags is COUNTER_RECORDS else words(1, 3, 9, 1, 1, 0, 0, 1, 0, 2, 1)
    tag = COUNTERS_EXPANDED if tags is COUNTER_RECORDS else FLOW_EXPANDED
    (sample,) = decode_datagram(wire(block(tag, head + block(structure.tag, body)))).samples
    (record,) = sample.records
    assert list(record.fields) == [one.name for one in structure.fields]
    expected = bytearray(body)
    offset = 0
    for one in structure.fields:
        offset += one.type.size
        if one.type.name == "mac":
            expected[offset - 2 : offset] = b"\0\0"
    assert encode_record(record)[8:] == bytes(expected)


RTMETRIC_VALUES = [
    {"name": "version", "type": "string", "value": "1.2"},
    {"name": "requests", "type": "counter32", "value": 2**32 - 1},
    {"name": "bytes", "type": "counter64", "value": 2**64 - 1},
    {"name": "depth", "type": "gauge32", "value": 3},
    {"name": "memory", "type": "gauge64", "value": 1 << 40},
    {"name": "load", "type": "float", "value": 0.5},
    {"name": "ratio", "type": "double", "value": -0.1},
]
RTFLOW_VALUES = [
    {"name": "url", "type": "string", "value": "/"},
    {"name": "from", "type": "mac", "value": "02:00:00:00:00:01"},
    {"name": "src", "type": "ip4", "value": "10.0.0.1"},
    {"name": "dst", "type": "ip6", "value": "2001:db8::1"},
    {"name": "delta", "type": "int32", "value": -1},
    {"name": "delta64", "type": "int64", "value": -(2**63)},
    {"name": "load", "type": "float", "value": 0.5},
    {"name": "ratio", "type": "double", "value": 1e300},
]


@pytest.mark.parametrize(
    "sample",
    [
        Sample("rtmetric", RTMETRIC, fields={"datasource": "api", "metrics": RTMETRIC_VALUES}),
        Sample("rtflow", RTFLOW, fields={"datasource": "api", "rate": 10, "pool": 99, "fields": RTFLOW_VALUES}),
    ],
    ids=lambda sample: sample.type,
)
def test_typed_values_survive_the_wire(sample: Sample) -> None:
    (found,) = decode_datagram(wire(encode_sample(sample))).samples
    assert found == sample


@pytest.mark.parametrize(("tag", "head"), [(RTMETRIC, b""), (RTFLOW, words(1, 1))], ids=["rtmetric", "rtflow"])
@pytest.mark.parametrize(
    "values",
    [
        pytest.param(words(0xFFFF_FFFF), id="more values than bytes"),
        pytest.param(words(1, 1) + b"a\0\0\0" + words(99, 1), id="unknown type"),
        pytest.param(words(1, 1) + b"a\0\0\0" + words(7), id="no value"),
    ],
)
def test_damaged_typed_values_end_their_sample(tag: int, head: bytes, values: bytes) -> None:
    bad, good = decode_datagram(wire(block(tag, words(0) + head + values), GOOD)).samples
    assert bad.malformed is not None
    assert good == counters(parent(1))


def test_sample_of_which_nothing_could_be_read_keeps_its_bytes() -> None:
    for tag in (COUNTERS_EXPANDED, FLOW, DISCARD, RTMETRIC, RTFLOW):
        datagram = decode_datagram(wire(block(tag, b"\0\0\0\1\2\3"), GOOD))
        assert datagram.samples[0].malformed is not None
        assert encode_datagram(datagram) == wire(block(tag, b"\0\0\0\1\2\3"), GOOD)


def test_typed_value_may_be_as_short_as_an_empty_name_and_text() -> None:
    """A value of no name and an empty text takes 12 bytes, and as many as fit are read."""
    sample = Sample("rtmetric", RTMETRIC, fields={"datasource": "", "metrics": [_empty(), _empty()]})
    assert decode_datagram(wire(encode_sample(sample))).samples == (sample,)


def _empty() -> dict[str, Any]:
    return {"name": "", "type": "string", "value": ""}
