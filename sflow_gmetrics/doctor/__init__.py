"""The examination of a running instance: what is wrong, and what to do, in plain words.

Rules (`agents`, `collector`) judge a page and know nothing of how it came; `ask` fetches it.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from .agents import AGENTS
from .ask import Target, ask
from .collector import COLLECTOR
from .page import PROBLEM, Finding, Page, duration

__all__ = ["PROBLEM", "RULES", "Finding", "Page", "Target", "examine", "report", "report_json", "visit"]

RULES = (*AGENTS.all, *COLLECTOR.all)
_ALWAYS = ("sflow_collector_build_info", "sflow_collector_start_time_seconds", "sflow_collector_services")
FAMILIES = frozenset(_ALWAYS).union(*(rule.families for rule in RULES))
WIDTH = 100
COUNTED = frozenset(
    {
        "loss",
        "twice",
        "address_shared",
        "decode_errors",
        "kernel_drops",
        "refused",
        "rrd_lost",
        "store_lost",
    }
)
"""Rules that judge what was counted, which may be past: a state keeps it over restarts."""
PAUSE = 40.0
"""Seconds until the second look at them: hsflowd sends each of its samples every 30, unless it is told otherwise."""


def examine(page: Page) -> list[Finding]:
    """What every rule finds on a page, problems first."""
    found = [finding for rule in RULES for finding in rule.judge(page)]
    return sorted(found, key=lambda finding: finding.severity != PROBLEM)


def visit(target: Target) -> tuple[str, list[Finding]]:
    """A line about a running instance, and what is wrong with it."""
    answer = ask(target, FAMILIES)
    if isinstance(answer, Finding):
        return f"sflow_gmetrics at {target.url}", [answer]
    found = examine(answer)
    if any(one.key in COUNTED and one.severity == PROBLEM for one in found):
        print(f"Something was lost: looking again in {PAUSE:.0f} s, whether that goes on.", file=sys.stderr, flush=True)
        time.sleep(PAUSE)
        again = ask(target, FAMILIES)
        if isinstance(again, Finding):
            return _summary(answer), [again, *(one for one in found if one.key not in COUNTED)]
        answer = replace(again, earlier=answer)
        found = examine(answer)
    return f"{_summary(answer)}, at {target.url}", found


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
