"""Another configuration while it runs: hosts move, services get other names, and nothing on the page falls."""

from __future__ import annotations

import re

import pytest

from exporters import prometheus
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import Sample
from sflow_gmetrics.limits import series_of
from sflow_gmetrics.reconfigure import reconfigure
from tests.core.builders import Sender, host, service

STEP = 5.0
ORDER = 6
"""How many services each host has."""


class Fleet:
    """Three hosts with services u1 to u6 that use 100 ms of CPU and their host 1 s in each step."""

    def __init__(self, config: str = "") -> None:
        self.collector = Collector(parse_config(config))
        self.senders = [Sender(self.collector, f"10.0.{number}.1") for number in (1, 2, 3)]
        self.steps = 0
        self.highest: dict[str, float] = {}

    def run(self, steps: int = 4) -> None:
        for _ in range(steps):
            self.steps += 1
            for number, sender in enumerate(self.senders, 1):
                samples = [host(self.steps, f"web-{number}", cpu_user=1000 * self.steps)]
                sender.send(*samples, *self.units())
                sender.tick(STEP)
            self.look()

    def units(self) -> list[Sample]:
        return [service(self.steps, f"u{n}", n, cpuTime=7000 * n + 100 * self.steps) for n in range(1, ORDER + 1)]

    def reload(self, config: str) -> None:
        self.look()
        reconfigure(self.collector, parse_config(config))
        self.look()

    def page(self) -> dict[str, float]:
        """The samples of the page by their name and labels."""
        text = prometheus.render(self.senders[0].snapshot()).decode()
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def look(self) -> None:
        """No counter is less than it ever was."""
        for name, value in self.page().items():
            if re.match(r"[a-z_]+_total(\{|$)", name):
                assert value >= self.highest.get(name, 0.0), name
                self.highest[name] = value

    def names(self) -> set[str]:
        """The services that are shown of the first host."""
        return {one.name for one in next(iter(self.senders[0].snapshot().hosts())).services}

    def cpu(self, **labels: str) -> float | None:
        """The CPU seconds of a service on its host, or of the services of a pool."""
        kind = "sflow_service_cpu_seconds_total" if "host" in labels else "sflow_pool_service_cpu_seconds_total"
        found = [
            value
            for name, value in self.page().items()
            if name.startswith(kind + "{") and all(f'{key}="{one}"' in name for key, one in labels.items())
        ]
        return round(sum(found), 6) if found else None


def pool(name: str, hosts: str) -> str:
    return f"[[pools]]\nname = '{name}'\nhosts = '{hosts}'\n"


def rewrite(match: str, replace: str) -> str:
    return f"[[services.rewrite]]\nmatch = '{match}'\nreplace = '{replace}'\n"


def test_a_host_that_moves_leaves_what_it_has_done_to_its_old_pool() -> None:
    fleet = Fleet(pool("a", "web-.*"))
    fleet.run(5)
    assert fleet.cpu(pool="a", service="u1") == pytest.approx(3 * 4 * 0.1)
    fleet.reload(pool("b", "web-2") + pool("a", "web-.*"))
    assert fleet.cpu(pool="a", service="u1") == pytest.approx(3 * 4 * 0.1)
    fleet.run(4)
    assert fleet.cpu(pool="a", service="u1") == pytest.approx(3 * 4 * 0.1 + 2 * 4 * 0.1)
    assert fleet.cpu(pool="b", service="u1") == pytest.approx(4 * 0.1)
    fleet.reload(pool("a", "web-.*"))
    fleet.run(2)
    assert fleet.cpu(pool="a", service="u1") == pytest.approx(3 * 4 * 0.1 + 2 * 4 * 0.1 + 3 * 2 * 0.1)
    assert fleet.cpu(pool="b", service="u1") == pytest.approx(4 * 0.1), "its members' work stays with it"
    assert fleet.cpu(pool="a", host="web-2", service="u1") == pytest.approx(7 + 11 * 0.1)


def test_the_pool_of_all_other_hosts_is_another_one() -> None:
    fleet = Fleet("[gmond]\ncluster = 'rest'\n")
    fleet.run()
    fleet.reload("[gmond]\ncluster = 'others'\n")
    fleet.run()
    assert {one.name for one in fleet.senders[0].snapshot().pools if one.hosts} == {"others"}
    assert fleet.cpu(pool="rest", service="u1") == pytest.approx(3 * 3 * 0.1)
    assert fleet.cpu(pool="others", service="u1") == pytest.approx(3 * 4 * 0.1)


