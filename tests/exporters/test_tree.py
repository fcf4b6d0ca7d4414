"""The tree: what of ours and of others stands where, how it ages, and what is summed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from lxml import etree

from exporters import tree_hosts
from exporters.tree import grid_of
from exporters.tree_hosts import FORGET
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.remote import (
    NUMERIC_TYPES,
    Remote,
    RemoteCluster,
    RemoteGrid,
    RemoteHost,
    RemoteSum,
    RemoteSummary,
)
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import Sender, service
from tests.core.builders import host as host_sample
from tests.exporters.trees import (
    CONFIG,
    NOW,
    alone,
    child,
    far,
    grid_element,
    load,
    names,
    remote_cluster,
    remote_host,
    snapshot,
    states,
    sums,
    with_remotes,
)

SUMMARY = RemoteSummary(3, 1, (RemoteSum("load_one", 4.5, 3, "double", "", "both", 2),))


def added_up(place: etree._Element) -> dict[str, tuple[str, int]]:
    """What gmetad would make of the METRICs below: sums with as many decimals as the values have."""
    values: dict[str, list[str]] = {}
    for host in place.iter("HOST"):
        if int(host.get("TN", "")) < 4 * int(host.get("TMAX", "")):
            for metric in host.iter("METRIC"):
                if metric.get("TYPE") in NUMERIC_TYPES:
                    values.setdefault(metric.get("NAME", ""), []).append(metric.get("VAL", ""))
    return {
        name: (f"{sum(map(Decimal, texts)):.{max(len(text.partition('.')[2]) for text in texts)}f}", len(texts))
        for name, texts in values.items()
    }


def host_of(one: Snapshot, name: str) -> etree._Element:
    (found,) = [host for host in grid_element(one).iter("HOST") if host.get("NAME") == name]
    return found


# --- sums


def test_sums_are_those_of_the_printed_values_of_hosts_that_are_up() -> None:
    ours = snapshot([far(remote_cluster("plain", remote_host("a"), remote_host("b", load("7.5")), remote_host("c")))])
    whole, summary = grid_element(ours), grid_element(ours, "/?filter=summary")
    for name in ("web", "data base", "plain"):
        expected = added_up(child(whole, "CLUSTER", name))
        assert expected
        assert sums(child(summary, "CLUSTER", name)) == expected
    everything = added_up(whole)
    assert sums(summary) == everything
    assert everything["load_one"] == ("10.00", 6)
    assert everything["nginx.service.vcpu_util"] == ("1.84", 2), "0.615 and 1.23, each as it is printed"
    assert everything["cpu_num"] == ("6", 3)
    assert "web-3" in names(whole.iter("HOST"))
    assert states(summary) == (6, 1)
    assert states(child(summary, "CLUSTER", "web")) == (2, 1)


def test_texts_and_hosts_that_are_down_have_no_sums() -> None:
    metrics = [load("9", "x", kind="string"), load("1", "y", kind="uint32")]
    one = alone(far(remote_cluster("plain", remote_host("up", *metrics), remote_host("down", *metrics, tn=500))))
    summary = child(grid_element(one, "/?filter=summary"), "CLUSTER", "plain")
    assert sums(summary) == {"y": ("1", 1)}
    assert states(summary) == (1, 1)


@pytest.mark.parametrize(
    ("values", "total"),
    [
        (("1", "2"), "3"),
        (("1.5", "2.25"), "3.75"),
        (("0.1", "0.2"), "0.3"),
        (("1", "0.500"), "1.500"),
        (("1e3", "1"), "1001"),
        (("1.25e1", "1"), "13.50"),
        (("-1.5", "0.5"), "-1.0"),
        (("4294967295", "4294967295"), "8589934590"),
    ],
)
def test_a_sum_has_the_decimals_of_its_values(values: tuple[str, ...], total: str) -> None:
    hosts = (remote_host(f"h{at}", load(value)) for at, value in enumerate(values))
    one = alone(far(remote_cluster("plain", *hosts)))
    assert sums(grid_element(one, "/?filter=summary")) == {"load_one": (total, len(values))}


def test_who_asks_about_one_snapshot_gets_one_tree() -> None:
    one, other = snapshot(), snapshot()
    assert grid_of(one) is grid_of(one)
    assert grid_of(one).summary() is grid_of(one).summary()
    assert grid_of(other) is not grid_of(one)


# --- side by side


def test_clusters_and_grids_of_all_stand_side_by_side() -> None:
    inner = RemoteGrid("inner", "http://in.example/", 5, summary=SUMMARY)
    grid = RemoteGrid("outer", "http://out.example/", 7, (remote_cluster("deep", remote_host("d")),), (inner,))
    remote = replace(far(remote_cluster("plain", remote_host("a"))), grids=(grid,))
    whole = grid_element(snapshot([remote]))
    assert names(whole.findall("CLUSTER")) == ["data base", "web", "plain"]
    outer = child(whole, "GRID", "outer")
    assert (outer.get("AUTHORITY"), outer.get("LOCALTIME")) == ("http://out.example/", "7")
    assert names(outer.findall("CLUSTER/HOST")) == ["d"]
    assert sums(child(outer, "GRID", "inner")) == {"load_one": ("4.50", 3)}
    plain = child(whole, "CLUSTER", "plain")
    words = [plain.get(key) for key in ("LOCALTIME", "OWNER", "LATLONG", "URL")]
    assert words == [str(int(NOW)), "someone", "N0 E0", "http://far.example/"]


def test_names_are_distinct() -> None:
    web = remote_cluster("web", remote_host("a"))
    grid = RemoteGrid("web", "", 5, summary=SUMMARY)
    remotes = [replace(far(web), grids=(grid,)), far(web, name="other"), far(web, remote_cluster("web-far_"))]
    whole = grid_element(snapshot(remotes))
    found = names(whole.findall("CLUSTER")) + names(whole.findall("GRID"))
    assert len(found) == 7
    assert set(found) == {"data base", "web", "web-far", "web-far_", "web-other", "web-far__", "web-far_-far"}
    assert names(child(whole, "CLUSTER", "web").findall("HOST")) == ["web-1", "web-2", "web-3"], "ours is first"


def test_a_name_of_ours_is_kept_free_while_nobody_has_it() -> None:
    """Else the cluster of another would be ours in its RRD files until our first host is heard."""
    ours = [remote_cluster(name, remote_host("a")) for name in ("web", "data base", "unspecified", "app")]
    assert names(grid_element(alone(far(*ours))).findall("CLUSTER")) == [
        "web-far",
        "data base-far",
        "unspecified-far",
        "app",
    ]


@pytest.mark.parametrize("name", ["../../evil", "a/b", '<"&>', "__SummaryInfo__", "", "é", "a" * 500])
def test_names_of_others_can_be_carried(name: str) -> None:
    one = alone(far(remote_cluster(name, remote_host("a"))))
    (shown,) = names(grid_element(one).findall("CLUSTER"))
    assert shown
    assert set(shown) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ")
    assert ".." not in shown
    assert shown.lower() != "__summaryinfo__"


def test_no_empty_cluster_of_ours_stands_beside_those_of_others() -> None:
    assert names(grid_element(alone()).findall("CLUSTER")) == ["web"], "the first pool"
    assert names(grid_element(alone(far(remote_cluster("plain")))).findall("CLUSTER")) == ["plain"]


# --- summaries of others


def test_a_summary_counts_where_there_is_nothing_else() -> None:
    cluster = RemoteCluster("only sums", 5, summary=SUMMARY)
    grid = RemoteGrid("only sums too", "", 5, summary=SUMMARY)
    one = alone(Remote("far", NOW, clusters=(cluster,), grids=(grid,)))
    summary = grid_element(one, "/?filter=summary")
    assert sums(summary) == {"load_one": ("9.00", 6)}
    assert states(summary) == (6, 2)
    whole = grid_element(one)
    assert sums(child(whole, "GRID", "only sums too")) == {"load_one": ("4.50", 3)}
    assert sums(child(whole, "CLUSTER", "only sums")) == {"load_one": ("4.50", 3)}


def test_a_summary_is_shown_also_when_nothing_of_it_is_up() -> None:
    cluster = RemoteCluster("only sums", 5, summary=SUMMARY)
    one = alone(Remote("far", NOW - 100, clusters=(cluster,)))
    assert states(child(grid_element(one), "CLUSTER", "only sums")) == (0, 4)
    assert states(grid_element(one, "/?filter=summary")) == (0, 4)


def test_a_summary_beside_details_is_not_counted_twice() -> None:
    cluster = replace(remote_cluster("plain", remote_host("a")), summary=SUMMARY)
    grid = RemoteGrid("outer", "", 5, (replace(cluster, name="deep"),), summary=SUMMARY)
    one = alone(Remote("far", NOW, clusters=(cluster,), grids=(grid,)))
    assert sums(grid_element(one, "/?filter=summary")) == {"load_one": ("1.00", 2)}


# --- age


def test_the_times_of_others_go_on() -> None:
    plain = remote_cluster("plain", remote_host("a", load(tn=3), tn=5))
    for age in (0, 7, 39):
        host = host_of(alone(far(plain, fetched=NOW - age)), "a")
        assert (host.get("TN"), host[0].get("TN")) == (str(5 + age), str(3 + age))
        assert host.get("REPORTED") == str(int(NOW) - 5)
    assert host_of(alone(far(plain, fetched=NOW + 3)), "a").get("TN") == "5", "a clock that was set back"


def test_a_host_is_up_between_two_polls_however_far_they_are_apart() -> None:
    """As in gmetad, which judges a host when it is polled. A gmetad above, and ganglia-web, judge by TN."""
    plain = remote_cluster("plain", remote_host("a", load(tn=19, dmax=80), tn=19), remote_host("b", tn=80))
    config = CONFIG.replace("interval = 10", "interval = 300")
    for age, up in ((0, True), (61, True), (299, True), (360, True), (361, False)):
        base = Collector(parse_config(config)).snapshot(NOW)
        one = with_remotes(base, [far(plain, fetched=NOW - age)])
        assert states(grid_element(one, "/?filter=summary")) == (up, 2 - up)
        host = host_of(one, "a")
        assert (int(host.get("TN", "")) < 80) == up
        assert int(host[0].get("TN", "")) <= 80
        assert int(host_of(one, "b").get("TN", "")) >= 80


@pytest.mark.parametrize(("age", "shown"), [(0, True), (25, True), (26, False)])
def test_a_metric_goes_when_it_is_older_than_its_dmax(age: int, shown: bool) -> None:
    metrics = [load(tn=5, dmax=20), load(name="for ever", tn=5)]
    one = alone(far(remote_cluster("plain", remote_host("a", *metrics)), fetched=NOW - age))
    wanted = ["load_one", "for ever"] if shown else ["for ever"]
    assert names(host_of(one, "a")) == wanted
    assert list(sums(grid_element(one, "/?filter=summary"))) == wanted


@pytest.mark.parametrize(
    ("tn", "tmax", "age", "up"),
    [(0, 20, 0, 1), (79, 20, 0, 1), (80, 20, 0, 0), (51, 20, 38, 1), (52, 20, 38, 0), (59, 0, 0, 1), (60, 0, 0, 0)],
)
def test_a_host_is_down_after_four_times_its_tmax(tn: int, tmax: int, age: int, up: int) -> None:
    one = alone(far(remote_cluster("plain", remote_host("a", tn=tn, tmax=tmax)), fetched=NOW - age))
    summary = grid_element(one, "/?filter=summary")
    assert states(summary) == (up, 1 - up)
    assert len(sums(summary)) == up


def _silent(age: float) -> Snapshot:
    grid = RemoteGrid("outer", "", 5, (remote_cluster("deep", remote_host("b")),))
    sums_only = RemoteGrid("sums", "", 5, summary=SUMMARY)
    return alone(replace(far(remote_cluster("plain", remote_host("a")), fetched=NOW - age), grids=(grid, sums_only)))


def test_after_four_intervals_without_a_document_all_is_down() -> None:
    """The source "far" is polled every 10 s. Its hosts alone would be up for 85 s."""
    before, after = _silent(40), _silent(40.5)
    assert states(grid_element(before, "/?filter=summary")) == (5, 1)
    summary = grid_element(after, "/?filter=summary")
    assert states(summary) == (0, 6)
    assert sums(summary) == {}
    for name in ("a", "b"):
        assert _is_up(host_of(before, name))
        assert not _is_up(host_of(after, name)), "whoever reads the document has to see it too"


def _is_up(host: etree._Element) -> bool:
    """As ganglia-web judges, and gmetad."""
    return int(host.get("TN", "")) <= 4 * int(host.get("TMAX", ""))


def test_a_source_without_a_configuration_has_the_usual_interval() -> None:
    def one(age: float) -> Snapshot:
        hosts: tuple[RemoteHost, ...] = (remote_host("a", tmax=200),)
        return alone(far(remote_cluster("plain", *hosts), name="unknown", fetched=NOW - age))

    assert states(grid_element(one(60), "/?filter=summary")) == (1, 0)
    assert states(grid_element(one(61), "/?filter=summary")) == (0, 1)


def test_names_that_are_gone_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    known = tree_hosts._Shapes()
    monkeypatch.setattr(tree_hosts, "_shapes", known)
    sender = Sender(Collector())
    for step in range(1, 400):
        fleeting = [service(1, f"job-{step}-{number}.scope", step * 10 + number) for number in range(5)]
        sender.send(host_sample(step), service(step), *fleeting)
        sender.tick(20)
        for cluster in grid_of(sender.snapshot()).clusters:
            for _, rows in cluster.rows():
                list(rows)
        assert len(known) < 2 * FORGET / 20 * 5 + 20


def test_what_the_numbers_of_a_row_are_stays_one_object_while_it_is_there() -> None:
    sender = Sender(Collector())
    seen = set()
    for step in range(1, 200):
        sender.send(host_sample(step), service(step))
        sender.tick(20)
        if step > 2:
            (cluster,) = grid_of(sender.snapshot()).clusters
            seen |= {lines for _, rows in cluster.rows() for lines, _ in rows}
    assert len(seen) == 2
