"""Parts of the page: by level, group, pool, shard, host and name; and what is said to those who ask wrongly."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporters import prometheus
from exporters.exposition import LabelTexts
from exporters.families import EXTRAS
from exporters.page import Page
from exporters.query import FAMILIES, parse_metrics_query, parse_probe_query
from exporters.runtime import Runtime
from exporters.runtime_families import RUNTIME
from exporters.selection import Selection
from exporters.targets import agent_addresses, describe_targets
from exporters.walk import write
from exporters.web import make_app
from exporters.web_door import Door
from exporters.web_pages import PrometheusPages
from sflow_gmetrics import Collector
from sflow_gmetrics.config import GROUPS, WEB_LEVELS, Config, parse_config
from sflow_gmetrics.errors import QueryError
from sflow_gmetrics.simulation import Fleet
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import BY_NAME, START, Sender, sample
from tests.core.builders import host as host_sample

POOLS = '[[pools]]\nname = "web"\nhosts = "web-.*"\n[[pools]]\nname = "db"\nhosts = "db-.*"\n'
ALL = f"[web]\ngroups = {list(GROUPS)}\n"
_VIRTUAL = re.compile("virt_|if_|ethernet|jmx|http|app_|mem|vdi")
COLLECTOR = "10.1.1.1:9343"


@functools.cache
def fleet_snapshot(text: str = POOLS) -> Snapshot:
    """Twelve hosts in several pools."""
    collector = Collector(parse_config(text))
    fleet = Fleet(12, 4, 5.0, seed=3, start=1e9)
    for second in range(16):
        for _, payload in fleet.datagrams(1e9 + second):
            collector.receive(payload, 1e9 + second)
    return collector.snapshot(1e9 + 15)


def lines(page: bytes) -> list[str]:
    """The samples of a page, without the one family that says how many there are."""
    return [line for line in page.decode().splitlines() if not line.startswith(("#", "sflow_collector_series{"))]


def page(selection: Selection, text: str = POOLS) -> list[str]:
    return lines(prometheus.render(fleet_snapshot(text), selection))


def query(text: str, config: Config | None = None) -> Selection:
    pairs = [tuple(part.split("=", 1)) for part in text.split("&")]
    return parse_metrics_query([(key, value) for key, value in pairs], config or fleet_snapshot().config)


# --- what is shown


def test_the_shards_of_a_page_share_nothing_and_are_the_whole_together() -> None:
    whole = page(Selection())
    for shards in (1, 2, 3, 8, 1000):
        parts = [page(query(f"shard={number}/{shards}")) for number in (*range(1, min(shards, 8) + 1),)]
        found = [line for part in parts for line in part]
        assert len(found) == len(set(found))
        if shards <= 8:
            assert sorted(found) == sorted(page(Selection.of(fleet_snapshot().config)))
        assert set(found) <= set(whole)


def test_a_host_stays_in_its_shard() -> None:
    """The numbers are part of the outer face: another hash would move every host to another target."""
    where = {name: [n for n in range(1, 9) if Selection(shard=(n, 8)).in_shard(name)] for name in ("web-01", "db-7")}
    assert where == {"web-01": [6], "db-7": [7]}


@pytest.mark.parametrize("level", ["host", "service", "pool", "collector"])
def test_a_level_has_its_families_only(level: str) -> None:
    names = {re.split(r"[{ ]", line)[0] for line in page(query(f"level={level}"))}
    begin = {
        "host": ("sflow_host_", "sflow_vnode_", "sflow_agent_", "sflow_gpu_"),
        "service": ("sflow_service_", "sflow_jvm_", "sflow_http_", "sflow_memcached_", "sflow_app_"),
        "pool": ("sflow_pool_",),
        "collector": ("sflow_collector_",),
    }
    assert names
    assert all(name.startswith(begin[level]) for name in names), names


def test_the_levels_together_are_the_page() -> None:
    usual = Selection.of(fleet_snapshot().config)
    parts = [line for level in usual.levels for line in page(replace(usual, levels=frozenset((level,))))]
    assert sorted(parts) == sorted(page(usual))
    assert sorted(page(query("level=pool&level=host"))) == sorted(page(query("level=pool")) + page(query("level=host")))


def test_the_page_says_how_many_series_of_each_level_it_has() -> None:
    snapshot = fleet_snapshot()
    whole = prometheus.render(snapshot, Selection()).decode().splitlines()
    said = {line.split('"')[1]: int(line.split()[1]) for line in whole if line.startswith("sflow_collector_series{")}
    assert set(said) == {"host", "service", "interface", "pool"}
    for level in ("service", "pool"):
        assert said[level] == len(page(Selection(levels=frozenset((level,)))))
    without = Selection(levels=frozenset(("host",)), groups=frozenset(GROUPS) - {"interface"})
    assert said["host"] == len(page(without))
    assert said["interface"] == len(page(Selection(levels=frozenset(("host",))))) - said["host"]


def test_levels_and_groups_are_as_configured_and_as_asked_for() -> None:
    config = parse_config("[web]\nlevels = ['pool']\ngroups = ['jvm']\n")
    assert Selection.of(config) == Selection(frozenset(("pool",)), frozenset(("jvm",)))
    assert query("level=service&group=http", config) == Selection(frozenset(("service",)), frozenset(("http",)))


def test_a_pool_alone_says_nothing_of_others_or_of_the_collector() -> None:
    shown = page(query("pool=web"))
    assert shown
    assert all('pool="web"' in line or line.startswith("sflow_agent_") for line in shown)
    assert len([line for line in shown if line.startswith("sflow_agent_info{")]) == len(
        [line for line in shown if line.startswith("sflow_host_up{")]
    )
    assert [line for line in page(query("pool=web&level=collector")) if line.startswith("sflow_collector_")]
    both = page(query("pool=web&pool=db&level=pool"))
    assert sorted(both) == sorted(page(query("pool=web&level=pool")) + page(query("pool=db&level=pool")))


def test_families_by_name() -> None:
    shown = page(query("name[]=sflow_pool_hosts&name[]=sflow_host_cpu_seconds_total"))
    assert {re.split(r"[{ ]", line)[0] for line in shown} == {"sflow_pool_hosts", "sflow_host_cpu_seconds_total"}
    assert set(shown) < set(page(Selection()))


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_switches_its_families(group: str) -> None:
    """All structures in one sample: without the group what is its own is missing, and nothing else."""
    sender = Sender(Collector())
    for step in (1, 2):
        records = {"hostname": "x", "adapters": [{"ifIndex": 2, "num_macs": 1, "mac": ["00163e000001"]}]}
        physical_only = [name for name in BY_NAME if not _VIRTUAL.match(name)]
        physical = sample(step, 2, 1, physical_only, records, 4)
        virtual = sample(step, 3, 9, BY_NAME, {"hostname": "x"}, 4)
        port = sample(step, 0, 7, ("if_counters", "ethernet_counters"), {}, 4)
        sender.send(physical, virtual, port)
        sender.tick(5)
    snapshot = sender.snapshot()
    with_it = set(lines(prometheus.render(snapshot, Selection())))
    without = set(lines(prometheus.render(snapshot, Selection(groups=frozenset(GROUPS) - {group}))))
    assert without < with_it
    own = {re.split(r"[{ ]", line)[0] for line in with_it - without}
    prefixes: dict[str, str | tuple[str, ...]] = {
        "adaptor": "sflow_host_adaptor_info",
        "interface": ("sflow_interface_", "sflow_switch_"),
        "netstat": "sflow_host_netstat_",
        "state": "sflow_service_state",
    }
    assert all(name.startswith(prefixes.get(group, f"sflow_{group}_")) for name in own), own
    assert not {re.split(r"[{ ]", line)[0] for line in without} & own


def test_what_is_not_wanted_is_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = fleet_snapshot()
    monkeypatch.setattr("exporters.walk._services", lambda *_: pytest.fail("services have been looked at"))
    prometheus.render(snapshot, query("level=pool"))
    prometheus.render(snapshot, query("level=host"))
    monkeypatch.setattr("exporters.walk.write_pool", lambda *_: pytest.fail("pools have been summed"))
    prometheus.render(snapshot, query("level=host&shard=1/2"))


@pytest.mark.parametrize("name", ["sflow_pool_hosts", "sflow_host_info", "sflow_service_info", "sflow_agent_info"])
def test_of_what_is_not_wanted_no_number_is_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    snapshot = fleet_snapshot()
    prometheus.render(snapshot, Selection())
    if name != "sflow_host_info":  # the words in it are numbers of hosts
        monkeypatch.setattr("exporters.members.WireColumns.column", lambda *_: pytest.fail("a column has been read"))
    if name not in ("sflow_service_info", "sflow_pool_hosts"):
        monkeypatch.setattr("exporters.members.group_by_form", lambda *_: pytest.fail("services have been sorted"))
    shown = lines(prometheus.render(snapshot, Selection(names=frozenset((name,)))))
    assert shown
    assert all(line.startswith(name + "{") for line in shown)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_alone_is_what_it_is_on_the_page(family: str) -> None:
    snapshot = fleet_snapshot()
    whole = [line for line in page(Selection()) if re.split(r"[{ ]", line)[0] == family]
    assert lines(prometheus.render(snapshot, Selection(names=frozenset((family,))))) == whole


# --- what is kept


def test_label_texts_stay_bounded_whatever_is_asked_for() -> None:
    kept = prometheus.Kept()
    whole = len(page(Selection()))
    snapshot = fleet_snapshot()
    names = sorted(FAMILIES)
    for number in range(200):
        selection = Selection(names=frozenset(names[number % 50 : 100 + number % 150]))
        texts = kept.take(selection)
        texts.begin()
        sink = Page(selection, texts)
        write(sink, snapshot)
        kept.give_back(selection, texts)
        assert kept.size <= 2 * whole
    for shard in range(1, 1000):
        kept.give_back(Selection(shard=(shard, 999)), LabelTexts())
    assert len(kept) <= kept.PAGES


def test_shards_stay_beside_the_whole_page() -> None:
    kept = prometheus.Kept()
    selections = [Selection(), *(Selection(shard=(number, 4)) for number in range(1, 5))]
    made = {}
    for selection in selections:
        texts = kept.take(selection)
        texts.begin()
        write(Page(selection, texts), fleet_snapshot())
        kept.give_back(selection, texts)
        made[selection] = texts
    assert all(kept.take(selection) is texts for selection, texts in made.items())


# --- wrong questions


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("level=pools", "did you mean 'pool'"),
        ("levels=pool", "did you mean 'level'"),
        ("level=", "has no value"),
        ("group=kernel", "known here: adaptor"),
        ("pool=wbe", "did you mean 'web'"),
        ("shard=3", "as in 3/8"),
        ("shard=0/8", "as in 3/8"),
        ("shard=9/8", "as in 3/8"),
        ("shard=1/1001", "at most 1000"),
        ("shard=-1/8", "as in 3/8"),
        ("shard=\u0661/8", "as in 3/8"),
        ("shard=1/2&shard=2/2", "give it once"),
        ("name[]=sflow_host_lod15", "did you mean 'sflow_host_load15'"),
        ("name[]=%", "'sflow-gmetrics metrics' lists"),
        ("name=sflow_host_load1", "did you mean 'name[]'"),
        ("target=web-01", "unknown parameter"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_cure(text: str, cure: str) -> None:
    with pytest.raises(QueryError, match=re.escape(cure)):
        query(text)


@pytest.mark.parametrize(
    ("pairs", "cure"),
    [
        ([], "target= is missing"),
        ([("target", "")], "has no value"),
        ([("target", "a"), ("target", "b")], "give it once"),
        ([("target", "a"), ("level", "pool")], "says nothing of one host"),
        ([("target", "a"), ("shard", "1/2")], "unknown parameter"),
    ],
)
def test_a_wrong_probe_is_named_with_its_cure(pairs: list[tuple[str, str]], cure: str) -> None:
    with pytest.raises(QueryError, match=re.escape(cure)):
        parse_probe_query(pairs, Config())


@pytest.mark.parametrize(
    ("pairs", "cure"),
    [
        ([], "by= is missing"),
        ([("by", "hosts")], "did you mean 'host'"),
        ([("by", "shard")], "shards= is missing"),
        ([("by", "shard"), ("shards", "many")], "as in 3/8"),
        ([("by", "host"), ("shards", "4")], "goes with ?by=shard"),
        ([("by", "shard"), ("shards", "4"), ("pool", "web")], "goes with ?by=host"),
        ([("by", "host"), ("pool", "wbe")], "did you mean 'web'"),
    ],
)
def test_a_wrong_discovery_is_named_with_its_cure(pairs: list[tuple[str, str]], cure: str) -> None:
    with pytest.raises(QueryError, match=re.escape(cure)):
        describe_targets(pairs, fleet_snapshot(), COLLECTOR)


# --- over HTTP


def ask(paths: Iterable[str], text: str = POOLS) -> list[tuple[int, str]]:
    """Status and body for each path, of one server."""
    snapshot = fleet_snapshot(text)
    runtime = Runtime()

    async def render(selection: Selection, openmetrics: bool) -> bytes:
        assert not openmetrics
        return runtime.timed_page(
            "metrics", selection, lambda end: prometheus.render(snapshot, selection, end), openmetrics=openmetrics
        )

    async def now() -> Snapshot:
        return snapshot

    async def no_page(_name: str) -> bytes:
        raise AssertionError

    async def scenario() -> list[tuple[int, str]]:
        routes = PrometheusPages(snapshot.config, render, now).routes()
        server = TestServer(make_app(no_page, lambda: True, routes, Door(runtime.answered)), host="127.0.0.1")
        found = []
        async with server, aiohttp.ClientSession(server.make_url("/")) as session:
            for path in paths:
                async with session.get(path) as answer:
                    found.append((answer.status, await answer.text()))
        return found

    return asyncio.run(scenario())


def test_families_chosen_by_name_are_shown_whatever_is_configured() -> None:
    config = parse_config("[web]\nlevels = ['pool']\ngroups = []\n")
    selection = query("name[]=sflow_interface_up&name[]=sflow_jvm_info", config)
    assert selection.wants("sflow_interface_up", "interface")
    assert selection.levels == frozenset(WEB_LEVELS)
    assert not query("name[]=sflow_interface_up&group=jvm", config).wants("sflow_interface_up", "interface")


def test_of_many_who_ask_for_parts_some_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are made one after the other; the usual page is made beside them."""
    monkeypatch.setattr("exporters.web_pages.WAITING", 3)
    making = 0
    most = 0

    async def render(selection: Selection, _openmetrics: bool) -> bytes:
        nonlocal making, most
        if selection == Selection.of(Config()):
            return b"usual"
        making += 1
        most = max(most, making)
        await asyncio.sleep(0.05)
        making -= 1
        return b"part"

    async def no_snapshot() -> Snapshot:
        raise AssertionError

    async def scenario() -> list[int]:
        application = web.Application()
        application.add_routes(PrometheusPages(Config(), render, no_snapshot).routes())
        async with TestServer(application, host="127.0.0.1") as server, aiohttp.ClientSession() as session:

            async def status(path: str) -> int:
                async with session.get(server.make_url(path)) as answer:
                    assert answer.status == 200 or answer.headers["Retry-After"]
                    return answer.status

            paths = ["/metrics?level=pool", "/metrics?level=host"] * 4
            return await asyncio.gather(*map(status, [*paths, "/metrics"]))

    *parts, usual = asyncio.run(scenario())
    assert sorted(parts) == [200] * 3 + [503] * 5
    assert (usual, most) == (200, 1)


