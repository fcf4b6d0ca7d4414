"""The simulated fleet: on the wire as Host sFlow is, true to its own ledger, and the same for the same seed."""

from __future__ import annotations

import operator
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from sflow_gmetrics import Collector, parse_config
from sflow_gmetrics.datagram import Datagram, decode_datagram
from sflow_gmetrics.inputs.pcap import read_capture
from sflow_gmetrics.simulation import Churn, Fleet, Work, naming, pools_toml, sender
from tests.recordings import CAPTURES

INVALID = 1 << 63


def decoded(fleet: Fleet, now: float) -> list[tuple[float, Datagram]]:
    return [(at, decode_datagram(payload)) for at, payload in fleet.datagrams(now)]


Seen = dict[str, Any]


def samples(datagrams: Iterable[tuple[float, Datagram]], unit: str = "") -> list[Seen]:
    """Every sample as one flat dict with its time and agent; only those of this host or service name."""
    found = []
    for at, datagram in datagrams:
        for sample in datagram.samples:
            values: Seen = {"at": at, "agent": datagram.agent, "sequence": sample.sequence, "class": sample.ds_class}
            values |= {"index": sample.ds_index, "uptime_ms": datagram.uptime_ms}
            for record in sample.records:
                values |= record.fields
            if unit in ("", values["hostname"]):
                found.append(values)
    return found


def wires(fleet: Fleet, now: float) -> list[tuple[float, bytes]]:
    return list(fleet.datagrams(now))


# --- on the wire


def test_same_seed_gives_the_same_bytes_however_the_time_is_divided() -> None:
    churn = Churn(restarts=60, failures=60, outage=20, renewals=60)
    whole = wires(Fleet(3, 6, 5, seed=4, churn=churn), 120.0)
    parts = Fleet(3, 6, 5, seed=4, churn=churn)
    assert [one for now in range(0, 121, 3) for one in parts.datagrams(float(now))] == whole
    assert wires(Fleet(3, 6, 5, seed=5, churn=churn), 120.0) != whole
    assert [at for at, _ in whole] == sorted(at for at, _ in whole)


@pytest.mark.parametrize("services", [0, 1, 5, 40])
def test_datagrams_look_like_those_of_host_sflow(services: int) -> None:
    host = [2100, 2001, 2010, 2009, 2008, 2007, 2005, 2004, 2003, 2006, 2000]
    payloads = [payload for _, payload in Fleet(4, services, 10).datagrams(35.0)]
    assert max(map(len, payloads)) <= 1400
    for payload in payloads:
        datagram = decode_datagram(payload)
        assert datagram.agent.startswith("10.")
        assert datagram.sub_agent_id == 100_001
        for sample in datagram.samples:
            assert (sample.tag, sample.malformed) == (4, None)
            physical = (sample.ds_class, sample.ds_index) == (2, 1)
            assert [record.tag for record in sample.records] == (host if physical else [2103, 2102, 2101, 2002, 2000])


@pytest.mark.parametrize("recording", ["hsflowd-host.pcap.gz", "hsflowd-systemd.pcap.gz"])
def test_records_come_in_the_order_of_a_real_agent(recording: str) -> None:
    def orders(payloads: Iterable[bytes]) -> set[tuple[int, ...]]:
        found = (sample for payload in payloads for sample in decode_datagram(payload).samples)
        return {(sample.tag, *(record.tag for record in sample.records)) for sample in found}

    real = orders(packet.payload for packet in read_capture(CAPTURES / recording))
    simulated = orders(payload for _, payload in Fleet(2, 8, 5).datagrams(20.0))
    if recording == "hsflowd-systemd.pcap.gz":
        assert real == simulated
    else:
        assert {tuple(tag for tag in one if tag != 2100) for one in real} <= {
            tuple(tag for tag in one if tag != 2100) for one in simulated
        }


