"""Remote write at work: what it does when it ends, when a store hangs, and when gathering fails."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from exporters.remote_write_queue import Stats
from exporters.remote_writer import RemoteWriter, check_store
from sflow_gmetrics import Collector, Snapshot
from sflow_gmetrics.config import Config, RemoteWriteConfig
from sflow_gmetrics.crew import Crew
from sflow_gmetrics.errors import ConfigError
from tests.core.builders import Sender, host
from tests.exporters.test_remote_write_client import store
from tests.exporters.write_requests import Sent, read_body

CONFIG = Config()
LEVELS = ("collector",)


def snapshot() -> Snapshot:
    """What an empty collector shows now: itself."""
    return Collector(CONFIG).snapshot(time.time())


class Reading:
    """A store that reads what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    async def take(self, request: web.Request) -> web.Response:
        self.sent += read_body(await request.read())
        return web.Response(status=204)


async def hanging(_request: web.Request) -> web.Response:
    """A store that never answers."""
    await asyncio.sleep(60)
    return web.Response(status=204)


def write(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    until: Callable[[RemoteWriter], bool],
    shown: Callable[[], Snapshot] = snapshot,
) -> RemoteWriter:
    """Write until something holds, then end."""

    async def run() -> RemoteWriter:
        async with store(handler) as url:
            config = RemoteWriteConfig(url, name="it", interval=0.1, levels=("collector",))
            writer = RemoteWriter(Config(remote_write=(config,)), shown)
            (run,) = writer.tasks()
            task = asyncio.create_task(run())
            async with asyncio.timeout(20):
                while not until(writer):
                    await asyncio.sleep(0.02)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        return writer

    return asyncio.run(run())


def test_at_the_end_everything_ends() -> None:
    reading = Reading()
    writer = write(reading.take, lambda writer: writer.stats["it"].sent > 0)
    ups = [one for one in reading.sent if one.labels[0] == ("__name__", "up")]
    assert [one.value for one in ups[:-1]] == [1.0] * (len(ups) - 1)
    assert ups[-1].value is None
    assert len(ups) >= 3
    assert writer.stats["it"].pending == 0


def test_a_store_that_hangs_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    writer = write(hanging, lambda writer: writer.stats["it"].pending > 0)
    assert writer.stats["it"].sent == 0
    assert f"remote write to it: {writer.stats['it'].pending} samples have not been sent" in caplog.text


def test_a_fault_is_logged_and_the_next_gathering_is_good(caplog: pytest.LogCaptureFixture) -> None:
    faults = [ZeroDivisionError("one")]

    def shown() -> Snapshot:
        if faults:
            raise faults.pop()
        return snapshot()

    reading = Reading()
    write(reading.take, lambda writer: writer.stats["it"].sent > 0, shown)
    assert "remote write to it has met a fault" in caplog.text
    assert reading.sent


def test_without_stores_there_is_nothing_to_do() -> None:
    writer = RemoteWriter(CONFIG, snapshot)
    assert not list(writer.tasks())
    assert not writer.stats
    assert not writer.take_notes()


async def reload(writer: RemoteWriter, crew: Crew, *stores: RemoteWriteConfig) -> None:
    """Go on with these stores."""
    writer.take(writer.prepare(Config(remote_write=stores)))
    await crew.become(writer.tasks(), ())
    writer.settle()


def after_reloads(
    *changes: Mapping[str, Any] | None, shown: Callable[[], Snapshot] = snapshot, levels: tuple[str, ...] = LEVELS
) -> tuple[list[list[Sent]], list[dict[str, Stats]]]:
    """What a store is sent before the first reload and after each, and the counts; a change of None: no store."""
    reading = Reading()
    sent: list[list[Sent]] = []
    counts: list[dict[str, Stats]] = []

    async def run() -> None:
        async with store(reading.take) as url, asyncio.timeout(30):
            first = RemoteWriteConfig(url, name="it", interval=0.1, levels=levels)
            writer, crew = RemoteWriter(Config(), shown), Crew()
            for change in ({}, *changes):
                begin = len(reading.sent)
                await reload(writer, crew, *([replace(first, **change)] if change is not None else []))
                count = len(reading.sent)
                while change is not None and not any(one.value == 1.0 for one in reading.sent[count:]):
                    await asyncio.sleep(0.02)
                sent.append(reading.sent[begin:])
                counts.append(dict(writer.stats))
            await crew.end_tasks()

    asyncio.run(run())
    return sent, counts


