"""Totals: what is added, what is never added, and what is counted instead."""

from __future__ import annotations

from typing import Any

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.counters import POISON, step
from sflow_gmetrics.schema import counter
from sflow_gmetrics.xdr import U32, U64
from tests.core.builders import (
    NOT_KNOWN,
    NOT_KNOWN_64,
    SERVICE_STRUCTURES,
    Sender,
    delta,
    host,
    host_of,
    own_row,
    pool_cpu,
    pool_service,
    rate,
    service,
    service_row,
    services_of,
    total,
    value,
)

C32, C64 = counter("c32", U32), counter("c64", U64)


# --- the rules one by one


@pytest.mark.parametrize(
    ("one", "previous", "new", "allowed", "restarted", "expected"),
    [
        (C32, None, 7, 0, False, (7, None, "first")),
        (C32, 5, 5, 0, False, (5, 0, "")),
        (C32, 5, 105, 100, False, (105, 100, "")),
        (C32, 5, 106, 100, False, (106, None, "gap")),
        (C32, 2**32 - 10, 20, 30, False, (20, 30, "wrap")),
        (C32, 2**32 - 10, 20, 29, False, (20, None, "decrease")),
        (C32, 2**32 - 10, 20, 30, True, (20, 20, "restart")),
        (C32, 50, 20, 19, True, (20, None, "restart")),
        (C32, 50, 60, 100, True, (60, 10, "")),
        (C32, 50, NOT_KNOWN, 2**40, False, (50, None, "unavailable")),
        (C32, None, NOT_KNOWN, 2**40, False, (None, None, "unavailable")),
        (C64, 50, NOT_KNOWN_64, 2**70, False, (50, None, "unavailable")),
        (C64, 50, POISON, 2**70, False, (50, None, "invalid")),
        (C64, 50, NOT_KNOWN, 2**40, False, (NOT_KNOWN, NOT_KNOWN - 50, "")),
        (C64, 2**63 - 10, 5, 2**70, False, (5, None, "decrease")),
        (C64, 900, 5, 100, True, (5, 5, "restart")),
    ],
)
def test_a_step(
    one: object, previous: int | None, new: int, allowed: float, restarted: bool, expected: tuple[object, ...]
) -> None:
    assert isinstance(one, type(C32))
    assert step(one, previous, new, allowed, restarted) == expected


# --- through the collector


def _run(values: list[int], *, field: str = "cpuTime", cpus: int = 2, interval: float = 5.0) -> Sender:
    """A service whose counter has these values, one after the other."""
    sender = Sender(Collector())
    for number, raw in enumerate(values, 1):
        if number > 1:
            sender.tick(interval)
        fields: dict[str, Any] = {field: raw}
        sender.send(host(number, cpu_num=cpus), service(number, **fields))
    return sender


def test_the_total_begins_with_the_first_raw_value_and_the_pool_with_nothing() -> None:
    snapshot = _run([123_456]).snapshot()
    assert total(service_row(snapshot), "cpuTime") == 123_456
    assert pool_cpu(snapshot) == 0


def test_totals_go_past_32_bits() -> None:
    """A service that burns 2 CPUs for two months wraps its counter; the total does not notice."""
    day = 86_400.0
    sender = Sender(Collector())
    used = 0
    for number in range(1, 62):
        sender.send(host(number), service(number, cpuTime=used & 0xFFFF_FFFF))
        sender.tick(day)
        used += round(2 * day * 1000)
    used -= round(2 * day * 1000)
    sender.tick(-day)
    snapshot = sender.snapshot()
    assert used > 2 * 2**32
    assert total(service_row(snapshot), "cpuTime") == used
    assert pool_cpu(snapshot) == used
    assert snapshot.agents[0].resets["wrap"] == 2


@pytest.mark.parametrize(("cpus", "wrapped"), [(2, False), (64, True)])
def test_whether_cpu_time_has_wrapped_depends_on_the_hosts_cpus(cpus: int, wrapped: bool) -> None:
    """100 s of CPU time in 5 s: 64 CPUs can, 2 cannot."""
    sender = _run([2**32 - 50_000, 50_000], cpus=cpus)
    snapshot = sender.snapshot()
    assert total(service_row(snapshot), "cpuTime") == 2**32 + (50_000 if wrapped else -50_000)
    assert snapshot.agents[0].resets["wrap" if wrapped else "decrease"] == 1


def test_cpus_that_are_not_known_do_not_make_everything_possible() -> None:
    """All ones in cpu_num is "not known", not four billion CPUs."""
    sender = _run([3_000_000_000, 1000], cpus=NOT_KNOWN)
    snapshot = sender.snapshot()
    assert total(service_row(snapshot), "cpuTime") == 3_000_000_000
    assert snapshot.agents[0].resets["wrap"] == 0


