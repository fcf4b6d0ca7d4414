"""Recordings of real agents, replayed at their own times; what is expected is worked out from sflowtool's reading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from lxml import etree

from exporters import gmond, prometheus
from sflow_gmetrics import Collector
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import own_row, pool_cpu, pool_service, service_row, services_of, total
from tests.recordings import HSFLOWD, packets, sflowtool_reading

REDIS, NGINX, APACHE = "redis-server.service", "nginx.service", "apache2.service"
CPUS = 2
Reading = tuple[float, int, dict[str, str]]
"""When the sample came, its sequence number, its fields."""


@cache
def samples(recording: str) -> dict[str, list[Reading]]:
    """The samples of each host and service by name, as sflowtool read them."""
    found: dict[str, list[Reading]] = {}
    for datagram in sflowtool_reading(recording):
        moment = datetime.strptime(datagram["pcapTimestamp"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        moment += int(datagram["pcapTimestamp_uS"]) / 1e6
        for one in datagram["samples"]:
            fields: dict[str, Any] = {}
            for element in one.get("elements", ()):
                fields.update(element)
            if one["sampleType"] == "COUNTERSSAMPLE" and "hostname" in fields:
                found.setdefault(fields["hostname"], []).append((moment, int(one["sampleSequenceNo"]), fields))
    return found


def numbers(recording: str, name: str, key: str) -> list[int]:
    return [int(fields[key]) for _, _, fields in samples(recording)[name]]


def replay(recording: str) -> Iterator[Snapshot]:
    """A snapshot for each second of the recording, and one at its end."""
    collector = Collector()
    sent = packets(recording)
    second = sent[0].time
    for packet in sent:
        while packet.time >= second + 1:
            second += 1
            yield collector.snapshot(second)
        collector.receive(packet.payload, packet.time)
    yield collector.snapshot(sent[-1].time)


@cache
def snapshots(recording: str) -> tuple[Snapshot, ...]:
    return tuple(replay(recording))


def test_the_recording_is_what_these_tests_think_it_is() -> None:
    cpu = numbers("hsflowd-systemd", NGINX, "vcpu_cpu_mS")
    falls = [index for index in range(1, len(cpu)) if cpu[index] < cpu[index - 1]]
    assert len(falls) == 1, "one restart"
    read = numbers("hsflowd-systemd", REDIS, "vdsk_rd_bytes")
    assert sum(one >= 2**63 for one in read) == 1, "one sample without processes"
    assert len(snapshots("hsflowd-systemd")) > 190


def test_nginx_cpu_over_its_restart() -> None:
    """It may miss what was done between the restart and the first sample after it, and nothing else."""
    cpu = numbers("hsflowd-systemd", NGINX, "vcpu_cpu_mS")
    fall = next(index for index in range(1, len(cpu)) if cpu[index] < cpu[index - 1])
    before, after = cpu[fall - 1] - cpu[0], cpu[-1]
    last = snapshots("hsflowd-systemd")[-1]
    assert before + after - cpu[fall] <= pool_cpu(last, NGINX) <= before + after
    counted = (total(service_row(last, NGINX), "cpuTime") or 0) - cpu[0]
    assert counted == pool_cpu(last, NGINX)
    resets = last.agents[0].resets
    assert resets["wrap"] == resets["gap"] == 0
    assert resets["decrease"] + resets["restart"] > 0
    assert resets["invalid"] > 0


def test_nginx_bytes_over_its_restart() -> None:
    """The bytes of the old processes and those of the new ones, without the sample between them."""
    read = numbers("hsflowd-systemd", NGINX, "vdsk_rd_bytes")
    poison = next(index for index, one in enumerate(read) if one >= 2**63)
    row = service_row(snapshots("hsflowd-systemd")[-1], NGINX)
    assert (total(row, "rd_bytes") or 0) == read[poison - 1] + read[-1] - read[poison + 1]


def test_redis_vanishes_and_returns() -> None:
    good = [(moment, seq) for moment, seq, f in samples("hsflowd-systemd")[REDIS] if int(f["vdsk_rd_bytes"]) < 2**63]
    returned = next(index for index in range(1, len(good)) if good[index][1] < good[index - 1][1])
    last, back = good[returned - 1][0], good[returned][0]
    seen_at = [one.time for one in snapshots("hsflowd-systemd") if REDIS in services_of(one)]
    assert good[0][0] <= seen_at[0] <= good[0][0] + 1
    absent = [one.time for one in snapshots("hsflowd-systemd") if good[0][0] <= one.time and one.time not in seen_at]
    assert absent, "it is gone for some time"
    assert last + 15 - 0.5 <= absent[0] <= last + 16.5
    assert back - 1 <= absent[-1] <= back


def test_the_counter_of_redis_continues_when_it_returns() -> None:
    rows = samples("hsflowd-systemd")[REDIS]
    back = next(index for index in range(1, len(rows)) if rows[index][1] < rows[index - 1][1])
    cpu = numbers("hsflowd-systemd", REDIS, "vcpu_cpu_mS")
    used = max(cpu[:back]) + cpu[-1]
    last = snapshots("hsflowd-systemd")[-1]
    assert used - cpu[back] <= (total(service_row(last, REDIS), "cpuTime") or 0) <= used
    assert pool_cpu(last, REDIS) == (total(service_row(last, REDIS), "cpuTime") or 0) - cpu[0]


def test_apache_appears_late_and_disturbs_nobody() -> None:
    first = samples("hsflowd-systemd")[APACHE][0][0]
    for snapshot in snapshots("hsflowd-systemd"):
        assert (APACHE in services_of(snapshot)) is (snapshot.time >= first)
    cpu = numbers("hsflowd-systemd", APACHE, "vcpu_cpu_mS")
    assert pool_cpu(snapshots("hsflowd-systemd")[-1], APACHE) == cpu[-1] - cpu[0]


def test_services_without_events_have_exactly_their_differences() -> None:
    quiet = set(samples("hsflowd-systemd")) - {NGINX, REDIS, APACHE, "web-host-01"}
    assert len(quiet) >= 3
    for name in quiet:
        cpu = numbers("hsflowd-systemd", name, "vcpu_cpu_mS")
        assert cpu == sorted(cpu), "the test is about counters that only grow"
        assert pool_cpu(snapshots("hsflowd-systemd")[-1], name) == cpu[-1] - cpu[0]


@pytest.mark.parametrize("recording", HSFLOWD)
def test_host_counters_have_exactly_their_differences(recording: str) -> None:
    (name,) = [each.name for each in snapshots(recording)[-1].hosts()]
    (pool,) = snapshots(recording)[-1].pools
    for key, mode in (("cpu_user", "user"), ("cpu_system", "system"), ("cpu_idle", "idle"), ("cpu_wio", "iowait")):
        raw = numbers(recording, name, key)
        assert total(own_row(snapshots(recording)[-1], name), key) == raw[-1]
        assert pool.sums()["sflow_pool_cpu_seconds_total", (("mode", mode),)] == raw[-1] - raw[0]


# --- every second


def _metrics(snapshot: Snapshot) -> dict[str, float]:
    """Ganglia's numbers of the one host."""
    root = etree.fromstring(gmond.render(snapshot))
    return {
        one.get("NAME", ""): float(one.get("VAL", "")) for one in root.iter("METRIC") if one.get("TYPE") != "string"
    }