def test_a_service_gets_another_name_and_its_old_one_again() -> None:
    fleet = Fleet()
    fleet.run(5)
    fleet.reload(rewrite("u1", "first"))
    assert fleet.cpu(host="web-1", service="u1") is None
    assert fleet.cpu(service="u1") == pytest.approx(3 * 4 * 0.1), "what the pool has done under this name"
    fleet.run(4)
    assert fleet.cpu(service="first") == pytest.approx(3 * 4 * 0.1)
    assert fleet.cpu(host="web-1", service="first") == pytest.approx(4 * 0.1)
    fleet.reload("")
    fleet.run(3)
    assert fleet.cpu(service="u1") == pytest.approx(3 * (4 + 3) * 0.1)
    assert fleet.cpu(host="web-1", service="u1") == pytest.approx(7 + 12 * 0.1), "its own counter went on"
    fleet.reload(rewrite("u1", "first"))
    fleet.run(2)
    assert fleet.cpu(host="web-1", service="first") == pytest.approx((4 + 2) * 0.1)


def test_members_of_a_merged_service_come_and_go() -> None:
    """Its counter neither falls when one goes nor jumps when one comes: it is what the members do as such."""
    fleet = Fleet(rewrite("u[12]", "u"))
    fleet.run(5)
    begin = fleet.cpu(host="web-1", service="u") or 0.0
    assert begin == pytest.approx(7 + (5 + 4) * 0.1), "what the second one had done before it was heard is nobody's"
    fleet.reload(rewrite("u[123]", "u"))
    assert fleet.cpu(host="web-1", service="u") == begin
    fleet.run(4)
    assert fleet.cpu(host="web-1", service="u") == pytest.approx(begin + 3 * 4 * 0.1)
    fleet.reload(rewrite("u1", "u"))
    assert fleet.cpu(host="web-1", service="u") == pytest.approx(begin + 3 * 4 * 0.1)
    fleet.run(3)
    assert fleet.cpu(host="web-1", service="u") == pytest.approx(begin + 3 * 4 * 0.1 + 3 * 0.1)
    fleet.reload(rewrite("u[12]", "u"))
    fleet.run(1)
    assert fleet.cpu(host="web-1", service="u") == pytest.approx(begin + 3 * 4 * 0.1 + 3 * 0.1 + 2 * 0.1)
    assert fleet.cpu(pool="unspecified", service="u") == pytest.approx(3 * (2 * 4 + 3 * 4 + 3 + 2) * 0.1)


def test_a_merged_service_that_has_the_name_of_one_of_its_members() -> None:
    fleet = Fleet()
    fleet.run(5)
    own = 7 + 5 * 0.1
    fleet.reload(rewrite("u2", "u1"))
    assert fleet.cpu(host="web-1", service="u1") == pytest.approx(own)
    fleet.run(4)
    fleet.reload("")
    assert fleet.cpu(host="web-1", service="u1") == pytest.approx(own + 2 * 4 * 0.1)
    fleet.run(2)
    assert fleet.cpu(host="web-1", service="u1") == pytest.approx(own + 2 * 4 * 0.1 + 2 * 0.1)


def test_a_service_is_excluded_and_included_again() -> None:
    fleet = Fleet()
    fleet.run(5)
    size = series_of(next(one for one in fleet.collector.agents["10.0.1.1"].sources.values() if one.service).form)
    fleet.reload("[services]\nexclude = 'u[1-3]'\n")
    assert fleet.cpu(host="web-1", service="u1") is None
    assert fleet.collector.limits.series == 3 * (ORDER - 3) * size
    assert fleet.collector.limits.dropped["excluded"] == 3 * 3 * size
    fleet.run(4)
    assert fleet.cpu(service="u1") == pytest.approx(3 * 4 * 0.1)
    fleet.reload("")
    assert fleet.cpu(service="u1") == pytest.approx(3 * 4 * 0.1), "meanwhile it has done nothing for its pool"
    assert fleet.cpu(host="web-1", service="u1") == pytest.approx(7 + 9 * 0.1), "but it has worked"
    fleet.run(2)
    assert fleet.cpu(service="u1") == pytest.approx(3 * 6 * 0.1)
    assert fleet.collector.limits.series == 3 * ORDER * size
    fleet.reload("[services]\ninclude = 'u4'\n")
    assert fleet.names() == {"u4"}


