"""Who is shown and for how long, and what a flood can do."""

from __future__ import annotations

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.layout import Layouts
from sflow_gmetrics.limits import STREAM_MEMORY, STREAMS_PER_AGENT, memory_of
from tests.core.builders import (
    NOT_KNOWN_64,
    Sender,
    host,
    host_of,
    pool_service,
    rate,
    sample,
    service,
    service_row,
    services_of,
    total,
)


def _regular(interval: float, count: int = 10) -> Sender:
    sender = Sender(Collector())
    for number in range(1, count + 1):
        sender.tick(interval)
        sender.send(host(number), service(number, cpuTime=number))
    return sender


def test_an_agent_that_returns_just_when_it_would_be_forgotten_is_remembered() -> None:
    """Its first datagram waits for the second one, to be told from a late one; it is heard all the same."""
    collector = Collector(parse_config("[sflow]\nforget_after = 60"))
    sender = Sender(collector)
    for number in range(1, 20):
        sender.send(host(number), service(number, cpuTime=100 * number))
        sender.tick(5)
    sender.restart(after=60 + 2 * 5 - 2)
    sender.send(host(1, cpu_user=1), service(1, cpuTime=7))
    sender.tick(3)
    collector.sweep(sender.now)
    sender.send(host(2, cpu_user=2), service(2, cpuTime=9))
    assert collector.agents["10.0.0.1"].streams
    assert pool_service(sender.snapshot()).sums()["sflow_pool_service_cpu_seconds_total", ()] == 1800 + 2


@pytest.mark.parametrize("pauses", [(1.0, 1.0, 1.0), (0.2, 30.0, 0.1)])
def test_an_agent_that_falls_again_and_again_before_its_second_datagram_has_restarted(
    pauses: tuple[float, ...],
) -> None:
    """Its services run on; what they did meanwhile is theirs, and nothing is taken for a late datagram."""
    sender = Sender(Collector())
    for number in range(1, 21):
        sender.send(host(number), service(number, cpuTime=100 * number))
        sender.tick(5)
    for life, pause in enumerate(pauses, 1):
        sender.restart(after=pause)
        sender.uptime += life / 100
        sender.send(host(1), service(1, cpuTime=2000 + 10 * life))
    sender.tick(5)
    sender.send(host(2), service(2, cpuTime=2100))
    (stream,) = sender.collector.agents["10.0.0.1"].streams.values()
    assert (stream.datagrams, stream.reordered, stream.restarts) == (20 + len(pauses) + 1, 0, len(pauses))
    snapshot = sender.snapshot()
    assert total(service_row(snapshot), "cpuTime") == 2100
    assert pool_service(snapshot).sums()["sflow_pool_service_cpu_seconds_total", ()] == 2100 - 100
    assert not any(snapshot.stats.resets.values())


@pytest.mark.parametrize("interval", [1.0, 5.0, 20.0, 60.0])
def test_a_service_vanishes_after_three_of_its_own_intervals(interval: float) -> None:
    sender = _regular(interval)
    last = sender.now
    for number in range(11, 16):
        sender.tick(interval)
        sender.send(host(number))
        assert bool(services_of(sender.snapshot())) is (sender.now - last <= 3 * interval + 1e-3)
    assert pool_service(sender.snapshot()).members == []


