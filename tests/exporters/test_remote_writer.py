"""Remote write at work: what it does when it ends, when a store hangs, and when gathering fails."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from exporters.remote_writer import RemoteWriter, check_store
from sflow_gmetrics import Collector, Snapshot
from sflow_gmetrics.config import Config, RemoteWriteConfig
from sflow_gmetrics.errors import ConfigError
from tests.exporters.test_remote_write_client import store
from tests.exporters.write_requests import Sent, read_body

CONFIG = Config()


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


def test_a_store_is_checked_before_anything_is_opened() -> None:
    with pytest.raises(ConfigError, match="'pool' cannot become 'host'"):
        check_store(RemoteWriteConfig("http://h/", rename_labels={"pool": "host"}))
