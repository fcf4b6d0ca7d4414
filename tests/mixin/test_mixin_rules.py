"""The rules of the mixin: promtool's opinion, its unit tests, and what each alert must say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sflow_gmetrics.config import SflowConfig
from sflow_gmetrics.inputs.udp import OVERHEAD
from tests.mixin.promql import MIXIN, ROOT, RULES, families, metric_names, rules

UNIT_TESTS = Path(__file__).parent / "rules.test.yml"
README = ROOT / "README.md"
ALERTS = rules("alert")
RECORDED = rules("record")


def _promtool(program: str, *arguments: str) -> None:
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_promtool_finds_nothing_to_mend_in_the_rules(path: Path, require_program: Callable[[str], str]) -> None:
    _promtool(require_program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(path))


def test_alerts_fire_and_do_not_fire(require_program: Callable[[str], str]) -> None:
    _promtool(require_program("promtool"), "test", "rules", str(UNIT_TESTS))


def _expected() -> dict[str, list[bool]]:
    """For each alert, what the unit tests expect of it: True where it fires, False where it does not."""
    expected: dict[str, list[bool]] = {name: [] for name in ALERTS}
    for test in yaml.safe_load(UNIT_TESTS.read_text("utf-8"))["tests"]:
        for query in test["promql_expr_test"]:
            wanted = re.search(r'alertname=~?"(.*?)"', query["expr"])
            fired = {
                found[1]
                for one in query.get("exp_samples", [])
                if (found := re.search('alertname="(.*?)"', one["labels"]))
            }
            for name in expected if wanted else ():
                if wanted is not None and re.fullmatch(wanted[1], name):
                    expected[name].append(name in fired)
    return expected


@pytest.mark.parametrize(
    ("name", "outcomes"), _expected().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_alert_is_seen_to_fire_and_not_to_fire(name: str, outcomes: list[bool]) -> None:
    assert set(outcomes) == {True, False}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert name.startswith("Sflow")
    assert rule["labels"]["severity"] in ("warning", "critical")
    summary, description = (rule["annotations"][key] for key in ("summary", "description"))
    assert summary.endswith(".")
    assert len(summary) < 130
    assert len(description.split()) > 20
    assert description.endswith(".")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_only_speaks_of_labels_that_it_has(name: str) -> None:
    seen = re.findall(rf'ALERTS\{{(alertname="{name}".*?)\}}', UNIT_TESTS.read_text("utf-8"), re.DOTALL)
    labels = set.union(*(set(re.findall(r"(\w+)=", one)) for one in seen))
    assert set(re.findall(r"\$labels\.(\w+)", str(ALERTS[name]["annotations"]))) <= labels


@pytest.mark.parametrize(
    ("name", "rule"), [*ALERTS.items(), *RECORDED.items()], ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_rule_reads_what_there_is(name: str, rule: dict[str, str]) -> None:
    names = metric_names(rule["expr"])
    assert names
    assert names <= families() | set(RECORDED), f"{name} reads what nobody gives"


def test_the_buffer_that_is_advised_is_what_the_program_then_asks_for() -> None:
    text = ALERTS["SflowKernelDrops"]["annotations"]["description"]
    buffer, most = (int(number) for number in re.findall(r"(?:receive_buffer = |rmem_max=)(\d+)", text))
    assert buffer == 2 * SflowConfig().receive_buffer
    assert most == OVERHEAD * buffer
    line = next(one for one in README.read_text("utf-8").splitlines() if one.startswith("sysctl"))
    default, other, of_other = map(int, re.findall(r"\d{4,}", line))
    assert (default, of_other) == (OVERHEAD * SflowConfig().receive_buffer, OVERHEAD * other)


@pytest.mark.parametrize("name", rules("record", MIXIN / "rules" / "recording.yml"))
def test_a_recorded_name_says_its_level_metric_and_operation(name: str) -> None:
    level, metric, operation = name.split(":")
    assert all((level, metric.startswith("sflow_"), operation))
    grouped = re.search(r"by \(([^)]*)\)", RECORDED[name]["expr"])
    if grouped is not None:
        assert "_".join(one for one in grouped[1].split(", ") if one != "kind") == level