def test_wrong_parameters_are_bad_requests() -> None:
    answers = ask(("/metrics?level=x", "/metrics?x=1", "/probe", "/sd?by=x", "/metrics?level=pool"))
    assert [status for status, _ in answers] == [400, 400, 400, 400, 200]
    assert answers[0][1].startswith("unknown value '?level=x'; known here: host, service")


def test_every_target_that_is_discovered_can_be_scraped_and_all_together_are_the_page() -> None:
    def paths(query: str) -> list[str]:
        ((status, text),) = ask((f"/sd?{query}",))
        assert status == 200
        return [path_of(target) for target in json.loads(text)]

    def samples(query: str) -> list[str]:
        answers = ask(paths(query))
        assert {status for status, _ in answers} == {200}
        found = [line for _, text in answers for line in lines(text.encode())]
        assert len(found) == len(set(found))
        return [line for line in found if line.startswith("sflow_") and "_collector_" not in line]

    ((_, whole),) = ask(("/metrics",))
    everything = [line for line in lines(whole.encode()) if line.startswith("sflow_") and "_collector_" not in line]
    assert sorted(samples("by=shard&shards=3")) == sorted(everything)
    assert sorted(samples("by=pool")) == sorted(everything)
    of_hosts = [line for line in everything if not line.startswith("sflow_pool_")]
    assert sorted(samples("by=host")) == sorted(samples("by=agent")) == sorted(of_hosts)
    assert len(paths("by=host&pool=web")) < len(paths("by=host"))


