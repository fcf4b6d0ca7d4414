"""Elapsed time comes from the agent's uptime where it can be trusted, else from the receive time."""

from __future__ import annotations

import random

import pytest

from sflow_gmetrics import Collector
from tests.core.builders import (
    Sender,
    host,
    own_row,
    pool_cpu,
    rate,
    service,
    service_row,
    services_of,
    total,
    value,
)

PER_SECOND = 20.0
"""ms of CPU time: the constant traffic of these tests."""


class Constant(Sender):
    """An agent whose service uses 20 ms of CPU a second, and whose host sends 1000 bytes a second."""

    number = 0

    def next(self, seconds: float = 5.0) -> bytes:
        """The datagram after so many seconds."""
        if self.number:
            self.tick(seconds)
        self.number += 1
        work = self.uptime_of_work
        return self.payload(
            host(self.number, bytes_in=round(1000 * work)),
            service(self.number, cpuTime=round(PER_SECOND * work)),
        )

    @property
    def uptime_of_work(self) -> float:
        """For how long there has been traffic."""
        return self.now - 1_700_000_000.0

    def shown(self, at: float | None = None) -> tuple[float | None, float | None]:
        """Both rates as they are shown now."""
        snapshot = self.collector.snapshot(self.now if at is None else at)
        return rate(own_row(snapshot), "bytes_in"), rate(service_row(snapshot), "cpuTime")


def _check(sender: Constant, at: float | None = None) -> None:
    bytes_in, cpu = sender.shown(at)
    assert bytes_in == pytest.approx(1000, rel=0.01)
    assert cpu == pytest.approx(PER_SECOND, rel=0.01)


def test_constant_traffic_shows_a_constant_rate_whenever_it_arrives() -> None:
    sender = Constant(Collector())
    lateness = random.Random(7)
    arrival = 0.0
    for _ in range(200):
        payload = sender.next()
        arrival = max(arrival, sender.now + lateness.choice((0, 0, 0.4, 3, 11, 25)))
        sender.collector.receive(payload, arrival)
        if sender.number > 1:
            _check(sender, arrival)


def test_several_datagrams_at_the_same_instant() -> None:
    sender = Constant(Collector())
    for _ in range(10):
        burst = [sender.next() for _ in range(4)]
        for payload in burst:
            sender.collector.receive(payload, sender.now)
            if sender.number > 4:
                _check(sender)


def test_uneven_intervals_of_the_agent() -> None:
    sender = Constant(Collector())
    for seconds in (5, 4.95, 5.05, 5, 0.5, 9.5, 1, 30, 5):
        sender.collector.receive(sender.next(seconds), sender.now)
        if sender.number > 1:
            _check(sender)


@pytest.mark.parametrize("uptime", [0.0, 77.0])
def test_uptime_that_stands_still_is_replaced_by_the_receive_time(uptime: float) -> None:
    sender = Constant(Collector(), uptime=uptime)
    for _ in range(60):
        payload = sender.next()
        sender.uptime = uptime
        payload = payload[:20] + round(uptime * 1000).to_bytes(4, "big") + payload[24:]
        sender.collector.receive(payload, sender.now)
        if sender.number > 1:
            _check(sender)
    assert sender.snapshot().agents[0].restarts == 0


@pytest.mark.parametrize("jump", [3600.0, 86_400.0, 1_000_000.0])
def test_uptime_that_jumps_is_not_believed(jump: float) -> None:
    """Neither for what came with the jump nor for a source that speaks only after it."""
    sender = Constant(Collector())
    slow = 0
    for number in range(1, 60):
        if number == 30:
            sender.uptime += jump
        if number % 2:
            slow += 1
            extra = [service(slow, "slow.service", 100_500, cpuTime=100 * slow)]
        else:
            extra = []
        payload = sender.next()
        sender.collector.receive(payload, sender.now)
        if extra:
            sender.send(*extra)
        if number > 3:
            _check(sender)
            row = service_row(sender.snapshot(), "slow.service")
            assert rate(row, "cpuTime") == pytest.approx(10, rel=0.01)
            assert row.interval == pytest.approx(10, rel=0.01)


