"""Remote write at work: gathers what is new and sends it, to every store by itself."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import Metric

from sflow_gmetrics.config import OFF, Config, RemoteWriteConfig, split_address
from sflow_gmetrics.errors import ConfigError
from sflow_gmetrics.snapshot import Snapshot

from .remote_write import NewSamples, check_labels
from .remote_write_client import StoreClient
from .remote_write_queue import RequestQueue, Stats

log = logging.getLogger("sflow_gmetrics")

LAST_WORDS = 2.0
"""How long a store is waited for at the end, in seconds."""

Others = Callable[[], Iterable[Metric]]
"""Gives the metrics of this process."""


class RemoteWriter:
    """Writes to all stores of a configuration. Raises ConfigError where a label or a certificate cannot be used.

    `others` are metrics of this process.
    """

    def __init__(self, config: Config, snapshot: Callable[[], Snapshot], others: Others = tuple) -> None:
        self._snapshot = snapshot
        self._others = others
        self._ended: dict[str, Endpoint] = {}
        self._endpoints: list[Endpoint] = []
        self._endpoints = self.prepare(config)

    def prepare(self, config: Config) -> list[Endpoint]:
        """The endpoints of another configuration; those that stay as they are are the same. Raises ConfigError."""
        instance = default_instance(config.web.listen)
        there = {one.name: one for one in self._endpoints}

        def endpoint(wanted: RemoteWriteConfig) -> Endpoint:
            found = there.get(wanted.endpoint)
            if found is not None and (found.config, found.instance) == (wanted, instance):
                return found
            return Endpoint(wanted, self._snapshot, instance, self._others)

        return list(map(endpoint, config.remote_write))

    def take(self, endpoints: list[Endpoint]) -> None:
        """From now on write to these; one that is new goes on where an earlier one of its name has ended."""
        before = self._endpoints
        self._ended |= {one.name: one for one in before if one not in endpoints}
        for one in endpoints:
            if one not in before and one.name in self._ended:
                one.follow(self._ended.pop(one.name))
        self._endpoints = endpoints

    def settle(self) -> None:
        """Drop what waits for stores that are written to no more. What became of all before stays counted."""
        for one in self._ended.values():
            one.queue.drop()

    def tasks(self) -> Iterator[Callable[[], Coroutine[Any, Any, None]]]:
        """What writes to each store until cancelled, and then says that all series have ended, to those who listen."""
        for one in self._endpoints:
            yield one.run

    @property
    def stats(self) -> Mapping[str, Stats]:
        """What has become of the samples, by store."""
        return {one.name: one.queue.stats for one in self._endpoints}

    def take_notes(self) -> dict[tuple[str, str], tuple[int, str]]:
        """What is to be said since the last call, by store and event."""
        return {(one.name, event): note for one in self._endpoints for event, note in one.queue.take_notes().items()}


def _same_series(one: RemoteWriteConfig, other: RemoteWriteConfig) -> bool:
    """Whether both have the same samples of the same names."""
    keys = ("url", "levels", "groups", "include", "exclude", "external_labels", "rename_labels")
    return all(getattr(one, key) == getattr(other, key) for key in keys)


def check_store(config: RemoteWriteConfig) -> None:
    """Raises ConfigError where a label, a certificate or what is in a file of credentials cannot be used."""
    place = f"remote_write ({config.endpoint})"
    check_labels(config, place)
    client = StoreClient(config)
    try:
        client.headers()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place}: the credentials cannot be read: {error}") from None


def default_instance(web_listen: Iterable[str]) -> str:
    """The label `instance` that a Prometheus would most likely give to this collector: HOST:PORT."""
    host = socket.gethostname()
    ports = [port for one in web_listen if one not in OFF and (port := split_address(one)[1])]
    return f"{host}:{ports[0]}" if ports else host


class Endpoint:
    """One store: its queue, and the two loops that fill and empty it."""

    def __init__(
        self, config: RemoteWriteConfig, snapshot: Callable[[], Snapshot], instance: str, others: Others
    ) -> None:
        check_labels(config, f"remote_write ({config.endpoint})")
        self.config, self.instance = config, instance
        self.name = config.endpoint
        self.queue = RequestQueue(config)
        self._before: Endpoint | None = None
        self._goes_on = False
        self._client = StoreClient(config)
        self._samples = NewSamples(config, instance)
        self._snapshot = snapshot
        self._others = others
        self._gathering = threading.Lock()
        self._filled = asyncio.Event()

    def follow(self, before: Endpoint) -> None:
        """Go on where another one ends: with what waits in its queue, and if no series changes, without a break."""
        self.queue, self._before = before.queue, before
        self.queue.config = self.config
        before._goes_on = self.instance == before.instance and _same_series(self.config, before.config)

    async def run(self) -> None:
        """Gather and send until cancelled."""
        if self._before is not None:
            self._gathering = self._before._gathering
            self._samples = (
                self._before._samples if self._before._goes_on else self._samples.after(self._before._samples)
            )
            self._before = None
        else:
            self._samples.begin(time.time())
        sending = asyncio.create_task(self._send())
        try:
            await self._gather()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await self._finish()

    async def _gather(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self.config.interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            try:
                await asyncio.to_thread(self._add)
            except Exception:
                log.exception("remote write to %s has met a fault that should not be; it goes on", self.name)
            self._filled.set()

    def _add(self, *, end: bool = False) -> None:
        with self._gathering:
            snapshot = self._snapshot()
            series = self._samples.take(snapshot, self._others())
            if end:
                series += self._samples.end(snapshot.time)
            self.queue.add(series, snapshot.time)

    async def _send(self) -> None:
        while True:
            self._filled.clear()
            while await self._send_one():
                await asyncio.sleep(self.queue.wait(time.monotonic()))
            await self._filled.wait()

    async def _send_one(self) -> bool:
        """Send what is first in the queue. False where nothing is."""
        request = self.queue.take()
        if request is None:
            return False
        answer = await self._client.post(request.body)
        self.queue.answered(answer, time.monotonic())
        return True

    async def _finish(self) -> None:
        """The newest samples and the ends of all series, as far as the store takes them at once."""
        if self._goes_on:
            await self._client.close()
            return
        try:
            async with asyncio.timeout(LAST_WORDS):
                await asyncio.to_thread(self._add, end=True)
                while await self._send_one() and not self.queue.wait(time.monotonic()):
                    pass
        except TimeoutError:
            pass
        finally:
            await self._client.close()
        if pending := self.queue.stats.pending:
            log.warning("remote write to %s: %d samples have not been sent", self.name, pending)
