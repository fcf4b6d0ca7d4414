"""A collector that is made from the state of another knows all that the other knew, and goes on by the same rules."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters import gmond, prometheus
from sflow_gmetrics import Collector
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.errors import StateError
from sflow_gmetrics.restore import finish, restore
from sflow_gmetrics.simulation import Churn, Fleet
from sflow_gmetrics.simulation.fleet import pools_toml
from sflow_gmetrics.state import agent_state, collector_state
from tests.core.builders import (
    NOT_KNOWN,
    START,
    Sender,
    host,
    host_of,
    pool_cpu,
    service,
    service_row,
    services_of,
    total,
)

POOLS = parse_config(pools_toml())
CHURN = Churn(restarts=60, failures=20, outage=60)


def state_of(collector: Collector) -> Any:
    """The state as it is after it has been written and read."""
    agents = [agent_state(agent) for agent in collector.agents.values()]
    return json.loads(json.dumps({"own": collector_state(collector), "agents": agents}))


def revived(collector: Collector, now: float, config: Config | None = None) -> Collector:
    """The collector of the next run of the program, which begins at `now`."""
    state = state_of(collector)
    other = restore(config or collector.config, state["own"], state["agents"], now)
    finish(other, now)
    return other


def page(collector: Collector, now: float) -> list[str]:
    snapshot = collector.snapshot(now)
    return (prometheus.render(snapshot) + gmond.render(snapshot)).decode().splitlines()


def next_run(sender: Sender, config: Config | None = None) -> None:
    """The sender's collector ends and begins anew."""
    sender.collector = revived(sender.collector, sender.now, config)


# --- all of it