def test_a_clock_of_the_agent_that_runs_wrong_is_not_believed_for_long() -> None:
    sender = Constant(Collector())
    for _ in range(200):
        payload = sender.next()
        sender.uptime -= 2.5
        sender.collector.receive(payload, sender.now)
    _check(sender)


def test_a_step_of_our_clock_changes_no_rate() -> None:
    sender = Constant(Collector())
    step = 0.0
    for number in range(1, 60):
        if number in (20, 40):
            step += 0.25 if number == 20 else -0.5
        sender.collector.receive(sender.next(), sender.now + step)
        if number > 1:
            _check(sender, sender.now + step)


def test_our_clock_that_goes_back_an_hour_loses_and_invents_nothing() -> None:
    sender = Constant(Collector())
    for number in range(1, 30):
        offset = 0.0 if number < 15 else -3600.0
        sender.collector.receive(sender.next(), sender.now + offset)
        if number > 1:
            _check(sender, sender.now + offset)
    assert pool_cpu(sender.collector.snapshot(sender.now - 3600)) == round(PER_SECOND * 28 * 5)


@pytest.mark.parametrize("leap", [90.0, 600.0, 3000.0])
def test_our_clock_that_leaps_forth_changes_no_rate_and_no_interval(leap: float) -> None:
    """Neither of what came with the leap nor of a source that speaks only after it."""
    sender = Constant(Collector())
    slow = 0
    for number in range(1, 60):
        offset = 0.0 if number < 30 else leap
        sender.collector.receive(sender.next(), sender.now + offset)
        if number % 2:
            slow += 1
            sender.collector.receive(
                sender.payload(service(slow, "slow.service", 100_500, cpuTime=100 * slow)), sender.now + offset
            )
        if number > 3:
            _check(sender, sender.now + offset)
        if number > 3 and number % 2:
            row = service_row(sender.collector.snapshot(sender.now + offset), "slow.service")
            assert rate(row, "cpuTime") == pytest.approx(10, rel=0.01)
            assert row.interval == pytest.approx(10, rel=0.01)


# --- duplicates, late and reordered datagrams


def _signature(sender: Sender) -> tuple[object, ...]:
    snapshot = sender.snapshot()
    own, one = own_row(snapshot), service_row(snapshot)
    return (own.totals, own.deltas, own.values, own.interval, one.totals, one.deltas, one.values, one.elapsed)


@pytest.mark.parametrize("delay", [0.0, 0.3, 4.9])
def test_every_datagram_twice(delay: float) -> None:
    once, twice = Constant(Collector()), Constant(Collector())
    for _ in range(40):
        once.collector.receive(once.next(), once.now)
        payload = twice.next()
        twice.collector.receive(payload, twice.now)
        twice.collector.receive(payload, twice.now + delay)
        if twice.number > 1:
            assert _signature(twice) == _signature(once)
    assert twice.snapshot().agents[0].reordered == 40


@pytest.mark.parametrize(("size", "after"), [(3, 0), (3, 5), (6, 20), (12, 60), (2, 100)])
def test_a_burst_twice_and_old_datagrams_minutes_later(size: int, after: int) -> None:
    """`after` more datagrams come first, 5 s apart."""
    plain, doubled = Constant(Collector()), Constant(Collector())
    sent = []
    for number in range(1, 160):
        plain.collector.receive(plain.next(), plain.now)
        sent.append(doubled.next())
        doubled.collector.receive(sent[-1], doubled.now)
        if number > size + after and number % 7 == 0:
            end = len(sent) - after
            for payload in sent[end - size : end]:
                doubled.collector.receive(payload, doubled.now + 0.01)
        if number > 1:
            assert _signature(doubled) == _signature(plain)
    assert pool_cpu(doubled.snapshot()) == pool_cpu(plain.snapshot())
    assert doubled.snapshot().agents[0].restarts == 0