def test_identity_follows_the_rules_of_a_real_agent() -> None:
    """The recording's own host UUID, unit names and agent address give its service UUIDs and dsIndexes."""
    found = samples((p.time, decode_datagram(p.payload)) for p in read_capture(CAPTURES / "hsflowd-systemd.pcap.gz"))
    host = next(uuid.UUID(one["uuid"]) for one in found if one["class"] == 2)
    services = {one["hostname"]: one for one in found if one["class"] == 3}
    assert len(services) == 7
    for name, one in services.items():
        expected = naming.service_uuid(host, name, one["agent"])
        assert str(expected) == one["uuid"]
        assert naming.service_index(expected, ()) == one["index"]


def test_taken_index_gives_way_to_the_next() -> None:
    one = uuid.uuid5(uuid.NAMESPACE_DNS, "a")
    first = naming.service_index(one, ())
    assert naming.service_index(one, {first}) == 100_000 + (first - 99_999) % 50_000
    assert naming.service_index(one, set(range(100_000, 149_999))) == 149_999


def test_identities_are_distinct_and_stay() -> None:
    fleet = Fleet(12, 30, 5)
    found = samples(decoded(fleet, 16.0))
    sources = defaultdict(set)
    for one in found:
        sources[one["agent"], one["class"], one["index"]].add((one["hostname"], one["uuid"]))
    assert len(sources) == 12 * 31
    assert all(len(names) == 1 for names in sources.values())
    assert len({one["hostname"] for one in found if one["class"] == 2}) == 12


def test_sequence_numbers_and_uptime_count_up() -> None:
    datagrams = decoded(Fleet(2, 5, 5), 62.0)
    for agent in {datagram.agent for _, datagram in datagrams}:
        mine = [(at, datagram) for at, datagram in datagrams if datagram.agent == agent]
        assert [datagram.sequence for _, datagram in mine] == list(range(1, len(mine) + 1))
        assert all(abs(at * 1000 - datagram.uptime_ms) <= 1 for at, datagram in mine)
    by_source = defaultdict(list)
    for one in samples(datagrams):
        by_source[one["agent"], one["index"]].append(one)
    assert len(by_source) == 12
    for series in by_source.values():
        assert [one["sequence"] for one in series] == list(range(1, len(series) + 1))
        assert all(later["at"] - one["at"] == pytest.approx(5) for one, later in pairwise(series))


def test_polls_are_spread_over_the_interval() -> None:
    times = {round(at) for at, _ in Fleet(1, 50, 20).datagrams(20.0)}
    assert len(times) > 12


def test_roles_name_hosts_services_and_pools() -> None:
    fleet = Fleet(10, 5)
    names = [agent.name for agent in fleet.agents]
    assert names[:5] == ["web-001", "app-001", "db-001", "cache-001", "web-002"]
    assert sum(name.startswith("web-") for name in names) == 4
    units = {agent.pool: [service.name for service in agent.services] for agent in fleet.agents}
    assert units["web"][0] == "nginx.service"
    assert units["db"][0] == "postgresql@15-main.service"
    assert len({name for unit in Fleet(1, 60).agents[0].services for name in (unit.name,)}) == 60
    assert 'name = "db"\nhosts = "db-.*"' in pools_toml()


# --- counters that hold together

MODES = ("cpu_user", "cpu_nice", "cpu_system", "cpu_idle", "cpu_wio", "cpu_intr", "cpu_sintr", "cpu_steal")


def test_cpu_modes_add_up_to_all_time_and_services_are_part_of_it() -> None:
    fleet = Fleet(3, 8, 10, seed=2)
    found = samples(decoded(fleet, 300.0))
    for agent in fleet.agents:
        series = [one for one in found if one["hostname"] == agent.name]
        assert len(series) == 30
        for one, later in pairwise(series):
            spent = {mode: (later[mode] - one[mode]) % 2**32 for mode in MODES}
            assert sum(spent.values()) == pytest.approx(10_000 * agent.cpus, abs=agent.cpus)
            assert all(value < 10_000 * agent.cpus for value in spent.values())
        first, last = series[0], series[-1]
        busy = sum((last[mode] - first[mode]) % 2**32 for mode in ("cpu_user", "cpu_nice", "cpu_system", "cpu_sintr"))
        services = 0.0
        for service in agent.services:
            polls = [one for one in found if one["agent"] == agent.address and one["hostname"] == service.name]
            rate = ((polls[-1]["cpuTime"] - polls[0]["cpuTime"]) % 2**32) / (polls[-1]["at"] - polls[0]["at"])
            services += rate * (last["at"] - first["at"])
        assert 0.5 * busy < services < 1.05 * busy


