"""A snapshot is made with pauses, in which datagrams are taken: it must be true all the same."""

from __future__ import annotations

import pytest

from sflow_gmetrics import Collector, derive
from sflow_gmetrics.derive import derive_snapshot
from tests.core.builders import Sender, host, pool_cpu, service


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> list[Sender]:
    """Three agents with one service each, which has done 1000 ms of work on each; there is a pause after each agent."""
    monkeypatch.setattr(derive, "AT_ONCE", 0)
    collector = Collector()
    senders = [Sender(collector, f"10.0.0.{number}") for number in (1, 2, 3)]
    for step in (1, 2):
        for number, sender in enumerate(senders, 1):
            sender.send(host(step, f"web-{number}"), service(step, cpuTime=1000 * step))
            sender.tick(5)
    return senders


def test_a_pause_comes_between_the_agents(senders: list[Sender]) -> None:
    pauses: list[int] = []
    snapshot = derive_snapshot(senders[0].collector, senders[0].now, lambda: pauses.append(1))
    assert len(pauses) == 6, "once while the hosts are named, once while they are read"
    assert pool_cpu(snapshot) == pool_cpu(senders[0].snapshot()) == 3000


@pytest.mark.parametrize("changed", [0, 1, 2])
@pytest.mark.parametrize("when", range(1, 7))
def test_work_that_moves_to_the_ledger_in_a_pause_counts_once(senders: list[Sender], changed: int, when: int) -> None:
    """A unit gets another name while the snapshot is made; what it has done stays with the old name."""
    pauses: list[int] = []

    def pause() -> None:
        pauses.append(1)
        if len(pauses) == when:
            sender = senders[changed]
            sender.send(host(3, f"web-{changed + 1}"), service(3, "other.service", cpuTime=5000))

    snapshot = derive_snapshot(senders[0].collector, senders[0].now, pause)
    assert pool_cpu(snapshot) == 3000
    assert {one.name for one in snapshot.pools[0].services} == {"nginx.service", "other.service"}


def test_an_agent_that_is_heard_first_in_a_pause_comes_next_time(senders: list[Sender]) -> None:
    collector = senders[0].collector
    new = Sender(collector, "10.0.0.4", now=senders[0].now)

    def pause() -> None:
        new.send(host(1, "web-4"))

    snapshot = derive_snapshot(collector, new.now, pause)
    assert {one.name for one in snapshot.hosts()} == {"web-1", "web-2", "web-3"}
    assert {one.name for one in new.snapshot().hosts()} == {"web-1", "web-2", "web-3", "web-4"}
