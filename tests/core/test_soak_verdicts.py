"""What a soak calls wrong: each promise is seen to be broken when it is."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence

import pytest

from sflow_gmetrics.simulation import Ledger, Work
from tests.bench.soak.audit import Audits
from tests.bench.soak.plan import Plan
from tests.bench.soak.process import Look, grown_descriptors, levels, sparkline, swing
from tests.bench.soak.readings import Totals, read_page
from tests.bench.soak.verdict import lines, report, unexplained
from tests.bench.soak.watch import Watched

POOL = 'sflow_pool_service_cpu_seconds_total{pool="web",service="nginx.service",kind="systemd"}'


def page(value: float, series: str = POOL) -> str:
    name = series.partition("{")[0]
    return f"# HELP {name} Help.\n# TYPE {name} counter\n{series} {value}\n"


def looks(rss: Sequence[float], descriptors: Sequence[int] = ()) -> list[Look]:
    return [Look(at, one, descriptors[at] if descriptors else 9, 4) for at, one in enumerate(rss)]


# --- totals


def test_a_page_is_read_in_either_format() -> None:
    openmetrics = page(2.5).replace("TYPE sflow_pool_service_cpu_seconds_total", "TYPE sflow_pool_service_cpu_seconds")
    assert read_page(page(2.5)) == read_page(openmetrics + "# EOF\n")
    assert read_page(page(2.5)).sum("sflow_pool_service_cpu_seconds_total", pool="web") == 2.5
    assert read_page(page(2.5)).sum("sflow_pool_service_cpu_seconds_total", pool="db") == 0
    assert not read_page("# TYPE sflow_host_load1 gauge\nsflow_host_load1 3\n").totals


@pytest.mark.parametrize(
    ("series", "away", "falls"),
    [
        (POOL, 0, True),
        (POOL, 1000, True),
        ('sflow_host_cpu_seconds_total{host="a"}', 0, True),
        ('sflow_host_cpu_seconds_total{host="a"}', 20, True),
        ('sflow_host_cpu_seconds_total{host="a"}', 40, False),
        ('sflow_agent_datagrams_total{agent="a"}', 20, True),
        ('sflow_agent_datagrams_total{agent="a"}', 40, False),
    ],
)
def test_a_total_that_falls_is_noticed_unless_its_host_was_forgotten(series: str, away: float, falls: bool) -> None:
    totals = Totals(remembered=30)
    totals.look(read_page(page(5, series)), 0)
    if away:
        totals.look(read_page(""), away)
    totals.look(read_page(page(4, series)), away + 1)
    assert bool(totals.fallen) == falls


def test_totals_of_a_silent_agent_may_begin_anew_although_they_stand_on_the_page() -> None:
    totals = Totals(remembered=30)
    series = 'sflow_agent_datagrams_total{agent="a"}'
    for value, now in ((5, 0), (6, 10), (6, 35), (1, 36), (2, 45), (2, 80), (2, 120), (1, 121), (2, 130), (1, 131)):
        totals.look(read_page(page(value, series)), now)
    assert totals.fallen == [f"{series} fell from 2 to 1"]


def test_a_format_is_held_against_itself() -> None:
    totals = Totals(remembered=30)
    totals.look(read_page(page(5), "one"), 0)
    totals.look(read_page(page(4), "other"), 0)
    assert not totals.fallen
    totals.look(read_page(page(4), "one"), 1)
    assert totals.fallen


# --- the ledger


@pytest.mark.parametrize(("seconds", "kept"), [(0.999, False), (1, True), (1.5, True), (2, True), (2.001, False)])
def test_a_pool_has_no_less_than_is_certain_and_no_more_than_was_done(seconds: float, kept: bool) -> None:
    ledger, audits = Ledger(), Audits()
    account = ledger.account("web", "nginx.service")
    account.certain, account.done = Work(1000), Work(2000)
    audits.audit(read_page(page(seconds)), ledger)
    assert (not audits.wrong) == kept
    assert audits.compared == 2


def test_a_service_that_is_gone_is_part_of_the_sum_of_its_pool() -> None:
    ledger = Ledger()
    for name in ("nginx.service", "run-1.service"):
        account = ledger.account("web", name)
        account.certain = account.done = Work(1000)
    other = page(1, POOL.replace("nginx.service", "_other_"))
    whole, lost = Audits(), Audits()
    whole.audit(read_page(page(1) + other), ledger)
    assert not whole.wrong
    assert whole.missed == [0, 0, 0]
    lost.audit(read_page(page(1)), ledger)
    assert [one.partition(" has ")[0] for one in lost.wrong] == ["pool web"]
    assert lost.missed == [0.5, 0, 0]


# --- memory and descriptors


def test_memory_is_judged_by_the_floors_of_the_last_half() -> None:
    assert swing(looks([*range(1, 301), *[1000.0] * 301])) == 0
    documents = [1000.0 if at % 5 < (3 if at < 450 else 2) else 1050.0 for at in range(601)]
    assert swing(looks(documents)) == 0
    assert swing(looks(documents), statistics.median) == pytest.approx(0.05)
    assert swing(looks([one + at / 10 for at, one in enumerate(documents)])) == pytest.approx(0.028, abs=0.001)
    assert len(levels(looks([1.0] * 601), min)) == 30
    assert sparkline([1, 2, 3, 8]) == "▁▂▃█"


def test_a_descriptor_is_lost_when_there_is_no_moment_without_it() -> None:
    readers = [9 + at % 3 for at in range(400)]
    assert grown_descriptors(looks([1.0] * 400, readers)) == (9, 9)
    lost = [one + (at > 250) for at, one in enumerate(readers)]
    assert grown_descriptors(looks([1.0] * 400, lost)) == (9, 10)


# --- the log, and all together

USUAL = json.dumps({"time": "now", "level": "info", "msg": "agent 10.1.0.1: has restarted"})


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"time": "now", "level": "warning", "msg": "agent 10.1.0.1: a malformed sample"}),
        json.dumps({"time": "now", "level": "info", "msg": "it goes on", "error": "Traceback"}),
        json.dumps({"time": "now", "level": "info", "msg": ""}),
        "Exception ignored in: <function>",
    ],
)
def test_a_line_for_which_the_fleet_gives_no_reason_is_shown(line: str) -> None:
    assert list(unexplained([USUAL, line])) == [line]


def test_every_promise_has_a_line() -> None:
    watched = Watched(Plan(), Totals(30), looks=looks([1000.0] * 601), log=[USUAL])
    assert [line.kept for line in lines(watched)] == [True] * 6
    watched.looks = looks([1000 + at for at in range(601)], [9 + at // 100 for at in range(601)])
    watched.totals.fallen.append("a total")
    watched.audits.wrong += ["a pool"] * 30
    watched.faults.append("a reader")
    watched.log.append("Traceback")
    assert [line.kept for line in lines(watched)] == [False] * 6
    text = report(watched)
    assert all(word in text for word in ("a total", "a pool", "and 20 more", "a reader", "Traceback", "BROKEN"))
    short = Watched(Plan(minutes=1), Totals(30), looks=looks([1000.0] * 61))
    assert next(lines(short)).kept is None
