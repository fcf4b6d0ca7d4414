"""More services than there is room for: what they do is in their pool's `_other_`, and no total falls or is lost."""

from __future__ import annotations

import random

import pytest

from exporters import prometheus
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import Sample
from sflow_gmetrics.limits import series_of
from sflow_gmetrics.snapshot import PoolService, Snapshot
from tests.core.builders import Sender, host, service, services_of

CPU = ("sflow_pool_service_cpu_seconds_total", ())
LIMIT = "[sflow]\nforget_after = 30\n[services]\nservices_per_host = 3\n"


def sums(snapshot: Snapshot) -> dict[str, int]:
    """CPU time by service over all pools; a service that is of two kinds stands once."""
    found: dict[str, int] = {}
    for pool in snapshot.pools:
        for one in pool.services:
            found[one.name] = found.get(one.name, 0) + one.sums().get(CPU, 0)
    return found


def other(snapshot: Snapshot) -> PoolService:
    (found,) = [one for pool in snapshot.pools for one in pool.services if one.name == "_other_"]
    return found


def units(step: int, numbers: range, each: int = 10) -> list[Sample]:
    return [service(step, f"s{n}", n, cpuTime=1000 * n + each * step, memory=100 + n) for n in numbers]


def test_those_beyond_the_limit_of_a_host_are_one_service_of_the_pool() -> None:
    sender = Sender(Collector(parse_config(LIMIT)))
    for step in range(1, 6):
        sender.send(host(step), *units(step, range(1, 8)))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert set(services_of(snapshot)) == {"s1", "s2", "s3"}
    assert sums(snapshot) == {"s1": 40, "s2": 40, "s3": 40, "_other_": 4 * 40}
    (member,) = other(snapshot).members
    assert other(snapshot).kind == "other"
    page = prometheus.render(snapshot).decode()
    labels = '{pool="unspecified",service="_other_",kind="other"}'
    assert f"sflow_pool_service_memory_bytes{labels} {sum(100 + n for n in range(4, 8))}\n" in page
    assert f"sflow_pool_service_hosts{labels} 1\n" in page
    assert 'service="_other_"' not in "".join(line for line in page.splitlines() if "sflow_service_" in line)
    assert snapshot.stats.series_dropped["limit_host"] == 4 * series_of(member.row.form)
    assert [event for _, event in sender.collector.take_notes()].count("limit_host") == 1


def test_when_there_is_room_again_they_get_their_names_and_nothing_is_counted_twice() -> None:
    sender = Sender(Collector(parse_config(LIMIT)))
    for step in range(1, 5):
        sender.send(host(step), *units(step, range(1, 6)))
        sender.tick(5)
    before = sums(sender.snapshot())
    assert before == {"s1": 30, "s2": 30, "s3": 30, "_other_": 60}
    for step in range(5, 30):
        sender.send(host(step), *units(step, range(3, 6)))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert set(services_of(snapshot)) == {"s3", "s4", "s5"}
    after = sums(snapshot)
    assert (after["s1"], after["s2"], after["s3"]) == (30, 30, 280)
    assert after["_other_"] + after["s4"] + after["s5"] == 2 * 280
    assert after["_other_"] >= before["_other_"]
    assert other(snapshot).members == []
    assert sender.collector.limits.folded == sender.collector.agents["10.0.0.1"].folded == 0


def test_the_limit_over_all_hosts() -> None:
    size = 14  # series of one of these services
    collector = Collector(parse_config(f"[services]\nseries = {5 * size + size // 2}"))
    senders = [Sender(collector, f"10.0.0.{n}") for n in (1, 2, 3)]
    for step in range(1, 5):
        for number, sender in enumerate(senders):
            sender.send(host(step, f"h{number}"), *units(step, range(1, 4)))
            sender.tick(5)
    snapshot = senders[0].snapshot()
    assert {series_of(one.form) for one in collector.agents["10.0.0.1"].sources.values() if one.service} == {size}
    assert [len(one.services) for one in snapshot.hosts()] == [3, 2, 0]
    assert collector.limits.series == 5 * size
    assert snapshot.stats.series_dropped == {"excluded": 0, "limit_host": 0, "limit_total": 4 * size}
    assert sum(sums(snapshot).values()) == 9 * 30
    assert len(other(snapshot).members) == 2


