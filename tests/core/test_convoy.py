"""Sources that travel together: when a convoy forms, when it disbands, and that nothing is lost by either."""

from __future__ import annotations

import dataclasses

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.agent import Agent
from sflow_gmetrics.convoy import Convoy
from sflow_gmetrics.datagram import Sample
from tests.core.builders import (
    NOT_KNOWN,
    Sender,
    delta,
    host,
    own_row,
    rate,
    sample,
    service,
    service_row,
    services_of,
    total,
    value,
)

NAMES = ("nginx.service", "redis.service", "ssh.service")


def _services(number: int, *, work: int | None = None, names: tuple[str, ...] = NAMES) -> list[Sample]:
    cpu = number * 100 if work is None else work
    return [
        service(number, index=100_000 + NAMES.index(name), name=name, cpuTime=cpu, rd_bytes=number * 1000)
        for name in names
    ]


def _travelling(rounds: int = 3) -> Sender:
    """An agent with three services, after some rounds."""
    sender = Sender(Collector())
    for number in range(1, rounds + 1):
        sender.send(*_services(number))
        sender.tick(5)
    return sender


def _convoys(sender: Sender) -> list[Convoy]:
    (agent,) = sender.collector.agents.values()
    return [convoy for stream in agent.streams.values() for convoy in stream.convoys.values()]


def _agent(sender: Sender) -> Agent:
    (agent,) = sender.collector.agents.values()
    return agent


def test_what_comes_together_again_and_again_travels_together() -> None:
    sender = _travelling(2)
    (convoy,) = _convoys(sender)
    sender.send(*_services(3))
    assert _convoys(sender) == [convoy]
    assert len(convoy) == 3


def test_readers_see_the_newest_datagram_of_a_convoy() -> None:
    sender = _travelling(6)
    for name in NAMES:
        row = service_row(sender.snapshot(), name)
        assert (total(row, "cpuTime"), delta(row, "cpuTime"), rate(row, "cpuTime")) == (600, 100, 20)
        assert total(row, "rd_bytes") == 6000
        assert row.interval == pytest.approx(5)


def test_a_snapshot_stays_what_it_was() -> None:
    sender = _travelling(4)
    early = sender.snapshot()
    sender.send(*_services(5))
    assert total(service_row(early), "cpuTime") == 400
    assert total(service_row(sender.snapshot()), "cpuTime") == 500


def test_a_service_that_stops_leaves_the_others_together() -> None:
    sender = _travelling()
    for number in range(4, 9):
        sender.send(*_services(number, names=NAMES[:2]))
        sender.tick(5)
    (convoy,) = _convoys(sender)
    assert len(convoy) == 2
    assert set(services_of(sender.snapshot())) == set(NAMES[:2])
    assert total(service_row(sender.snapshot(), NAMES[1]), "cpuTime") == 800


def test_another_order_is_another_convoy() -> None:
    sender = _travelling()
    (old,) = _convoys(sender)
    sender.send(*_services(4, names=NAMES[::-1]))
    (new,) = _convoys(sender)
    assert new is not old
    assert all(source.convoy is new for source in _agent(sender).sources.values())
    assert total(service_row(sender.snapshot()), "cpuTime") == 400


def test_a_sample_lost_within_a_convoy_is_counted() -> None:
    sender = _travelling()
    sender.send(*_services(5))
    assert _agent(sender).samples_lost == 3
    assert total(service_row(sender.snapshot()), "cpuTime") == 500


def test_a_counter_that_falls_disbands_the_convoy_and_adds_nothing() -> None:
    sender = _travelling()
    sender.send(*_services(4, work=7))
    assert total(service_row(sender.snapshot()), "cpuTime") == 300
    assert _agent(sender).resets["decrease"] == 3
    sender.tick(5)
    sender.send(*_services(5, work=27))
    assert total(service_row(sender.snapshot()), "cpuTime") == 320


def test_a_restarted_agent_begins_a_convoy_anew() -> None:
    sender = _travelling()
    sender.restart()
    for number in range(1, 5):
        sender.send(*_services(number))
        sender.tick(5)
    assert total(service_row(sender.snapshot()), "cpuTime") == 300 + 400
    assert len(_convoys(sender)) == 1