def test_services_of_one_host_have_each_their_own_interval() -> None:
    sender = Sender(Collector())
    for number in range(1, 121):
        slow = [service(number // 12, "slow.service", 2)] if number % 12 == 0 else []
        sender.send(host(number), service(number, "quick.service", 1), *slow)
        sender.tick(5)
    for number in range(121, 141):
        sender.send(host(number))
        sender.tick(5)
    assert list(services_of(sender.snapshot())) == ["slow.service"], "silent for 105 s, of its 180"


def test_lost_datagrams_do_not_stretch_the_interval() -> None:
    sender = Sender(Collector())
    for number in range(1, 40):
        payload = sender.payload(host(number), service(number))
        if number % 3 == 0 or number < 3:
            sender.collector.receive(payload, sender.now)
        sender.tick(5)
    assert service_row(sender.snapshot()).interval == pytest.approx(5)


def test_a_service_goes_down_with_its_host() -> None:
    """The service has an interval of its own, of a minute; its host is silent for 20 s."""
    sender = Sender(Collector())
    for number in range(1, 61):
        extra = [service(number // 12, "slow.service", 2)] if number % 12 == 0 else []
        sender.send(host(number), *extra)
        sender.tick(5)
    assert list(services_of(sender.snapshot())) == ["slow.service"]
    sender.tick(20)
    snapshot = sender.snapshot()
    assert [one.up for one in snapshot.hosts()] == [False]
    assert services_of(snapshot) == {}
    assert pool_service(snapshot, "slow.service").members == []


def test_a_silent_host_is_down_then_forgotten_then_back() -> None:
    sender = Sender(Collector(parse_config("[sflow]\nforget_after = 600")))
    for number in range(1, 5):
        sender.send(host(number), service(number, cpuTime=100 * number))
        sender.tick(5)
    sender.tick(60)
    assert host_of(sender.snapshot()).row is None
    sender.tick(620)
    assert list(sender.snapshot().hosts()) == []
    assert len(sender.collector.agents) == len(sender.collector._streams) == 0
    for number in range(5, 8):
        sender.send(host(number), service(number, cpuTime=100 * number))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert [one.up for one in snapshot.hosts()] == [True]
    assert rate(service_row(snapshot), "cpuTime") == 20


def test_a_service_that_returns_after_a_while_continues_its_total() -> None:
    sender = _regular(5)
    for number in range(11, 20):
        sender.tick(5)
        sender.send(host(number))
    assert services_of(sender.snapshot()) == {}
    sender.tick(5)
    sender.send(host(20), service(1, cpuTime=3))
    row = service_row(sender.snapshot())
    assert total(row, "cpuTime") == 10 + 3


def test_a_host_of_which_only_services_are_heard_is_up() -> None:
    sender = Sender(Collector())
    sender.send(service(1, cpuTime=1))
    (only,) = sender.snapshot().hosts()
    assert (only.up, only.announced, only.name) == (True, False, "10.0.0.1")
    assert only.interval == 30


def test_values_that_are_not_known_do_not_end_a_service() -> None:
    sender = Sender(Collector())
    for number in range(1, 20):
        sender.send(host(number), service(number, memory=NOT_KNOWN_64, rd_bytes=NOT_KNOWN_64))
        sender.tick(5)
    assert list(services_of(sender.snapshot())) == ["nginx.service"]


# --- floods


def test_excluded_services_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sflow_gmetrics.limits.OTHER_SOURCES", 100)
    sender = Sender(Collector(parse_config("[services]\nexclude = 'x.*'\nservices_per_host = 10")))
    sender.send(host(1), service(1, "good", 999_999))
    for first in range(0, 300, 20):
        sender.send(*(service(1, f"x{i}", i) for i in range(first, first + 20)))
    snapshot = sender.snapshot()
    assert list(services_of(snapshot)) == ["good"]
    assert len(sender.collector.agents["10.0.0.1"].sources) <= 110
    assert snapshot.stats.dropped["sources_per_agent"] >= 190


def test_interfaces_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sflow_gmetrics.limits.OTHER_SOURCES", 100)
    sender = Sender(Collector())
    for first in range(0, 300, 20):
        sender.send(*(sample(1, 0, i, ("if_counters",), {"ifIndex": i}, 4) for i in range(first, first + 20)))
    sender.send(host(1), service(1, "good", 999_999))
    snapshot = sender.snapshot()
    assert list(services_of(snapshot)) == ["good"], "they take no room from services"
    assert len(sender.collector.agents["10.0.0.1"].sources) == 101
    assert snapshot.stats.dropped["sources_per_agent"] == 201
    sender.tick(200)
    sender.send(host(1))
    assert [one.announced for one in sender.snapshot().hosts()] == [True], "those that are silent make room"


def test_names_that_change_all_the_time_leave_room_for_new_ones() -> None:
    """Containers that live for a minute each: the limit is of those that live, not of all that ever were."""
    sender = Sender(Collector(parse_config("[services]\nservices_per_host = 20")))
    for number in range(1, 400):
        sender.send(
            host(number), *(service(number, f"c{number // 6}-{i}", 1000 + number // 6 * 9 + i) for i in range(5))
        )
        sender.tick(10)
    names = set(services_of(sender.snapshot()))
    assert {f"c66-{i}" for i in range(5)} <= names
    assert len(sender.collector.agents["10.0.0.1"].sources) <= 21


def test_a_flood_of_agents_stays_within_the_limit() -> None:
    collector = Collector(parse_config("[sflow]\nagents = 50"))
    for number in range(500):
        Sender(collector, f"10.1.{number // 250}.{number % 250}").send(host(1, f"h{number}"))
    snapshot = collector.snapshot(1_700_000_000)
    assert len(list(snapshot.hosts())) == len(collector.agents) == len(collector._streams) == 50
    assert snapshot.stats.dropped["agents"] == 450
    assert len(collector.take_notes()) <= 1000


def test_a_flood_of_sub_agents_stays_within_the_limit() -> None:
    sender = Sender(Collector())
    for number in range(100):
        sender.sub_agent = number
        sender.send(host(1))
    assert len(sender.collector.agents["10.0.0.1"].streams) == STREAMS_PER_AGENT
    assert sender.snapshot().stats.dropped["sub_agents"] == 100 - STREAMS_PER_AGENT


def test_an_agent_that_speaks_as_another_sub_agent_after_each_restart_is_heard_for_ever() -> None:
    collector = Collector(parse_config("[sflow]\nforget_after = 60"))
    first, other = Sender(collector), Sender(collector)
    sent = 0
    for life in range(STREAMS_PER_AGENT + 5):
        other.sub_agent = life
        other.uptime, other.sequence = 1.0, 0
        for number in range(20):
            first.tick(20)
            other.tick(20)
            first.send(host(20 * life + number + 1))
            sent += 1
            if number < 3:
                other.sequence += number == 2  # one is lost in each life
                other.send(service(number + 1, "tomcat", 77, cpuTime=1000 * (number + 1)))
                sent += 1
                assert "tomcat" in services_of(first.snapshot())
        (told,) = first.snapshot().agents
        assert (told.datagrams, told.lost, told.restarts) == (sent, life + 1, 0)
    agent = collector.agents["10.0.0.1"]
    assert list(agent.streams) == [first.sub_agent]
    assert len(agent.keys) == len(collector._streams) == 1
    assert collector.limits.memory == agent.memory == STREAM_MEMORY + sum(map(memory_of, agent.sources.values()))
    assert collector.dropped["sub_agents"] == 0


def test_a_sub_agent_that_seldom_speaks_is_not_forgotten_before_its_sources() -> None:
    collector = Collector(parse_config("[sflow]\nforget_after = 60"))
    often, seldom = Sender(collector), Sender(collector, uptime=500_000.0)
    seldom.sub_agent += 1
    for number in range(1, 61):
        often.tick(20)
        seldom.tick(20)
        often.send(host(number))
        if number % 4 == 1:
            seldom.send(service(number // 4 + 1, cpuTime=10**9 + 100 * number))
        often.snapshot()
    assert pool_service(often.snapshot()).sums()["sflow_pool_service_cpu_seconds_total", ()] == 5600
    assert collector.agents["10.0.0.1"].samples_restarted == 0


def test_a_flood_of_unknown_structures_stays_within_the_limit() -> None:
    from sflow_gmetrics.datagram import Record, Sample

    sender = Sender(Collector())
    for number in range(300):
        odd = Record((5000 + number) << 12 | 1, 4, raw=b"abcd")
        sender.send(host(1), Sample("counters", 4, number + 1, 3, 1, records=(odd,)))
    unknown = sender.snapshot().stats.unknown_records
    assert sum(unknown.values()) == 300
    assert len(unknown) <= 65
    assert unknown["other"] == 300 - 64


def test_odd_samples_do_not_take_the_room_for_new_kinds_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layouts, "FORMS", 8)
    sender = Sender(Collector())
    layouts, new = sender.collector.layouts, ("virt_cpu", "host_descr")
    sender.send(host(1), service(1))
    parts = ("app_operations", "app_resources", "app_workers")
    for number in range(1, 7):
        odd = [part for place, part in enumerate(parts) if number >> place & 1]
        sender.send(sample(number, 3, 7, odd, {}, 4))
    assert (len(layouts.forms), sender.collector.dropped["forms"]) == (8, 0)
    sender.tick(20)
    sender.send(host(2), service(2), service(1, "new", 8, structures=new))
    assert sender.collector.dropped["forms"] == 1
    before = layouts.record_counts()
    assert "new" not in services_of(sender.snapshot())
    assert len(layouts.forms) == len(layouts.shapes) == 3, "those of the host, the service and the last of the odd ones"
    assert layouts.record_counts() == before
    sender.tick(20)
    sender.send(host(3), service(3), service(2, "new", 8, structures=new))
    assert {"nginx.service", "new"} <= services_of(sender.snapshot()).keys()
    assert sender.collector.dropped["forms"] == 1
    assert layouts.record_counts()["virt_cpu"] == before["virt_cpu"] + 2


def test_an_agent_outside_the_allowed_networks_is_not_heard() -> None:
    collector = Collector(parse_config('[sflow]\nallow = ["10.0.0.0/24", "2001:db8::/32"]'))
    for address in ("10.0.0.7", "10.0.1.7", "2001:db8::1", "2001:db9::1"):
        Sender(collector, address).send(host(1, address.replace(":", "-")))
    snapshot = collector.snapshot(1_700_000_000)
    assert {one.address for one in snapshot.hosts()} == {"10.0.0.7", "2001:db8::1"}
    assert snapshot.stats.dropped["not_allowed"] == 2


def test_who_is_silent_since_the_clock_went_back_is_forgotten_too() -> None:
    """What was last known to be old may lie in what is now the future."""
    sender = Sender(Collector(parse_config("[sflow]\nforget_after = 100\n")))
    for number in range(1, 4):
        sender.send(host(number))
        sender.tick(5)
    sender.collector.sweep(sender.now + 101)
    sender.now -= 7200
    for number in range(4, 7):
        sender.send(host(number))
        sender.tick(5)
    sender.collector.sweep(sender.now)
    assert sender.collector.agents
    for _ in range(30):
        sender.tick(10)
        sender.collector.sweep(sender.now)
    assert not sender.collector.agents
