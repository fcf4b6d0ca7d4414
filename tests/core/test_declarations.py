"""The declarations beside the facts that they must agree with.

The facts were collected from agents, sflowtool and gmond, not from this package: wire orders
(captures/wire_orders.json), gmond's metrics and the naming of Prometheus families.
"""

from __future__ import annotations

import ipaddress
import json
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sflow_gmetrics import tables
from sflow_gmetrics.datagram import decode_structure
from sflow_gmetrics.operators import Operator
from sflow_gmetrics.schema import UNITS, Field, Metric, Role, Structure, tag_text
from sflow_gmetrics.structures import COUNTER_RECORDS, FLOW_RECORDS
from sflow_gmetrics.xdr import U32, Cursor, pad, write_fields

CAPTURES = Path(__file__).parents[1] / "captures"
WIRE = json.loads((CAPTURES / "wire_orders.json").read_text())


def _tsv(name: str) -> list[dict[str, str]]:
    lines = [line for line in (CAPTURES / name).read_text().splitlines() if not line.startswith("#")]
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]


def _fields() -> Iterator[tuple[Structure, Field]]:
    return ((structure, one) for structure in COUNTER_RECORDS.values() for one in structure.fields)


# --- wire orders: each field gets a value of its own, in the order of the facts


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!I", len(raw)) + raw + bytes(pad(len(raw)))


def _value(xdr: str, n: int) -> tuple[bytes, Any]:
    """The bytes of the n-th field and what they mean."""
    match xdr:
        case "u32":
            return struct.pack("!I", 1000 + n), 1000 + n
        case "i32":
            return struct.pack("!i", -1000 - n), -1000 - n
        case "u64":
            return struct.pack("!Q", (n + 1) << 33), (n + 1) << 33
        case "float":
            return struct.pack("!f", n + 0.5), n + 0.5
        case "string":
            return _string(f"text-{n}"), f"text-{n}"
        case "count":
            return struct.pack("!I", 1), 1
        case "length":
            return struct.pack("!I", 5), 5
        case "bytes":
            return b"abcde\0\0\0", b"abcde".hex()
        case "opaque rest":
            return b"abcdefgh", b"abcdefgh".hex()
        case "mac":
            return bytes([2, 0, 0, 0, 0, n, 0xAA, 0xBB]), f"02:00:00:00:00:{n:02x}"
        case "ip4":
            return bytes([10, 0, 0, n]), f"10.0.0.{n}"
        case "ip6":
            address = ipaddress.IPv6Address((0xFD << 120) + n)
            return address.packed, str(address)
        case "address":
            return struct.pack("!I", 1) + bytes([10, 1, 0, n]), f"10.1.0.{n}"
        case "opaque[16]":
            return bytes(range(n, n + 16)), "-".join(bytes(range(n, n + 16)).hex()[a:b] for a, b in _UUID)
        case "u8[4]":
            return bytes([n, 1, 2, 3]), f"{n},1,2,3"
    raise ValueError(f"type {xdr!r} in wire_orders.json")


_UUID = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if not isinstance(value, list):
            yield name, value
            continue
        for item in value:
            if isinstance(item, dict):
                yield from _flat(item)
            else:
                yield name, item


FORMS = [
    pytest.param(COUNTER_RECORDS, tag, facts["name"], form, id=f"{facts['name']}-{len(form)}")
    for tag, facts in WIRE["counters"].items()
    for form in facts["forms"]
] + [
    pytest.param(FLOW_RECORDS, tag, facts["name"], facts["fields"], id=facts["name"])
    for tag, facts in WIRE["flows"].items()
]


def _tag(text: str) -> int:
    enterprise, number = text.split(":")
    return int(enterprise) << 12 | int(number)