def names_that_ended(sent: list[Sent]) -> set[str]:
    return {dict(one.labels)["__name__"] for one in sent if one.value is None}


def test_a_store_whose_manners_change_goes_on_without_a_break() -> None:
    sent, counts = after_reloads({"interval": 0.05, "queue": 5000, "max_samples_per_send": 10}, {})
    assert not names_that_ended([one for some in sent for one in some])
    numbers = [one["it"].sent for one in counts]
    assert 0 < numbers[0] < numbers[1] < numbers[2]


def test_series_of_other_labels_end_and_the_new_ones_come_after_that() -> None:
    sent, counts = after_reloads({"external_labels": {"site": "a"}}, {"external_labels": {"site": "a"}})
    ends = {one.labels: one.time_ms for one in sent[1] if one.value is None}
    assert {dict(labels)["__name__"] for labels in ends} >= {"up", "sflow_collector_datagrams_total"}
    assert all("site" not in dict(labels) for labels in ends)
    assert all(one.time_ms > max(ends.values()) for one in sent[1] if "site" in dict(one.labels))
    assert not names_that_ended(sent[2]), "nothing has changed"
    assert counts[0]["it"].sent < counts[1]["it"].sent
    assert not any(one["it"].failed or one["it"].dropped for one in counts)


def test_a_store_of_another_name_has_its_samples_after_the_ends_of_the_series() -> None:
    collector = Collector(CONFIG)
    Sender(collector, "10.0.0.1", now=time.time() - 5).send(host(1))
    sent, _ = after_reloads({"name": "other"}, shown=lambda: collector.snapshot(time.time()), levels=("host",))
    ends = {one.labels: one.time_ms for one in sent[1] if one.value is None}
    again = {one.labels: one.time_ms for one in sent[1] if one.value is not None and one.time_ms > min(ends.values())}
    assert ends
    assert again.keys() == ends.keys()
    assert all(when > ends[labels] for labels, when in again.items())


def test_a_store_that_comes_back_counts_on() -> None:
    sent, counts = after_reloads(None, {})
    assert "up" in names_that_ended(sent[1])
    assert counts[1] == {}
    assert counts[2]["it"].sent > counts[0]["it"].sent


def test_what_waits_for_a_store_goes_to_the_one_of_its_name() -> None:
    reading = Reading()

    async def run() -> None:
        async with store(hanging) as deaf, store(reading.take) as url, asyncio.timeout(30):
            first = RemoteWriteConfig(deaf, name="it", interval=0.1, levels=("collector",))
            writer, crew = RemoteWriter(Config(), snapshot), Crew()
            await reload(writer, crew, first)
            while not writer.stats["it"].pending:
                await asyncio.sleep(0.02)
            waiting = writer.stats["it"].pending
            await reload(writer, crew, replace(first, url=url))
            while writer.stats["it"].sent < waiting:
                await asyncio.sleep(0.02)
            await reload(writer, crew)
            await reload(writer, crew, replace(first, interval=60.0))
            assert writer.stats["it"].pending == 0, "what nobody wants is dropped"
            await crew.end_tasks()

    asyncio.run(run())


def test_a_store_is_checked_before_anything_is_opened() -> None:
    with pytest.raises(ConfigError, match="'pool' cannot become 'host'"):
        check_store(RemoteWriteConfig("http://h/", rename_labels={"pool": "host"}))