def test_a_name_that_is_excluded_is_counted_once() -> None:
    sender = Sender(Collector(parse_config("[services]\nexclude = 's1'")))
    for step in range(1, 5):
        sender.send(host(step), *units(step, range(1, 3)))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert set(services_of(snapshot)) == {"s2"}
    assert snapshot.stats.series_dropped["excluded"] == series_of(services_of(snapshot)["s2"].row.form)


def test_a_service_that_calls_itself_other_is_one_of_the_others() -> None:
    sender = Sender(Collector(parse_config(LIMIT)))
    for step in range(1, 4):
        sender.send(host(step), *units(step, range(1, 6)), service(step, "_other_", 99, cpuTime=10 * step))
        sender.tick(5)
    assert sums(sender.snapshot())["_other_"] == 3 * 20
    assert len([line for line in prometheus.render(sender.snapshot()).splitlines() if b"_other_" in line]) < 20


def test_a_flood_of_new_names_stays_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that nobody has heard before, in every sample, from several agents; in memory and on the page."""
    monkeypatch.setattr("sflow_gmetrics.limits.OTHER_SOURCES", 20)
    monkeypatch.setattr("sflow_gmetrics.limits.FOLDED", 30)
    text = "[sflow]\nforget_after = 1\n[services]\nservices_per_host = 5\nseries = 400\n"
    text += "[[services.rewrite]]\nmatch = 'm(.*)-.*'\nreplace = 'm$1'\n"
    collector = Collector(parse_config(text))
    senders = [Sender(collector, f"10.0.0.{n}") for n in range(1, 5)]
    sizes = []
    name = 0
    for step in range(1, 60):
        for number, sender in enumerate(senders):
            flood = []
            for _ in range(40):
                name += 1
                flood.append(service(step, f"m{name}-x" if name % 2 else f"n{name}", name, cpuTime=step))
            sender.send(host(step, f"h{number}"), *flood)
            sender.tick(30)
        snapshot = senders[0].snapshot()
        assert all(len(agent.sources) <= 25 for agent in collector.agents.values())
        assert collector.limits.series <= 400
        assert collector.limits.folded <= 30
        sizes.append(len(prometheus.render(snapshot).splitlines()))
    assert len(collector.ledger.sums) <= 400 // 20 + 3
    assert max(sizes[20:]) <= max(sizes[:20]) * 1.2, "it does not grow"
    for sender in senders:
        sender.tick(1000)
    senders[0].send(host(99, "h0"), service(1, "late", 1))
    snapshot = senders[0].snapshot()
    assert set(services_of(snapshot)) == {"late"}, "the flood is over, there is room again"
    assert collector.limits.folded == 0
    assert sum(agent.named for agent in collector.agents.values()) == 1


@pytest.mark.parametrize("seed", range(4))
def test_back_and_forth_over_the_limit_nothing_is_lost_and_nothing_falls(seed: int) -> None:
    """Services come and go at random around the limit; all that they do is in some total of the pool."""
    chance = random.Random(seed)
    sender = Sender(Collector(parse_config(LIMIT)))
    done = dict.fromkeys(range(1, 9), 0)
    heard: dict[int, int] = {}
    last: dict[int, int] = {}
    true = 0
    before: dict[str, int] = {}
    alive = set(range(1, 5))
    for step in range(1, 200):
        if chance.random() < 0.2:
            alive ^= {chance.randint(1, 8)}
        samples = []
        for n in sorted(alive):
            done[n] += chance.randint(0, 50)
            if n in heard and step - heard[n] < 6:  # it is not forgotten: what it did since is counted
                true += done[n] - last[n]
            heard[n] = step
            samples.append(service(step, f"s{n}", n, cpuTime=done[n]))
            last[n] = done[n]
        sender.send(host(step), *samples)
        after = sums(sender.snapshot())
        assert all(after.get(key, 0) >= value for key, value in before.items())
        assert len(services_of(sender.snapshot())) <= 3
        before = after
        sender.tick(5)
    total = sum(before.values())
    assert total <= sum(done.values())
    assert total >= true
