"""What is sent of a snapshot: every sample once, with its own time, and the end of what has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from exporters.remote_write import NewSamples, check_labels
from exporters.remote_writer import default_instance
from sflow_gmetrics import Collector
from sflow_gmetrics.config import RemoteWriteConfig, parse_config
from sflow_gmetrics.errors import ConfigError
from tests.core.builders import NOT_KNOWN_64, START, Sender, host, service
from tests.exporters.write_requests import Sent, read_series

CPU = "sflow_service_cpu_seconds_total"
POOL_CPU = "sflow_pool_service_cpu_seconds_total"
MEMORY = "sflow_service_memory_bytes"


def samples_of(**keys: Any) -> NewSamples:
    return NewSamples(RemoteWriteConfig("http://store/", **keys), "here:9343")


class Fleet:
    """One collector with agents, and what one store is sent of it."""

    def __init__(self, **keys: Any) -> None:
        self.collector = Collector(parse_config("[[pools]]\nname = 'web'\nhosts = 'web-.*'"))
        self.samples = samples_of(**keys)
        self.now = START

    def agent(self, number: int) -> Sender:
        return Sender(self.collector, f"10.0.0.{number}", now=self.now)

    def take(self, now: float) -> list[Sent]:
        return read_series(self.samples.take(self.collector.snapshot(now)))


def named(sent: Iterable[Sent], name: str, **labels: str) -> list[Sent]:
    """The samples of a family, with these labels."""
    wanted = {"__name__": name, **labels}
    return [one for one in sent if wanted.items() <= dict(one.labels).items()]


def label_sets(sent: Iterable[Sent]) -> list[Mapping[str, str]]:
    return [dict(one.labels) for one in sent]


def test_a_sample_has_the_time_at_which_it_came_and_is_sent_once() -> None:
    fleet = Fleet()
    one, other = fleet.agent(1), fleet.agent(2)
    one.send(host(1, "web-1"), service(1, cpuTime=1000), late=0.25)
    other.tick(3.5)
    other.send(host(1, "web-2"), service(1, cpuTime=2000))
    times = {dict(at.labels)["host"]: at.time_ms for at in named(fleet.take(START + 5), CPU)}
    assert times == {"web-1": START * 1000 + 250, "web-2": START * 1000 + 3500}
    assert not named(fleet.take(START + 6), CPU)
    one.tick(20)
    one.send(host(2, "web-1"), service(2, cpuTime=4000))
    (again,) = named(fleet.take(START + 21), CPU)
    assert (dict(again.labels)["host"], again.value, again.time_ms) == ("web-1", 4.0, (START + 20) * 1000)
    assert not named(fleet.take(START + 22), "sflow_host_load1")


def test_sums_are_of_the_time_of_the_snapshot() -> None:
    fleet = Fleet()
    agent = fleet.agent(1)
    agent.send(host(1), service(1, cpuTime=1000))
    for now in (START + 1.5, START + 2.75):
        (total,) = named(fleet.take(now), POOL_CPU)
        assert (total.value, total.time_ms) == (0.0, now * 1000)


def test_a_service_that_is_gone_ends_at_once_and_only_once() -> None:
    fleet = Fleet()
    agent = fleet.agent(1)
    agent.send(host(1), service(1, "nginx.service"), service(1, "redis.service", 100_002))
    before = [one.labels for one in fleet.take(START + 1)]
    for sequence in (2, 3, 4, 5):
        agent.tick(20)
        agent.send(host(sequence), service(sequence, "nginx.service"))
        sent = fleet.take(agent.now + 1)
        ended = [one for one in sent if one.value is None]
        if sequence == 4:  # three of its intervals
            assert {one.time_ms for one in ended} == {(agent.now + 1) * 1000}
            of_host = {"service": "redis.service", "host": "web-1"}.items()
            gauges = ("sflow_pool_service_memory_bytes", "sflow_pool_service_memory_host_max_bytes")
            expected = [
                one
                for one in before
                if of_host <= dict(one).items() or ("redis.service" in one[-1] and one[0][1] in gauges)
            ]
            assert sorted(one.labels for one in ended) == sorted(expected)
            assert [one.value for one in named(sent, "sflow_pool_service_hosts", service="redis.service")] == [0.0]
        else:
            assert not ended


def test_a_host_that_is_down_is_told_as_down_and_comes_back() -> None:
    fleet = Fleet()
    agent = fleet.agent(1)
    agent.send(host(1), service(1, cpuTime=1000))
    fleet.take(START + 1)
    down = fleet.take(START + 200)
    (up,) = named(down, "sflow_host_up")
    assert (up.value, up.time_ms) == (0.0, (START + 200) * 1000)
    assert [one.value for one in named(down, CPU)] == [None]
    assert [one.value for one in named(down, "sflow_host_load1")] == [None]
    agent.tick(300)
    agent.send(host(2), service(2, cpuTime=2000))
    back = fleet.take(agent.now + 1)
    assert [(one.value, one.time_ms) for one in named(back, CPU)] == [(2.0, agent.now * 1000)]


def test_what_was_heard_before_it_began_is_of_the_moment_when_it_is_taken_first() -> None:
    """A program before has ended these series after it heard their samples."""
    fleet = Fleet()
    one, other = fleet.agent(1), fleet.agent(2)
    one.send(host(1, "web-1"), service(1, cpuTime=1000))
    fleet.samples.begin(START + 2)
    other.tick(3)
    other.send(host(1, "web-2"), service(1, cpuTime=2000))
    times = {dict(at.labels)["host"]: at.time_ms for at in named(fleet.take(START + 5), CPU)}
    assert times == {"web-1": (START + 5) * 1000, "web-2": (START + 3) * 1000}


def test_what_is_back_without_a_new_sample_is_of_this_moment() -> None:
    """Its end has been sent with a time after its newest sample, which a store would refuse now."""
    fleet = Fleet()
    agent = fleet.agent(1)
    for sequence in (1, 2, 3):
        agent.send(host(sequence), service(sequence, cpuTime=1000 * sequence))
        agent.tick(20)
    agent.tick(39)
    agent.send(service(4, cpuTime=4000))
    assert [one.value for one in named(fleet.take(START + 99.5), CPU)] == [4.0]
    assert [one.value for one in named(fleet.take(START + 101), CPU)] == [None], "its host is down"
    agent.tick(3)
    agent.send(host(4))
    assert [(one.value, one.time_ms) for one in named(fleet.take(START + 103), CPU)] == [(4.0, (START + 103) * 1000)]


def test_a_number_that_is_no_longer_known_ends() -> None:
    fleet = Fleet()
    agent = fleet.agent(1)
    agent.send(host(1), service(1, memory=5))
    assert [one.value for one in named(fleet.take(START + 1), MEMORY)] == [5.0]
    agent.tick(20)
    agent.send(host(2), service(2, memory=NOT_KNOWN_64))
    assert [one.value for one in named(fleet.take(START + 21), MEMORY)] == [None]
    agent.tick(20)
    agent.send(host(3), service(3, memory=6))
    assert [one.value for one in named(fleet.take(START + 41), MEMORY)] == [6.0]


def test_a_service_that_begins_to_say_more_does_not_end() -> None:
    """It has another form then, but the series are the same."""
    fleet = Fleet()
    agent = fleet.agent(1)
    agent.send(host(1), service(1))
    fleet.take(START + 1)
    agent.tick(20)
    agent.send(host(2), service(2, structures=("virt_disk_io", "virt_memory", "virt_cpu", "host_descr", "virt_net_io")))
    sent = fleet.take(START + 21)
    assert not [one for one in sent if one.value is None]
    assert len(named(sent, CPU)) == 1
    assert named(sent, "sflow_service_network_receive_bytes_total")


def test_the_end_ends_everything_after_all_that_was_sent() -> None:
    fleet = Fleet()
    agent = fleet.agent(1)
    agent.send(host(1), service(1))
    sent = fleet.take(START + 1)
    ends = read_series(fleet.samples.end(START + 1))
    assert sorted(one.labels for one in ends) == sorted(one.labels for one in sent)
    assert {one.value for one in ends} == {None}
    assert {one.time_ms for one in ends} == {(START + 1) * 1000 + 1}
    assert not fleet.samples.end(START + 2)


def test_an_end_is_later_than_what_came_while_the_snapshot_was_made() -> None:
    fleet = Fleet()
    agent = fleet.agent(1)
    agent.send(host(1), service(1), late=0.5)
    (sent,) = named(fleet.take(START), CPU)
    assert sent.time_ms == START * 1000 + 500
    assert {one.time_ms for one in read_series(fleet.samples.end(START))} == {START * 1000 + 501}


# --- labels


def test_every_series_has_job_and_instance_and_what_the_configuration_adds() -> None:
    fleet = Fleet(external_labels={"region": "eu", "host": "never", "Zone": "z"})
    fleet.agent(1).send(host(1), service(1))
    sent = fleet.take(START + 1)
    assert all(
        {("job", "sflow"), ("instance", "here:9343"), ("region", "eu"), ("Zone", "z")} <= set(one.labels)
        for one in sent
    )
    assert {dict(one.labels)["host"] for one in named(sent, CPU)} == {"web-1"}, "what a series has it keeps"
    assert {dict(one.labels)["host"] for one in named(sent, POOL_CPU)} == {"never"}


def test_a_default_label_can_be_changed_or_left_out() -> None:
    fleet = Fleet(external_labels={"job": "metrics", "instance": ""})
    fleet.agent(1).send(host(1))
    (up,) = label_sets(named(fleet.take(START + 1), "up"))
    assert up == {"__name__": "up", "job": "metrics"}


@pytest.mark.parametrize(
    ("listen", "port"),
    [(("0.0.0.0:9343",), ":9343"), (("off", "[::1]:9"), ":9"), (("off",), ""), (("127.0.0.1:0",), ""), ((), "")],
)
def test_the_default_instance_is_that_of_a_scrape(
    listen: tuple[str, ...], port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "collector-1")
    assert default_instance(listen) == f"collector-1{port}"


def test_labels_are_renamed_on_every_series_and_stay_in_order() -> None:
    fleet = Fleet(rename_labels={"pool": "a_cluster", "mode": "Mode"})
    fleet.agent(1).send(host(1), service(1))
    sent = fleet.take(START + 1)
    names = {name for one in sent for name, _ in one.labels}
    assert {"a_cluster", "Mode"} <= names
    assert not names & {"pool", "mode"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"rename_labels": {"pool": "service"}}, "'pool' cannot become 'service'"),
        ({"rename_labels": {"host": "instance"}}, "'host' cannot become 'instance'"),
        ({"rename_labels": {"pool": "zone"}, "external_labels": {"zone": "a"}}, "'pool' cannot become 'zone'"),
        ({"rename_labels": {"pol": "cluster"}}, "did you mean 'pool'"),
    ],
    ids=str,
)
def test_a_name_that_another_label_has_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_labels(RemoteWriteConfig("http://h/", **keys), "remote_write")


def test_two_labels_may_change_their_names_with_each_other() -> None:
    check_labels(RemoteWriteConfig("http://h/", rename_labels={"host": "service", "service": "host"}), "remote_write")


def test_an_empty_label_is_no_label() -> None:
    """A host that has not said who it is has an info without what it did not say."""
    fleet = Fleet()
    fleet.agent(1).send(host(1))
    (info,) = label_sets(named(fleet.take(START + 1), "sflow_host_info"))
    assert "os_release" not in info
    assert info["host"] == "web-1"


# --- what is sent at all


def test_families_are_chosen_by_name_level_and_group() -> None:
    fleet = Fleet(include=("sflow_(pool_)?service_.*", "up"), exclude=(".*_info",))
    fleet.agent(1).send(host(1), service(1))
    names = {dict(one.labels)["__name__"] for one in fleet.take(START + 1)}
    assert {CPU, POOL_CPU, "up"} <= names
    assert not [one for one in names if one.endswith("_info") or one.startswith("sflow_host")]
    for level, some in (("pool", "sflow_pool_hosts"), ("host", "sflow_host_load1"), ("collector", "up")):
        fleet = Fleet(levels=(level,))
        fleet.agent(1).send(host(1), service(1))
        names = {dict(one.labels)["__name__"] for one in fleet.take(START + 1)}
        assert some in names
        assert CPU not in names
    assert "sflow_host_tcp_active_opens_total" not in names


def test_what_the_process_says_of_itself_is_sent_too() -> None:
    registry = CollectorRegistry()
    Counter("done", "What is done.", ("what",), registry=registry).labels('a "b"').inc(3)
    samples = samples_of()
    sent = read_series(samples.take(Collector().snapshot(START), registry.collect()))
    ((labels, value, time_ms),) = named(sent, "done_total")
    assert (dict(labels)["what"], value, time_ms) == ('a "b"', 3.0, START * 1000)
    assert not named(
        read_series(samples_of(levels=("pool",)).take(Collector().snapshot(START), registry.collect())), "done_total"
    )
