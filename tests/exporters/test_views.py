"""Views and reports for ganglia-web: which there are, what is in them, and how they come to the disk."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from exporters.rrd import Layout
from exporters.view_files import KEEP, TOUCH, FileNames
from exporters.views import HOSTS, REPORTS, RESERVED, SERVICES, STACKED, exactly, render_views, write_views
from sflow_gmetrics import Collector, Config
from sflow_gmetrics.config import PoolConfig, RrdConfig
from sflow_gmetrics.errors import EngineError
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import START, Sender, host, service

Services = dict[str, dict[str, int]]
"""Hosts, their services, and the CPU milliseconds that each has used."""


def snapshot_of(hosts: Services, **config: Any) -> Snapshot:
    """Hosts that have sent twice, so that they have rates."""
    collector = Collector(Config(**config))
    senders = [Sender(collector, f"10.0.{index >> 8}.{index & 255}") for index in range(len(hosts))]
    for sequence in (1, 2):
        for sender, (name, services) in zip(senders, hosts.items(), strict=True):
            samples = [host(sequence, name)]
            samples += [
                service(sequence, unit, 100_000 + index, cpuTime=cpu)
                for index, (unit, cpu) in enumerate(services.items())
            ]
            for first in range(0, len(samples), 50):
                sender.send(*samples[first : first + 50])
            sender.tick(20)
    return collector.snapshot(START + 40)


def views(hosts: Services, **config: Any) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in render_views(snapshot_of(hosts, **config)).items()}


POOLS = (PoolConfig("web", hosts="web.*"), PoolConfig("db", hosts="db.*"))
TWO_POOLS: Services = {
    "web-1": {"nginx.service": 10, "cron.service": 1},
    "web-2": {"nginx.service": 20},
    "db-1": {"redis.service": 5, "cron.service": 1},
}


def item(view: dict[str, Any], item_id: str) -> dict[str, Any]:
    (found,) = [one for one in view["items"] if one.get("item_id") == item_id]
    return found  # type: ignore[no-any-return]


def places(graph: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(one["clustername"], one["hostname"], one["metric"]) for one in graph["series"]}


# --- what there is


def test_a_pool_has_a_view_and_each_of_its_services_another() -> None:
    assert {name for name in views(TWO_POOLS, pools=POOLS) if name.startswith("view_")} == {
        "view_web_services.json",
        "view_web_nginx_service.json",
        "view_web_cron_service.json",
        "view_db_services.json",
        "view_db_redis_service.json",
        "view_db_cron_service.json",
    }


def test_a_service_has_three_reports_whatever_its_pools() -> None:
    assert {name for name in views(TWO_POOLS, pools=POOLS) if not name.startswith("view_")} == {
        f"{service}_service{kind}_report.json"
        for service in ("nginx", "cron", "redis")
        for kind in ("", "_memory", "_io")
    }


def test_a_view_says_the_name_of_its_file_and_an_item_the_name_of_a_report() -> None:
    files = views(TWO_POOLS, pools=POOLS)
    for name, content in files.items():
        assert content["generated_by"] == "sflow_gmetrics"
        if name.startswith("view_"):
            assert name == f"view_{content['view_name']}.json"
            assert content["items"]
            for one in content["items"]:
                assert one.get("graph", "nginx_service_report") + ".json" in files
        else:
            assert name == f"{content['report_name']}.json"


def test_the_pool_stacks_the_sums_of_its_services() -> None:
    view = views(TWO_POOLS, pools=POOLS)["view_web_services.json"]
    assert places(item(view, "cpu")) == {
        ("web", "__SummaryInfo__", "nginx.service.vcpu_util"),
        ("web", "__SummaryInfo__", "cron.service.vcpu_util"),
    }
    assert {one["type"] for one in item(view, "cpu")["series"]} == {"stack"}
    assert {one["ds"] for one in item(view, "instances")["series"]} == {"num"}
    assert item(view, "memory")["scale"] == "1024", "the files are in KB"


def test_a_service_stacks_the_hosts_of_its_pool_only() -> None:
    view = views(TWO_POOLS, pools=POOLS)["view_web_nginx_service.json"]
    assert places(item(view, "cpu")) == {
        ("web", "web-1", "nginx.service.vcpu_util"),
        ("web", "web-2", "nginx.service.vcpu_util"),
    }
    assert {(one["graph"], one["cluster"]) for one in view["items"] if "graph" in one} == {
        ("nginx_service_report", "web"),
        ("nginx_service_memory_report", "web"),
        ("nginx_service_io_report", "web"),
    }


def test_every_file_that_a_graph_names_is_one_that_is_written() -> None:
    snapshot = snapshot_of(TWO_POOLS, pools=POOLS, rrd=RrdConfig(root="/r"))
    written = {update.path for update in Layout(snapshot.config.rrd).updates(snapshot, 0)}
    files = {name: json.loads(text) for name, text in render_views(snapshot).items()}
    graphs = [one for content in files.values() for one in content.get("items", ()) if "series" in one]
    assert graphs
    for graph in graphs:
        for pool, name, metric in places(graph):
            assert f"/r/{pool}/{name}/{metric}.rrd" in written
    for content in files.values():
        for one in content.get("series", ()):
            assert f"/r/__SummaryInfo__/{one['metric']}.rrd" in written


def test_without_files_of_services_on_hosts_no_graph_asks_for_them() -> None:
    rrd = RrdConfig(root="/r", levels=("host", "pool"))
    view = views(TWO_POOLS, pools=POOLS, rrd=rrd)["view_web_nginx_service.json"]
    assert all("graph" in one for one in view["items"])


def test_nothing_is_said_where_there_are_no_services() -> None:
    assert views({}) == {}
    assert views({"web-1": {}}) == {}


def test_a_service_that_has_stopped_is_not_shown() -> None:
    collector = Collector(Config())
    sender = Sender(collector)
    for sequence in range(1, 12):
        sender.send(host(sequence), *([service(sequence)] if sequence < 5 else []))
        sender.tick(20)
    assert render_views(collector.snapshot(START + 90))
    assert not render_views(sender.snapshot())


def test_a_java_process_is_shown_under_the_names_of_its_metrics() -> None:
    sender = Sender(Collector(Config()))
    structures = ("virt_memory", "virt_cpu", "host_descr", "jmx_statistics")
    for sequence in (1, 2):
        sender.send(host(sequence), service(sequence, "app", structures=structures))
        sender.tick(20)
    files = {name: json.loads(text) for name, text in render_views(sender.snapshot()).items()}
    assert places(item(files["view_unspecified_app.json"], "cpu")) == {("unspecified", "web-1", "app.jvm_vcpu_util")}
    assert files["app_memory_report.json"]["series"][0]["metric"] == "app.jvm_vmem_used"
    assert "app_io_report.json" not in files


# --- names


def test_names_are_safe_and_distinct() -> None:
    wild = ["a/b", "a b", "a.b", "a_b", 'a"b', "../../x", "x'; rm -rf $HOME", "%41", "\N{GREEK SMALL LETTER ALPHA}"]
    files = views({"web-1": dict.fromkeys(wild, 1)})
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+\.json", name) for name in files)
    assert len({name.lower() for name in files}) == len(files) == 4 * len(wild) + 1
    assert len(
        {content["view_name"].replace("-", "_") for name, content in files.items() if "view_name" in content}
    ) == (len(wild) + 1)


@pytest.mark.parametrize("name", ["cpu", "load", "network", "apache", "services_cpu"])
def test_a_service_does_not_take_the_name_of_a_report_of_ganglia_web(name: str) -> None:
    assert name in RESERVED
    files = views({"web-1": {name: 1}})
    assert f"{name}_report.json" not in files
    (report,) = [one for one in files if re.fullmatch(rf"{name}-[0-9a-f]{{12}}_report\.json", one)]
    assert files[report]["series"][0]["metric"] == f"{name}.vcpu_util"


def test_a_service_does_not_take_the_report_of_another() -> None:
    files = views({"web-1": {"a": 1, "a_memory": 1}})
    assert files["a_memory_report.json"]["series"][0]["metric"] == "a.vmem_used"
    assert len([name for name in files if name.endswith("_report.json")]) == 6


def test_a_service_does_not_take_the_view_of_its_pool() -> None:
    files = views({"web-1": {"services": 1}}, pools=POOLS)
    assert item(files["view_web_services.json"], "cpu")["series"][0]["hostname"] == "__SummaryInfo__"
    assert len([name for name in files if name.startswith("view_")]) == 2


def test_the_names_of_a_fleet_do_not_depend_on_its_order() -> None:
    def names(hosts: Services) -> set[str]:
        return set(views(hosts))

    assert names({"h": {"a.b": 1, "a_b": 1}}) == names({"h": {"a_b": 1, "a.b": 1}})


def test_a_name_counts_with_its_ends() -> None:
    names = FileNames(["x_report"])
    assert names.give("x", ("_report",)) != "x"
    assert names.give("X-report") != "X-report"


@pytest.mark.parametrize("metric", ["nginx.service.vcpu_util", "a/b+c(d)[e]{2}^$|\\.vcpu_util", "k8s_x-y_z.vcpu_util"])
def test_a_regular_expression_finds_its_metric_and_no_other(metric: str) -> None:
    from urllib.parse import quote

    pattern = exactly(metric)
    assert not re.search(r"(?<!\\)/", pattern), "ganglia-web puts it between slashes"
    assert re.search(pattern, quote(metric, safe=""), re.IGNORECASE)
    assert not re.search(pattern, quote(metric, safe="").replace(".", "x"), re.IGNORECASE)
    assert not re.search(pattern, "a" + quote(metric, safe="") + "b", re.IGNORECASE)


def test_labels_and_titles_have_nothing_that_ganglia_web_or_rrdtool_would_change() -> None:
    for content in views(TWO_POOLS, pools=POOLS).values():
        graphs = [*content.get("items", ()), content]
        for graph in graphs:
            assert re.fullmatch(r"[A-Za-z0-9 .,_-]*", graph.get("title", ""))
            for one in graph.get("series", ()):
                assert re.fullmatch(r"[A-Za-z0-9 ._-]+", one["label"])
                assert re.fullmatch(r"[0-9a-f]{6}", one["color"])


# --- many


def test_a_pool_with_many_services_shows_the_busiest() -> None:
    files = views({"web-1": {f"s{number:03}": number for number in range(SERVICES + 30)}})
    shown = {name for name in files if name.startswith("view_")}
    assert len(shown) == SERVICES + 1
    assert "view_unspecified_s029.json" not in shown
    assert "view_unspecified_s030.json" in shown
    pool = files["view_unspecified_services.json"]
    labels = [one["label"] for one in item(pool, "cpu")["series"]]
    assert labels == sorted(labels)
    assert labels[0] == f"s{SERVICES + 30 - STACKED:03}"
    assert len([one for one in pool["items"] if "graph" in one]) == REPORTS


def test_a_service_on_many_hosts_stacks_the_busiest() -> None:
    files = views({f"h{number:03}": {"a": number} for number in range(HOSTS + 5)})
    view = files["view_unspecified_a.json"]
    hosts = [one["hostname"] for one in item(view, "cpu")["series"]]
    assert hosts == [f"h{number:03}" for number in range(5, HOSTS + 5)]
    assert not [one for one in view["items"] if "aggregate_graph" in one]


# --- on disk


def files_in(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}


OURS = b'{"generated_by": "sflow_gmetrics", "view_name": "a"}'
NEWER = b'{"generated_by": "sflow_gmetrics", "view_name": "b"}'
NOW = 1_700_000_000.0


def test_views_and_reports_go_to_their_directories(tmp_path: Path) -> None:
    files = render_views(snapshot_of(TWO_POOLS, pools=POOLS))
    views_at, reports_at = tmp_path / "new" / "views", tmp_path / "reports"
    assert write_views(files, views_at, reports_at) == len(files)
    assert files_in(views_at) | files_in(reports_at) == files
    assert all(name.startswith("view_") for name in files_in(views_at))
    assert not [name for name in files_in(reports_at) if name.startswith("view_")]
    assert {path.stat().st_mode & 0o777 for path in views_at.iterdir()} == {0o644}, "the web server reads them"


def test_reports_are_below_the_views_unless_said_otherwise(tmp_path: Path) -> None:
    write_views({"a_report.json": OURS}, str(tmp_path))
    assert files_in(tmp_path / "graph.d") == {"a_report.json": OURS}


def test_only_what_has_changed_is_written(tmp_path: Path) -> None:
    files = {"view_a.json": OURS, "view_b.json": OURS}
    write_views(files, tmp_path, now=NOW)
    before = {name: (tmp_path / name).stat().st_ino for name in files}
    assert write_views({**files, "view_b.json": NEWER}, tmp_path, now=NOW) == 1
    after = {name: (tmp_path / name).stat().st_ino for name in files}
    assert after["view_a.json"] == before["view_a.json"]
    assert after["view_b.json"] != before["view_b.json"], "another file took its place at once"
    assert files_in(tmp_path) == {"view_a.json": OURS, "view_b.json": NEWER}


@pytest.mark.parametrize("theirs", [b'{"view_name": "a", "items": []}', b"not JSON", b"[1]", b""])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, theirs: bytes) -> None:
    (tmp_path / "view_a.json").write_bytes(theirs)
    (tmp_path / "view_other.json").write_bytes(theirs)
    assert write_views({"view_a.json": OURS}, tmp_path, now=NOW + 1e9) == 0
    assert files_in(tmp_path) == {"view_a.json": theirs, "view_other.json": theirs}


def test_a_file_stays_some_days_after_its_service(tmp_path: Path) -> None:
    write_views({"view_a.json": OURS, "a_report.json": OURS}, tmp_path, now=NOW)
    assert write_views({}, tmp_path, now=NOW + KEEP - 1) == 0
    assert write_views({}, tmp_path, now=NOW + KEEP + 1) == 2
    assert not files_in(tmp_path)
    assert not files_in(tmp_path / "graph.d")


def test_the_days_begin_when_the_service_was_last_seen(tmp_path: Path) -> None:
    write_views({"view_a.json": OURS}, tmp_path, now=NOW)
    write_views({"view_a.json": OURS}, tmp_path, now=NOW + KEEP)
    assert write_views({}, tmp_path, now=NOW + KEEP + 10) == 0
    assert files_in(tmp_path) == {"view_a.json": OURS}


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(OURS)
    (tmp_path / "view_a.json").symlink_to(target)
    write_views({"view_a.json": NEWER}, tmp_path, now=NOW)
    assert target.read_bytes() == OURS
    assert not (tmp_path / "view_a.json").is_symlink()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EngineError, match=r"\[views\] .*file"):
        write_views({"view_a.json": OURS}, tmp_path / "file" / "views")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device", "view_a.json")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EngineError, match="No space left"):
        write_views({"view_a.json": OURS}, tmp_path)
    assert not files_in(tmp_path)


def test_a_file_that_cannot_be_written_is_named_and_holds_up_no_other_one(tmp_path: Path) -> None:
    write_views({"view_old.json": OURS}, tmp_path, now=NOW - 2 * KEEP)
    (tmp_path / "view_b.json").mkdir()
    files = {f"view_{letter}.json": OURS for letter in "abc"}
    for _ in range(2):
        with pytest.raises(EngineError, match=rf"^\[views\] {tmp_path}/view_b\.json: Is a directory$"):
            write_views(files, tmp_path, now=NOW)
        assert files_in(tmp_path) == {"view_a.json": OURS, "view_c.json": OURS}


def test_a_file_that_cannot_be_marked_as_seen_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's in a directory of ours: the program has run as root once."""
    path, mark = tmp_path / "view_a.json", os.utime
    write_views({path.name: OURS}, tmp_path, now=NOW)
    before = path.stat().st_ino

    def theirs(file: Any, times: tuple[float, float]) -> None:
        if file == path:
            raise PermissionError(1, "Operation not permitted", str(path))
        mark(file, times)

    monkeypatch.setattr(os, "utime", theirs)
    assert write_views({path.name: OURS}, tmp_path, now=NOW + TOUCH) == 1
    assert path.stat().st_ino != before
    assert path.stat().st_mtime == NOW + TOUCH
    assert files_in(tmp_path) == {path.name: OURS}
