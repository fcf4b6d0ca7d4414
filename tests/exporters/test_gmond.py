"""gmond XML: valid, named as gmond names things, and true about time."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from exporters import gmond
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import NOT_KNOWN_64, Sender, host, sample, service
from tests.recordings import CAPTURES, packets

POOLS = "[[pools]]\nname = 'web'\nhosts = 'web.*'\n[[pools]]\nname = 'data base'\nhosts = 'db.*'"


def parsed(document: bytes) -> etree._Element:
    """The document, checked against the DTD that it brings along."""
    tree = etree.parse(io.BytesIO(document), etree.XMLParser(dtd_validation=True))
    return tree.getroot()


def hosts(root: etree._Element) -> dict[str, etree._Element]:
    found = {one.get("NAME", ""): one for one in root.iter("HOST")}
    assert len(found) == len(list(root.iter("HOST")))
    return found


def metrics(element: etree._Element) -> dict[str, etree._Element]:
    found = {one.get("NAME", ""): one for one in element.iter("METRIC")}
    assert len(found) == len(list(element.iter("METRIC"))), "a name stands twice"
    return found


def extra(metric: etree._Element) -> dict[str, str]:
    return {one.get("NAME", ""): one.get("VAL", "") for one in metric.iter("EXTRA_ELEMENT")}


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """gmond's metrics by name: type, units, slope, format, group, title."""
    lines = Path(CAPTURES / "gmond-sflow-metrics.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


@cache
def replayed(recording: str) -> Snapshot:
    collector = Collector()
    sent = packets(recording)
    for packet in sent:
        collector.receive(packet.payload, packet.time)
    return collector.snapshot(sent[-1].time)


def fleet(text: str = POOLS, rounds: int = 4) -> tuple[Collector, list[Sender]]:
    """Three hosts in three pools, with two services each; the last host sends each 20 s, the others each 5 s."""
    collector = Collector(parse_config(text))
    senders = [Sender(collector, f"10.0.0.{number}") for number in (1, 2, 3)]
    for step in range(1, 4 * rounds + 1):
        for number, sender in enumerate(senders):
            if number < 2 or step % 4 == 0:
                own = step if number < 2 else step // 4
                one = service(own, "Nginx.service", 1, cpuTime=100 * step)
                other = service(own, "redis.service", 2, cpuTime=50 * step)
                sender.send(host(own, ("Web-1", "db-1", "Other")[number], cpu_user=1000 * step), one, other)
            sender.tick(5)
    for sender in senders:
        sender.tick(-5)
    return collector, senders


@pytest.mark.parametrize("recording", ["hsflowd-host", "hsflowd-systemd", "hsflowd-flows", "all_counters"])
def test_recordings_give_valid_documents(recording: str) -> None:
    root = parsed(gmond.render(replayed(recording)))
    assert root.tag == "GANGLIA_XML"
    if recording != "all_counters":
        assert metrics(root)


def test_an_empty_collector_gives_a_valid_document_with_its_cluster() -> None:
    root = parsed(gmond.render(Collector(parse_config("[gmond]\ncluster = 'mine'")).snapshot(1000.5)))
    assert [(one.get("NAME"), one.get("LOCALTIME")) for one in root.iter("CLUSTER")] == [("mine", "1000")]


def test_the_document_is_ascii_and_says_where_it_comes_from() -> None:
    document = gmond.render(replayed("hsflowd-systemd"))
    document.decode("ascii")
    root = parsed(document)
    assert (root.get("VERSION"), root.get("SOURCE")) == ("3.7.2", "gmond")
    assert {one.get("SOURCE") for one in root.iter("METRIC")} == {"gmond"}


@pytest.mark.parametrize("recording", ["hsflowd-host", "hsflowd-systemd", "hsflowd-flows", "all_counters"])
def test_names_types_units_and_titles_are_gmonds(recording: str) -> None:
    seen = set()
    for name, metric in metrics(parsed(gmond.render(replayed(recording)))).items():
        prefix, _, short = name.rpartition(".")
        if short.removeprefix("jvm_") == "vmem_used":
            continue  # ours: gmond drops it
        facts = catalogue()[short]
        seen.add(short)
        caption = f"{prefix}: " if prefix else ""
        assert extra(metric) == {
            "TITLE": caption + facts["title"],
            "DESC": caption + facts["title"],
            "GROUP": facts["group"],
        }
        assert [one.get("NAME") for one in metric.iter("EXTRA_ELEMENT")] == ["TITLE", "DESC", "GROUP"]
        for attribute, key in (("TYPE", "type"), ("UNITS", "units"), ("SLOPE", "slope")):
            assert metric.get(attribute) == facts[key], name
        shown = metric.get("VAL", "")
        if facts["format"].startswith("%."):
            decimals = int(facts["format"][2])
            assert len(shown.partition(".")[2]) == decimals, f"{name}: {shown}"
    if recording == "hsflowd-systemd":
        wanted = {"load_one", "cpu_user", "cpu_steal", "mem_free", "disk_total", "bytes_in", "boottime", "os_name"}
        assert wanted | {"vcpu_util", "vmem_util", "vdisk_bytes_read", "vcpu_state"} <= seen


def test_one_cluster_for_each_pool_and_hosts_in_lower_case() -> None:
    collector, senders = fleet()
    root = parsed(gmond.render(collector.snapshot(senders[0].now)))
    shown = {one.get("NAME"): [each.get("NAME") for each in one] for one in root.iter("CLUSTER")}
    assert shown == {"web": ["web-1"], "data base": ["db-1"], "unspecified": ["other"]}
    assert [one.get("IP") for one in hosts(root).values()] != []
    assert {name: one.get("IP") for name, one in hosts(root).items()}["db-1"] == "10.0.0.2"


def test_what_a_metric_is_called_is_the_same_on_every_host() -> None:
    """gmetad adds up what differs, until it breaks."""
    collector, senders = fleet()
    facts: dict[str, set[tuple[str | None, ...]]] = {}
    for one in parsed(gmond.render(collector.snapshot(senders[0].now))).iter("METRIC"):
        words = tuple(one.get(key) for key in ("TYPE", "UNITS", "SLOPE"))
        facts.setdefault(one.get("NAME", ""), set()).add((*words, *sorted(extra(one).values())))
    assert len(facts) > 40
    assert {name: found for name, found in facts.items() if len(found) > 1} == {}


def test_times_are_the_real_ones() -> None:
    collector, senders = fleet()
    now = senders[0].now + 3
    root = parsed(gmond.render(collector.snapshot(now)))
    for name, interval in (("web-1", 5), ("other", 20)):
        one = hosts(root)[name]
        assert int(one.get("TMAX", "")) >= max(20, interval)
        assert int(one.get("TN", "")) == 3
        assert int(one.get("REPORTED", "")) == int(senders[0].now)
        assert int(one.get("GMOND_STARTED", "")) == int(senders[0].now - senders[0].uptime)
        for metric in one:
            assert int(metric.get("TMAX", "")) in (interval, interval + 1)
            assert int(metric.get("DMAX", "")) == 4 * int(metric.get("TMAX", ""))
            assert int(metric.get("TN", "")) == 3
    assert {one.get("LOCALTIME") for one in root.iter("CLUSTER")} == {str(int(now))}


def test_a_stopped_service_is_absent_and_its_host_is_not() -> None:
    collector, senders = fleet()
    sender = senders[0]
    for step in range(17, 24):
        sender.tick(5)
        sender.send(host(step, "Web-1"), service(step, "redis.service", 2, cpuTime=50 * step))
    names = metrics(hosts(parsed(gmond.render(collector.snapshot(sender.now))))["web-1"])
    assert "redis.service.vcpu_util" in names
    assert not [name for name in names if name.startswith("Nginx")]


def test_a_silent_host_is_listed_as_dead_without_metrics() -> None:
    collector, senders = fleet()
    root = parsed(gmond.render(collector.snapshot(senders[0].now + 300)))
    assert len(hosts(root)) == 3
    for one in hosts(root).values():
        assert int(one.get("TN", "")) > 4 * int(one.get("TMAX", ""))
        assert len(one) == 0


def test_a_host_without_a_name_is_held_back() -> None:
    """Shown under its address for a moment, it would leave a dead host behind in gmetad."""
    sender = Sender(Collector())
    shown = []
    for step in range(1, 40):
        sender.send(service(step))
        shown.append(list(hosts(parsed(gmond.render(sender.snapshot())))))
        sender.tick(5)
    assert shown == [[]] * 18 + [["10.0.0.1"]] * 21, "90 s"


def test_a_host_that_tells_its_name_is_shown_at_once() -> None:
    sender = Sender(Collector())
    sender.send(service(1))
    assert hosts(parsed(gmond.render(sender.snapshot()))) == {}
    sender.send(host(1), service(2))
    assert list(hosts(parsed(gmond.render(sender.snapshot())))) == ["web-1"]


def test_what_is_not_known_is_left_out() -> None:
    sender = Sender(Collector())
    for step in (1, 2, 3):
        sender.send(host(step, bytes_in=NOT_KNOWN_64, pkts_in=7), service(step, maxMemory=0, memory=5 << 20))
        sender.tick(5)
    shown = metrics(parsed(gmond.render(sender.snapshot())))
    assert "bytes_in" not in shown
    assert shown["pkts_in"].get("VAL") == "0.00"
    assert "nginx.service.vmem_util" not in shown, "there is no limit to be a part of"
    assert shown["nginx.service.vmem_used"].get("VAL") == "5120"


def test_the_first_sample_gives_no_rates() -> None:
    sender = Sender(Collector())
    sender.send(host(1, cpu_user=5), service(1, cpuTime=3))
    shown = metrics(parsed(gmond.render(sender.snapshot())))
    assert "load_one" in shown
    assert not {"cpu_user", "bytes_in", "nginx.service.vcpu_util"} & set(shown)


def test_values_are_those_of_the_arithmetic() -> None:
    sender = Sender(Collector())
    for step in (1, 2):
        own: dict[str, Any] = {
            "cpu_user": 2000 * step,
            "cpu_idle": 6000 * step,
            "bytes_in": 5000 * step,
            "mem_total": 10_000_000,
        }
        sender.send(
            host(step, reads=10 * step, read_time=25 * step, part_max_used=6961, load_one=0.75, **own),
            service(step, cpuTime=1250 * step, memory=3 << 20, maxMemory=4 << 20, rd_bytes=10_000 * step),
        )
        sender.tick(5)
    shown = {name: one.get("VAL") for name, one in metrics(parsed(gmond.render(sender.snapshot()))).items()}
    expected = {
        "cpu_user": "25.00",
        "cpu_idle": "75.00",
        "bytes_in": "1000.00",
        "mem_total": "9765",
        "read_time": "2.50",
        "part_max_used": "69.61",
        "load_one": "0.75",
        "cpu_num": "2",
        "nginx.service.vcpu_util": "25.00",
        "nginx.service.vmem_util": "75.00",
        "nginx.service.vdisk_bytes_read": "2000",
        "nginx.service.vcpu_state": "Running",
    }
    assert {name: shown.get(name) for name in expected} == expected


@pytest.mark.parametrize("owner", ['a"b', "<&>", "\x01", "é", "a'b"])
def test_words_of_the_configuration_break_nothing(owner: str) -> None:
    config = parse_config("")
    config = type(config)(gmond=type(config.gmond)(owner=owner, url=owner, latlong=owner))
    root = parsed(gmond.render(Collector(config).snapshot(1.0)))
    assert len(root) == 1


def test_a_gauge_that_is_no_number_is_not_shown() -> None:
    """A float on the wire can be NaN or infinite; gmetad would add it up for ever."""
    sender = Sender(Collector())
    for step, load in ((1, float("nan")), (2, float("inf")), (3, float("-inf"))):
        sender.send(host(step, load_one=load))
        shown = metrics(parsed(gmond.render(sender.snapshot())))
        assert "load_one" not in shown
        sender.tick(5)


def test_interfaces_are_shown_only_where_they_are_asked_for() -> None:
    for text, wanted in (("", False), ("[gmond]\ninterfaces = true", True)):
        sender = Sender(Collector(parse_config(text)))
        for step in (1, 2):
            own = sample(step, 0, 2, ("if_counters",), {"ifIndex": 2, "ifInOctets": 5000 * step}, 4)
            sender.send(host(step), own)
            sender.tick(5)
        names = set(metrics(parsed(gmond.render(sender.snapshot()))))
        assert any(name.startswith("if2.") for name in names) is wanted
