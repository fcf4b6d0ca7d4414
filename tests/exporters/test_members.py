"""Columns read from the bytes of many samples are what each row says by itself."""

from __future__ import annotations

import dataclasses
import random

import pytest

from exporters import prometheus
from exporters.members import AT_ONCE, Members, ServiceTable, group_by_form
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import Record, Sample
from sflow_gmetrics.snapshot import Row, Snapshot
from tests.core.builders import NOT_KNOWN, NOT_KNOWN_64, Sender, host, service
from tests.recordings import packets


def check(rows: list[Row]) -> list[Members]:
    """Every number of every row, in columns and by itself."""
    tables = group_by_form([(rows, rows)])
    assert sorted(id(row) for members in tables for row in members.rows) == sorted(map(id, rows))
    for members in tables:
        assert members.places == members.rows
        assert [(0, last) for _, _, last in members.spans][-1] == (0, len(members.rows))
        for index, one in enumerate(members.form.fields):
            if not one.is_counter:
                assert repr(members.values[index]) == repr([row.values[index] for row in members.rows]), one.name
        for at, one in enumerate(members.form.counters):
            assert members.totals[at] == [row.totals[at] for row in members.rows], one.name
            assert members.base[at] == [row.base[at] for row in members.rows], one.name
    return tables


def rows_of(snapshot: Snapshot) -> list[Row]:
    rows = [row for pool in snapshot.pools for one in pool.services for row in one.rows]
    rows += [member.row for pool in snapshot.pools for one in pool.services for member in one.members]
    return rows + [row for one in snapshot.hosts() for row in (one.row, *(port.row for port in one.interfaces)) if row]


@pytest.mark.parametrize("recording", ["hsflowd-host", "hsflowd-systemd", "hsflowd-flows", "all_counters"])
def test_columns_of_recordings(recording: str) -> None:
    collector = Collector()
    sent = packets(recording)
    for packet in sent:
        collector.receive(packet.payload, packet.time)
    assert check(rows_of(collector.snapshot(sent[-1].time)))


def test_columns_of_restarts_wraps_and_numbers_that_are_not_known() -> None:
    sender = Sender(Collector())
    chance = random.Random(5)
    for step in range(1, 8):
        for index in range(60):
            name = f"unit-{'x' * (index % 9)}{index}.service"
            time = chance.choice((step * 100, 5, 4_294_967_000, 30, NOT_KNOWN))
            read = chance.choice((step * 1000, 7, 1 << 63, NOT_KNOWN_64))
            memory = chance.choice((0, 1 << 40, NOT_KNOWN_64))
            sender.send(service(step, name, index, cpuTime=time, rd_bytes=read, memory=memory))
        sender.send(host(step, load_one=float("nan"), bytes_in=chance.choice((step, NOT_KNOWN_64))))
        sender.tick(5)
        tables = check(rows_of(sender.snapshot()))
        assert len(tables) == 2


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8])
def test_columns_of_samples_whose_fields_stand_between_words(length: int) -> None:
    """The network decides where a field lies: behind an unknown record of an odd length, for one."""
    sender = Sender(Collector())
    for step in (1, 2):
        for index in range(5):
            own = service(step, f"s{index}.service", index, cpuTime=1000 * step + index, memory=index << 33)
            odd = Record(0x00ABC001, length, raw=b"?" * length)
            sender.send(_put_first(odd, own))
        sender.tick(5)
    (members,) = check(rows_of(sender.snapshot()))
    assert len(members.rows) == 10


def _put_first(record: Record, sample: Sample) -> Sample:
    return dataclasses.replace(sample, records=(record, *sample.records))


def test_more_rows_than_are_read_at_once() -> None:
    sender = Sender(Collector(parse_config(f"[services]\nservices_per_host = {2 * AT_ONCE}")))
    for index in range(AT_ONCE + 7):
        sender.send(service(1, f"{index:04d}.service", index, memory=index))
    (members,) = check(rows_of(sender.snapshot())[: AT_ONCE + 7])
    assert len(members.rows) == AT_ONCE + 7


def test_services_are_read_once_where_all_members_live() -> None:
    sender = Sender(Collector())
    for step in range(1, 9):
        sender.send(host(step), service(step), *([service(step, "old.service", 7)] if step < 3 else []))
        sender.tick(5)
    (pool,) = sender.snapshot().pools
    table = ServiceTable(pool)
    assert [service.name for service in pool.services] == ["nginx.service", "old.service"]
    assert [[place[2] for place in members.places] for members in table.live] == [["nginx.service"]]
    assert [[owner for owner, _, _ in members.spans] for members in table.everyone] == [[0], [1]]
    assert table.live[0] is table.everyone[0]


def test_columns_of_services_that_a_rule_merges() -> None:
    rule = "[[services.rewrite]]\nmatch = 'worker-.*'\nreplace = 'worker'"
    sender = Sender(Collector(parse_config(rule)))
    for step in (1, 2):
        units = [service(step, f"worker-{index}", index, cpuTime=step * 1000, memory=index << 20) for index in (1, 2)]
        sender.send(host(step), *units)
        sender.tick(5)
    snapshot = sender.snapshot()
    check(rows_of(snapshot))
    table = ServiceTable(snapshot.pools[0])
    assert [len(members.rows) for members in table.live] == [1]
    assert [len(members.rows) for members in table.everyone] == [2]


def test_sums_of_bases_are_remembered_for_those_who_are_there() -> None:
    sender = Sender(Collector(parse_config("[sflow]\nforget_after = 40")))
    for step in range(1, 20):
        fleeting = [service(step, f"job-{number}.scope", number) for number in range(30) if step < 5]
        sender.send(host(step), service(step), *fleeting)
        sender.tick(20)
        prometheus.render(sender.snapshot())
    (pool,) = sender.snapshot().pools
    (one,) = pool.services
    known = one.rows[0].form.derived["sums of bases"]
    assert len(known[pool.name, "all"]) == 1