def test_a_host_that_is_called_like_the_address_of_another_is_not_taken_for_it() -> None:
    collector = Collector()
    for address, name in (("10.0.0.1", "web-1"), ("10.0.0.2", "10.0.0.1"), ("10.0.0.3", "10.0.0.9")):
        Sender(collector, address).send(host_sample(1, hostname=name))
    snapshot = collector.snapshot(START)
    for by in ("host", "agent"):
        shown = []
        for target in describe_targets([("by", by)], snapshot, "h:1"):
            pairs = [("target", target["labels"]["__param_target"])]
            selection = parse_probe_query(pairs, Config(), agent_addresses(snapshot))
            shown += [one.address for one in snapshot.hosts() if selection.takes_host(one.name, one.address)]
        assert sorted(shown) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert parse_probe_query([("target", "10.0.0.9")], Config(), agent_addresses(snapshot)).host == "10.0.0.9"


def path_of(target: dict[str, Any]) -> str:
    """What Prometheus asks for, and that its labels are in order."""
    labels = target["labels"]
    (address,) = target["targets"]
    assert address.startswith("127.0.0.1:")
    assert labels["instance"]
    parameters = {key.removeprefix("__param_"): value for key, value in labels.items() if key.startswith("__param_")}
    ((key, value),) = parameters.items()
    return f"{labels.get('__metrics_path__', '/metrics')}?{key}={value}"