@pytest.mark.parametrize(("records", "tag", "name", "form"), FORMS)
def test_fields_are_read_in_wire_order(
    records: Mapping[int, Structure], tag: str, name: str, form: list[list[str]]
) -> None:
    structure = records[_tag(tag)]
    assert structure.name == name
    pieces = [(field[0], *_value(field[1], n)) for n, field in enumerate(form)]
    cursor = Cursor(b"".join(raw for _, raw, _ in pieces))
    decoded = decode_structure(structure, cursor)
    assert list(_flat(decoded)) == [(field, value) for field, _, value in pieces]
    assert cursor.remaining == 0
    present = [member for member in structure.members if member[0] in decoded]
    again = decode_structure(structure, Cursor(write_fields(decoded, present)))
    assert again == decoded


def test_the_facts_know_every_structure_that_is_declared() -> None:
    wifi = {"0:1013", "0:1014", "0:1015", "0:1016"}  # 802.11 frames: no agent at hand sends them
    assert {tag_text(tag) for tag in COUNTER_RECORDS} == set(WIRE["counters"])
    assert {tag_text(tag) for tag in FLOW_RECORDS} == set(WIRE["flows"]) | wifi


@pytest.mark.parametrize("tag", WIRE["counters"])
def test_counters_gauges_and_enumerations_are_told_apart(tag: str) -> None:
    kinds = {name: kind for form in WIRE["counters"][tag]["forms"] for name, _, kind in form}
    structure = COUNTER_RECORDS[_tag(tag)]
    assert all(one.kind.value == kinds[one.name] for one in structure.fields if one.name in kinds)
    assert any(one.name in kinds for one in structure.fields) or tag in ("0:2001",)


# --- Ganglia


GMOND = {row["name"]: row for row in _tsv("gmond-sflow-metrics.tsv")}
OURS = {"vmem_used", "jvm_vmem_used"}  # gmond drops the memory that a service uses
HIDDEN = {"heartbeat"}  # gmond never shows it; it becomes the host's GMOND_STARTED


def _declared() -> dict[str, Metric]:
    """The metrics that are always on; the interfaces' and the network stack's are not gmond's."""
    return {metric.name: metric for _, one in _fields() for metric in one.ganglia if not metric.switch}


def test_gmond_s_metrics_are_declared_and_no_others() -> None:
    assert len(GMOND) == 168
    assert set(_declared()) == set(GMOND) - HIDDEN | OURS


@pytest.mark.parametrize("name", sorted(set(GMOND) - HIDDEN))
def test_a_metric_looks_as_gmond_s_does(name: str) -> None:
    metric, facts = _declared()[name], GMOND[name]
    shown = {
        "name": metric.name,
        "type": metric.type if name != "jvm_release" else "?",  # gmond names no type for it; it is a string
        "units": metric.units,
        "slope": metric.slope,
        "format": metric.format,
        "group": metric.group,
        "title": metric.title,
    }
    assert shown == facts
    assert name != "jvm_release" or metric.type == "string"


def test_a_metric_of_several_structures_looks_the_same_in_each() -> None:
    looks: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for _, one in _fields():
        for metric in one.ganglia:
            form = (metric.type, metric.units, metric.slope, metric.format, metric.group, metric.title)
            looks.setdefault((metric.name, metric.switch), set()).add(form)
    assert {name: forms for name, forms in looks.items() if len(forms) > 1} == {}


# --- Prometheus


FAMILIES = [row for row in _tsv("prometheus-families.tsv") if row["structures"] != "-"]
SCOPE = {
    Role.HOST: {"pool", "host"},
    Role.SERVICE: {"pool", "host", "service", "kind"},
    Role.INTERFACE: {"pool", "host", "interface"},
}
ADDED_BY_EXPORTER = {"application"}  # a text of the sample (2202), not a constant of a field
NOT_A_SUM = {
    "sflow_pool_hosts": "counts hosts",
    "sflow_pool_service_hosts": "counts hosts",
    "sflow_pool_service_memory_host_max_bytes": "the greatest of its members, not their sum",
}
BEYOND = {
    "sflow_vdi_sessions_duration_seconds_total": "0:2205 counts it, and the naming says nothing of it",
}


