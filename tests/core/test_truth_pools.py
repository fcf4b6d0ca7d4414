"""A pool's total is the sum of what its members have added, and it never falls."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.datagram import Sample
from tests.core.builders import (
    NOT_KNOWN,
    SERVICE_STRUCTURES,
    Sender,
    host,
    host_of,
    pool_cpu,
    pool_service,
    service,
    services_of,
    total,
)

CPU = ("sflow_pool_service_cpu_seconds_total", ())
READ = ("sflow_pool_service_disk_read_bytes_total", ())


def _config(text: str) -> Config:
    return parse_config(text)


def _whole(collector: Collector, now: float) -> dict[tuple[str, str, str], int]:
    """Every pool's every total."""
    found: dict[tuple[str, str, str], int] = {}
    for pool in collector.snapshot(now).pools:
        parts = [("", pool.sums()), *((f"{one.name} {one.kind}", one.sums()) for one in pool.services)]
        for part, sums in parts:
            for (family, labels), number in sums.items():
                found[pool.name, part, f"{family}{labels}"] = number
    return found


def test_the_pool_total_is_the_sum_of_the_increases_not_of_the_counters() -> None:
    collector = Collector()
    senders = [Sender(collector, f"10.0.0.{number}") for number in range(1, 6)]
    for step in range(4):
        for number, sender in enumerate(senders):
            sender.send(host(step + 1, f"h{number}"), service(step + 1, cpuTime=1_000_000 * number + 100 * step))
            sender.tick(5)
    snapshot = collector.snapshot(senders[0].now)
    assert pool_cpu(snapshot) == 5 * 300
    assert sum(total(one.services[0].row, "cpuTime") or 0 for one in snapshot.hosts()) == 10_000_000 + 5 * 300


def test_through_wrap_restart_vanishing_and_return() -> None:
    collector = Collector(_config("[sflow]\nforget_after = 100"))
    one, other = Sender(collector, "10.0.0.1"), Sender(collector, "10.0.0.2")
    true = 0
    cpu = 2**32 - 1000
    sequence = 0
    seen = 0
    for step in range(1, 200):
        one.tick(5)
        other.tick(5)
        if step == 60:
            other.restart(5)
            one.tick(5.5)
            sequence = 0
            true += 50
            cpu = 0
        away = 100 <= step < 140
        if not away:
            sequence += 1
            if step > 1 and step not in (60, 140):
                true += 50
            cpu = (cpu + 50) & 0xFFFF_FFFF
            other.send(host(sequence, "b"), service(sequence, cpuTime=cpu))
        one.send(host(step, "a"))
        shown = pool_cpu(collector.snapshot(one.now))
        assert shown == (true - 50 if step == 60 else true), "a restart is believed with its second datagram"
        assert shown >= seen
        seen = shown


def test_a_service_that_is_forgotten_leaves_its_work_behind() -> None:
    collector = Collector(_config("[sflow]\nforget_after = 60"))
    sender = Sender(collector)
    for step in range(1, 5):
        sender.send(host(step), service(step, cpuTime=100 * step))
        sender.tick(5)
    for step in range(5, 40):
        sender.send(host(step))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert snapshot.agents[0].sources == 1, "it is forgotten"
    assert pool_cpu(snapshot) == 300
    assert pool_service(snapshot).members == []
    sender.send(host(40), service(1, cpuTime=5000))
    sender.tick(5)
    sender.send(host(41), service(2, cpuTime=5070))
    assert pool_cpu(sender.snapshot()) == 370, "it returns and begins from where it is"


def test_a_whole_host_that_is_forgotten_leaves_its_work_behind() -> None:
    collector = Collector(_config("[sflow]\nforget_after = 60"))
    gone, stays = Sender(collector, "10.0.0.1"), Sender(collector, "10.0.0.2")
    for step in range(1, 100):
        if step < 10:
            gone.send(host(step, "gone", cpu_user=100 * step), service(step, cpuTime=100 * step))
        stays.send(host(step, "stays", cpu_user=10 * step), service(step, cpuTime=10 * step))
        for sender in (gone, stays):
            sender.tick(5)
    snapshot = stays.snapshot()
    assert [one.name for one in snapshot.hosts()] == ["stays"]
    assert len(snapshot.agents) == 1
    assert pool_cpu(snapshot) == 800 + 980
    (pool,) = snapshot.pools
    assert pool.sums()["sflow_pool_cpu_seconds_total", (("mode", "user"),)] == 800 + 980