def test_targets_over_tls_say_so() -> None:
    secure = describe_targets([("by", "host")], fleet_snapshot(), COLLECTOR, secure=True)
    assert {one["labels"]["__scheme__"] for one in secure} == {"https"}
    assert "__scheme__" not in describe_targets([("by", "host")], fleet_snapshot(), COLLECTOR)[0]["labels"]


def test_without_a_host_header_there_is_no_address_for_targets() -> None:
    async def page(_selection: Selection, _openmetrics: bool) -> bytes:
        raise AssertionError

    async def no_snapshot() -> Snapshot:
        raise AssertionError

    async def scenario() -> bytes:
        application = web.Application()
        application.add_routes(PrometheusPages(Config(), page, no_snapshot).routes())
        async with TestServer(application, host="127.0.0.1") as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /sd?by=host HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"no Host header" in answer


def test_a_probe_of_an_unknown_host_says_where_the_known_ones_stand() -> None:
    ((status, text),) = ask(("/probe?target=nobody%0A",))
    assert (status, text) == (404, "no host or agent 'nobody\\n' is known here; /sd?by=host lists the hosts\n")


def test_every_family_that_is_listed_can_be_asked_for() -> None:
    for one in (*EXTRAS, *RUNTIME):
        assert query(f"name[]={one.name}").names == {one.name}


def test_names_choose_among_the_families_of_the_process_too() -> None:
    name = "sflow_collector_scrapes_total"
    first, second = ask(("/metrics?name[]=process_start_time_seconds", f"/metrics?name[]={name}"))
    assert [line.split()[0] for line in lines(first[1].encode())] == ["process_start_time_seconds"]
    assert lines(second[1].encode()) == [f'{name}{{code="200",endpoint="/metrics"}} 1.0']