def test_cpus_that_are_added_while_it_runs_are_believed() -> None:
    """A machine grows from 1 to 16 CPUs: what they do is work, not an impossible step for ever."""
    sender = Sender(Collector())
    idle = busy = 0
    for number in range(1, 21):
        cpus = 1 if number < 6 else 16
        sender.send(host(number, cpu_num=cpus, cpu_idle=idle), service(number, cpuTime=busy))
        sender.tick(5)
        idle += cpus * 4000
        busy += cpus * 900
    idle -= 16 * 4000
    busy -= 16 * 900
    snapshot = sender.snapshot()
    host_missed = idle - (total(own_row(snapshot), "cpu_idle") or 0)
    assert 0 <= host_missed <= 16 * 4000, "at most the interval in which they were added"
    service_missed = busy - (total(service_row(snapshot), "cpuTime") or 0)
    assert 0 <= service_missed <= 16 * 900


def test_cpus_that_are_taken_away_lower_the_bound() -> None:
    sender = Sender(Collector())
    for number in range(1, 6):
        sender.send(host(number, cpu_num=64 if number < 3 else 1), service(number, cpuTime=2**32 - 50_000))
        sender.tick(5)
    sender.send(host(6, cpu_num=1), service(6, cpuTime=50_000))
    snapshot = sender.snapshot()
    assert snapshot.agents[0].resets["wrap"] == 0
    assert pool_cpu(snapshot) == 0


def test_an_impossible_increase_adds_nothing_and_is_counted() -> None:
    snapshot = _run([1000, 2000, 3_000_000, 3_001_000]).snapshot()
    assert pool_cpu(snapshot) == 2000
    assert snapshot.agents[0].resets["gap"] == 1


def test_a_reset_adds_nothing_that_is_not_certain_and_is_counted() -> None:
    sender = _run([900_000, 901_000, 300, 500])
    snapshot = sender.snapshot()
    assert pool_cpu(snapshot) == 1000 + 200
    assert snapshot.agents[0].resets["decrease"] == 1
    assert rate(service_row(snapshot), "cpuTime") == 40


def test_after_a_reset_there_is_no_rate_for_that_interval() -> None:
    assert delta(service_row(_run([900_000, 901_000, 300]).snapshot()), "cpuTime") is None


def test_a_sample_sequence_that_began_again_makes_the_new_value_certain() -> None:
    """Rule 4: the source was created anew, so all that its counter shows was done since."""
    sender = Sender(Collector())
    for number, sequence, cpu in ((1, 10, 50_000), (2, 11, 51_000), (3, 1, 700), (4, 2, 1200)):
        sender.send(host(number), service(sequence, cpuTime=cpu))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert pool_cpu(snapshot) == 1000 + 700 + 500
    assert snapshot.agents[0].resets["restart"] == 1


WITH_PACKETS = ("virt_net_io", *SERVICE_STRUCTURES)


@pytest.mark.parametrize(
    ("gap", "before", "after", "added"),
    [
        (20, 2**32 - 5000, {"pkts_in": 1000, "bytes_in": 7_000_000}, 6000),
        (20, 2**32 - 5000, {"pkts_in": 1000, "bytes_in": 6_000_000}, 6000),
        (20, 2**32 - 5000, {"pkts_in": 1000, "bytes_in": 300}, None),
        (300, 1_000_000, {"pkts_in": 100, "bytes_in": 7_000_000_000_000}, 2**32 - 1_000_000 + 100),
        (300, 1_000_000, {"pkts_in": 100, "bytes_in": 6_000_000}, None),
        (300, 1_000_000, {"pkts_in": 100, "bytes_in": 300}, None),
    ],
)
def test_bytes_say_whether_packets_have_wrapped(
    gap: int, before: int, after: dict[str, Any], added: int | None
) -> None:
    """Bytes have 64 bits: if they fall, all was reset; after so long that all is possible, they must have grown."""
    sender = Sender(Collector())
    for number in range(1, 4):
        sender.send(service(number, structures=WITH_PACKETS, pkts_in=before, bytes_in=6_000_000))
        sender.tick(20)
    sender.tick(gap - 20)
    sender.send(service(4, structures=WITH_PACKETS, **after))
    row = service_row(sender.snapshot())
    assert (delta(row, "pkts_in"), total(row, "pkts_in")) == (added, before + (added or 0))