def test_memory_and_disk_stay_within_what_the_host_has() -> None:
    for one in samples(decoded(Fleet(8, 30, 20, seed=7), 600.0)):
        if one["class"] == 2:
            assert 0 < one["mem_free"] + one["mem_cached"] + one["mem_buffers"] < one["mem_total"]
            assert 0 < one["disk_free"] < one["disk_total"]
            assert 0 < one["part_max_used"] < 10_000
        else:
            assert 0 < one["memory"] < one["maxMemory"]


def deltas(series: list[Seen]) -> Work:
    """Work as a plain reader sees it who adds what grew and leaves out the rest."""
    total = [0, 0, 0]
    for one, later in pairwise(series):
        for index, name in enumerate(("cpuTime", "rd_bytes", "wr_bytes")):
            grown = later[name] - one[name]
            if one["sequence"] < later["sequence"] and later[name] < INVALID > one[name] and grown > 0:
                total[index] += grown
    return Work(*total)


def reader_totals(found: list[Seen]) -> dict[tuple[str, str], Work]:
    series = defaultdict(list)
    for one in found:
        if one["class"] == 3:
            series[one["agent"], one["hostname"]].append(one)
    totals: dict[tuple[str, str], Work] = defaultdict(Work)
    for (agent, name), polls in series.items():
        pool = naming.ROLES[int(agent.split(".")[1]) - 1].name
        totals[pool, name] = totals[pool, name].plus(deltas(polls))
    return totals


def test_ledger_is_exactly_what_the_counters_say_when_nothing_happens() -> None:
    fleet = Fleet(6, 10, 5, seed=3)
    totals = reader_totals(samples(decoded(fleet, 200.0)))
    assert totals.keys() == fleet.ledger.accounts.keys()
    for key, account in fleet.ledger.accounts.items():
        assert account.done == account.certain == totals[key]
        assert min(account.done) > 0
    everywhere = fleet.ledger.service("ssh.service").done
    assert (
        everywhere.cpu_ms
        == sum(fleet.ledger.pool(pool)["ssh.service"].done.cpu_ms for pool in ("web", "app", "db"))
        + fleet.ledger.pool("cache")["ssh.service"].done.cpu_ms
    )


@pytest.mark.parametrize("seed", range(4))
def test_ledger_bounds_what_can_be_known_when_much_happens(seed: int) -> None:
    fleet = Fleet(6, 10, 5, seed=seed, churn=Churn(restarts=30, failures=20, outage=30, renewals=5))
    totals = reader_totals(samples(decoded(fleet, 600.0)))
    missed = 0
    for key, account in fleet.ledger.accounts.items():
        for known, certain, done in zip(totals[key], account.certain, account.done, strict=True):
            assert certain <= known <= done
            missed += done - certain
    assert missed > 0


@pytest.mark.parametrize("seed", range(4))
def test_what_cannot_be_known_is_the_work_of_an_interval_at_each_break(seed: int) -> None:
    fleet = Fleet(6, 10, 5, seed=seed, churn=Churn(restarts=30, failures=20, outage=30))
    most: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 3)
    for agent in fleet.agents:
        for service in agent.services:
            profile, rates = service.profile, most[agent.pool, service.name]
            for index, rate in enumerate((profile.cpu_ms, profile.read_bytes, profile.written_bytes)):
                rates[index] = max(rates[index], 1.7 * rate)
    decoded(fleet, 600.0)
    assert sum(account.breaks for account in fleet.ledger.accounts.values()) > 100
    for key, account in fleet.ledger.accounts.items():
        missing = account.done.minus(account.certain)
        for rate, intervals, some in zip(most[key], (1, 2, 2), missing, strict=True):
            assert some <= account.breaks * (intervals * 5 * rate + 1)
    quiet = Fleet(6, 10, 5, seed=seed)
    decoded(quiet, 60.0)
    assert not any(account.breaks for account in quiet.ledger.accounts.values())