@pytest.mark.parametrize("known", [2, 6])
@pytest.mark.parametrize(
    ("interval", "leap"), [(20, -3600), (20, 3600), (120, -90), (120, -110), (300, -280), (300, -240), (300, 280)]
)
def test_a_leap_of_our_clock_makes_no_rate(interval: int, leap: int, known: int) -> None:
    """Also one that is shorter than an interval, and for a source that is heard a while after the leap."""
    sender = Sender(Collector())
    for number in range(1, 12):
        for index, name in enumerate(("a.service", "b.service")):
            sender.send(service(number, name, 100_000 + index, cpuTime=100 * interval * number))
            if number > 1:
                assert rate(services_of(sender.snapshot())[name].row, "cpuTime") == pytest.approx(100)
            sender.tick(interval / 2)
            if number == known and not index:
                sender.now += leap


def test_datagrams_that_change_places() -> None:
    """The late one is left out; what the next one shows is right again, and no total is wrong at any time."""
    sender = Constant(Collector())
    for _ in range(30):
        payloads = [sender.next() for _ in range(3)]
        for place in (0, 2, 1):
            sender.collector.receive(payloads[place], sender.now)
        if sender.number > 3:
            _check(sender)
    (agent,) = sender.snapshot().agents
    assert (agent.reordered, agent.restarts, agent.lost) == (30, 0, 30)
    assert total(service_row(sender.snapshot()), "cpuTime") == round(PER_SECOND * 89 * 5)


# --- restart of the agent


@pytest.mark.parametrize("pause", [0.0, 1.0, 60.0])
@pytest.mark.parametrize("age", [3, 40])
def test_a_restarted_agent_is_recognised(pause: float, age: int) -> None:
    sender = Constant(Collector(), uptime=0.773)
    for _ in range(age):
        sender.collector.receive(sender.next(), sender.now)
    sender.restart(pause)
    sender.number = 0
    for number in range(1, 5):
        sender.collector.receive(sender.next(), sender.now)
        if number >= 3:
            _check(sender)
    (agent,) = sender.snapshot().agents
    assert (agent.restarts, agent.lost, agent.reordered) == (1, 0, 0)
    assert pool_cpu(sender.snapshot()) == round(PER_SECOND * sender.uptime_of_work), "nothing is lost"


def test_both_first_datagrams_after_a_restart_count() -> None:
    sender = Sender(Collector())
    for number in range(1, 50):
        sender.send(host(number), service(number, cpuTime=1000 * number))
        sender.tick(5)
    sender.restart(2)
    sender.send(host(1), service(1, cpuTime=100))
    sender.tick(5)
    sender.send(host(2), service(2, cpuTime=350))
    assert pool_cpu(sender.snapshot()) == 48_000 + 350
    assert sender.snapshot().agents[0].resets["restart"] == 1


def test_a_host_that_restarts_soon_after_we_have_started_stays_in_view() -> None:
    """Its interval is not known from one sample; it must not be taken for a quarter of what it is."""
    sender = Sender(Collector())
    sender.send(host(1), service(1))
    sender.restart(5)
    for number in range(1, 8):
        sender.send(host(number), service(number))
        for late in (1.0, 4.9, 9.0):
            snapshot = sender.collector.snapshot(sender.now + late)
            assert [one.up for one in snapshot.hosts()] == [True]
            assert len(services_of(snapshot)) == 1
        sender.tick(10)


def test_the_wrap_of_the_uptime_is_no_restart_and_changes_no_rate() -> None:
    sender = Constant(Collector(), uptime=2**32 / 1000 - 52)
    for number in range(1, 25):
        sender.collector.receive(sender.next(), sender.now)
        if number > 1:
            _check(sender)
    assert sender.snapshot().agents[0].restarts == 0
    (only,) = sender.snapshot().hosts()
    assert only.started == pytest.approx(1_700_000_000 - (2**32 / 1000 - 52), abs=1)


def test_start_times_stand_still_while_the_agents_seconds_jitter() -> None:
    sender = Sender(Collector())
    moments = set()
    for number in range(1, 30):
        sender.send(host(number, structures=("host_cpu", "host_descr"), uptime=round(5000 + 5 * number - 0.3)))
        row = own_row(sender.snapshot())
        (moment,) = row.moments.values()
        moments.add(moment)
        assert value(row, "uptime") > 5000
        sender.tick(5 + (0.3 if number % 2 else -0.3))
    assert len(moments) == 1
