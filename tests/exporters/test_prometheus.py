"""The Prometheus page in both formats: the rules of the formats, and the truth of the numbers."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters import prometheus
from sflow_gmetrics import Collector
from sflow_gmetrics.config import GROUPS, parse_config
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import (
    BY_NAME,
    NOT_KNOWN,
    NOT_KNOWN_64,
    Sender,
    host,
    pool_cpu,
    sample,
    service,
    services_of,
    total,
)
from tests.recordings import packets

Series = tuple[str, tuple[tuple[str, str], ...]]
parse_openmetrics: Any = openmetrics_parser.text_string_to_metric_families
RECORDINGS = ["hsflowd-host", "hsflowd-systemd", "hsflowd-flows", "all_counters"]
EVERYTHING = f"[web]\ngroups = {list(GROUPS)}"


def flat(families: Iterable[Metric]) -> dict[Series, float]:
    """Every series of a page; none stands twice."""
    found: dict[Series, float] = {}
    for family in families:
        for one in family.samples:
            key = (one.name, tuple(sorted(one.labels.items())))
            assert key not in found, f"{key} stands twice"
            found[key] = one.value
    return found


def read(snapshot: Snapshot) -> dict[Series, float]:
    """The page, after both formats have been parsed and found equal."""
    text = prometheus.render(snapshot).decode("utf-8")
    openmetrics = prometheus.render_openmetrics(snapshot).decode("utf-8")
    one, other = flat(parse_text(text)), flat(parse_openmetrics(openmetrics))
    assert one.keys() == other.keys()
    for key, number in one.items():
        assert number == other[key] or (math.isnan(number) and math.isnan(other[key])), key
    check_form(text)
    return one


def check_form(text: str) -> None:
    """HELP and TYPE once a family and before its samples, which stand together; counters end in _total."""
    seen: set[str] = set()
    current = ""
    kind = ""
    lines = text.splitlines(keepends=True)
    assert all(line.endswith("\n") for line in lines)
    for line in lines:
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            assert current not in seen, f"{current} is in two places"
            seen.add(current)
            assert len(line.split(" ", 3)[3].strip()) > 3
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == current
            assert kind in ("counter", "gauge")
            assert name.endswith("_total") is (kind == "counter"), name
        else:
            name = re.split(r"[{ ]", line)[0]
            assert name == current, f"{name} stands among {current}"


def replayed(recording: str, text: str = "") -> Snapshot:
    collector = Collector(parse_config(text))
    sent = packets(recording)
    for packet in sent:
        collector.receive(packet.payload, packet.time)
    return collector.snapshot(sent[-1].time)


def labels(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


@pytest.mark.parametrize("text", ["", EVERYTHING])
@pytest.mark.parametrize("recording", RECORDINGS)
def test_recordings_give_pages_that_both_formats_agree_on(recording: str, text: str) -> None:
    assert len(read(replayed(recording, text))) > 50


def test_openmetrics_ends_as_it_must() -> None:
    page = prometheus.render_openmetrics(Collector().snapshot(1.0)).decode()
    assert page.endswith("\n# EOF\n")
    assert page.count("# EOF") == 1
    assert not prometheus.render(Collector().snapshot(1.0)).decode().count("# EOF")


def test_nothing_is_cached_that_has_changed() -> None:
    """Label texts are kept between pages; the page must be that of its snapshot all the same."""
    first, second = replayed("hsflowd-systemd"), replayed("hsflowd-host")
    alone = prometheus.render(second)
    for snapshot in (first, second, first, second):
        page = prometheus.render(snapshot)
    assert page == alone


@pytest.mark.parametrize("view", [bytes, memoryview, io.BytesIO])
def test_a_page_that_somebody_holds_is_never_written_over(view: Callable[[bytes], Any]) -> None:
    sender = Sender(Collector())
    sender.send(host(1), service(1, cpuTime=1000))
    page = prometheus.render(sender.snapshot())
    held, before = view(page), bytearray(page)
    del page
    for step in (2, 3):
        sender.tick(5)
        sender.send(host(step), service(step, cpuTime=step * 1000))
        assert prometheus.render(sender.snapshot()) != before
    assert (held.getvalue() if isinstance(held, io.BytesIO) else held) == before


def test_the_page_before_that_nobody_holds_leaves_nothing_on_a_shorter_one() -> None:
    sender = Sender(Collector())
    sender.send(host(1), *(service(1, f"unit-{number}.service", number) for number in range(50)))
    assert b"unit-49" in prometheus.render(sender.snapshot())
    sender = Sender(Collector())
    sender.send(host(1), service(1))
    page = prometheus.render(sender.snapshot())
    assert b"unit-" not in page
    check_form(page.decode())


def test_numbers_are_those_of_the_rows() -> None:
    snapshot = replayed("hsflowd-systemd")
    page = read(snapshot)
    (only,) = snapshot.hosts()
    for name, one in services_of(snapshot).items():
        where = labels(pool="unspecified", host=only.name, service=name, kind="systemd")
        assert page["sflow_service_cpu_seconds_total", where] == (total(one.row, "cpuTime") or 0) / 1000
        place = labels(pool="unspecified", service=name, kind="systemd")
        assert page["sflow_pool_service_cpu_seconds_total", place] == pool_cpu(snapshot, name) / 1000
        assert page["sflow_pool_service_hosts", place] == 1
    assert page["sflow_host_up", labels(pool="unspecified", host=only.name)] == 1


def test_large_numbers_lose_nothing_that_a_float_can_hold() -> None:
    for step, raw in enumerate((2**53 - 1, 2**62 - 1), 1):
        sender = Sender(Collector())
        sender.send(host(step, bytes_in=raw, mem_total=raw))
        page = read(sender.snapshot())
        where = labels(pool="unspecified", host="web-1")
        assert float(page["sflow_host_network_receive_bytes_total", where]) == float(raw)
        assert float(page["sflow_host_memory_total_bytes", where]) == float(raw)


def test_base_units() -> None:
    sender = Sender(Collector())
    sender.send(
        host(1, cpu_user=1500, cpu_speed=2596, part_max_used=6961, read_time=2500, load_one=0.1, uptime=1000),
        service(1, cpuTime=1, memory=123),
    )
    page = read(sender.snapshot())
    where = {"pool": "unspecified", "host": "web-1"}
    assert page["sflow_host_cpu_seconds_total", labels(**where, mode="user")] == 1.5
    assert page["sflow_host_cpu_frequency_hertz", labels(**where)] == 2.596e9
    assert page["sflow_host_disk_partition_used_max_ratio", labels(**where)] == 0.6961
    assert page["sflow_host_disk_read_time_seconds_total", labels(**where)] == 2.5
    assert page["sflow_host_load1", labels(**where)] == 0.1
    assert page["sflow_host_boot_time_seconds", labels(**where)] == sender.now - 1000


def test_what_is_not_known_is_not_on_the_page() -> None:
    sender = Sender(Collector())
    sender.send(
        host(1, bytes_in=NOT_KNOWN_64, cpu_user=NOT_KNOWN, mem_free=NOT_KNOWN_64, load_one=-1.0),
        service(1, memory=NOT_KNOWN_64, cpuTime=NOT_KNOWN),
    )
    names = {name for name, _ in read(sender.snapshot())}
    assert not names & {
        "sflow_host_network_receive_bytes_total",
        "sflow_host_memory_free_bytes",
        "sflow_host_load1",
        "sflow_service_memory_bytes",
        "sflow_service_cpu_seconds_total",
    }
    assert "sflow_host_memory_total_bytes" in names


def test_a_counter_that_becomes_unavailable_leaves_the_page() -> None:
    """Its last value is not shown for ever; when it returns, it goes on from there."""
    sender = Sender(Collector())
    key = ("sflow_host_network_receive_bytes_total", labels(pool="unspecified", host="web-1"))
    shown = []
    for step, raw in enumerate((5000, 6000, NOT_KNOWN_64, NOT_KNOWN_64, 7000), 1):
        sender.send(host(step, bytes_in=raw))
        shown.append(read(sender.snapshot()).get(key))
        sender.tick(5)
    assert shown == [5000, 6000, None, None, 7000]


def test_what_is_gone_is_not_on_the_page() -> None:
    sender = Sender(Collector())
    for step in range(1, 4):
        sender.send(host(step), service(step))
        sender.tick(5)
    for step in range(4, 10):
        sender.send(host(step))
        sender.tick(5)
    page = read(sender.snapshot())
    assert not [key for key in page if key[0].startswith("sflow_service_")]
    assert page["sflow_pool_service_hosts", labels(pool="unspecified", service="nginx.service", kind="systemd")] == 0
    sender.tick(100)
    page = read(sender.snapshot())
    assert page["sflow_host_up", labels(pool="unspecified", host="web-1")] == 0
    assert {name for name, _ in page if name.startswith("sflow_host_")} == {"sflow_host_up"}
    assert page["sflow_pool_hosts", labels(pool="unspecified", state="down")] == 1


def test_old_and_new_memcached_together_are_one_set_of_series() -> None:
    """Two structures that say the same thing in one sample must not stand on the page twice."""
    names = [name for name in BY_NAME if "memcache" in name]
    assert len(names) == 2
    sender = Sender(Collector())
    sender.send(host(1), sample(1, 3, 150_000, (*names, "host_descr"), {"hostname": "mc"}, 4))
    assert read(sender.snapshot())


def test_every_structure_in_one_sample() -> None:
    sender = Sender(Collector(parse_config(EVERYTHING)))
    for step in (1, 2):
        own = [sample(step, ds, 9, BY_NAME, {"hostname": f"x{ds}"}, 4) for ds in (0, 2, 3)]
        sender.send(host(step), *own)
        sender.tick(5)
    assert len(read(sender.snapshot())) > 100


def test_the_numbers_of_the_collector_itself() -> None:
    sender = Sender(Collector())
    for step in (1, 2, 3, 5):
        sender.sequence = step - 1
        sender.send(host(step), service(step))
        sender.tick(5)
    sender.collector.receive(b"nonsense", sender.now)
    page = read(sender.snapshot())
    agent = labels(agent="10.0.0.1")
    expected: dict[Series, float] = {
        ("sflow_agent_datagrams_total", agent): 4,
        ("sflow_agent_datagrams_lost_total", agent): 1,
        ("sflow_agent_samples_lost_total", agent): 2,
        ("sflow_collector_datagrams_total", ()): 5,
        ("sflow_collector_samples_total", labels(type="counters")): 8,
        ("sflow_collector_records_total", labels(structure="virt_cpu")): 4,
    }
    assert {key: page.get(key) for key in expected} == expected
    assert sum(number for (name, _), number in page.items() if name == "sflow_collector_decode_errors_total") == 1


def test_families_are_of_the_type_that_they_say_in_openmetrics_too() -> None:
    snapshot = replayed("hsflowd-systemd", EVERYTHING)
    for family in parse_openmetrics(prometheus.render_openmetrics(snapshot).decode()):
        kind: Any = family.type
        assert kind in ("counter", "gauge")
        for one in family.samples:
            assert one.name == family.name + ("_total" if kind == "counter" else "")
            assert one.timestamp is None