def test_a_restart_ends_all_convoys_of_the_agent_even_those_that_are_not_heard_at_once() -> None:
    """Times and sequence numbers of the agent's two lives must not be compared with each other."""
    sender = Sender(Collector(), uptime=1.0)
    for number in range(1, 5):
        sender.send(service(number, cpuTime=number * 100))
        sender.tick(5)
    assert len(_convoys(sender)) == 1
    sender.restart()
    for number in range(1, 3):
        sender.send(service(number, "redis.service", 100_002, cpuTime=number))
        sender.tick(5)
    silent = _agent(sender).sources[b"\x00\x00\x00\x03\x00\x01\x86\xa1"]
    assert (silent.name, silent.convoy) == ("nginx.service", None)


def test_a_datagram_that_comes_twice_leaves_the_convoy_alone() -> None:
    sender = _travelling()
    (convoy,) = _convoys(sender)
    payload = sender.send(*_services(4))
    sender.collector.receive(payload, sender.now + 0.1)
    assert _convoys(sender) == [convoy]
    assert total(service_row(sender.snapshot()), "cpuTime") == 400


def test_the_number_of_cpus_is_watched_in_a_convoy_too() -> None:
    """What is possible follows from it."""
    sender = Sender(Collector())
    for number in range(1, 5):
        sender.send(host(number, cpu_num=2, cpu_user=number), *_services(number))
        sender.tick(5)
    assert len(_convoys(sender)) == 1
    assert _agent(sender).cpus == 2
    sender.send(host(5, cpu_num=64, cpu_user=5), *_services(5))
    assert _agent(sender).cpus == 64


def test_a_host_in_a_convoy_says_when_it_booted() -> None:
    sender = Sender(Collector())
    for number in range(1, 6):
        sender.send(host(number, uptime=1000 + 5 * number, cpu_user=number))
        sender.tick(5)
    assert len(_convoys(sender)) == 1
    assert list(own_row(sender.snapshot()).moments.values()) == [sender.now - 5 - 1025]


def test_records_and_samples_of_convoys_are_counted() -> None:
    sender = _travelling(5)
    stats = sender.snapshot().stats
    assert stats.samples["counters"] == 15
    assert stats.records["virt_cpu"] == 15


def test_who_is_forgotten_leaves_no_convoy_behind() -> None:
    sender = _travelling()
    sender.tick(2 * 3600)
    sender.snapshot()
    assert not sender.collector.agents


def test_a_source_twice_in_a_datagram_makes_no_convoy() -> None:
    sender = Sender(Collector())
    for number in range(1, 12, 2):
        twins = [service(number + n, cpuTime=number + n) for n in range(2)]
        sender.send(*twins)
        sender.tick(5)
    assert not _convoys(sender)


# --- what only a hostile agent sends


def _host(number: int, index: int, cpus: int = 2) -> Sample:
    return sample(number, 2, index, ("host_cpu", "host_descr"), {"hostname": "web-1", "cpu_num": cpus}, 4)


def test_two_hosts_of_one_agent_that_differ_in_cpus() -> None:
    sender = Sender(Collector())
    for number in range(1, 13):
        sender.send(_host(number, 2, 4) if number % 6 == 0 else _host(number, 1))
        sender.tick(5)
    sender.snapshot()
    assert _agent(sender).samples["counters"] == 12


def test_compact_and_expanded_samples_that_look_alike_at_first() -> None:
    sender = Sender(Collector())

    def compact(number: int) -> None:
        sender.send(sample(number, 0, 2, ("host_cpu",), {}, 2))
        sender.tick(5)

    def expanded(number: int) -> None:
        sender.send(_host(number, 1))
        sender.tick(5)

    for number in range(1, 5):
        expanded(number)
    for number in range(1, 5):
        compact(number)
    sender.restart()
    expanded(1)
    expanded(2)
    compact(1)
    sender.snapshot()
    assert _agent(sender).samples["counters"] == 11


def test_a_sequence_number_again_changes_nothing_although_the_sample_is_another() -> None:
    sender = Sender(Collector())
    for number in (1, 2, 3):
        sender.send(host(number), service(number, rd_bytes=1000 * number))
        sender.tick(5)
    sender.send(service(3, rd_bytes=9_000_000, structures=("virt_disk_io", "host_descr")))
    row = service_row(sender.snapshot())
    assert value(row, "rd_bytes") == total(row, "rd_bytes") == 3000