def test_hosts_are_renewed_by_chance() -> None:
    fleet = Fleet(4, 3, 5, seed=2, churn=Churn(renewals=120))
    first = {agent.name for agent in fleet.agents}
    heard = {one["agent"] for one in samples(decoded(fleet, 300.0))}
    assert len(fleet.agents) == 4
    assert not first & {agent.name for agent in fleet.agents}
    assert len(heard) > 8


# --- what goes wrong

WEB, NGINX = "web-001", "nginx.service"


def fleet_of_one() -> Fleet:
    return Fleet(1, 4, 5, seed=9)


def test_quick_restart_poisons_one_sample_and_the_sequence_goes_on() -> None:
    fleet = fleet_of_one()
    before = samples(decoded(fleet, 30.0), NGINX)
    fleet.restart_service(WEB, NGINX)
    poison, *after = samples(decoded(fleet, 60.0), NGINX)
    assert poison["sequence"] == before[-1]["sequence"] + 1
    assert poison["cpuTime"] < before[-1]["cpuTime"]
    assert poison["memory"] == 0
    assert poison["rd_bytes"] == 2**64 - before[-1]["rd_bytes"]
    assert poison["wr_bytes"] >= INVALID
    assert [one["sequence"] for one in after] == [poison["sequence"] + n for n in range(1, len(after) + 1)]
    assert after[0]["rd_bytes"] == 0 < after[1]["rd_bytes"] < INVALID
    assert poison["cpuTime"] < after[0]["cpuTime"]


@pytest.mark.parametrize("poison", [1, 3])
def test_stopped_service_falls_silent_after_its_poison_and_starts_as_new(poison: int) -> None:
    fleet = fleet_of_one()
    before = samples(decoded(fleet, 30.0), NGINX)
    fleet.stop_service(WEB, NGINX, poison)
    last = samples(decoded(fleet, 60.0), NGINX)
    assert [one["sequence"] for one in last] == [before[-1]["sequence"] + n for n in range(1, poison + 1)]
    assert {(one["cpuTime"], one["memory"]) for one in last} == {(0, 0)}
    assert min(one["rd_bytes"] for one in last) >= INVALID
    assert samples(decoded(fleet, 90.0), NGINX) == []
    fleet.start_service(WEB, NGINX)
    first, second, *_ = samples(decoded(fleet, 120.0), NGINX)
    assert (first["sequence"], first["rd_bytes"], first["index"]) == (1, 0, before[0]["index"])
    assert first["cpuTime"] < before[0]["cpuTime"]
    assert second["cpuTime"] > first["cpuTime"]


def test_service_that_is_started_before_the_agent_missed_it_keeps_its_sequence() -> None:
    fleet = fleet_of_one()
    before = samples(decoded(fleet, 30.0), NGINX)
    fleet.stop_service(WEB, NGINX, 3)
    decoded(fleet, 34.9)
    fleet.start_service(WEB, NGINX)
    poison, first, *_ = samples(decoded(fleet, 60.0), NGINX)
    assert poison["sequence"] > before[-1]["sequence"]
    assert poison["rd_bytes"] >= INVALID > first["rd_bytes"]


def test_agent_restart_counts_datagrams_and_network_anew_but_not_cpu() -> None:
    fleet = fleet_of_one()
    earlier = decoded(fleet, 60.0)
    host, nginx = samples(earlier, WEB)[-1], samples(earlier, NGINX)[-1]
    fleet.restart_agent(WEB)
    later = decoded(fleet, 90.0)
    assert [datagram.sequence for _, datagram in later] == list(range(1, len(later) + 1))
    assert later[0][1].uptime_ms < earlier[-1][1].uptime_ms
    again = samples(later, WEB)[0]
    assert (again["sequence"], again["uptime"] > host["uptime"]) == (1, True)
    assert again["bytes_in"] < host["bytes_in"]
    assert 0 < (again["cpu_user"] - host["cpu_user"]) % 2**32 < 2**31
    service = samples(later, NGINX)[0]
    assert (service["sequence"], service["rd_bytes"]) == (1, 0)
    assert service["cpuTime"] > nginx["cpuTime"]