def test_limits_are_lowered_and_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sflow_gmetrics.ledger.SERIES", 1)
    fleet = Fleet()
    fleet.run(5)
    size = fleet.collector.limits.series // (3 * ORDER)
    fleet.reload("[services]\nservices_per_host = 2\n")
    names = fleet.names()
    assert names == {"u1", "u2"}, "those that were there first keep their names"
    assert (fleet.collector.limits.series, fleet.collector.limits.folded) == (6 * size, 12)
    assert fleet.collector.limits.dropped["limit_host"] == 12 * size
    assert ("10.0.1.1", "limit_host") in fleet.collector.take_notes()
    fleet.run(4)
    assert fleet.cpu(service="_other_") == pytest.approx(12 * 4 * 0.1)
    assert fleet.cpu(service="u3") == pytest.approx(3 * 4 * 0.1)
    fleet.reload("")
    assert fleet.collector.limits.folded == 0
    fleet.run(2)
    assert fleet.cpu(service="_other_") == pytest.approx(12 * 4 * 0.1)
    assert fleet.cpu(service="u3") == pytest.approx(3 * 6 * 0.1)
    assert fleet.cpu(host="web-3", service="u6") == pytest.approx(42 + 11 * 0.1)
    fleet.reload(f"[services]\nseries = {7 * size + 1}\n")
    assert (fleet.collector.limits.series, fleet.collector.limits.folded) == (7 * size, 11)


def test_what_is_included_again_finds_no_room_and_takes_nobodys_name() -> None:
    fleet = Fleet("[services]\nexclude = 'u1'\n")
    fleet.run(3)
    fleet.reload(f"[services]\nservices_per_host = {ORDER - 1}\n")
    fleet.run(3)
    names = fleet.names()
    assert names == {f"u{n}" for n in range(2, ORDER + 1)}
    assert fleet.cpu(service="_other_") == pytest.approx(3 * 3 * 0.1)
    assert fleet.collector.limits.dropped["limit_host"] > 0


def test_agents_that_are_no_longer_allowed_are_gone_at_once() -> None:
    fleet = Fleet()
    fleet.run(4)
    fleet.reload("[sflow]\nallow = ['10.0.1.0/24', '10.0.3.0/24']\n")
    assert sorted(fleet.collector.agents) == ["10.0.1.1", "10.0.3.1"]
    assert fleet.cpu(service="u1") == pytest.approx(3 * 3 * 0.1)
    fleet.run(2)
    assert fleet.collector.dropped["not_allowed"] == 2
    assert fleet.cpu(service="u1") == pytest.approx(3 * 3 * 0.1 + 2 * 2 * 0.1)
    fleet.highest = {name: value for name, value in fleet.highest.items() if 'agent="10.0.2.1"' not in name}
    fleet.reload("")
    fleet.run(3)
    assert fleet.cpu(service="u1") == pytest.approx(3 * 3 * 0.1 + 2 * 2 * 0.1 + (2 * 3 + 2) * 0.1)


def test_what_is_silent_is_forgotten_after_the_new_time() -> None:
    fleet = Fleet()
    fleet.run(3)
    fleet.reload("[sflow]\nforget_after = 1\n")
    for sender in fleet.senders:
        sender.tick(100)
    fleet.look()
    assert not fleet.collector.agents


def test_the_same_again_changes_nothing() -> None:
    fleet = Fleet(rewrite("u[12]", "u") + pool("a", "web-1"))
    fleet.run(5)
    before = fleet.page()
    for _ in range(3):
        fleet.reload(rewrite("u[12]", "u") + pool("a", "web-1"))
    assert fleet.page() == before


def test_datagrams_that_come_between_two_agents() -> None:
    """While half of the agents are as they were, others send: each is of one configuration, and nothing is lost."""
    fleet = Fleet(rewrite("u[12]", "u"))
    fleet.run(4)
    sent = 0

    def pause() -> None:
        nonlocal sent
        sent += 1
        fleet.steps += 1
        for sender in fleet.senders:
            sender.send(*fleet.units())
            sender.tick(STEP)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sflow_gmetrics.reconfigure.AT_ONCE", 1)
        reconfigure(fleet.collector, parse_config(rewrite("u[23]", "v") + "[services]\nservices_per_host = 4\n"), pause)
    fleet.look()
    assert sent > 3
    fleet.run(3)
    done = sum(
        fleet.cpu(service=name) or 0.0 for name in ("u", "v", "_other_", *(f"u{n}" for n in range(1, ORDER + 1)))
    )
    assert done == pytest.approx(3 * ORDER * (fleet.steps - 1) * 0.1)
    assert fleet.collector.limits.folded == 3 * 2
