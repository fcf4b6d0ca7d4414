"""The dashboards as files: made from their declarations, sound for Grafana, and asking only for what there is."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from exporters.mixin.__main__ import DASHBOARDS, files, write
from exporters.mixin.grafana import SCHEMA_VERSION
from tests.mixin.promql import MIXIN, families, metric_names, panels_of, queries_of, rules

FILES = sorted((MIXIN / "dashboards").glob("*.json"))
BOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
UNITS = {
    *("short", "percentunit", "bytes", "Bps", "s", "pps", "ops", "iops", "reqps", "watt", "celsius", "dateTimeAsIso"),
}
"""Units of Grafana that are used; a misspelt one would show plain numbers."""

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def _files(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.suffix in (".json", ".yml")}


def test_the_files_are_those_that_the_declarations_make() -> None:
    made = dict(files())
    assert {path.relative_to(MIXIN).as_posix() for path in MIXIN.rglob("*") if path.suffix in (".json", ".yml")} == set(
        made
    )
    for name, text in made.items():
        assert (MIXIN / name).read_text("utf-8") == text, "run: make docs"


def test_the_readme_names_every_file() -> None:
    readme = (MIXIN / "README.md").read_text("utf-8")
    assert [name for name, _ in files() if f"]({name})" not in readme] == []


def test_everything_can_be_written_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "new")
    assert {path.relative_to(tmp_path / "new").as_posix() for path in tmp_path.rglob("*.*")} == {
        name for name, _ in files()
    }


@each_board
def test_a_dashboard_can_be_imported_anywhere(board: dict[str, Any]) -> None:
    assert board["schemaVersion"] == SCHEMA_VERSION
    assert board["id"] is None
    assert not {"__inputs", "__requires", "__elements"} & set(board)
    assert re.fullmatch(r"[a-z-]{1,40}", board["uid"])
    assert board["title"].startswith("sFlow / ")
    assert board["description"]
    assert "sflow" in board["tags"]
    assert board["templating"]["list"][0]["type"] == "datasource"


def test_uids_and_titles_are_distinct() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == len(DASHBOARDS) == 4
    assert len({board["title"] for board in BOARDS.values()}) == 4


@each_board
def test_every_data_source_is_the_one_that_the_reader_chose(board: dict[str, Any]) -> None:
    def sources(node: Any) -> list[Any]:
        if isinstance(node, list):
            return [one for item in node for one in sources(item)]
        if isinstance(node, dict):
            own = [node["datasource"]] if "datasource" in node else []
            return own + [one for item in node.values() for one in sources(item)]
        return []

    chosen = {"type": "prometheus", "uid": "${datasource}"}
    grafana = {"type": "grafana", "uid": "-- Grafana --"}
    found = sources(board)
    assert found.count(grafana) == 1
    assert all(one in (chosen, grafana) for one in found)
    assert all("datasource" in target for panel in panels_of(board) for target in panel.get("targets", []))


@each_board
def test_panels_have_ids_of_their_own_and_do_not_overlap(board: dict[str, Any]) -> None:
    panels = panels_of(board)
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for panel in panels:
        place = panel["gridPos"]
        assert place["w"] > 0
        assert place["h"] > 0
        assert 0 <= place["x"] <= 24 - place["w"]
    for group in [board["panels"], *(panel["panels"] for panel in board["panels"] if panel.get("panels"))]:
        for one, other in combinations([panel["gridPos"] for panel in group], 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or below, f"{one} overlaps {other}"


@each_board
def test_every_panel_says_what_it_shows_and_in_which_unit(board: dict[str, Any]) -> None:
    for panel in panels_of(board):
        assert panel["title"]
        if panel["type"] == "row":
            assert set(panel) == {"collapsed", "gridPos", "id", "panels", "title", "type"}
            continue
        assert len(panel["description"].split()) >= 3
        assert panel["description"].endswith(".")
        defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
        own = [one["value"] for rule in overrides for one in rule["properties"] if one["id"] == "unit"]
        assert {*own, *([defaults["unit"]] if panel["type"] != "table" else [])} <= UNITS
        assert len(panel["targets"]) == len({target["refId"] for target in panel["targets"]}) > 0
        if panel["type"] == "timeseries":
            assert all(target["legendFormat"] != "__auto" for target in panel["targets"])


@each_board
def test_what_is_drawn_downwards_is_in_the_legend(board: dict[str, Any]) -> None:
    for panel in panels_of(board):
        for rule in panel.get("fieldConfig", {}).get("overrides", ()):
            if rule["matcher"]["id"] == "byRegexp":
                pattern = rule["matcher"]["options"].strip("/")
                assert any(re.search(pattern, target["legendFormat"]) for target in panel["targets"])


@each_board
def test_a_table_names_sorts_and_links_columns_that_it_has(board: dict[str, Any]) -> None:
    for panel in panels_of(board):
        if panel["type"] == "table":
            titles = set(panel["transformations"][1]["options"]["renameByName"].values())
            config = panel["fieldConfig"]["overrides"]
            assert {rule["matcher"]["options"] for rule in config} <= titles
            assert {one["displayName"] for one in panel["options"]["sortBy"]} <= titles
            fields = set(re.findall(r"__data\.fields\.(\w+)", json.dumps(config)))
            assert fields <= titles


@each_board
def test_links_lead_to_dashboards_and_set_variables_that_they_have(board: dict[str, Any]) -> None:
    links = re.findall(r'"/d/([\w-]+)\?(.*?)"', json.dumps(board))
    for uid, query in links:
        names = {one["name"] for one in BOARDS[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query)) <= names
        assert query.endswith("${__url_time_range}")
    assert links or board["uid"] == "sflow-collector"
    assert [one["tags"] for one in board["links"]] == [["sflow"]]


@each_board
def test_the_variables_that_are_used_exist_and_those_that_exist_are_used(board: dict[str, Any]) -> None:
    variables = {one["name"]: one for one in board["templating"]["list"]}
    text = json.dumps([board["panels"], [one.get("definition", "") for one in variables.values()]])
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
    assert used == set(variables)
    built_in = set(re.findall(r"\$\{?(__\w+)", text))
    assert built_in <= {"__rate_interval", "__range", "__url_time_range", "__data", "__value", "__all"}


@each_board
def test_a_variable_is_compared_as_grafana_escapes_it(board: dict[str, Any]) -> None:
    several = {one["name"]: one.get("multi", False) for one in board["templating"]["list"]}
    for expression in queries_of(board):
        for operator, name in re.findall(r'(=~|!~|!=|=)"\$(\w+)"', expression):
            assert operator == ("=~" if several[name] else "="), f"{name} in {expression}"


@each_board
def test_every_name_in_a_query_exists(board: dict[str, Any]) -> None:
    known = families() | set(rules("record"))
    for expression in queries_of(board):
        assert metric_names(expression)
        assert metric_names(expression) <= known, expression
    for one in board["templating"]["list"][1:]:
        assert set(re.findall(r"label_values\((\w+)", one["definition"])) <= known


@each_board
def test_a_rate_goes_by_grafanas_interval(board: dict[str, Any]) -> None:
    for expression in queries_of(board):
        assert set(re.findall(r"\[(.*?)\]", expression)) <= {"$__rate_interval", "$__range"}
    for panel in panels_of(board):
        assert all(target["interval"] == "30s" for target in panel.get("targets", []))
