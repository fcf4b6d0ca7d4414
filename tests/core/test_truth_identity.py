"""Who is who: an agent's address and the index of a data source, and nothing else."""

from __future__ import annotations

import inspect

from sflow_gmetrics import Collector
from sflow_gmetrics.datagram import COUNTERS, COUNTERS_EXPANDED
from tests.core.builders import (
    Sender,
    delta,
    host,
    own_row,
    pool_cpu,
    record,
    sample,
    service,
    service_row,
    services_of,
    total,
)


def test_the_udp_source_is_no_identity() -> None:
    """`receive` is not even told who sent the packet."""
    assert list(inspect.signature(Collector.receive).parameters) == ["self", "payload", "now"]


def test_agents_are_told_apart_by_the_address_that_they_announce() -> None:
    collector = Collector()
    one, other = Sender(collector, "10.0.0.1"), Sender(collector, "10.0.0.2")
    for step in (1, 2):
        one.send(host(step, "a"), service(step, cpuTime=100 * step))
        other.send(host(step, "b"), service(step, cpuTime=7 * step))
        one.tick(5)
        other.tick(5)
    hosts = {each.name: each for each in one.snapshot().hosts()}
    assert {name: total(each.services[0].row, "cpuTime") for name, each in hosts.items()} == {"a": 200, "b": 14}


def test_agents_with_ipv6_addresses_are_heard_and_told_apart() -> None:
    collector = Collector()
    senders = [Sender(collector, address) for address in ("2001:db8::1", "2001:db8::2", "10.0.0.1")]
    for step in (1, 2):
        for number, sender in enumerate(senders, 1):
            sender.send(host(step, f"h{number}"), service(step, cpuTime=number * step))
            sender.tick(5)
    shown = {each.address: total(each.services[0].row, "cpuTime") for each in senders[0].snapshot().hosts()}
    assert shown == {"2001:db8::1": 2, "2001:db8::2": 4, "10.0.0.1": 6}


def test_class_and_index_are_both_part_of_the_identity() -> None:
    sender = Sender(Collector())
    sender.send(host(1))
    for step in (1, 2):
        sender.send(
            service(step, "a.service", 7, cpuTime=10 * step),
            service(step, "b.service", 7, ds_class=4, cpuTime=20 * step),
            service(step, "c.service", 8, cpuTime=30 * step),
        )
        sender.tick(5)
    totals = {name: total(one.row, "cpuTime") for name, one in services_of(sender.snapshot()).items()}
    assert totals == {"a.service": 20, "b.service": 40, "c.service": 60}


def test_compact_and_expanded_samples_speak_of_the_same_source() -> None:
    sender = Sender(Collector())
    sender.send(host(1), service(1, cpuTime=100))
    for step, tag in ((2, COUNTERS), (3, COUNTERS_EXPANDED), (4, COUNTERS)):
        sender.tick(5)
        sender.send(host(step, tag=tag), service(step, cpuTime=100 * step, tag=tag))
    shown = services_of(sender.snapshot())
    assert list(shown) == ["nginx.service"]
    assert total(shown["nginx.service"].row, "cpuTime") == 400


def test_the_sub_agent_is_no_part_of_the_identity() -> None:
    sender = Sender(Collector())
    for step in range(1, 5):
        sender.sub_agent = 100_000 + step % 2
        sender.send(host(step), service(step, cpuTime=100 * step))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert total(service_row(snapshot), "cpuTime") == 400
    assert pool_cpu(snapshot) == 300
    (agent,) = snapshot.agents
    assert agent.restarts == 0
    assert agent.resets["restart"] == 0


def test_a_wrap_is_a_wrap_also_when_another_sub_agent_tells_of_it() -> None:
    """That another sub-agent speaks does not mean that anything began again."""
    sender = Sender(Collector())
    for step, sub_agent, cpu in ((1, 1, 2**32 - 900), (2, 2, 2**32 - 500), (3, 1, 100)):
        sender.sub_agent = sub_agent
        sender.send(host(step), service(step, cpuTime=cpu))
        sender.tick(5)
    snapshot = sender.snapshot()
    assert total(service_row(snapshot), "cpuTime") == 2**32 + 100
    assert snapshot.agents[0].resets["wrap"] == 1


