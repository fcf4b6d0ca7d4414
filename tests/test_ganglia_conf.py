"""What a Ganglia site installs: its metrics exist, its files agree with each other and with the configuration."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporters.views import RESERVED
from sflow_gmetrics.config import COMPACT_RRA, Config, load_config, parse_config
from sflow_gmetrics.schema import Metric, Role
from sflow_gmetrics.structures import COUNTER_RECORDS

CONF = Path(__file__).parents[1] / "ganglia" / "conf"
README = (CONF / "README.md").read_text("utf-8")
VIEWS = sorted((CONF / "views").glob("*.json"))
REPORTS = sorted((CONF / "graph.d").glob("*_report.*"))


def metrics(role: Role) -> dict[str, Metric]:
    """The metrics that a host or a service can have."""
    return {
        metric.name: metric
        for structure in COUNTER_RECORDS.values()
        if structure.role is role
        for one in structure.fields
        for metric in one.ganglia
    }


HOST, SERVICE = metrics(Role.HOST), metrics(Role.SERVICE)


def content(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def php_settings(name: str) -> dict[str, Any]:
    """The values of a conf.php."""
    found = re.findall(r"^\$conf\['(\w+)'\] = (.*);$", (CONF / name).read_text("utf-8"), re.MULTILINE)
    return {key: ast.literal_eval(value) for key, value in found}


# --- reports and views


def test_there_are_reports_and_views() -> None:
    assert len(REPORTS) == 4
    assert len(VIEWS) == 2


@pytest.mark.parametrize("path", [one for one in REPORTS if one.suffix == ".json"], ids=lambda path: path.stem)
def test_a_report_shows_metrics_of_hosts_in_one_unit(path: Path) -> None:
    report = content(path)
    assert report["report_name"] == path.stem
    shown = [HOST[one["metric"]] for one in report["series"]]
    assert shown
    assert {metric.units.split("/")[-1] for metric in shown} in ({""}, {"sec"})
    assert all(re.fullmatch("[0-9a-f]{6}", one["color"]) for one in report["series"])


@pytest.mark.parametrize("path", [one for one in REPORTS if one.suffix == ".php"], ids=lambda path: path.stem)
def test_a_report_of_services_shows_one_of_their_metrics(path: Path) -> None:
    text = path.read_text("utf-8")
    assert f"function graph_{path.stem}(&$rrdtool_graph)" in text
    call = re.search(r"services_stack\(\$rrdtool_graph, '(\w+)', '[\w ]+', '([\w %]+)', (\d+)\)", text)
    assert call
    metric = SERVICE[call[1]]
    assert (metric.units, call[2], call[3]) in {("%", "% of one CPU", "1"), ("KB", "bytes", "1024")}


def test_no_service_can_take_the_name_of_a_report() -> None:
    assert {path.stem.removesuffix("_report") for path in REPORTS} <= RESERVED


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.stem)
def test_a_view_names_what_there_is(path: Path) -> None:
    view = content(path)
    assert path.name == f"view_{view['view_name']}.json"
    assert re.fullmatch("[A-Za-z0-9_ -]+", view["view_name"])
    for item in view["items"]:
        if "graph" in item:
            assert item["graph"].removesuffix("_report") in RESERVED
        for one in item.get("metric_regex", ()):
            assert any(re.search(one["regex"], name, re.IGNORECASE) for name in HOST), one
        patterns = [one["regex"] for one in item.get("host_regex", ())]
        if view["view_type"] == "regex":
            patterns.append(item["hostname"])
        assert all(re.search(pattern, "web-1") and not re.search(pattern, "db-1") for pattern in patterns)
        assert "/" not in "".join(patterns), "ganglia-web puts them between slashes"


def test_pages_of_hosts_and_pools_show_reports_that_exist() -> None:
    assert {one.removesuffix("_report") for one in content(CONF / "default.json")["included_reports"]} <= RESERVED


# --- settings


def test_the_configuration_is_one() -> None:
    config = load_config(CONF / "sflow-gmetrics.toml")
    assert [pool.name for pool in config.pools] == ["web", "db"]


def test_ganglia_web_finds_what_the_collector_writes() -> None:
    config = load_config(CONF / "sflow-gmetrics.toml")
    settings = php_settings("conf-without-gmetad.php")
    assert f"{settings['ganglia_ip']}:{settings['ganglia_port']}" == config.gmetad.interactive_listen
    assert settings["rrds"] == config.rrd.root
    assert settings["rrdcached_socket"] == config.rrd.rrdcached
    assert settings["views_dir"] == config.views.directory
    for site in ("apache-ganglia.conf", "nginx-ganglia.conf"):
        assert config.views.reports.removesuffix("/graph.d") in (CONF / site).read_text("utf-8")


def test_ganglia_web_finds_what_gmetad_writes() -> None:
    gmetad = (CONF / "gmetad.conf").read_text("utf-8")
    settings = php_settings("conf-with-gmetad.php")
    assert f'rrd_rootdir "{settings["rrds"]}"' in gmetad
    assert f"interactive_port {settings['ganglia_port']}" in gmetad
    assert settings["rrdcached_socket"] == ""
    assert settings["views_dir"] == php_settings("conf-without-gmetad.php")["views_dir"]


def test_gmetad_polls_our_gmond_port_and_keeps_what_we_would_keep() -> None:
    gmetad = (CONF / "gmetad.conf").read_text("utf-8")
    (source,) = re.findall(r'^data_source "\w+" (\d+) 127\.0\.0\.1:(\d+)$', gmetad, re.MULTILINE)
    assert source == (str(Config().rrd.step), Config().gmond.listen.rpartition(":")[2])
    assert re.search("^case_sensitive_hostnames 1$", gmetad, re.MULTILINE)
    (archives,) = re.findall(r"^RRAs (.*)$", gmetad, re.MULTILINE)
    assert tuple(re.findall('"RRA:([^"]*)"', archives)) == COMPACT_RRA


# --- the way to us


def test_the_readme_names_every_file_and_no_other() -> None:
    files = {
        str(path.relative_to(CONF)) for path in CONF.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    named = set(re.findall(r"`((?:graph\.d/|views/)?[\w-]+\.(?:php|json|conf|toml|py))`", README))
    assert files - named == {"README.md"}
    assert not named - files


def test_the_configurations_in_the_readme_are_ones() -> None:
    tables = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tables
    whole = load_config(CONF / "sflow-gmetrics.toml")
    for table in tables:
        assert parse_config(table).views == whole.views


def test_the_rrdcached_in_the_readme_is_that_of_the_configuration() -> None:
    config = load_config(CONF / "sflow-gmetrics.toml")
    assert f"-l {config.rrd.rrdcached} -b {config.rrd.root} -B -R" in README


# --- the mended copy


def mended(*arguments: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, CONF / "mend_ganglia_web.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_another_ganglia_web_is_not_mended(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "dwoo" / "Dwoo").mkdir(parents=True)
    (source / "dwoo" / "Dwoo" / "Compiler.php").write_text("<?php\n")
    done = mended(source, target)
    assert done.returncode == 1
    assert done.stderr == (
        "mend_ganglia_web.py: dwoo/Dwoo/Compiler.php is not that of ganglia-web 3.7.5 (each() left PHP with 8.0)\n"
    )
    assert not target.exists()


def test_what_is_there_already_is_not_touched(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (target / "precious").touch()
    done = mended(source, target)
    assert done.returncode == 1
    assert "File exists" in done.stderr
    assert (target / "precious").exists()


def test_without_a_target_it_says_what_it_does() -> None:
    done = mended()
    assert done.returncode == 2
    assert "TARGET" in done.stderr