def test_what_is_certain_is_still_bounded() -> None:
    """40 000 ms since the restart are more than 2 CPUs can do in 5 s."""
    sender = Sender(Collector())
    for number, sequence, cpu in ((1, 10, 50_000), (2, 11, 51_000), (3, 1, 40_000), (4, 2, 40_500)):
        sender.send(host(number), service(sequence, cpuTime=cpu))
        sender.tick(5)
    assert pool_cpu(sender.snapshot()) == 1000 + 500


def test_a_counter_that_goes_on_through_a_restart_of_the_agent_adds_its_difference() -> None:
    sender = _run([50_000, 51_000])
    sender.restart()
    sender.send(host(1), service(1, cpuTime=51_300))
    sender.tick(5)
    sender.send(host(2), service(2, cpuTime=51_800))
    assert pool_cpu(sender.snapshot()) == 1800


def test_byte_counters_of_64_bits_never_wrap() -> None:
    """hsflowd sums over living processes: the sum falls when one ends."""
    snapshot = _run([10_000, 20_000, 4_000, 9_000], field="rd_bytes").snapshot()
    row = service_row(snapshot)
    assert total(row, "rd_bytes") == 10_000 + 10_000 + 5_000
    assert snapshot.agents[0].resets["decrease"] == 1


# --- not available


def test_all_ones_is_absent_and_never_0() -> None:
    snapshot = _run([NOT_KNOWN]).snapshot()
    row = service_row(snapshot)
    assert total(row, "cpuTime") is None
    assert delta(row, "cpuTime") is None
    assert pool_cpu(snapshot) == 0


def test_what_becomes_available_later_begins_then() -> None:
    """4294967295 was no value: nothing is added on the way from it."""
    snapshot = _run([NOT_KNOWN, NOT_KNOWN, 100, 150]).snapshot()
    row = service_row(snapshot)
    assert total(row, "cpuTime") == 150
    assert delta(row, "cpuTime") == 50
    assert pool_cpu(snapshot) == 50


@pytest.mark.parametrize("before", [100, 2_500_000_000, 4_000_000_000, 4_294_967_000])
def test_what_becomes_unavailable_adds_nothing(before: int) -> None:
    """All ones is near to a counter that has come far; it is no increase all the same."""
    sender = Sender(Collector())
    packets = [before, before + 10, before + 20, before + 30, NOT_KNOWN, NOT_KNOWN]
    for number, raw in enumerate(packets, 1):
        sender.send(host(number, pkts_in=raw))
        assert total(own_row(sender.snapshot()), "pkts_in") in (None, before, *packets[:4])
        sender.tick(30)
    assert delta(own_row(sender.snapshot()), "pkts_in") is None


def test_an_increase_over_a_time_without_values_is_added_but_makes_no_rate() -> None:
    """1000 a second, not known for 15 s: the total is right, and no rate of 4000 is shown."""
    sender = Sender(Collector())
    for number in range(1, 9):
        hidden = number in (4, 5, 6)
        sender.send(host(number, bytes_in=NOT_KNOWN_64 if hidden else 5000 * number))
        shown = rate(own_row(sender.snapshot()), "bytes_in")
        assert shown is None if hidden or number in (1, 7) else shown == 1000
        sender.tick(5)
    assert total(own_row(sender.snapshot()), "bytes_in") == 40_000


@pytest.mark.parametrize("unknown", [NOT_KNOWN, NOT_KNOWN_64 >> 1])
def test_all_ones_of_another_width_is_a_number(unknown: int) -> None:
    sender = Sender(Collector())
    sender.send(host(1, bytes_in=unknown))
    assert total(own_row(sender.snapshot()), "bytes_in") == unknown


# --- invalid


@pytest.mark.parametrize("poison", [POISON, 2**64 - 2, 18_446_744_073_694_598_761])
def test_a_64_bit_value_from_2_to_the_63_is_not_data(poison: int) -> None:
    snapshot = _run([10_000, 20_000, poison, 400, 900], field="rd_bytes").snapshot()
    row = service_row(snapshot)
    assert total(row, "rd_bytes") == 20_000 + 500
    assert snapshot.agents[0].resets["invalid"] == 1


def test_poison_as_the_first_value_is_not_shown() -> None:
    assert total(service_row(_run([2**64 - 5], field="rd_bytes").snapshot()), "rd_bytes") is None


