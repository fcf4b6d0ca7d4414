"""The JSON form of a datagram: what is there, what is left out, and how numbers and texts are written."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sflow_gmetrics.datagram import RTFLOW, RTMETRIC, Datagram, Record, Sample, decode_datagram, encode_datagram
from sflow_gmetrics.inspect import datagram_json
from sflow_gmetrics.structures import COUNTER_RECORDS, FLOW_RECORDS
from tests.recordings import hex_vector

HOST_CPU, HOST_DESCR, OF_PORT = COUNTER_RECORDS[2003], COUNTER_RECORDS[2000], COUNTER_RECORDS[1004]


def json_of(*samples: Sample) -> list[dict[str, object]]:
    result: list[dict[str, object]] = datagram_json(Datagram("192.0.2.1", 0, 1, 2, samples))["samples"]
    json.dumps(result, allow_nan=False).encode("utf-8")
    return result


def counters(*records: Record) -> Sample:
    return Sample("counters", 4, 7, 3, 100_001, records=records)


def test_unknown_and_malformed_records_say_so_and_no_more() -> None:
    malformed = Record(2003, 8, HOST_CPU, raw=bytes(8), malformed="truncated: host_cpu: 4 bytes wanted, 0 left")
    (sample,) = json_of(replace(counters(Record(4300 << 12 | 9, 12, raw=bytes(12)), malformed), malformed="truncated"))
    assert sample == {
        "type": "counters",
        "tag": "0:4",
        "sequence": 7,
        "ds_class": 3,
        "ds_index": 100_001,
        "records": [
            {"tag": "4300:9", "length": 12, "unknown": True},
            {"tag": "0:2003", "malformed": "truncated: host_cpu: 4 bytes wanted, 0 left"},
        ],
        "malformed": "truncated",
    }


def test_samples_leave_out_what_they_do_not_have() -> None:
    values = [{"name": "room", "type": "float", "value": struct.unpack("!f", struct.pack("!f", 21.6))[0]}]
    rtmetric = Sample("rtmetric", RTMETRIC, fields={"datasource": "sensors", "metrics": values})
    rtflow = Sample("rtflow", RTFLOW, fields={"datasource": "shop", "rate": 1, "pool": 2, "fields": []})
    assert json_of(rtmetric, rtflow, Sample("unknown", 9 << 12 | 1, raw=b"abcd")) == [
        {
            "type": "rtmetric",
            "tag": "4300:1002",
            "fields": {"datasource": "sensors", "metrics": [{"name": "room", "type": "float", "value": 21.6}]},
        },
        {"type": "rtflow", "tag": "4300:1003", "fields": {"datasource": "shop", "rate": 1, "pool": 2, "fields": []}},
        {"type": "unknown", "tag": "9:1"},
    ]


def test_flow_samples_show_their_header_and_keep_empty_records() -> None:
    header = {"rate": 400, "pool": 0, "drops": 0, "input_format": 0, "input": 3, "output_format": 1, "output": 258}
    (sample,) = json_of(Sample("flow", 1, 5, 0, 3, header))
    assert (sample["fields"], sample["records"]) == (header, [])


def test_texts_from_the_wire_become_valid_unicode() -> None:
    payload = hex_vector("apache2_service").replace(b"apache2", b"\xff\xed\xa0\x80c\xc3\xa9")
    sample = datagram_json(decode_datagram(payload))["samples"][0]
    assert sample["records"][-1]["fields"]["hostname"] == r"\xff\xed\xa0\x80cé.service"
    json.dumps(sample, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1, 0.1),
        (1.12, 1.12),
        (16_777_216.0, 16_777_216.0),
        (3.4028234663852886e38, 3.4028235e38),
        (1e-45, 1e-45),
        (-1.0, -1.0),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
    ],
)
def test_floats_of_32_bits_are_as_short_as_can_be(value: float, shown: float | None) -> None:
    fields = {"load_one": struct.unpack("!f", struct.pack("!f", value))[0], "proc_run": 1}
    assert json_of(counters(Record(2003, 68, HOST_CPU, fields)))[0]["records"] == [
        {"tag": "0:2003", "structure": "host_cpu", "fields": {"load_one": shown, "proc_run": 1}}
    ]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_that_was_shown_gives_the_same_32_bits(value: float) -> None:
    (sample,) = json_of(counters(Record(2003, 68, HOST_CPU, {"load_one": value})))
    shown = json.loads(json.dumps(sample))["records"][0]["fields"]["load_one"]
    assert struct.pack("!f", shown) == struct.pack("!f", value)
    assert len(repr(shown)) <= len(repr(value))


def test_doubles_and_great_numbers_keep_every_digit() -> None:
    values = [{"name": "d", "type": "double", "value": 0.1 + 0.2}, {"name": "n", "type": "double", "value": math.nan}]
    port = Record(1004, 12, OF_PORT, {"datapath_id": 2**64 - 1, "port_no": 1})
    rtmetric, switch = json_of(Sample("rtmetric", RTMETRIC, fields={"metrics": values}), counters(port))
    assert rtmetric["fields"] == {"metrics": [values[0], values[1] | {"value": None}]}
    assert json.loads(json.dumps(switch))["records"][0]["fields"]["datapath_id"] == 18_446_744_073_709_551_615


def test_opaque_bytes_are_hexadecimal_and_addresses_are_text() -> None:
    header = {"protocol": 1, "frame_length": 64, "stripped": 4, "header_length": 2, "header": "00ff"}
    hop = {"nexthop": "2001:db8::1", "src_mask": 24, "dst_mask": 16}
    records = (Record(1, 0, FLOW_RECORDS[1], header), Record(1002, 0, FLOW_RECORDS[1002], hop))
    drop = {"drops": 1, "input": 2, "output": 0, "reason": 3}
    datagram = Datagram("", 0, 1, 2, (Sample("discard", 5, 1, 0, 3, drop, records),))
    shown = datagram_json(decode_datagram(encode_datagram(datagram)))
    assert shown["agent"] == ""
    assert [record["fields"] for record in shown["samples"][0]["records"]] == [header, hop]
