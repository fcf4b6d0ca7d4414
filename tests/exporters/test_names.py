"""Names from the wire are hostile: they break no output, and none is taken for another."""

from __future__ import annotations

import itertools
import re
import zlib

import pytest

from exporters import gmond, prometheus
from exporters.view_files import FileNames
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.names import NAME_LENGTH, Names, renamed, safe_metric, safe_name, safe_value
from tests.core.builders import Sender, host, record, sample, service
from tests.exporters.test_gmond import hosts, metrics, parsed
from tests.exporters.test_prometheus import read

HOSTILE: dict[str, bytes] = {
    "quote": b'a"b',
    "single quote": b"a'b",
    "less": b"a<b>&amp;",
    "entity": b"&x;&#0;",
    "slash": b"a/b",
    "up": b"../../../etc/passwd",
    "dots": b"....",
    "hidden": b".hidden",
    "newline": b'a\nb{c="d"} 1',
    "control": bytes(range(1, 32)),
    "nul": b"a\0b",
    "delete": b"a\x7fb",
    "backslash": b'a\\b\\n\\"',
    "percent": b"100%s %d %% %(x)s",
    "braces": b"{0} {} {name}",
    "template": b"\x00.\x00",
    "long": b"x" * 300,
    "longer": b"y" * 3000,
    "long dot": b"z" * 63 + b".service",
    "utf-8": "größe-ß-日本-🦊".encode(),
    "bidi": "a\u202eb\u2028c\ufeff".encode(),
    "latin": b"caf\xe9",
    "surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xaf",
    "empty": b"",
    "space": b" a b ",
    "colon": b"ns:name@host",
    "summary": b"__SummaryInfo__",
}
SAFE = re.compile(r"[A-Za-z0-9._-]+")


def _check(collector: Collector, now: float, hosts_wanted: int, services_wanted: int) -> None:
    """Everything is on both outputs under a name of its own, which Ganglia and a file system can carry."""
    snapshot = collector.snapshot(now)
    root = parsed(gmond.render(snapshot))
    shown = hosts(root)
    assert len(shown) == hosts_wanted
    services = 0
    for name, element in shown.items():
        assert SAFE.fullmatch(name)
        assert name == name.lower()
        assert ".." not in name
        assert not name.startswith(".")
        assert len(name) <= 2 * NAME_LENGTH + 8
        prefixes = set()
        for metric in metrics(element):
            prefix, _, short = metric.rpartition(".")
            assert SAFE.fullmatch(metric)
            assert ".." not in metric, metric
            assert not metric.startswith(".")
            if prefix:
                prefixes.add(prefix)
                assert len(prefix) <= 2 * NAME_LENGTH + 8
            assert short
        services += len(prefixes)
    assert services == services_wanted
    page = read(snapshot)
    where = {tuple(v for k, v in labels if k in ("host", "service")) for n, labels in page if n == "sflow_service_info"}
    assert len(where) == services_wanted
    assert len([1 for name, _ in page if name == "sflow_host_up"]) == hosts_wanted


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_host_name(kind: str) -> None:
    sender = Sender(Collector())
    for step in (1, 2):
        sender.send(host(step, HOSTILE[kind]), service(step))
        sender.tick(5)
    if kind == "empty":
        sender.tick(100)
        sender.send(host(3, b""), service(3))
    _check(sender.collector, sender.now, 1, 1)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_service_name(kind: str) -> None:
    sender = Sender(Collector())
    for step in (1, 2):
        sender.send(host(step), service(step, HOSTILE[kind]), service(step, "other", 3))
        sender.tick(5)
    _check(sender.collector, sender.now, 1, 2)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts(kind: str) -> None:
    """Release of the kernel, application, JVM: shown as labels, or as a value in XML."""
    sender = Sender(Collector())
    for step in (1, 2):
        words = HOSTILE[kind]
        jvm = ("virt_cpu", "jmx_runtime", "host_descr")
        fields = {"hostname": "java", "vm_name": words, "vm_vendor": words, "vm_version": words}
        sender.send(
            host(step, os_release=words),
            sample(step, 3, 5, jvm, fields, 4),
            sample(step, 3, 150_005, ("app_operations", "app_workers"), {"application": words}, 4),
        )
        sender.tick(5)
    _check(sender.collector, sender.now, 1, 2)


def test_all_of_them_at_once_on_one_host() -> None:
    sender = Sender(Collector())
    for step in (1, 2):
        for first in range(0, len(HOSTILE), 4):
            names = list(HOSTILE.values())[first : first + 4]
            sender.send(host(step), *(service(step, name, first + n) for n, name in enumerate(names)))
        sender.tick(5)
    _check(sender.collector, sender.now, 1, len(HOSTILE))


def test_all_of_them_at_once_as_hosts() -> None:
    collector = Collector()
    now = 0.0
    for number, name in enumerate(HOSTILE.values(), 1):
        sender = Sender(collector, f"10.0.0.{number}")
        for step in range(1, 25):
            sender.send(host(step, name), service(step))
            sender.tick(5)
        now = sender.now - 5
    _check(collector, now, len(HOSTILE), len(HOSTILE))


