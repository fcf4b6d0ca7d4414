"""The examination of a running instance: what is wrong, and what to do, in plain words.

Rules (`agents`, `collector`) judge a page and know nothing of how it came; `ask` fetches it.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from .agents import AGENTS
from .ask import Target, ask
from .collector import COLLECTOR
from .page import PROBLEM, Finding, Page, duration

__all__ = ["PROBLEM", "RULES", "Finding", "Page", "Target", "examine", "report", "report_json", "visit"]

RULES = (*AGENTS.all, *COLLECTOR.all)
_ALWAYS = ("sflow_collector_build_info", "sflow_collector_start_time_seconds", "sflow_collector_services")
FAMILIES = frozenset(_ALWAYS).union(*(rule.families for rule in RULES))
WIDTH = 100


def examine(page: Page) -> list[Finding]:
    """What every rule finds on a page, problems first."""
    found = [finding for rule in RULES for finding in rule.judge(page)]
    return sorted(found, key=lambda finding: finding.severity != PROBLEM)


def visit(target: Target) -> tuple[str, list[Finding]]:
    """A line about a running instance, and what is wrong with it."""
    answer = ask(target, FAMILIES)
    if isinstance(answer, Finding):
        return f"sflow_gmetrics at {target.url}", [answer]
    return f"{_summary(answer)}, at {target.url}", examine(answer)


def _summary(page: Page) -> str:
    version = next((labels["version"] for labels, _ in page.each("sflow_collector_build_info")), "")
    counts = (
        f"{page.sum('sflow_collector_agents'):,.0f} agents",
        f"{page.sum('sflow_collector_services'):,.0f} services",
        f"{page.sum('sflow_collector_datagrams_total'):,.0f} datagrams",
    )
    return f"sflow_gmetrics {version}, running for {duration(page.running)}: {', '.join(counts)}"


def report(about: str, found: Sequence[Finding]) -> str:
    """The findings for a person."""
    lines = [about, ""]
    for one in found:
        head = f"{one.severity} ({one.key}): "
        lines += textwrap.wrap(head + one.what, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
        lines += textwrap.wrap(f"to do: {one.do}", WIDTH, initial_indent="    ", subsequent_indent="    ")
        lines.append("")
    problems = sum(one.severity == PROBLEM for one in found)
    lines.append(f"{problems} problem{'s' * (problems != 1)} found." if problems else "All is well.")
    return "\n".join(lines)


def report_json(about: str, found: Sequence[Finding]) -> str:
    """The findings for a program."""
    well = all(one.severity != PROBLEM for one in found)
    return json.dumps({"about": about, "ok": well, "findings": [asdict(one) for one in found]}, indent=2)
