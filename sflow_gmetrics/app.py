"""The program: the one module that knows everyone. What runs, in which order it begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

from exporters.remote_writer import RemoteWriter
from exporters.runtime import Runtime

from . import memory
from .collector import Collector
from .config import OFF, Config
from .derive import derive_snapshot
from .errors import InputError
from .events import EventLog
from .inputs.federation import Federation
from .notify import Notifier, Part, Watchdog
from .pages import Pages
from .ports import Listening, Ports
from .remote import Remote
from .snapshot import Snapshot
from .storage import Storage, ViewFiles

log = logging.getLogger("sflow_gmetrics")

TURN = 0.0005
"""For how many seconds who makes a snapshot lets others have the lock."""
AT_ONCE = 16
"""How many datagrams are taken before somebody else may have the lock."""
PULSE = 1.0
"""Seconds between two looks at what is gone, and what has been noticed."""
PAUSE = 10.0
"""Seconds after which a task that has met a fault of ours begins again."""


class Threaded(Part, Protocol):
    """What runs in a thread of its own, and is watched. `stop` may come before `start`, and returns at the end."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class App:
    """A collector with its inputs and outputs. `run` returns when `stop` has been called.

    What runs beside the ports stands in `_tasks` (in the event loop) or `_threads`; whoever has
    something to say in the log gives its `take_notes` to `events.follow`.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.collector = Collector(config)
        self.events = EventLog()
        self._clock = clock
        self._lock = threading.Lock()
        self._storage = Storage(config.rrd, self.snapshot, clock) if config.rrd.root else None
        self._federation = Federation(config.gmetad.sources, self._take_remotes) if config.gmetad.sources else None
        self._views = ViewFiles(config.views, self.snapshot, clock) if config.views.directory else None
        self._remote_writer = RemoteWriter(config, self.snapshot, lambda: self._runtime.registry.collect())
        self._runtime = Runtime(
            lambda: self._storage.state if self._storage is not None else None,
            lambda: self.collector.remotes,
            lambda: self._remote_writer.stats,
        )
        self.pages = Pages(config, self.snapshot, self._runtime)
        pages = self.pages
        self.ports = Ports(config, self.receive, pages.page, pages.answer, pages.application, self._runtime)
        self.notifier = Notifier()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._follow()

    def _follow(self) -> None:
        """Whoever notices something that is worth a line in the log."""
        self.events.follow("agent", self._take_notes)
        self.events.follow("web", self.ports.take_notes)
        self.events.follow("remote write to", self._remote_writer.take_notes)
        if self._federation is not None:
            self.events.follow("source", self._federation.take_notes)
        if self._storage is not None:
            self.events.follow("RRD", self._storage.take_notes)
        if self._views is not None:
            self.events.follow("views", self._views.take_notes)

    def _tasks(self) -> Iterator[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs in the event loop until it is cancelled."""
        yield self._watch
        yield Watchdog(self.notifier, self._threads, self._status).run
        yield from self.ports.tasks()
        yield self._remote_writer.run
        if self._federation is not None:
            yield self._federation.run
        if self._views is not None:
            yield self._views.run

    def _threads(self) -> Iterator[Threaded]:
        """What has a thread of its own."""
        yield from self.ports.inputs
        if self._storage is not None:
            yield self._storage

    # --- state

    def _status(self) -> str:
        return f"{len(self.collector.agents)} agents, {self.collector.datagrams} datagrams received"

    @property
    def listening(self) -> Listening | None:
        """Where the outputs can be reached, once they can be."""
        return self.ports.listening

    def receive(self, payloads: list[bytes]) -> None:
        """Some datagrams, from the input's thread. A reader who wants the lock gets it after a few of them."""
        receive, clock = self.collector.receive, self._clock
        for first in range(0, len(payloads), AT_ONCE):
            with self._lock:
                for payload in payloads[first : first + AT_ONCE]:
                    receive(payload, clock())

    def snapshot(self) -> Snapshot:
        """The state now."""
        drops = self.ports.kernel_drops()
        with self._lock:
            self.collector.kernel_drops = drops
            now = self._clock()
            self.collector.sweep(now)
            return derive_snapshot(self.collector, now, self._pause)

    def _pause(self) -> None:
        """Let the lock go for a moment, long enough for a thread that waits for it to wake up."""
        self._lock.release()
        time.sleep(TURN)
        self._lock.acquire()

    def _take_remotes(self, remotes: tuple[Remote, ...]) -> None:
        """What other collectors have, from the federation."""
        with self._lock:
            self.collector.remotes = remotes

    def _take_notes(self) -> dict[tuple[str, str], tuple[int, str]]:
        with self._lock:
            return self.collector.take_notes()

    # --- running

    def run(self, started: Callable[[Listening], None] | None = None) -> None:
        """Listen on every port and serve until SIGTERM, SIGINT or `stop`. Raises InputError."""
        asyncio.run(self._run(started))

    def stop(self) -> None:
        """End `run`, from any thread."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)

    async def _run(self, started: Callable[[Listening], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._stop.set)
            self._loop.add_signal_handler(signal.SIGHUP, self._decline_reload)
        tasks: list[asyncio.Task[None]] = []
        try:
            listening = await self.ports.open()
            self.collector.receive_buffer = self.ports.receive_buffer
            tasks = [self._loop.create_task(_for_ever(one)) for one in self._tasks()]
            memory.tune()
            for thread in self._threads():
                thread.start()
            listening.log()
            self.notifier.ready(self._status())
            if started is not None:
                started(listening)
            await self._stop.wait()
            log.info("ending")
            self.notifier.stopping()
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.ports.close()
            for thread in self._threads():
                thread.stop()

    def _decline_reload(self) -> None:
        self.notifier.reloading()
        log.warning("SIGHUP: the configuration is read at the start only; restart the program to change it")
        self.notifier.ready(self._status())

    async def _watch(self) -> None:
        """Forget what is gone, and log what has been noticed."""
        while True:
            await asyncio.sleep(PULSE)
            with self._lock:
                self.collector.sweep(self._clock())
            self.pages.forget()
            self.events.write()


async def _for_ever(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a task; a fault in it, which should not be, is logged with its place and does not end it."""
    while True:
        try:
            return await run()
        except Exception:
            log.exception("%s has met a fault that should not be; it begins again", run.__qualname__)
            await asyncio.sleep(PAUSE)


def serve(config: Config, started: Callable[[Listening], None] | None = None) -> None:
    """Run the program until it is told to end. Raises InputError where a port cannot be opened."""
    if all(address in OFF for address in config.sflow.listen):
        raise InputError("[sflow] listen: no address is set, so nothing would ever be heard")
    App(config).run(started)