def test_a_quick_restart_as_systemd_shows_it() -> None:
    """One sample without processes (CPU 0, memory 0, bytes below zero), then everything begins again."""
    sender = Sender(Collector())
    gone = 2**64 - 629_000_000
    rows = [
        (1000, 11, 7000, 7000),
        (1500, 11, 8000, 8000),
        (300, 0, gone, gone),
        (900, 12, 0, 0),
        (1400, 12, 4000, 4000),
    ]
    for number, (cpu, memory, read, written) in enumerate(rows, 1):
        sender.send(host(number), service(number, cpuTime=cpu, memory=memory << 20, rd_bytes=read, wr_bytes=written))
        row = service_row(sender.snapshot())
        assert value(row, "memory") in (11 << 20, 12 << 20, NOT_KNOWN_64), "a memory of 0 was never true"
        sender.tick(5)
    snapshot = sender.snapshot()
    row = service_row(snapshot)
    assert total(row, "rd_bytes") == 8000 + 4000
    true = 500 + 300 + 600 + 500
    assert true - 300 <= pool_cpu(snapshot) <= true, "it may miss what was done before the first new sample"


def test_poison_does_not_keep_a_service_alive() -> None:
    sender = Sender(Collector())
    for number in range(1, 11):
        stopped = number > 5
        sender.send(host(number), service(number, cpuTime=0 if stopped else 100, rd_bytes=2**64 - 9 if stopped else 9))
        sender.tick(5)
    assert services_of(sender.snapshot()) == {}


# --- neighbours


def test_a_new_source_in_a_datagram_changes_nothing_for_its_neighbours() -> None:
    sender = Sender(Collector())
    for number in range(1, 6):
        extra = [service(number, "new.service", 100_777, cpuTime=9999)] if number >= 4 else []
        sender.send(host(number), *extra, service(number, cpuTime=100 * number))
        if number > 1:
            assert rate(service_row(sender.snapshot()), "cpuTime") == 20
        sender.tick(5)


def test_a_lost_datagram_changes_no_rate() -> None:
    sender = Sender(Collector())
    for number in range(1, 30):
        payload = sender.payload(host(number), service(number, cpuTime=100 * number))
        if number not in range(5, 14):
            sender.collector.receive(payload, sender.now)
            if number > 1:
                assert rate(service_row(sender.snapshot()), "cpuTime") == 20
        sender.tick(5)
    (agent,) = sender.snapshot().agents
    assert (agent.lost, agent.samples_lost) == (9, 18)


def test_a_damaged_neighbour_changes_nothing() -> None:
    from sflow_gmetrics.datagram import encode_sample

    sender = Sender(Collector())
    for number in range(1, 6):
        damaged = bytearray(encode_sample(service(number, "bad.service", 100_002, cpuTime=1)))
        if number >= 3:
            damaged[24:28] = b"\0\0\0\7"  # one more record than there are
        sender.send(bytes(damaged), host(number), service(number, cpuTime=100 * number))
        sender.tick(5)
    assert rate(service_row(sender.snapshot()), "cpuTime") == 20
    assert sum(sender.snapshot().stats.decode_errors.values()) == 3


def test_a_sample_that_is_cut_off_leaves_those_before_it() -> None:
    sender = Sender(Collector())
    for number in range(1, 4):
        payload = sender.payload(host(number), service(number, cpuTime=100 * number), service(number, "b", 5))
        sender.collector.receive(payload[:-30], sender.now)
        sender.tick(5)
    assert rate(service_row(sender.snapshot()), "cpuTime") == 20
    assert sender.snapshot().stats.decode_errors["truncated"] == 3


def test_unknown_records_are_counted_each_time() -> None:
    from sflow_gmetrics.datagram import Record, Sample

    sender = Sender(Collector())
    for number in range(1, 6):
        known = service(number, cpuTime=100 * number)
        records = (Record(4321 << 12 | 7, 8, raw=b"whatever"), *known.records)
        sender.send(host(number), Sample("counters", 4, number, 3, 100_001, records=records))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert snapshot.stats.unknown_records == {"4321:7": 5}
    assert snapshot.stats.records["virt_cpu"] == 5
    assert total(service_row(snapshot), "cpuTime") == 500


def test_no_sample_of_a_pool_service_is_negative_or_lost_when_one_host_resets() -> None:
    collector = Collector()
    senders = [Sender(collector, f"10.0.0.{number}") for number in (1, 2, 3)]
    for step_number in range(1, 11):
        for number, sender in enumerate(senders):
            cpu = 1000 * step_number if number or step_number < 6 else 10 * step_number
            sender.send(host(step_number, f"h{number}"), service(step_number, cpuTime=cpu))
            sender.tick(5)
    snapshot = collector.snapshot(senders[0].now)
    assert pool_cpu(snapshot) == 2 * 9000 + 4000 + 40
    assert len(pool_service(snapshot).members) == 3
    assert host_of(snapshot, "h0").up
