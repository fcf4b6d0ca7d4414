"""The doctor's second look: what was lost long ago is a remark, what goes on a problem."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sflow_gmetrics.doctor import examine
from tests.core.test_doctor import CONFLICTS, DROPPED, KERNEL, NOW, page

PAST = (f"{KERNEL} 300", DROPPED % "memory", CONFLICTS % (2, 9), CONFLICTS % (3, 9))
LOST = (
    'sflow_agent_datagrams_lost_total{agent="10.0.0.2"} 5000',
    'sflow_agent_datagrams_reordered_total{agent="10.0.0.2"} 9999',
    'sflow_collector_decode_errors_total{reason="truncated"} 200',
    'sflow_collector_rrd_updates_total{backend="rrdcached",outcome="dropped"} 1000',
    'sflow_collector_remote_write_samples_total{endpoint="vm",outcome="failed"} 500',
)
MORE = 'sflow_agent_datagrams_total{agent="10.0.0.2"} 50100'
LATER = [
    ((), [("kernel_drops", "remark"), ("refused", "remark"), ("address_shared", "remark")]),
    ((f"{KERNEL} 400",), [("kernel_drops", "problem"), ("refused", "remark"), ("address_shared", "remark")]),
    ((f"{KERNEL} 301", "sflow_collector_datagrams_total 900000"), [("kernel_drops", "remark")]),
    (('sflow_collector_dropped_total{reason="memory"} 6',), [("refused", "problem")]),
    ((CONFLICTS % (3, 10),), [("address_shared", "problem")]),
    ((MORE,), [(key, "remark") for key in ("loss", "twice", "decode_errors", "rrd_lost", "store_lost")]),
    ((LOST[0].replace("5000", "5001"), MORE), [("loss", "remark"), ("twice", "remark")]),
    ((LOST[0].replace("5000", "5003"), MORE), [("loss", "problem"), ("twice", "remark")]),
    ((LOST[1].replace("9999", "10025"), MORE), [("twice", "problem"), ("loss", "remark")]),
    ((LOST[2].replace("200", "201"),), [("decode_errors", "problem"), ("rrd_lost", "remark")]),
    ((LOST[3].replace("1000", "1003"),), [("rrd_lost", "problem"), ("store_lost", "remark")]),
    ((LOST[4].replace("500", "503"),), [("store_lost", "problem"), ("rrd_lost", "remark")]),
]


@pytest.mark.parametrize(("growth", "wanted"), LATER, ids=[" ".join(one[0]) or str(one[1][0][0]) for one in LATER])
def test_what_is_past_is_a_remark_and_what_goes_on_a_problem(
    growth: tuple[str, ...], wanted: list[tuple[str, str]]
) -> None:
    first = page(*PAST, *LOST)
    assert {one.severity for one in examine(first)} == {"problem"}
    again = replace(page(*PAST, *LOST, *growth), earlier=replace(first, now=NOW - 40))
    assert {(one.key, one.severity) for one in examine(again)} >= set(wanted)


YEARS = [
    ('sflow_agent_datagrams_lost_total{agent="10.0.0.2"} %d', 'sflow_agent_datagrams_total{agent="10.0.0.2"} %d'),
    ('sflow_agent_datagrams_reordered_total{agent="10.0.0.2"} %d', 'sflow_agent_datagrams_total{agent="10.0.0.2"} %d'),
    ('sflow_collector_decode_errors_total{reason="truncated"} %d', "sflow_collector_datagrams_total %d"),
    (
        'sflow_collector_rrd_updates_total{backend="rrdcached",outcome="dropped"} %d',
        'sflow_collector_rrd_updates_total{backend="rrdcached",outcome="ok"} %d',
    ),
    (
        'sflow_collector_remote_write_samples_total{endpoint="vm",outcome="dropped"} %d',
        'sflow_collector_remote_write_samples_total{endpoint="vm",outcome="sent"} %d',
    ),
]


@pytest.mark.parametrize(("lost", "came"), YEARS)
def test_what_begins_after_years_without_is_a_problem(lost: str, came: str) -> None:
    first = page(lost % 900, came % 1_000_000)
    assert [one.severity for one in examine(first)] == ["problem"], "worth a second look"
    later = page(lost % 904, came % 1_000_004)
    assert [one.severity for one in examine(replace(later, earlier=first))] == ["problem"]
    assert examine(replace(page(lost % 900, came % 1_000_004), earlier=first)) == []
    assert examine(page(lost % 1, came % 1e9)) == [], "not worth one"


def test_of_what_is_lost_by_chance_nothing_is_past_before_enough_has_come() -> None:
    """An agent that loses one datagram in eleven and sends two between the looks."""
    first = page(LOST[0])
    for came, severity in ((50_002, "problem"), (50_040, "remark")):
        later = page(LOST[0], f'sflow_agent_datagrams_total{{agent="10.0.0.2"}} {came}')
        assert [(one.key, one.severity) for one in examine(replace(later, earlier=first))] == [("loss", severity)]


def test_it_is_said_how_much_is_new() -> None:
    first = replace(page(*PAST), now=NOW - 40)
    past = {one.key: one.what for one in examine(replace(page(*PAST), earlier=first))}
    assert "dropped 300 datagrams (0.3 %), none of them in the last 40 seconds: the" in past["kernel_drops"]
    assert "passed over (memory), none of them in the last 40 seconds." in past["refused"]
    assert (
        "2 agent addresses had two machines, not in the last 40 seconds: 10.0.0.2, 10.0.0.3." in past["address_shared"]
    )
    more = page(*PAST, f"{KERNEL} 1500", CONFLICTS % (3, 10))
    still = {one.key: one.what for one in examine(replace(more, earlier=first))}
    assert ", 1,200 of them in the last 40 seconds" in still["kernel_drops"]
    assert "1 agent addresses are announced by two machines each: 10.0.0.3." in still["address_shared"]


def test_a_collector_that_has_begun_anew_between_two_looks_counts_from_nothing() -> None:
    again = replace(page(f"{KERNEL} 200"), earlier=page(f"{KERNEL} 300"))
    assert [(one.key, one.severity) for one in examine(again)] == [("kernel_drops", "problem")]