def test_host_that_leaves_is_silent_and_boots_from_zero() -> None:
    fleet = Fleet(2, 3, 5)
    gone = fleet.agents[0]
    before = samples(decoded(fleet, 60.0), gone.name)[-1]
    fleet.remove_host(gone.name)
    assert {datagram.agent for _, datagram in decoded(fleet, 120.0)} == {fleet.agents[1].address}
    fleet.return_host(gone.name)
    back = [(at, datagram) for at, datagram in decoded(fleet, 150.0) if datagram.agent == gone.address]
    assert back[0][1].sequence == 1
    host = samples(back, gone.name)[0]
    assert host["uptime"] <= 6 < before["uptime"]
    assert sum(host[mode] for mode in MODES) <= 6000 * gone.cpus
    assert all(one["cpuTime"] <= 6000 * gone.cpus for one in samples(back)[:3] if one["class"] == 3)


def test_renewed_host_stays_away_and_another_one_has_its_services_and_one_more() -> None:
    fleet = Fleet(2, 3, 5)
    old = fleet.agents[0]
    decoded(fleet, 60.0)
    new = fleet.renew_host(old.name)
    assert (old.name, new) == ("web-001", "web-002")
    after = decoded(fleet, 120.0)
    assert old.address not in {datagram.agent for _, datagram in after}
    host = samples(after, new)[0]
    assert (host["sequence"], host["uptime"] > 3600, host["uptime_ms"] < 6000) == (1, True, True)
    names = {one["hostname"] for one in samples(after) if one["agent"] == host["agent"] and one["class"] == 3}
    assert names == {service.name for service in old.services} | {"run-r000002.service"}
    decoded(fleet, 125.0)
    fleet.remove_host(new)
    assert fleet.ledger.account("web", "nginx.service").breaks == 2
    assert fleet.ledger.account("web", "run-r000002.service").done.cpu_ms > 0


@pytest.mark.parametrize("churn", [Churn(restarts=120), Churn(failures=120, outage=20)])
def test_chance_strikes_services_and_hosts_and_they_come_back(churn: Churn) -> None:
    fleet = Fleet(5, 5, 5, seed=1, churn=churn)
    found = samples(decoded(fleet, 900.0))
    assert any(one["rd_bytes"] >= INVALID for one in found if one["class"] == 3)
    restarts = [one for one in found if one["class"] == 2 and one["sequence"] == 1]
    assert len(restarts) > 5
    late = {one["hostname"] for one in found if one["at"] > 700 and one["class"] == 2}
    assert late == {agent.name for agent in fleet.agents}


@pytest.mark.parametrize("arguments", [(0, 1, 5.0), (1, -1, 5.0), (1, 1, 0.0)])
def test_impossible_fleet_is_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="no fleet"):
        Fleet(*arguments)


# --- a collector held against the ledger

FAMILIES = (
    "sflow_pool_service_cpu_seconds_total",
    "sflow_pool_service_disk_read_bytes_total",
    "sflow_pool_service_disk_written_bytes_total",
)


def collected(collector: Collector, now: float) -> dict[tuple[str, str], Work]:
    """The collector's pool totals as work, by pool and service name."""
    totals = {}
    for pool in collector.snapshot(now).pools:
        for service in pool.services:
            sums = defaultdict(int, {name: value for (name, _), value in service.sums().items()})
            totals[pool.name, service.name] = Work(*(sums[family] for family in FAMILIES))
    return totals


def receive_all(collector: Collector, fleet: Fleet, now: float) -> None:
    for at, payload in fleet.datagrams(now):
        collector.receive(payload, at)


def test_collector_counts_exactly_the_work_of_a_quiet_fleet() -> None:
    fleet, collector = Fleet(8, 10, 5, seed=5, start=1.8e9), Collector(parse_config(pools_toml()))
    receive_all(collector, fleet, 1.8e9 + 300)
    assert collected(collector, 1.8e9 + 300) == {key: one.done for key, one in fleet.ledger.accounts.items()}