def _greatest_rate(recording: str, name: str, key: str) -> float:
    """The greatest increase per second between two samples that follow each other, neither of them poison."""
    rows = samples(recording)[name]
    rates = [
        (int(new[key]) - int(old[key])) / (at - before)
        for (before, _, old), (at, _, new) in pairwise(rows)
        if int(old[key]) <= int(new[key]) < 2**63
    ]
    return max(rates, default=0.0)


def test_no_rate_is_ever_more_than_what_was_done() -> None:
    services = set(samples("hsflowd-systemd")) - {"web-host-01"}
    limits = {}
    for name in services:
        limits[f"{name}.vcpu_util"] = _greatest_rate("hsflowd-systemd", name, "vcpu_cpu_mS") / 10
        limits[f"{name}.vdisk_bytes_read"] = _greatest_rate("hsflowd-systemd", name, "vdsk_rd_bytes")
        limits[f"{name}.vdisk_bytes_written"] = _greatest_rate("hsflowd-systemd", name, "vdsk_wr_bytes")
    for metric, key in (("bytes_in", "nio_bytes_in"), ("pkts_out", "nio_pkts_out"), ("contexts", "cpu_contexts")):
        limits[metric] = _greatest_rate("hsflowd-systemd", "web-host-01", key)
    checked = set()
    for snapshot in snapshots("hsflowd-systemd"):
        shown = _metrics(snapshot)
        for name, limit in limits.items():
            if name in shown:
                checked.add(name)
                assert 0 <= shown[name] <= limit * 1.05 + 0.6, f"{name} at {snapshot.time}"
    assert checked == set(limits)


@pytest.mark.parametrize("recording", HSFLOWD)
def test_every_percentage_is_possible_at_every_second(recording: str) -> None:
    modes = ("user", "nice", "system", "idle", "wio", "intr", "sintr", "steal")
    seen = 0
    for snapshot in snapshots(recording):
        shown = _metrics(snapshot)
        for name, number in shown.items():
            assert number >= 0, name
            assert number < 2**48, name
            if name.endswith("vcpu_util"):
                assert number <= 100 * CPUS * 1.05
        if "cpu_user" in shown:
            seen += 1
            assert sum(shown[f"cpu_{mode}"] for mode in modes) == pytest.approx(100, abs=0.1)
    assert seen > 10


_LINE = re.compile(r"(\w+_total(?:\{.*\})?) (\S+)")


@pytest.mark.parametrize("recording", HSFLOWD)
def test_no_counter_ever_falls(recording: str) -> None:
    before: dict[str, float] = {}
    for snapshot in replay(recording):
        for line in prometheus.render(snapshot).decode().splitlines():
            found = _LINE.fullmatch(line)
            if found:
                series, number = found[1], float(found[2])
                assert number >= before.get(series, 0.0), series
                before[series] = number
    assert len(before) > 50


def test_the_pool_is_the_sum_of_its_parts_at_every_second() -> None:
    first: dict[str, int] = {}
    for snapshot in snapshots("hsflowd-systemd"):
        for name, one in services_of(snapshot).items():
            first.setdefault(name, total(one.row, "cpuTime") or 0)
            assert pool_cpu(snapshot, name) == (total(one.row, "cpuTime") or 0) - first[name]
            assert len(pool_service(snapshot, name).members) == 1
    assert len(first) == 7