@pytest.mark.parametrize("seed", range(4))
def test_pages_are_the_same_before_and_after_and_ever_after(seed: int) -> None:
    fleet = Fleet(6, 8, 20, seed=seed, start=START, churn=CHURN)
    datagrams = list(fleet.datagrams(START + 900))
    one = Collector(POOLS)
    for now, payload in datagrams[: len(datagrams) * 2 // 3]:
        one.receive(payload, now)
        one.sweep(now)
    now = datagrams[len(datagrams) * 2 // 3][0]
    state = state_of(one)
    other = restore(POOLS, state["own"], state["agents"], now)
    assert page(other, now) == page(one, now)
    for now, payload in datagrams[len(datagrams) * 2 // 3 :]:
        for collector in (one, other):
            collector.receive(payload, now)
            collector.sweep(now)
    assert page(other, now) == page(one, now)


def test_a_state_of_a_state_is_the_same() -> None:
    one = Collector(POOLS)
    for now, payload in Fleet(3, 4, 20, start=START, churn=CHURN).datagrams(START + 600):
        one.receive(payload, now)
    first = state_of(one)
    second = state_of(restore(POOLS, first["own"], first["agents"], now))
    for state in (first, second):  # epochs are numbers of one run
        for agent in state["agents"]:
            for stream in agent["streams"]:
                stream[5] = 0
            for source in agent["sources"]:
                source[3] = 0
    assert second == first


# --- what has gone, and what is over


def test_a_service_that_was_gone_stays_gone_and_one_that_is_over_goes_in_time() -> None:
    sender = Sender(Collector())
    for step in range(1, 4):
        sender.send(host(step), service(step), service(step, "old.service", 100_002))
        sender.tick(20)
    for step in range(4, 8):
        sender.send(host(step), service(step))
        sender.tick(20)
    assert set(services_of(sender.snapshot())) == {"nginx.service"}
    next_run(sender)
    assert set(services_of(sender.snapshot())) == {"nginx.service"}
    sender.now += 39  # 59 s since its last sample: the clock has gone on over the restart
    assert set(services_of(sender.snapshot())) == {"nginx.service"}
    sender.now += 2
    assert not services_of(sender.snapshot())


def test_who_was_silent_for_long_is_forgotten_and_its_pool_keeps_what_it_did() -> None:
    sender = Sender(Collector(parse_config("[sflow]\nforget_after = 100")))
    for step in range(1, 4):
        sender.send(host(step), service(step, cpuTime=step * 1000))
        sender.tick(20)
    sender.now += 200
    next_run(sender)
    assert not sender.collector.agents
    assert pool_cpu(sender.snapshot()) == 2000


def test_what_members_of_a_merged_service_have_left_is_there_and_takes_as_much_memory() -> None:
    sender = Sender(Collector(parse_config("[[services.rewrite]]\nmatch = 'app@.*'\nreplace = 'app'")))
    for step in range(1, 9):
        sender.send(host(step), service(step, f"app@{step}.service", cpuTime=1000 * step))
        sender.tick(20)
    shown, memory = total(service_row(sender.snapshot(), "app"), "cpuTime"), sender.collector.limits.memory
    assert sender.collector.agents["10.0.0.1"].departed["app"]
    next_run(sender)
    assert total(service_row(sender.snapshot(), "app"), "cpuTime") == shown
    assert sender.collector.limits.memory == sender.collector.agents["10.0.0.1"].memory == memory


def test_what_sub_agents_have_counted_that_are_forgotten_is_kept() -> None:
    sender = Sender(Collector(parse_config("[sflow]\nforget_after = 60")))
    for sub_agent in range(20):
        sender.sub_agent = sub_agent
        for _ in range(3):
            sender.sequence += 1  # one is lost
            sender.send(host(sender.sequence))
            sender.tick(20)
        sender.snapshot()
    (before,) = sender.snapshot().agents
    assert (before.datagrams, before.lost) == (60, 40)
    assert len(before.sub_agents) < 16
    next_run(sender)
    (agent,) = sender.snapshot().agents
    assert agent == before


# --- what happens while the collector is away


def sent(sender: Sender, **fields: Any) -> None:
    """Three intervals of a host and a service that has these counters in the end."""
    for step in range(1, 4):
        sender.send(host(step), service(step, **fields))
        sender.tick(20)


def test_a_service_that_works_on_has_all_that_it_did_meanwhile() -> None:
    sender = Sender(Collector())
    sent(sender, cpuTime=5000)
    sender.tick(300)
    next_run(sender)
    sender.send(host(19), service(19, cpuTime=25_000))
    row = service_row(sender.snapshot())
    assert total(row, "cpuTime") == 25_000
    assert row.elapsed == pytest.approx(320)
    assert pool_cpu(sender.snapshot()) == 20_000


def test_a_counter_that_passes_its_end_meanwhile_has_wrapped() -> None:
    sender = Sender(Collector())
    sent(sender, cpuTime=NOT_KNOWN - 1000)
    sender.tick(100)
    next_run(sender)
    sender.send(host(9), service(9, cpuTime=500))
    assert pool_cpu(sender.snapshot()) == 1501
    assert sender.collector.agents["10.0.0.1"].resets["wrap"] == 1


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("again", [100_000, 100_001])
def test_which_of_two_sub_agents_began_later_is_known_after_a_restart(again: int, away: bool) -> None:
    sender = Sender(Collector())
    sender.sub_agent = 100_000
    sender.send(host(1), service(1, cpuTime=0))
    sender.restart(20)
    sender.sub_agent = 100_001
    for number in range(1, 4):
        sender.tick(20)
        sender.send(host(number), service(number, cpuTime=5000 + 1000 * number))
    sender.restart(20)
    sender.sub_agent = again
    for number in (1, 2):
        sender.tick(20)
        sender.send(host(number))
    if away:
        next_run(sender)
    for number in (1, 2):
        sender.tick(20)
        sender.send(host(number + 2), service(number, cpuTime=700 * number))
    assert pool_cpu(sender.snapshot()) == 6000 + 2000 + 1400
    assert sender.collector.agents["10.0.0.1"].resets["gap"] == 0


@pytest.mark.parametrize("away", [False, True])
def test_a_machine_is_known_by_its_name_after_a_restart(away: bool) -> None:
    sender = Sender(Collector())
    for number, (sub_agent, name) in enumerate(((1, "web-1"), (2, "web-2"), (1, "web-2")), 1):
        sender.sub_agent = sub_agent
        sender.tick(20)
        sender.send(host(number, name))
    assert sender.collector.agents["10.0.0.1"].conflicts == 1, "the second is another machine, until the first is it"
    if away:
        next_run(sender)
    sender.sub_agent = 2
    sender.tick(20)
    sender.send(service(1))
    assert services_of(sender.snapshot())


def test_a_sub_agent_that_is_older_than_a_life_that_is_over_stays_older() -> None:
    sender = Sender(Collector())
    for sub_agent in (1, 2):
        sender.sub_agent = sub_agent
        sender.send(service(1, f"service-{sub_agent}", sub_agent))
    sender.restart(20)
    for number in (1, 2):
        sender.tick(20)
        sender.send(host(number))
    next_run(sender)
    agent = sender.collector.agents["10.0.0.1"]
    of_service = max(source.epoch for source in agent.sources.values() if source is not agent.host)
    assert agent.streams[1].epoch < of_service < agent.streams[2].epoch


def test_an_agent_that_restarts_meanwhile_is_seen_by_its_numbers() -> None:
    sender = Sender(Collector())
    sent(sender, cpuTime=500_000)
    sender.sequence = 1000
    sender.send(host(4), service(4, cpuTime=500_000))
    sender.restart(after=60)
    next_run(sender)
    for step in range(1, 4):
        sender.tick(20)
        sender.send(host(step), service(step, cpuTime=step * 100))
    agent = sender.collector.agents["10.0.0.1"]
    assert sum(stream.restarts for stream in agent.streams.values()) == 1
    assert pool_cpu(sender.snapshot()) == 300


def test_an_agent_that_restarts_meanwhile_is_seen_although_its_numbers_go_on() -> None:
    """It was young, and has overtaken its old numbers: a fall of its 32-bit counters is no wrap."""
    sender = Sender(Collector(), uptime=5)
    near = NOT_KNOWN - 10
    for step in range(1, 4):
        sender.send(host(step), service(step, rd_req=near))
        sender.tick(20)
    sender.now += 3600
    sender.sequence, sender.uptime = 50, 1000.0
    next_run(sender)
    sender.send(host(51), service(51, rd_req=7))
    agent = sender.collector.agents["10.0.0.1"]
    assert sum(stream.restarts for stream in agent.streams.values()) == 1
    assert agent.resets["wrap"] == 0
    row = service_row(sender.snapshot())
    assert total(row, "rd_req") == near + 7


def test_an_uptime_that_passes_its_end_meanwhile_is_no_restart() -> None:
    sender = Sender(Collector(), uptime=NOT_KNOWN / 1000 - 70)
    sent(sender, cpuTime=1000)
    sender.tick(60)
    next_run(sender)
    sender.send(host(7), service(7, cpuTime=3000))
    agent = sender.collector.agents["10.0.0.1"]
    assert sum(stream.restarts for stream in agent.streams.values()) == 0
    assert service_row(sender.snapshot()).elapsed == pytest.approx(80)


def test_a_double_of_a_datagram_of_before_changes_nothing() -> None:
    sender = Sender(Collector())
    sent(sender, cpuTime=1000)
    double = sender.send(host(4), service(4, cpuTime=2000))
    sender.tick(1)
    next_run(sender)
    before = page(sender.collector, sender.now)
    sender.collector.receive(double, sender.now)
    changed = [line for line in page(sender.collector, sender.now) if line not in before]
    assert changed
    counts = ("reordered", "sflow_collector_datagram", "sflow_agent_last_seen")  # it has been heard, and not taken
    assert all(any(one in line for one in counts) for line in changed), changed


def test_what_was_sent_meanwhile_counts_as_lost() -> None:
    sender = Sender(Collector())
    sent(sender)
    sender.sequence += 15
    next_run(sender)
    sender.send(host(19), service(19))
    (agent,) = sender.snapshot().agents
    assert (agent.lost, agent.samples_lost) == (15, 30)


def test_a_clock_that_was_ahead_keeps_nothing_alive() -> None:
    sender = Sender(Collector())
    sent(sender)
    sender.now -= 86_400
    next_run(sender)
    sender.now += 100
    assert not sender.collector.snapshot(sender.now).pools[0].hosts[0].up


# --- another configuration


def test_a_host_of_another_pool_leaves_its_work_in_the_old_one() -> None:
    sender = Sender(Collector())
    sent(sender, cpuTime=1000)
    sender.send(host(4), service(4, cpuTime=2500))
    next_run(sender, parse_config('[[pools]]\nname = "web"\nhosts = "web-.*"'))
    sender.tick(20)
    sender.send(host(5), service(5, cpuTime=2600))
    sums = {
        pool.name: one.sums()["sflow_pool_service_cpu_seconds_total", ()]
        for pool in sender.snapshot().pools
        for one in pool.services
    }
    assert sums == {"unspecified": 1500, "web": 100}


def test_a_service_of_another_name_and_one_that_is_left_out() -> None:
    sender = Sender(Collector())
    for step in range(1, 4):
        sender.send(host(step), service(step, cpuTime=step * 10), service(step, "b.service", 100_002, cpuTime=step * 7))
        sender.tick(20)
    config = '[services]\nexclude = ["b.*"]\n[[services.rewrite]]\nmatch = "nginx.service"\nreplace = "www"'
    next_run(sender, parse_config(config))
    assert set(services_of(sender.snapshot())) == {"www"}
    next_run(sender, Config())
    snapshot = sender.snapshot()
    assert set(services_of(snapshot)) == {"nginx.service", "b.service"}
    assert pool_cpu(snapshot) == 20


def test_more_services_than_have_room_now_are_folded() -> None:
    sender = Sender(Collector())
    names = [f"s{number}.service" for number in range(10)]
    for step in range(1, 4):
        samples = [service(step, name, 100_000 + at, cpuTime=step) for at, name in enumerate(names)]
        sender.send(host(step), *samples)
        sender.tick(20)
    next_run(sender, parse_config("[services]\nservices_per_host = 4"))
    assert len(services_of(sender.snapshot())) == 4
    next_run(sender)
    assert len(services_of(sender.snapshot())) == 4
    next_run(sender, Config())
    assert len(services_of(sender.snapshot())) == 10
    sums = [one.sums()["sflow_pool_service_cpu_seconds_total", ()] for one in sender.snapshot().pools[0].services]
    assert sum(sums) == 2 * 10


def test_an_agent_that_is_not_allowed_any_more_goes_and_its_pool_keeps_what_it_did() -> None:
    sender = Sender(Collector())
    sent(sender, cpuTime=10)
    sender.send(host(4), service(4, cpuTime=510))
    next_run(sender, parse_config('[sflow]\nallow = ["192.0.2.0/24"]'))
    assert not sender.collector.agents
    assert pool_cpu(sender.snapshot()) == 500
    sender.send(host(5), service(5))
    assert sender.collector.dropped["not_allowed"] == 1


def test_a_host_keeps_its_name_and_its_first_hour() -> None:
    sender = Sender(Collector())
    sent(sender)
    before = host_of(sender.snapshot())
    next_run(sender)
    after = host_of(sender.snapshot())
    assert (after.first_heard, after.started, after.born, after.texts) == (
        before.first_heard,
        before.started,
        before.born,
        before.texts,
    )
    assert not sender.collector.take_notes(), "nobody is heard for the first time"


# --- hostile states


def _example() -> Any:
    collector = Collector(POOLS)
    for now, payload in Fleet(2, 3, 20, start=START, churn=CHURN).datagrams(START + 400):
        collector.receive(payload, now)
    return state_of(collector)


EXAMPLE = _example()
DATAGRAMS = list(Fleet(2, 3, 20, start=START, churn=CHURN).datagrams(START + 500))
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 1 << 31, 1 << 32, 1 << 63, 1 << 64, 1 << 70, 10**400, 1e308, float("inf"), float("nan")]),
    st.text(max_size=5),
    st.sampled_from(["\ud800", "x" * 20_000, "AAAA", "____"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    pairs = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    for key, one in pairs:
        found += _places(one, (*path, key))
    return found


PLACES = [path for path in _places(EXAMPLE) if len(path) > 1]


@given(st.lists(st.tuples(st.sampled_from(PLACES), STRANGE), min_size=1, max_size=3), st.booleans())
@settings(max_examples=400)
def test_a_state_with_strange_things_in_it_is_refused_or_can_be_worked_with(
    changes: list[tuple[tuple[Any, ...], Any]], removed: bool
) -> None:
    state = copy.deepcopy(EXAMPLE)
    for path, strange in changes:
        target = state
        try:
            for key in path[:-1]:
                target = target[key]
            if removed:
                del target[path[-1]]
            else:
                target[path[-1]] = strange
        except (LookupError, TypeError):
            continue  # something above it has been changed already
    now = START + 400
    try:
        collector = restore(POOLS, state["own"], state["agents"], now)
    except StateError:
        return
    finish(collector, now)
    page(collector, now)
    for then, payload in DATAGRAMS:
        if then > now:
            collector.receive(payload, then)
    page(collector, START + 500)
    assert state_of(collector)


def test_increases_in_no_time_are_refused() -> None:
    state = copy.deepcopy(EXAMPLE)
    for agent in state["agents"]:
        for source in agent["sources"]:
            source[7] = 0  # the elapsed time
    with pytest.raises(StateError, match="in no time"):
        restore(POOLS, state["own"], state["agents"], START + 400)