@pytest.mark.parametrize("first", [True, False])
def test_a_sample_that_is_not_taken_does_not_travel(first: bool) -> None:
    """It says a sequence number once more, with other numbers: nothing is to be counted from those."""
    sender = Sender(Collector())
    for number in range(1, 4):
        both = host(number), service(number, cpuTime=1000 * number)
        sender.send(*(both if first else reversed(both)))
        sender.tick(20)
    both = host(4), service(3, cpuTime=500)
    sender.send(*(both if first else reversed(both)))
    sender.tick(20)
    assert total(service_row(sender.snapshot()), "cpuTime") == 3000
    both = host(5), service(4, cpuTime=900)
    sender.send(*(both if first else reversed(both)))
    row = service_row(sender.snapshot())
    assert (total(row, "cpuTime"), delta(row, "cpuTime"), row.elapsed) == (3000, None, 40)
    assert _agent(sender).resets["decrease"] == 1


def test_layouts_that_nobody_needs_any_more_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services come and go in ever new groups; what has been formed lately and what travels now is kept."""
    monkeypatch.setattr("sflow_gmetrics.convoy.LATEST", 10_000)
    sender = Sender(Collector())
    for group in range(1, 200):
        for number in range(1, 4):
            places = [place for place in range(8) if group >> place & 1]
            sender.send(
                *[service(3 * group + number, index=100 + place, name="s" * (4 * place + 1)) for place in places]
            )
            sender.tick(5)
    assert 1 <= len(sender.collector.convoys) < 60
    assert len(_convoys(sender)) >= 1


HALF = 1 << 31
MOST = 25_000
"""Less than four unknown CPUs can do in five seconds, in milliseconds, and more than one."""


@pytest.mark.parametrize(
    ("before", "after", "together"),
    [
        pytest.param(100, 100, True, id="nothing done"),
        pytest.param(100, 101, True, id="the least"),
        pytest.param(100, 99, False, id="fallen by one"),
        pytest.param(0, NOT_KNOWN, False, id="no longer known"),
        pytest.param(100, 100 + HALF - 1, False, id="far too much"),
        pytest.param(HALF - 60, HALF - 1, True, id="all bits below the topmost"),
        pytest.param(HALF - 60, HALF, False, id="the topmost bit is reached"),
        pytest.param(HALF + 60, HALF + MOST, True, id="above it"),
        pytest.param(HALF + 60, HALF + 59, False, id="fallen above it"),
        pytest.param(HALF + 60, 60, False, id="fallen to below it"),
        pytest.param(NOT_KNOWN - 60, NOT_KNOWN - 1, True, id="the greatest"),
        pytest.param(NOT_KNOWN - 60, NOT_KNOWN, False, id="no longer known, although it could have grown so"),
        pytest.param(NOT_KNOWN - 60, 10, False, id="wrapped"),
    ],
)
@pytest.mark.parametrize("position", range(3))
def test_what_a_counter_may_do_in_a_convoy(before: int, after: int, together: bool, position: int) -> None:
    sender = Sender(Collector())
    for number, raw in enumerate((before, before, before, after), 1):
        works = [500 if one != position else raw for one in range(len(NAMES))]
        samples = [
            service(number, index=100_000 + one, name=name, cpuTime=work, rd_bytes=number)
            for one, (name, work) in enumerate(zip(NAMES, works, strict=True))
        ]
        convoys = _convoys(sender) if number > 1 else []
        sender.send(*samples)
        sender.tick(5)
    assert (_convoys(sender) == convoys) is together


@pytest.mark.parametrize(("step", "together"), [(0, False), (1, True), (2, False), (-1, False)])
def test_a_sequence_number_in_a_convoy_grows_by_one(step: int, together: bool) -> None:
    sender = _travelling(3)
    convoys = _convoys(sender)
    first, *others = _services(4)
    sender.send(dataclasses.replace(first, sequence=3 + step), *others)
    assert (_convoys(sender) == convoys) is together
