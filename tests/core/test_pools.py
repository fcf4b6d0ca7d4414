"""Pools, service names, and what is left out."""

from __future__ import annotations

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.config import ServicesConfig, parse_config
from sflow_gmetrics.pools import AllowList, PoolMap, ServiceMap
from tests.core.builders import Sender, host, pool_service, sample, service, services_of

POOLS = """
[gmond]
cluster = "rest"
[[pools]]
name = "web"
hosts = "web.*"
[[pools]]
name = "lab"
addresses = ["10.9.0.0/16", "2001:db8::/32"]
[[pools]]
name = "late"
hosts = "web-9"
[[pools]]
name = "web"
hosts = "www\\\\d+"
"""


@pytest.mark.parametrize(
    ("name", "address", "pool"),
    [
        ("web-1", "10.0.0.1", "web"),
        ("WEB-1", "10.0.0.1", "web"),
        ("my-web-1", "10.0.0.1", "rest"),
        ("www12", "10.0.0.1", "web"),
        ("www12.example", "10.0.0.1", "rest"),
        ("db", "10.9.3.4", "lab"),
        ("db", "2001:db8::7", "lab"),
        ("db", "2001:db9::7", "rest"),
        ("db", "", "rest"),
        ("web-9", "10.9.0.1", "web"),
    ],
)
def test_the_first_rule_that_matches_wholly(name: str, address: str, pool: str) -> None:
    config = parse_config(POOLS)
    assert PoolMap(config.pools, config.gmond.cluster).pool_of(name, address) == pool


def test_every_host_is_in_its_pool_in_the_snapshot() -> None:
    collector = Collector(parse_config(POOLS))
    for number, name in enumerate(("web-1", "db", "www3"), 1):
        Sender(collector, f"10.0.0.{number}").send(host(1, name), service(1))
    Sender(collector, "10.9.0.1").send(host(1, "x"), service(1))
    pools = {pool.name: [one.name for one in pool.hosts] for pool in collector.snapshot(1_700_000_000).pools}
    assert pools == {"web": ["web-1", "www3"], "rest": ["db"], "lab": ["x"]}


def _services(text: str) -> ServicesConfig:
    return parse_config(text).services


@pytest.mark.parametrize(
    ("text", "unit", "name"),
    [
        ("", "nginx.service", "nginx.service"),
        ("[services]\ninclude = 'nginx'", "nginx.service", None),
        ("[services]\ninclude = ['a', 'nginx.*']", "nginx.service", "nginx.service"),
        ("[services]\nexclude = ['nginx']", "nginx.service", "nginx.service"),
        ("[services]\nexclude = ['a|nginx.*']", "nginx.service", None),
        ("[services]\ninclude = ['n.*']\nexclude = ['.*x.service']", "nginx.service", None),
        ("[[services.rewrite]]\nmatch = '(.+)\\.service'\nreplace = '$1'", "nginx.service", "nginx"),
        ("[[services.rewrite]]\nmatch = '(.+)@(.+)'\nreplace = '${2}0$1'", "a@b", "b0a"),
        ("[[services.rewrite]]\nmatch = 'ngin'\nreplace = 'x'", "nginx", "nginx"),
        ("[[services.rewrite]]\nmatch = '.*'\nreplace = 'a\\1$$'", "nginx", "a\\1$$"),
        ("[[services.rewrite]]\nmatch = '(a)?b'\nreplace = 'x$1'", "b", "x"),
        ("[[services.rewrite]]\nmatch = '.*'\nreplace = ''", "nginx", None),
        (
            "[[services.rewrite]]\nmatch = 'a'\nreplace = 'b'\n[[services.rewrite]]\nmatch = 'b'\nreplace = 'c'",
            "a",
            "c",
        ),
    ],
)
def test_include_exclude_and_rewrite(text: str, unit: str, name: str | None) -> None:
    assert ServiceMap(_services(text)).service_of(unit) == name


def test_the_names_that_have_been_mapped_are_kept_within_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sflow_gmetrics.pools._CACHE", 10)
    services = ServiceMap(_services(""))
    for number in range(1000):
        assert services.service_of(f"s{number}") == f"s{number}"
    assert len(services._names) <= 10


def test_allowed_networks() -> None:
    assert AllowList(()).allows("anything at all")
    some = AllowList(("10.0.0.0/8", "::1/128"))
    assert [some.allows(one) for one in ("10.1.2.3", "11.1.2.3", "::1", "::2", "")] == [True, False, True, False, False]


def test_services_that_are_merged_by_a_rule() -> None:
    text = "[[services.rewrite]]\nmatch = '(worker)@.*'\nreplace = '$1'"
    sender = Sender(Collector(parse_config(text)))
    for step in (1, 2):
        sender.send(
            host(step),
            *(service(step, f"worker@{n}.service", n, cpuTime=100 * n * step, memory=n << 20) for n in (1, 2, 3)),
        )
        sender.tick(5)
    snapshot = sender.snapshot()
    (name,) = services_of(snapshot)
    row = services_of(snapshot)[name].row
    assert name == "worker"
    by_name = {one.name: number for one, number in zip(row.form.fields, row.values, strict=True)}
    assert by_name["memory"] == 6 << 20
    assert {one.name: number for one, number in zip(row.form.counters, row.deltas, strict=True)}["cpuTime"] == 600
    assert len(pool_service(snapshot, "worker").members) == 1


@pytest.mark.parametrize(
    ("name", "structures", "fields", "kind"),
    [
        ("nginx.service", ("virt_cpu", "host_descr"), {}, "systemd"),
        ("k8s_pod", ("virt_cpu", "virt_net_io", "host_descr"), {}, "container"),
        ("box", ("virt_cpu", "virt_disk_io", "virt_net_io", "host_descr"), {}, "container"),
        ("guest", ("virt_cpu", "virt_disk_io", "virt_net_io", "host_descr"), {"capacity": 9}, "vm"),
        ("java", ("virt_cpu", "jmx_runtime", "host_descr"), {}, "jvm"),
    ],
)
def test_kinds(name: str, structures: tuple[str, ...], fields: dict[str, int], kind: str) -> None:
    sender = Sender(Collector())
    sender.send(host(1), sample(1, 3, 5, structures, {"hostname": name, **fields}, 4))
    (only,) = services_of(sender.snapshot()).values()
    assert (only.name, only.kind) == (name, kind)


def test_a_service_without_a_name_gets_one() -> None:
    sender = Sender(Collector())
    sender.send(host(1), sample(1, 3, 150_001, ("app_operations",), {}, 4), service(1, "", 7))
    names = set(services_of(sender.snapshot()))
    assert names == {"app-150001", "container-7"}