def test_a_renamed_host_moves_to_another_pool_and_leaves_its_work_behind() -> None:
    text = '[[pools]]\nname = "web"\nhosts = "web.*"\n[[pools]]\nname = "db"\nhosts = "db.*"'
    sender = Sender(Collector(_config(text)))
    for step in range(1, 11):
        sender.send(host(step, "web-1" if step < 6 else "db-1", cpu_user=10 * step), service(step, cpuTime=100 * step))
        sender.tick(5)
    snapshot = sender.snapshot()
    web, db = pool_cpu(snapshot, pool="web"), pool_cpu(snapshot, pool="db")
    assert web + db == 900
    assert (web, db) == (400, 500)
    assert pool_service(snapshot, pool="web").members == []
    key = ("sflow_pool_cpu_seconds_total", (("mode", "user"),))
    assert sum(pool.sums().get(key, 0) for pool in snapshot.pools) == 90


def test_a_service_that_changes_its_kind_leaves_its_work_behind() -> None:
    """A container whose disk size becomes known is taken for a machine: the sum for containers stays."""
    sender = Sender(Collector())
    for step in range(1, 11):
        release = "6.1" if step < 6 else "6.2"
        sender.send(
            host(step),
            service(step, "guest", cpuTime=100 * step, capacity=0 if step < 6 else 1 << 30, os_release=release),
        )
        sender.tick(5)
    (pool,) = sender.snapshot().pools
    sums = {one.kind: one.sums()[CPU] for one in pool.services}
    assert sums == {"container": 400, "vm": 500}


def test_records_that_come_and_go_take_nothing_from_the_pool() -> None:
    """The agent cannot read the disk counters for a while."""
    sender = Sender(Collector())
    seen = 0
    for step in range(1, 16):
        structures = tuple(one for one in SERVICE_STRUCTURES if one != "virt_disk_io" or step % 5)
        fields: dict[str, Any] = {"rd_bytes": 1000 * step} if step % 5 else {}
        sender.send(host(step), service(step, structures=structures, cpuTime=100 * step, **fields))
        sums = pool_service(sender.snapshot()).sums()
        assert sums[CPU] == 100 * (step - 1)
        assert sums.get(READ, 0) >= seen
        seen = sums.get(READ, 0)
        sender.tick(5)
    assert 6000 <= seen <= 14_000


def test_a_service_without_a_value_for_a_while_takes_nothing_from_the_pool() -> None:
    sender = Sender(Collector())
    for step in range(1, 16):
        sender.send(host(step), service(step, cpuTime=NOT_KNOWN if 5 < step < 10 else 100 * step))
        assert pool_cpu(sender.snapshot()) == 100 * (min(step, 5) - 1 if step < 10 else step - 1)
        sender.tick(5)


def test_an_excluded_service_adds_to_no_pool() -> None:
    sender = Sender(Collector(_config('[services]\nexclude = "secret.*"')))
    for step in range(1, 6):
        sender.send(
            host(step, "a" if step < 4 else "b"),
            service(step, "secret.service", 9, cpuTime=100 * step),
            service(step, "open.service", 8, cpuTime=step),
        )
        sender.tick(5)
    snapshot = sender.snapshot()
    assert list(services_of(snapshot)) == ["open.service"]
    (pool,) = snapshot.pools
    assert [one.name for one in pool.services] == ["open.service"]
    assert not any("secret" in key[1] for key in sender.collector.ledger.sums)
    assert sum(key[0].startswith("sflow_pool_service") for key in pool.sums()) == 0


def test_host_structures_of_a_source_that_is_no_host_add_to_no_pool() -> None:
    sender = Sender(Collector())
    for step in range(1, 6):
        stray = host(step, structures=("host_cpu", "host_descr"), cpu_user=1000 * step)
        sender.send(host(step, cpu_user=step), Sample("counters", 4, step, 0, 5, records=stray.records[:1]))
        sender.tick(5)
    (pool,) = sender.snapshot().pools
    key = ("sflow_pool_cpu_seconds_total", (("mode", "user"),))
    assert pool.sums()[key] == 4
    sender.send(host(6, "moved", cpu_user=6))
    assert _whole(sender.collector, sender.now)["unspecified", "", f"{key[0]}{key[1]}"] == 5


