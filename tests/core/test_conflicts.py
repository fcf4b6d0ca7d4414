"""Two machines that announce one agent address: noticed, named, and no work invented while it lasts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporters import prometheus
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import COUNTERS_EXPANDED, Sample
from tests.core.builders import (
    NO_UUID,
    Sender,
    host,
    own_row,
    pool_cpu,
    rate,
    sample,
    service,
    service_row,
    services_of,
    total,
)

FIRST, SECOND = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
FALLBACK = "6571e19b-6571-519b-a571-e19b6571e19b"
"""That of every Host sFlow agent that has been given none."""
STEP = 10


def interface(sequence: int, octets: int) -> Sample:
    return sample(sequence, 0, 2, ("if_counters",), {"ifIndex": 2, "ifInOctets": octets}, COUNTERS_EXPANDED)


class Machine(Sender):
    """A host with a service whose counters are far from those of others: it does STEP in a round."""

    def __init__(self, collector: Collector, name: str, base: int, uptime: float, sequence: int) -> None:
        super().__init__(collector, uptime=uptime)
        self.name, self.base, self.sequence = name, base, sequence
        self.round = base // 1000

    def speak(self, pause: float = 0.2) -> None:
        """The datagrams of one round, each a moment after the other."""
        self.round += 1
        work = self.base + STEP * self.round
        self.send(host(self.round, self.name, cpu_user=work, bytes_in=work))
        self.tick(pause)
        self.send(service(self.round, cpuTime=work, rd_bytes=work))
        self.tick(-pause)


def two(collector: Collector, uptime: float = 50_000.0, sequence: int = 7000) -> tuple[Machine, Machine]:
    return Machine(collector, "web-1", 1000, 1000.0, 0), Machine(collector, "web-2", 5000, uptime, sequence)


def alternate(one: Machine, other: Machine, rounds: int, every: float = 20.0) -> Iterator[int]:
    """Both send in turns, at any phases."""
    for number in range(rounds):
        one.speak()
        one.tick(every / 2)
        other.tick(every / 2)
        other.speak()
        one.tick(every / 2)
        other.tick(every / 2)
        yield number


UPTIMES = pytest.mark.parametrize(
    ("uptime", "sequence"),
    [(50_000.0, 7000), (50_000.0, 20), (500.0, 7000), (1000.4, 0), (1003.0, 1), (40.0, 2), (1000.0, 3_000_000_000)],
)


@UPTIMES
def test_the_first_to_be_heard_has_the_address_and_nothing_is_invented(uptime: float, sequence: int) -> None:
    collector = Collector()
    one, other = two(collector, uptime, sequence)
    for _ in range(3):
        one.speak()
        one.tick(20)
        other.tick(20)
    for number in alternate(one, other, 30):
        snapshot = one.snapshot()
        assert [host.name for host in snapshot.hosts()] == ["web-1"]
        assert pool_cpu(snapshot) <= STEP * (number + 4)
    snapshot = one.snapshot()
    assert pool_cpu(snapshot) == STEP * 32
    assert total(own_row(snapshot), "cpu_user") == one.base + STEP * one.round
    assert [agent.restarts for agent in snapshot.agents] == [0]


def test_it_is_counted_and_the_log_names_both() -> None:
    collector = Collector()
    one, other = two(collector)
    collector.take_notes()
    for _ in alternate(one, other, 20):
        pass
    snapshot = one.snapshot()
    (agent,) = snapshot.agents
    assert agent.conflicts > 20
    line = f'sflow_agent_address_conflicts_total{{agent="10.0.0.1"}} {agent.conflicts}\n'
    assert line in prometheus.render(snapshot).decode()
    count, text = collector.take_notes()["10.0.0.1", "conflict"]
    assert count == agent.conflicts
    assert "'web-1' has it" in text
    assert "'web-2' sends is not taken" in text


def test_when_the_first_falls_silent_the_other_one_takes_over_and_its_past_is_not_counted() -> None:
    collector = Collector()
    one, other = two(collector)
    for _ in alternate(one, other, 10):
        pass
    before = pool_cpu(one.snapshot())
    for _ in range(12):
        other.tick(20)
        other.speak()
    snapshot = other.snapshot()
    assert [host.name for host in snapshot.hosts()] == ["web-2"]
    assert before < pool_cpu(snapshot) <= before + STEP * 12
    conflicts = snapshot.agents[0].conflicts
    one.tick(240)
    for _ in alternate(one, other, 10):
        pass
    snapshot = other.snapshot()
    assert [host.name for host in snapshot.hosts()] == ["web-2"], "who has taken over keeps it"
    assert snapshot.agents[0].conflicts > conflicts
    assert pool_cpu(snapshot) <= before + STEP * 22


def test_with_sub_agents_of_their_own_they_are_told_by_what_they_call_themselves() -> None:
    collector = Collector()
    one, other = two(collector)
    other.sub_agent = 7
    for _ in range(2):
        one.speak()
        one.tick(20)
        other.tick(20)
    for _ in alternate(one, other, 20):
        pass
    snapshot = one.snapshot()
    assert [host.name for host in snapshot.hosts()] == ["web-1"]
    assert pool_cpu(snapshot) == STEP * 21
    assert snapshot.agents[0].conflicts >= 39
    assert "'web-2'" in collector.take_notes()["10.0.0.1", "conflict"][1]
    for _ in range(6):
        other.tick(20)
        other.speak()
    snapshot = other.snapshot()
    assert [host.name for host in snapshot.hosts()] == ["web-2"]
    assert STEP * 21 <= pool_cpu(snapshot) <= STEP * 27


@pytest.mark.parametrize(
    ("names", "uuids"),
    [
        (("web-1", "web-2"), (FALLBACK, FALLBACK)),
        (("web-1", "web-2"), (NO_UUID, NO_UUID)),
        (("web-1", "web-2"), (FIRST, SECOND)),
        (("localhost", "localhost"), (FIRST, SECOND)),
    ],
)
def test_clones_with_sub_agents_of_their_own_mix_nothing(names: tuple[str, str], uuids: tuple[str, str]) -> None:
    """Agents that are given no UUID all have the same, and interfaces of two machines have one number."""
    collector = Collector()
    machines = Sender(collector), Sender(collector, uptime=500_000.0)
    machines[1].sub_agent += 1
    for number in range(1, 20):
        for machine, name, uuid, base in zip(machines, names, uuids, (10**9, 2 * 10**9), strict=True):
            if machine.sub_agent == 100_000 or number >= 5:
                work = base + 1000 * number
                first = number + (5000 if base > 10**9 else 0)
                machine.send(interface(first, work), service(first, cpuTime=work))
                machine.send(host(first, name, uuid=uuid, bytes_in=work))
            for one in machines:
                one.tick(10)
        snapshot = collector.snapshot(machines[0].now)
        (only,) = snapshot.hosts()
        assert only.name == names[0]
        rows = only.row, only.interfaces[0].row, only.services[0].row
        for row, what in zip(rows, ("bytes_in", "ifInOctets", "cpuTime"), strict=True):
            assert row is not None
            assert total(row, what) == 10**9 + 1000 * number
            assert number < 2 or rate(row, what) == pytest.approx(50)
    assert snapshot.agents[0].conflicts >= 15
    assert "two machines" in collector.take_notes()["10.0.0.1", "conflict"][1]


def test_who_is_not_taken_stays_so_although_nothing_of_it_has_been_taken_for_long() -> None:
    collector = Collector(parse_config("[sflow]\nforget_after = 60"))
    one, other = two(collector)
    other.sub_agent = 7
    one.speak()
    other.speak()
    for _ in range(30):
        one.tick(20)
        other.tick(20)
        one.speak()
        other.send(service(9, "theirs.service", 100_009))
        assert set(services_of(one.snapshot())) == {"nginx.service"}
    for _ in range(6):
        one.speak()
        one.tick(20)
        one.snapshot()
    assert list(collector.agents["10.0.0.1"].streams) == [one.sub_agent]


def test_an_agent_that_is_started_again_as_another_sub_agent_goes_on() -> None:
    sender = Sender(Collector())
    for number in range(1, 6):
        sender.send(host(number, bytes_in=1000 * number), service(number, cpuTime=100 * number, rd_bytes=7 * number))
        sender.tick(20)
    sender.restart()
    sender.sub_agent += 1
    for number in range(1, 6):
        sender.send(host(number, bytes_in=300 * number), service(number, cpuTime=500 + 100 * number, rd_bytes=number))
        sender.tick(20)
    snapshot = sender.snapshot()
    assert total(own_row(snapshot), "bytes_in") == 5000 + 1500
    row = service_row(snapshot)
    assert (total(row, "cpuTime"), total(row, "rd_bytes")) == (1000, 35 + 5)
    assert snapshot.agents[0].conflicts == 0


def test_what_another_sub_agent_has_done_before_it_takes_a_silent_source_over_adds_nothing() -> None:
    collector = Collector()
    one, other = Sender(collector), Sender(collector, uptime=500_000.0)
    other.sub_agent += 1
    for number in range(1, 40):
        for machine, base in ((one, 10**9), (other, 2 * 10**9)):
            if (number < 5) == (machine is one):
                machine.send(interface(number + 9000 * (machine is other), base + 1000 * number))
            machine.tick(20)
        if number < 5:
            one.send(host(number))
    one.send(host(40))
    (only,) = one.snapshot().hosts()
    found = total(only.interfaces[0].row, "ifInOctets")
    assert found is not None
    assert 10**9 + 4000 < found <= 10**9 + 39_000


@pytest.mark.parametrize("uuid", [FIRST, ""])
def test_a_machine_with_two_sub_agents_that_gets_another_name_is_a_conflict_once_at_most(uuid: str) -> None:
    sender = Sender(Collector())
    for number in range(1, 20):
        name = "web-1" if number < 10 else "www-1"
        for sub_agent in (1, 2):
            sender.sub_agent = sub_agent
            sender.send(host(2 * number + sub_agent, name, cpu_user=number, uuid=uuid or NO_UUID))
            sender.tick(10)
    assert [host.name for host in sender.snapshot().hosts()] == ["www-1"]
    assert sender.snapshot().agents[0].conflicts <= 1


def test_a_service_of_the_other_one_is_not_shown() -> None:
    collector = Collector()
    one, other = two(collector)
    for _ in alternate(one, other, 5):
        other.send(service(1, "theirs.service", 100_009))
    assert set(services_of(one.snapshot())) == {"nginx.service"}


@pytest.mark.parametrize("delay", [0.5, 20.0, 55.0])
def test_datagrams_that_come_twice_are_no_conflict(delay: float) -> None:
    sender = Sender(Collector())
    held: list[tuple[float, bytes]] = []
    for number in range(1, 200):
        held.append((sender.now + delay, sender.send(host(number, cpu_user=number))))
        sender.tick(2)
        while held and held[0][0] < sender.now:
            when, payload = held.pop(0)
            sender.collector.receive(payload, when)
    (agent,) = sender.snapshot().agents
    assert (agent.conflicts, agent.restarts, agent.lost) == (0, 0, 0)


def test_a_restart_and_a_long_loss_are_no_conflict() -> None:
    sender = Sender(Collector())
    for number in range(1, 60):
        if number % 20 == 0:
            sender.restart()
        elif number % 20 == 10:
            sender.tick(900)
            sender.sequence += 5000
        sender.send(host(number, cpu_user=10 * number))
        sender.tick(20)
    (agent,) = sender.snapshot().agents
    assert (agent.conflicts, agent.restarts, agent.lost) == (0, 2, 15_000)
    assert total(own_row(sender.snapshot()), "cpu_user") == 590