def test_sub_agents_key_the_loss_of_datagrams() -> None:
    collector = Collector()
    first, second = Sender(collector), Sender(collector)
    first.sub_agent, second.sub_agent = 1, 2
    second.sequence = 5000
    for step in range(1, 5):
        first.send(host(step))
        second.send(service(step, cpuTime=step))
        for sender in (first, second):
            sender.tick(5)
    assert collector.snapshot(first.now).agents[0].lost == 0
    first.sequence += 3
    second.sequence += 4
    first.send(host(5))
    second.send(service(5, cpuTime=5))
    (agent,) = collector.snapshot(first.now).agents
    assert (agent.lost, agent.reordered, agent.restarts) == (7, 0, 0)
    assert agent.sub_agents == (1, 2)
    assert agent.datagrams == 10


def test_order_and_padding_of_records_mean_nothing() -> None:
    """hsflowd sends the host name last, others first; a sample is understood as a whole."""
    sender = Sender(Collector())
    names = ["virt_disk_io", "virt_memory", "virt_cpu", "host_descr"]
    for step in range(1, 6):
        names = names[1:] + names[:1]
        sender.send(host(step), service(step, structures=names, cpuTime=100 * step, rd_bytes=1000 * step))
        sender.tick(5)
    row = service_row(sender.snapshot())
    assert (total(row, "cpuTime"), total(row, "rd_bytes")) == (500, 5000)
    assert (delta(row, "cpuTime"), delta(row, "rd_bytes")) == (100, 1000)


def test_an_older_agent_sends_fewer_fields_and_a_newer_one_more() -> None:
    """host_cpu of 68 bytes: steal and guest are absent, not 0; then an upgrade of the agent adds them."""
    sender = Sender(Collector())
    for step in range(1, 6):
        length = 17 if step < 4 else None
        built = host(step, structures=("host_descr",))
        cpu = record("host_cpu", length, cpu_num=2, cpu_user=1000 * step, cpu_idle=4000 * step)
        sender.send(type(built)("counters", 4, step, 2, 1, records=(cpu, *built.records)))
        names = {one.name for one in own_row(sender.snapshot()).form.counters}
        assert ("cpu_steal" in names) is (step >= 4)
        sender.tick(5)
    row = own_row(sender.snapshot())
    assert total(row, "cpu_user") == 5000, "what both versions send goes on"
    assert delta(row, "cpu_user") == 1000


def test_a_changed_host_name_is_the_same_host() -> None:
    sender = Sender(Collector())
    for step, name in ((1, "old"), (2, "old"), (3, "new"), (4, "new")):
        sender.send(host(step, name, cpu_user=1000 * step))
        sender.tick(5)
    (only,) = sender.snapshot().hosts()
    assert only.name == "new"
    assert only.row is not None
    assert total(only.row, "cpu_user") == 4000


def test_another_service_under_the_same_index_begins_anew() -> None:
    """dsIndex is a hash: it can pass on to another unit, whose counter has nothing to do with the old one."""
    sender = Sender(Collector())
    sender.send(host(1), service(1, "a.service", cpuTime=1000))
    sender.tick(5)
    sender.send(host(2), service(2, "a.service", cpuTime=1500))
    sender.tick(5)
    sender.send(host(3), service(3, "b.service", cpuTime=9000))
    sender.tick(5)
    sender.send(host(4), service(4, "b.service", cpuTime=9100))
    snapshot = sender.snapshot()
    assert list(services_of(snapshot)) == ["b.service"]
    assert (pool_cpu(snapshot, "a.service"), pool_cpu(snapshot, "b.service")) == (500, 100)


def test_a_sample_of_no_known_structure_changes_nothing() -> None:
    sender = Sender(Collector())
    sender.send(host(1), sample(1, 3, 9, (), {}, COUNTERS_EXPANDED))
    assert list(services_of(sender.snapshot())) == []