def test_names_that_become_the_same_stay_apart() -> None:
    """Different units, one name after mapping; the same unit twice; and one that looks like the way out."""
    names = ["a/b", "a b", "a_b", "a:b", "A_b", "a_b-5", "a_b-3", "x", "x", "x", "x-8", "x-8-9", "x-7"]
    sender = Sender(Collector())
    for step in (1, 2, 3):
        sender.send(host(step), *(service(step, name, n, cpuTime=n) for n, name in enumerate(names)))
        sender.tick(5)
    _check(sender.collector, sender.now, 1, len(names))


@pytest.mark.parametrize("order", list(itertools.permutations(("x", "x", "x-2", "x-3"))))
def test_names_that_look_like_the_names_of_doubles(order: tuple[str, ...]) -> None:
    sender = Sender(Collector())
    for step in (1, 2):
        sender.send(host(step), *(service(step, name, n) for n, name in enumerate(order, 1)))
        sender.tick(5)
    _check(sender.collector, sender.now, 1, 4)


@pytest.mark.parametrize("names", list(itertools.permutations(("a", "A", "a-10.0.0.2", "a-10.0.0.3"))))
def test_hosts_whose_names_are_the_same_stay_apart(names: tuple[str, ...]) -> None:
    collector = Collector()
    senders = [Sender(collector, f"10.0.0.{number}") for number in range(1, 5)]
    for step in (1, 2):
        for sender, name in zip(senders, names, strict=True):
            sender.send(host(step, name), service(step))
            sender.tick(5)
    _check(collector, senders[0].now, 4, 4)


def test_interfaces_with_one_name_stay_apart() -> None:
    sender = Sender(Collector(parse_config("[web]\ngroups = ['interface']\n[gmond]\ninterfaces = true")))
    for step in (1, 2):
        own = [
            sample(step, 0, n, ("if_counters", "port_name"), {"ifIndex": n, "name": name}, 4)
            for n, name in enumerate(("eth0", "eth0", "eth0-2", "eth/0", "eth0-1"), 1)
        ]
        sender.send(host(step), *own)
        sender.tick(5)
    page = read(sender.snapshot())
    assert len([1 for name, _ in page if name == "sflow_interface_up"]) == 5
    shown = metrics(parsed(gmond.render(sender.snapshot())))
    assert len([1 for name in shown if name.endswith(".bytes_in")]) == 5


def test_a_name_reaches_prometheus_as_it_is() -> None:
    """Quotes, backslashes and UTF-8 are escaped as the format says; only what cannot be printed is spelled out."""
    sender = Sender(Collector())
    sender.send(host(1), service(1, 'q"u\\o\\n-ö{}'), service(1, b"line\nfeed", 2))
    names = {dict(labels)["service"] for name, labels in read(sender.snapshot()) if name == "sflow_service_info"}
    assert names == {'q"u\\o\\n-ö{}', "line\\nfeed"}
    assert all(line.isprintable() for line in prometheus.render(sender.snapshot()).decode().split("\n"))


def test_a_record_twice_in_a_sample_counts_once() -> None:
    sender = Sender(Collector())
    one = service(1)
    twice = type(one)("counters", 4, 1, 3, 1, records=(*one.records, record("virt_cpu", cpuTime=9), *one.records))
    sender.send(host(1), twice)
    assert read(sender.snapshot())
    parsed(gmond.render(sender.snapshot()))


@pytest.mark.parametrize("raw", [one.decode("utf-8", "backslashreplace") for one in HOSTILE.values()])
def test_safe_names(raw: str) -> None:
    name = safe_name(raw)
    assert SAFE.fullmatch(name)
    assert len(name) <= NAME_LENGTH
    assert ".." not in f"{name}.metric"
    assert not name.startswith(".")
    assert safe_name(name) == name
    assert not set(safe_value(raw)) & set("<>&\"'")
    assert safe_value(raw).isprintable()


def test_names_are_given_once() -> None:
    names = Names()
    given = [names.give(raw, suffix) for raw in ("a", "a/", "a_", "A", "a") for suffix in ("1", "1", "2")]
    assert len(set(given)) == len(given)
    assert given[0] == "a"


def test_names_from_elsewhere_cannot_be_made_to_collide_twice() -> None:
    """These have one checksum (CRC-32), as thousands can have that somebody chooses."""
    raws = ("/" * 34, "</////<//<</////<///<<</<</<</<<</", "<<////<</</<////<<//<//<</<</<<//<")
    assert len({zlib.crc32(raw.encode()) for raw in raws}) == 1
    given = renamed(["_" * 34, *raws], safe_metric)
    assert all(re.fullmatch(r"_{34}-[0-9a-f]{12}", name) for name in given.values())
    files = FileNames()
    files.give("_" * 34)
    assert all(re.fullmatch(r"_{34}-[0-9a-f]{12}", files.give(raw)) for raw in raws)
