"""Every field of the recordings, compared with what sflowtool and the recordings' makers say of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from sflow_gmetrics.datagram import decode_datagram, encode_datagram
from sflow_gmetrics.inspect import datagram_json
from tests.recordings import CAPTURES, HSFLOWD, VECTORS, hex_vector, packets, payloads, sflowtool_reading

KEYS: dict[str, dict[str, dict[str, str]]] = json.loads((CAPTURES / "sflowtool_keys.json").read_text())
"""sflowtool's name of each field, by counters or flow, tag and field."""
TAG_KEYS = {"counters": "counterBlock_tag", "flow": "flowBlock_tag"}
SAMPLE_NAMES = {"counters": "COUNTERSSAMPLE", "flow": "FLOWSAMPLE", "rtmetric": "RTMETRIC"}
FLOW_HEADER = {
    "meanSkipCount": "rate",
    "samplePool": "pool",
    "dropEvents": "drops",
    "inputPort": "input",
    "outputPort": "output",
}
DIRECTIONS = ("unknown", "received", "sent")
CATEGORIES = ("extendedType", "flowSampleType")
"""Words that sflowtool adds and that the tag already says."""


def in_its_words(field: str, value: Any) -> str:
    """A value as sflowtool writes it."""
    if isinstance(value, float):
        return f"{value:.3f}"
    match field:
        case "part_max_used":
            return f"{value / 100:.2f}"
        case "header":
            return bytes.fromhex(value).hex("-").upper()
        case "dirn":
            return DIRECTIONS[value]
        case "status":
            return {0: "SUCCESS"}[value]
    return str(value)


def adapter_list(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "ifIndex": str(adapter["ifIndex"]),
            "MACs": str(adapter["num_macs"]),
            "mac_list": [mac.replace(":", "") for mac in adapter["mac"]],
        }
        for adapter in fields["adapters"]
    ]


def record_in_its_words(kind: str, record: dict[str, Any]) -> dict[str, Any]:
    tag, fields = record["tag"], record["fields"]
    result = {TAG_KEYS[kind]: tag}
    if record["structure"] == "host_adapters":
        assert fields["num_adapters"] == len(fields["adapters"])
        return result | {"adaptor_list": adapter_list(fields)}
    keys = KEYS[kind][tag]
    return result | {keys[field]: in_its_words(field, value) for field, value in fields.items()}


def comparable(kind: str, element: dict[str, Any]) -> dict[str, Any]:
    """An element without what sflowtool makes of the packet header and of the tag."""
    if element[TAG_KEYS[kind]] == "0:1" and kind == "flow":
        wanted = {TAG_KEYS[kind], *KEYS[kind]["0:1"].values()}
        return {key: value for key, value in element.items() if key in wanted}
    return {key: value for key, value in element.items() if key not in CATEGORIES}


def check_sample(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    kind = ours["type"]
    assert (ours["tag"], SAMPLE_NAMES[kind]) == (theirs["sampleType_tag"], theirs["sampleType"])
    if kind == "rtmetric":
        check_rtmetric(ours["fields"], theirs)
        return
    assert str(ours["sequence"]) == theirs["sampleSequenceNo"]
    assert f"{ours['ds_class']}:{ours['ds_index']}" == theirs["sourceId"]
    if kind == "flow":
        assert {key: str(ours["fields"][field]) for key, field in FLOW_HEADER.items()} == {
            key: theirs[key] for key in FLOW_HEADER
        }
    records = [record_in_its_words(kind, record) for record in ours["records"]]
    assert records == [comparable(kind, element) for element in theirs["elements"]]


def check_rtmetric(fields: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert fields["datasource"] == theirs["rtmetric_datasource_name"]
    ours = {
        f"rtmetric_{'gaugeFloat' if metric['type'] == 'float' else metric['type']}_{metric['name']}": in_its_words(
            "", metric["value"]
        )
        for metric in fields["metrics"]
    }
    others = ("sampleType_tag", "sampleType", "rtmetric_datasource_name")
    assert ours == {key: value for key, value in theirs.items() if key not in others}


@pytest.mark.parametrize("name", HSFLOWD)
def test_every_field_of_a_recording_is_what_sflowtool_reads(name: str) -> None:
    for packet, theirs in zip(packets(name), sflowtool_reading(name), strict=True):
        ours = datagram_json(decode_datagram(packet.payload))
        captured = datetime.fromisoformat(theirs["pcapTimestamp"]).timestamp() + int(theirs["pcapTimestamp_uS"]) / 1e6
        assert packet.time == pytest.approx(captured, abs=1e-6)
        assert len(packet.payload) == int(theirs["datagramSize"])
        header = ("agent", "sub_agent_id", "sequence", "uptime_ms")
        names = ("agent", "agentSubId", "packetSequenceNo", "sysUpTime")
        assert [str(ours[key]) for key in header] == [theirs[key] for key in names]
        assert len(ours["samples"]) == int(theirs["samplesInPacket"])
        for sample, their_sample in zip(ours["samples"], theirs["samples"], strict=True):
            check_sample(sample, their_sample)


def tags_of(payload: bytes) -> Iterator[tuple[str, str]]:
    for sample in datagram_json(decode_datagram(payload))["samples"]:
        for record in sample.get("records", ()):
            yield sample["type"], record["tag"]


def test_every_name_that_is_kept_of_sflowtool_was_compared() -> None:
    seen = {pair for name in HSFLOWD for payload in payloads(name) for pair in tags_of(payload)}
    assert {(kind, tag) for kind, tags in KEYS.items() for tag in tags} <= seen


EXPECTED: list[dict[str, Any]] = json.loads(gzip.decompress((CAPTURES / "all_counters.expected.json.gz").read_bytes()))
"""For each datagram of all_counters.pcap its one record, with fields in wire order; groups are spread out."""


def spread(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fields in wire order, the members of arrays among them."""
    for name, value in fields.items():
        if not isinstance(value, list):
            yield name, value
            continue
        for member in value:
            yield from spread(member) if isinstance(member, dict) else [(name, member)]


def in_wire_words(kind: str, value: Any) -> Any:
    """An expected value as `decode` shows it: MACs with colons, UUIDs in their groups."""
    if kind == "m":
        return bytes.fromhex(value).hex(":")
    if kind == "o16":
        return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))
    return value


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda entry: f"{entry['tag']}-{entry['length']}")
def test_every_counter_structure_field_by_field(expected: dict[str, Any]) -> None:
    by_sequence = {datagram.sequence: datagram for datagram in map(decode_datagram, payloads("all_counters"))}
    datagram = datagram_json(by_sequence[expected["dgram"]])
    (sample,) = datagram["samples"]
    (record,) = sample["records"]
    assert (record["tag"], record["structure"]) == (expected["tag"], expected["name"].partition(" ")[0])
    assert list(spread(record["fields"])) == [
        (field["name"], in_wire_words(field["type"], field["value"])) for field in expected["fields"]
    ]


def test_a_published_service_sample() -> None:
    payload = hex_vector("apache2_service")
    datagram = decode_datagram(payload)
    assert datagram_json(datagram) == json.loads((VECTORS / "apache2_service.json").read_text())
    assert encode_datagram(datagram) == payload
