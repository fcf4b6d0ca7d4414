"""Units of a host that a rule gives one name are one service: its total is what they do while they belong to it."""

from __future__ import annotations

from sflow_gmetrics import Collector
from sflow_gmetrics.agent import Agent
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.ledger import KEPT_MEMORY
from sflow_gmetrics.limits import STREAM_MEMORY, memory_of
from tests.core.builders import Sender, host, pool_cpu, rate, service, services_of, total

RULES = r"""
[sflow]
forget_after = 60
[[services.rewrite]]
match = '(.+)@.*\.service'
replace = '$1@.service'
[[services.rewrite]]
match = '(.+)-canary\.service'
replace = '$1.service'
"""
BEFORE = 36_000_000
"""What each unit has done before it is heard."""


class Units:
    """A host whose units use 100 ms of CPU in each interval of 5 s, by their data source."""

    def __init__(self) -> None:
        self.sender = Sender(Collector(parse_config(RULES)))
        self.rounds = 0

    def send(self, names: dict[int, str]) -> None:
        """An interval of these units."""
        self.rounds += 1
        self.sender.tick(5)
        cpu = BEFORE + 100 * self.rounds
        units = [service(self.rounds, name, index, cpuTime=cpu) for index, name in names.items()]
        self.sender.send(host(self.rounds), *units)

    def run(self, rounds: int, names: dict[int, str]) -> int:
        """So many intervals of these units; what the one service that is shown has done in the end."""
        for _ in range(rounds):
            self.send(names)
        (only,) = services_of(self.sender.snapshot()).values()
        done = total(only.row, "cpuTime")
        assert done is not None
        return done


def _memory(agent: Agent) -> int:
    """What its sub-agent, its sources and what is kept of those that have gone take."""
    kept = sum(map(len, agent.departed.values()))
    return STREAM_MEMORY + sum(map(memory_of, agent.sources.values())) + KEPT_MEMORY * kept


def test_the_first_unit_counts_as_it_says_and_the_past_of_those_that_are_heard_later_is_nobodys() -> None:
    units = Units()
    assert units.run(1, {1: "user@1.service"}) == BEFORE + 100
    assert units.run(1, {1: "user@1.service", 2: "user@2.service", 3: "user@3.service"}) == BEFORE + 200
    assert units.run(1, {1: "user@1.service", 2: "user@2.service", 3: "user@3.service"}) == BEFORE + 500
    assert units.run(30, {2: "user@2.service"}) == BEFORE + 3500
    assert len(units.sender.collector.agents["10.0.0.1"].sources) == 2
    assert units.run(1, {2: "user@2.service", 4: "user@4.service"}) == BEFORE + 3600
    assert units.run(1, {2: "user@2.service", 4: "user@4.service"}) == BEFORE + 3800


def test_a_data_source_that_becomes_another_unit_of_the_same_service_adds_nothing() -> None:
    units = Units()
    assert units.run(2, {1: "user@1.service"}) == BEFORE + 200
    assert units.run(1, {1: "user@2.service"}) == BEFORE + 200
    assert units.run(1, {1: "user@2.service"}) == BEFORE + 300


def test_the_unit_that_bears_the_name_of_the_service_comes_later_and_goes_first() -> None:
    units = Units()
    assert units.run(2, {1: "app-canary.service"}) == BEFORE + 200
    assert units.run(1, {1: "app-canary.service", 2: "app.service"}) == BEFORE + 300
    assert units.run(1, {1: "app-canary.service", 2: "app.service"}) == BEFORE + 500
    assert units.run(30, {1: "app-canary.service"}) == BEFORE + 3500
    assert len(units.sender.collector.agents["10.0.0.1"].sources) == 2


def test_the_unit_that_bears_the_name_of_the_service_was_there_first_and_returns() -> None:
    units = Units()
    assert units.run(2, {2: "app.service"}) == BEFORE + 200
    assert units.run(2, {2: "app.service", 1: "app-canary.service"}) == BEFORE + 500
    assert units.run(30, {1: "app-canary.service"}) == BEFORE + 3500
    assert units.run(1, {1: "app-canary.service", 2: "app.service"}) == BEFORE + 3600
    assert units.run(30, {2: "app.service"}) == BEFORE + 6600


def test_a_service_of_which_no_unit_is_left_keeps_nothing() -> None:
    units = Units()
    units.send({number: f"job{number}@1.service" for number in range(100)})
    units.send({0: "job0@2.service"})
    agent = units.sender.collector.agents["10.0.0.1"]
    assert agent.departed["job0@.service"]
    units.run(40, {100: "user@1.service"})
    assert agent.departed == {"user@.service": {}}
    assert agent.memory == units.sender.collector.limits.memory == _memory(agent)


def test_names_that_change_all_the_time_take_no_memory_that_is_not_counted() -> None:
    units = Units()
    units.send({})
    agent = units.sender.collector.agents["10.0.0.1"]
    for number in range(200):
        units.run(1, {1: f"job{number}@1.service"})
        assert len(agent.departed) < 20
        assert agent.memory == units.sender.collector.limits.memory == _memory(agent)
    assert any(agent.departed.values())


def test_units_under_one_name_are_one_service_whose_total_does_not_fall() -> None:
    text = "[sflow]\nforget_after = 60\n[[services.rewrite]]\nmatch = 'app@.*'\nreplace = 'app'"
    sender = Sender(Collector(parse_config(text)))
    seen = 0
    for step in range(1, 60):
        units = [service(step, "app@1.service", 1, cpuTime=100 * step)]
        if step < 10:
            units.append(service(step, "app@2.service", 2, cpuTime=50 * step))
        if step >= 20:
            units.append(service(step, "app@3.service" if step < 40 else "app@4.service", 3, cpuTime=10 * step))
        sender.send(host(step), *units)
        snapshot = sender.snapshot()
        now = total(services_of(snapshot)["app"].row, "cpuTime") or 0
        assert now >= seen
        seen = now
        assert pool_cpu(snapshot, "app") >= 100 * (step - 1)
        sender.tick(5)
    assert pool_cpu(sender.snapshot(), "app") == 58 * 100 + 8 * 50 + 19 * 10 + 19 * 10


def test_a_total_does_not_fall_when_the_unit_that_lent_its_name_is_the_only_one_left() -> None:
    """A rule gives one unit the very name of another, and the first one is forgotten."""
    text = "[sflow]\nforget_after = 60\n[[services.rewrite]]\nmatch = 'app@.*'\nreplace = 'app.service'"
    sender = Sender(Collector(parse_config(text)))
    seen = 0
    for step in range(1, 60):
        units = [service(step, "app.service", 1, cpuTime=100 * step)]
        if step < 10:
            units.append(service(step, "app@2.service", 2, cpuTime=50 * step))
        sender.send(host(step), *units)
        now = total(services_of(sender.snapshot())["app.service"].row, "cpuTime") or 0
        assert now >= seen
        seen = now
        sender.tick(5)
    assert seen == 59 * 100 + 8 * 50


def test_the_first_of_units_under_one_name_may_have_no_rate_yet() -> None:
    sender = Sender(Collector(parse_config("[[services.rewrite]]\nmatch = 'app@.*'\nreplace = 'app'")))
    for step in (1, 2, 3):
        sender.tick(20)
        first = service(step, "app@1.service" if step == 3 else "db.service", 1)
        sender.send(host(step), first, service(step, "app@2.service", 2, cpuTime=1000 * step))
    assert rate(services_of(sender.snapshot())["app"].row, "cpuTime") == 50.0
