"""What the tests of the mixin know of PromQL: which names an expression reads, and which of them exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from exporters.families import EXTRAS
from exporters.runtime_families import RUNTIME
from sflow_gmetrics.tables import family_rows

ROOT = Path(__file__).parents[2]
MIXIN = ROOT / "exporters" / "mixin"
RULES = tuple(sorted((MIXIN / "rules").glob("*.yml")))

_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
_OTHERS = {"up", "ALERTS"}
"""What Prometheus itself calls its own."""


def metric_names(expression: str) -> set[str]:
    """The metric names in an expression: what is left of it without strings, selectors, label lists and functions."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', expression)
    text = re.sub(r"\{[^{}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    return set(re.findall(r"(?<![\w:$.])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()", text)) - _WORDS


def rules(kind: str, *files: Path) -> dict[str, dict[str, Any]]:
    """The rules of a kind ("record" or "alert") by name, of these files or of all."""
    groups = [one for file in files or RULES for one in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


def families() -> set[str]:
    """The families that can be on our page, and those of Prometheus."""
    return {row[0] for row in family_rows((*EXTRAS, *RUNTIME))} | _OTHERS


def panels_of(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels of a dashboard, those of closed rows too."""
    return [one for panel in board["panels"] for one in (panel, *panel.get("panels", ()))]


def queries_of(board: dict[str, Any]) -> list[str]:
    """The expressions of all panels and annotations."""
    targets = [target["expr"] for panel in panels_of(board) for target in panel.get("targets", ())]
    return targets + [one["expr"] for one in board["annotations"]["list"] if "expr" in one]
