"""What a soak has shown, as a table with a yes or no in each line."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .process import grown_descriptors, levels, part, sparkline, swing
from .watch import Watched

FLAT = 0.02
"""How far memory may swing in the last half, as a share of it."""
LONG = 15.0
"""Minutes from which on memory is judged: before, caches fill, and hosts come that were never there before."""
SHOWN = 10
"""How many of what is wrong are shown in full."""
EXPLAINED = ("net.core.rmem_max",)
"""What stands in lines of the log that say no more than what the machine is like."""


@dataclass(frozen=True)
class Line:
    """A promise, what has become of it, and whether it was kept; None: not judged. `details` say what was not."""

    promise: str
    found: str
    kept: bool | None
    details: Sequence[str] = ()


def lines(watched: Watched) -> Iterator[Line]:
    """All promises of a soak."""
    totals, audits = watched.totals, watched.audits
    least, median = swing(watched.looks), swing(watched.looks, statistics.median)
    raw = [one.rss / 1024 for one in part(watched.looks, 0.5, 1)]
    yield Line(
        f"memory flat within {FLAT:.0%} over the last half",
        f"{least:.2%} between floors, {median:.2%} between medians; each look {min(raw):.1f} to {max(raw):.1f} MB",
        least <= FLAT if watched.plan.minutes >= LONG else None,
    )
    before, after = grown_descriptors(watched.looks)
    yield Line("no descriptor grows", f"{before} in the second quarter, {after} in the last", after <= before)
    yield Line("no total falls", f"{totals.looked:,} comparisons", not totals.fallen, totals.fallen)
    troubles = list(unexplained(watched.log))
    yield Line("every line of the log names its cause", f"{len(watched.log):,} lines", not troubles, troubles)
    missed = ", ".join(f"{one:.2%}" for one in audits.missed)
    found = f"{audits.compared:,} comparisons in {audits.made} audits; not known: {missed} (CPU, read, written)"
    yield Line("pools have what the fleet did, within the bound", found, not audits.wrong, audits.wrong)
    yield Line("all readers were served, nothing was lost", "", not watched.faults, watched.faults)


def unexplained(log: Sequence[str]) -> Iterator[str]:
    """Lines that no fleet gives a reason for, and what is no line of a log at all.

    The fleet comes and goes, which is logged as information. It sends nothing that is wrong, and
    all programs are there: there is no reason for a warning.
    """
    for line in log:
        try:
            said = json.loads(line)
        except ValueError:
            yield line
            continue
        usual = said["level"] == "info" and "error" not in said
        if not said.get("msg") or not (usual or any(word in said["msg"] for word in EXPLAINED)):
            yield line


def report(watched: Watched) -> str:
    """The table, and memory over time."""
    plan = watched.plan
    text = [
        f"{plan.minutes:g} minutes, {plan.hosts} hosts with {plan.services} services, sent every {plan.interval:g} s; "
        f"{plan.churn}",
        ", ".join(f"{what}: {count:,.0f}" for what, count in watched.counts.items()),
        f"descriptors at the end: {watched.descriptors}",
        "",
    ]
    for line in lines(watched):
        word = {True: "kept", False: "BROKEN", None: "-"}[line.kept]
        text.append(f"{word:8}{line.promise:52}{line.found}")
        text += [f"            {one}" for one in line.details[:SHOWN]]
        if len(line.details) > SHOWN:
            text.append(f"            and {len(line.details) - SHOWN:,} more")
    floors = levels(watched.looks, min, 60)
    text += ["", f"memory, floors of {min(floors) / 1024:.1f} to {max(floors) / 1024:.1f} MB:", sparkline(floors)]
    return "\n".join(text)