def _of_family(row: dict[str, str]) -> list[tuple[Structure, Field]]:
    """The declared fields that the row names; 2200 and 2204 share a row, and each has a part of its fields."""
    structures = [COUNTER_RECORDS[_tag(tag)] for tag in row["structures"].split()]
    names = row["fields"].split()
    found = [(structure, one) for structure in structures for one in structure.fields if one.name in names]
    assert {one.name for _, one in found} == set(names)
    return found


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: f"{row['structures']}-{row['family']}-{row['fields'][:20]}")
def test_a_family_is_declared_as_the_naming_says(row: dict[str, str]) -> None:
    for structure, one in _of_family(row):
        assert one.family is not None, one.name
        assert one.family.name == row["family"]
        assert one.is_counter == (row["type"] == "counter")
        own = {label for label, _ in one.family.labels}
        assert SCOPE[structure.role] | own == set(row["labels"].split(",")) - ADDED_BY_EXPORTER
        if not row["family"].endswith("_boot_time_seconds"):
            assert UNITS[one.unit].scale == Fraction(row["scale"])
        else:
            assert one.unit == "s"


def test_no_family_is_declared_that_the_naming_does_not_know() -> None:
    named = {(tag, row["family"]) for row in FAMILIES for tag in row["structures"].split()}
    declared = {(tag_text(s.tag), one.family.name) for s, one in _fields() if one.family is not None}
    assert {name for _, name in declared - named} == set(BEYOND)
    assert declared >= {(tag, name) for tag, name in named if tag != "0:2200"}


def test_pool_families_are_sums_of_fields() -> None:
    named = {row["family"]: row for row in _tsv("prometheus-families.tsv") if row["family"].startswith("sflow_pool_")}
    sums = {
        one.family.pool.name: (structure.role, one) for structure, one in _fields() if one.family and one.family.pool
    }
    assert set(named) - set(sums) == set(NOT_A_SUM)
    assert set(sums) <= set(named)
    for name, (role, one) in sums.items():
        assert one.family is not None
        assert named[name]["type"] == ("counter" if one.is_counter else "gauge")
        labels = {*tables.POOL_LABELS[role], *(label for label, _ in one.family.labels)}
        assert labels == set(named[name]["labels"].split(","))


def test_the_fields_of_a_family_differ_in_their_labels() -> None:
    seen: dict[tuple[str, tuple[tuple[str, str], ...]], set[str]] = {}
    looks: dict[str, set[tuple[str, str, bool, tuple[str, ...]]]] = {}
    for structure, one in _fields():
        if one.family is None:
            continue
        seen.setdefault((one.family.name, one.family.labels), set()).add(one.name)
        own = tuple(label for label, _ in one.family.labels)
        looks.setdefault(one.family.name, set()).add((one.family.help, one.family.group, one.is_counter, own))
        assert one.family.help.endswith("."), structure.name
    assert {key: names for key, names in seen.items() if len(names) > 1} == {}
    assert {name: forms for name, forms in looks.items() if len(forms) > 1} == {}


# --- bounds


INTERVAL, CPUS, RANGE = 30.0, 4, 2.0**32
LIKELY = {"packets": 0.3, "bytes": 0.2, "mJ": 0.15}
"""What grows so fast that its 32 bits wrap within minutes: a reset may be mistaken more often there."""


@pytest.mark.parametrize(
    ("structure", "one"),
    [pytest.param(s, f, id=f"{s.name}.{f.name}") for s, f in _fields() if f.is_counter and f.type is U32 and f.family],
)
def test_a_reset_is_hardly_ever_taken_for_a_wrap(structure: Structure, one: Field) -> None:
    work = one.greatest_increase * INTERVAL * (CPUS if one.per_cpu else 1)
    assert 0 < work / RANGE <= LIKELY.get(one.unit, 0.08), structure.name