def test_collector_never_invents_work_and_misses_only_what_nobody_can_know() -> None:
    fleet, collector = Fleet(8, 10, 5, seed=5, start=1.8e9), Collector(parse_config(pools_toml()))
    happenings: list[Callable[[], None]] = [
        lambda: fleet.restart_service("web-001", "nginx.service"),
        lambda: fleet.stop_service("db-001", "postgresql@15-main.service", 3),
        lambda: fleet.restart_agent("web-002"),
        lambda: fleet.remove_host("app-001"),
        lambda: fleet.start_service("db-001", "postgresql@15-main.service"),
        lambda: fleet.return_host("app-001"),
        lambda: fleet.restart_service("web-001", "nginx.service"),
    ]
    for number, happen in enumerate(happenings, 1):
        receive_all(collector, fleet, 1.8e9 + 60 * number)
        happen()
    end = 1.8e9 + 60 * len(happenings) + 60
    receive_all(collector, fleet, end)
    totals = collected(collector, end)
    assert totals.keys() == fleet.ledger.accounts.keys()
    for key, account in fleet.ledger.accounts.items():
        for certain, total, done in zip(account.certain, totals[key], account.done, strict=True):
            assert certain <= total <= done
    nginx = fleet.ledger.account("web", "nginx.service")
    assert nginx.certain.cpu_ms < nginx.done.cpu_ms


@pytest.mark.parametrize("seed", range(2))
def test_pools_are_true_while_hosts_and_names_come_and_go_faster_than_gone_names_are_kept(seed: int) -> None:
    """Room for 120 names of services that are gone; the others are kept together, and no total falls."""
    churn = Churn(restarts=60, failures=20, outage=20, renewals=240)
    fleet = Fleet(8, 3, 3, seed=seed, start=1.8e9, churn=churn)
    collector = Collector(parse_config(f"[sflow]\nforget_after = 15\n[services]\nseries = 2400\n{pools_toml()}"))
    before: dict[tuple[str, str], Work] = {}
    for now in range(5, 900, 5):
        receive_all(collector, fleet, 1.8e9 + now)
        totals = collected(collector, 1.8e9 + now)
        for pool in ("web", "app", "db", "cache"):
            sums, known = fleet.ledger.pool(pool), [work for key, work in totals.items() if key[0] == pool]
            for index in range(3):
                least, most = (sum(getattr(one, of)[index] for one in sums.values()) for of in ("certain", "done"))
                assert least <= sum(one[index] for one in known) <= most
        for key, work in totals.items():
            account = fleet.ledger.accounts.get(key)
            if account is not None:
                assert all(map(operator.le, account.certain, work))
                assert all(map(operator.le, work, account.done))
            assert all(map(operator.le, before.get(key, Work()), work))
        before = totals
    assert not any(collector.limits.dropped.values())
    assert any(service == "_other_" for _, service in before)
    assert len(collector.ledger.sums) < 120 + 32
    assert len({name for _, name in fleet.ledger.accounts}) > 150


# --- the sender


def test_run_sends_what_is_due_and_sleeps_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    now, sent = [100.0], list[bytes]()

    class Recorder:
        def __enter__(self) -> Recorder:
            return self

        def __exit__(self, *_: object) -> None:
            sent.append(b"closed")

        def send(self, payload: bytes) -> None:
            sent.append(payload)

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 5
        now[0] += seconds

    monkeypatch.setattr(sender, "open_sender", lambda host, port: Recorder())
    arguments: dict[str, Any] = {"hosts": 2, "services": 3, "interval": 5.0}
    fleet = sender.run("collector", 6343, **arguments, seed=6, duration=20, clock=lambda: now[0], sleep=sleep)
    expected = [payload for _, payload in Fleet(2, 3, 5.0, seed=6, start=100.0).datagrams(119.999)]
    assert sent == [*expected, b"closed"]
    assert now[0] == pytest.approx(120)
    assert fleet.ledger.service("nginx.service").done.cpu_ms > 0