@pytest.mark.parametrize("seed", range(6))
def test_no_pool_total_ever_falls_and_none_exceeds_the_truth(seed: int) -> None:
    """Hosts that restart, go silent, return, change names; services that stop, reset, wrap, send poison."""
    chance = random.Random(seed)
    text = "[sflow]\nforget_after = 40\n[[pools]]\nname = 'web'\nhosts = 'web.*'\n[services]\nexclude = 'x.*'"
    collector = Collector(_config(text))
    fleet = [_Host(collector, f"10.0.0.{number}", chance) for number in range(1, 5)]
    before: dict[tuple[str, str, str], int] = {}
    for _ in range(250):
        for one in fleet:
            one.round()
        now = fleet[0].sender.now
        after = _whole(collector, now)
        for key, number in before.items():
            assert after.get(key, 0) >= number, f"{key} fell from {number} to {after.get(key)}"
        before = after
    cpu = sum(number for (_, part, family), number in before.items() if part and CPU[0] in family)
    done = sum(one.work for one in fleet)
    assert cpu <= done
    assert cpu >= done * 0.5, "far less would be a collector that counts nothing"


class _Host:
    """A host with three services to which things happen."""

    def __init__(self, collector: Collector, address: str, chance: random.Random) -> None:
        self.sender = Sender(collector, address)
        self.chance = chance
        self.name = f"web-{address}"
        self.counters = {f"s{n}.service": chance.choice((0, 5000, 2**32 - 4000)) for n in range(3)}
        self.running = dict.fromkeys(self.counters, 0)
        self.sequences = dict.fromkeys(self.counters, 0)
        self.own = 0
        self.silent = 0
        self.work = 0

    def round(self) -> None:
        """Five seconds of its life."""
        chance, sender = self.chance, self.sender
        sender.tick(5)
        if chance.random() < 0.03:
            self.silent = chance.choice((1, 4, 30))
        if chance.random() < 0.02:
            self.name = chance.choice(("web-", "db-")) + sender.address
        restarted = chance.random() < 0.02
        if restarted:
            sender.sequence = 0
            sender.uptime = 0.4
            self.own = 0
            self.sequences = dict.fromkeys(self.counters, 0)
        samples = [self._service(number, name) for number, name in enumerate(self.counters)]
        self.own += 1
        payload = sender.payload(host(self.own, self.name, cpu_user=self.own), *(one for one in samples if one))
        if self.silent:
            self.silent -= 1
            return
        sender.collector.receive(payload, sender.now + chance.choice((0, 0, 1.5)))
        if chance.random() < 0.1:
            sender.collector.receive(payload, sender.now + 1.6)

    def _service(self, number: int, name: str) -> Sample | None:
        chance = self.chance
        fields: dict[str, Any] = {"rd_bytes": self.sender.sequence * 1000}
        happens = chance.random()
        if self.running[name]:
            self.running[name] -= 1
            self.sequences[name] = 0
            return None
        used = chance.randrange(200)
        self.work += used
        if happens < 0.02:
            self.counters[name] = used
        else:
            self.counters[name] = (self.counters[name] + used) & 0xFFFF_FFFF
        if 0.02 <= happens < 0.04:
            self.running[name] = chance.choice((2, 20))
            fields["rd_bytes"] = 2**64 - 77
        self.sequences[name] += 1
        return service(self.sequences[name], name, 100_000 + number, cpuTime=self.counters[name], **fields)


def test_hosts_with_the_same_name_count_apart() -> None:
    collector = Collector()
    first, second = Sender(collector, "10.0.0.1"), Sender(collector, "10.0.0.2")
    for step in range(1, 5):
        for sender in (first, second):
            sender.send(host(step, "same"), service(step, cpuTime=100 * step))
            sender.tick(5)
    snapshot = first.snapshot()
    assert [one.name for one in snapshot.hosts()] == ["same", "same-10.0.0.2"]
    assert pool_cpu(snapshot) == 600
    assert host_of(snapshot, "same").address == "10.0.0.1"