def test_errors_and_drops_are_rarer_than_packets() -> None:
    for tag in (2006, 2104, 1):
        of = {one.name: one.greatest_increase for one in COUNTER_RECORDS[tag].fields if one.unit == "packets"}
        packets = min(bound for name, bound in of.items() if "kts" in name)
        rare = [bound for name, bound in of.items() if "kts" not in name]
        assert rare
        assert max(rare) <= packets / 4


def test_cpu_time_is_bounded_by_the_cpus() -> None:
    modes = [one for one in COUNTER_RECORDS[2003].fields if one.unit == "ms"]
    assert len(modes) == 10
    assert all(one.per_cpu and one.greatest_increase == 1000 for one in modes)
    assert sum(one.share == "cpu" for one in modes) == 8, "guest time is part of user and nice"


# --- tables


def _cells(table: str) -> list[list[str]]:
    rows = [line.strip("|").replace(r"\|", "\0").split("|") for line in table.splitlines()]
    return [[cell.strip().replace("\0", "|") for cell in row] for row in rows]


def test_the_table_of_structures_has_them_all() -> None:
    head, _, *rows = _cells(tables.structures_table())
    assert head == list(tables.STRUCTURE_COLUMNS)
    assert len(rows) == len(COUNTER_RECORDS) + len(FLOW_RECORDS)
    assert ["0:2003", "counter", "host_cpu", "20", "host", "Host sFlow and sflowtool"] in rows
    assert ["0:1", "flow", "sampled_header", "4", "-", "sflowtool"] in rows


def test_the_table_of_metrics_says_how_each_is_derived() -> None:
    _, _, *rows = _cells(tables.ganglia_table())
    of = {(row[0], row[-1]): row for row in rows}
    assert {name for name, switch in of if not switch} == set(_declared())
    assert of["cpu_user", ""][1:7] == ["float", "%", "both", "cpu", "CPU User", "host_cpu.cpu_user as % of all cpu"]
    assert of["read_time", ""][6] == "host_disk_io.read_time per reads"
    assert of["mc_cmd_set", ""][6] == "memcached.cmd_set per s, memcache_counters.cmd_set per s"
    assert of["boottime", ""][6] == "now - host_cpu.uptime"


def test_every_operator_but_those_that_show_the_field_itself_has_words() -> None:
    plain = {"Gauge", "Text"}
    wordy = {one.__name__ for one in tables.derivation.registry if one is not object}
    assert {one.__name__ for one in Operator.__subclasses__()} - plain == wordy


class Extra:
    name, type, labels, help = "sflow_host_up", "gauge", ("pool", "host"), "Fresh | not."


def test_the_table_of_families_has_fields_sums_and_what_is_given() -> None:
    head, _, *rows = _cells(tables.families_table([Extra()]))
    assert head == list(tables.FAMILY_COLUMNS)
    of = {row[0]: row for row in rows}
    assert len(of) == len(rows), "a family has one row"
    assert of["sflow_host_load1"][1:4] == ["gauge", "pool, host", "host_cpu.load_one"]
    assert of["sflow_host_cpu_seconds_total"][1:4] == ["counter", "pool, host, mode", "host_cpu (8 fields)"]
    assert of["sflow_pool_cpu_seconds_total"][1:4] == ["counter", "pool, mode", "host_cpu (8 fields)"]
    assert of["sflow_host_up"] == ["sflow_host_up", "gauge", "pool, host", "-", "", "Fresh | not."]
    assert of["sflow_vdi_sessions"][4] == "vdi"


def test_the_text_for_a_terminal_is_aligned_and_complete() -> None:
    text = tables.metrics_text([Extra()])
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("metric "))
    column = head.index("group")
    for name, metric in _declared().items():
        row = next(line for line in lines if line.split(" ", 1)[0] == name and line[column:].startswith(metric.group))
        assert metric.title in row
    assert f"Structures ({len(COUNTER_RECORDS) + len(FLOW_RECORDS)})" in lines
    assert not [line for line in lines if line != line.rstrip()]
