"""The program: the one module that knows everyone. What runs, in which order it begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator

from aiohttp import web

from exporters.runtime import Runtime
from exporters.web_door import Door
from exporters.web_reload import reload_routes

from . import memory
from .collector import Collector
from .config import OFF, Config
from .crew import Crew, Run, Threaded
from .derive import derive_snapshot
from .errors import InputError
from .events import EventLog
from .logs import set_up as set_up_log
from .notify import Notifier, Watchdog
from .outputs import Outputs
from .pages import Pages
from .persistence import Persistence, check_state
from .ports import Listening, Ports
from .reconfigure import reconfigure
from .reload import Read, Reload
from .remote import Remote
from .snapshot import Snapshot
from .sweeper import Sweeper

log = logging.getLogger("sflow_gmetrics")

TURN = 0.0005
"""For how many seconds who makes a snapshot lets others have the lock."""
AT_ONCE = 16
"""How many datagrams are taken before somebody else may have the lock."""
PULSE = 1.0
"""Seconds between two looks at what is gone, and what has been noticed."""


class App:
    """A collector with its inputs and outputs. `run` returns when `stop` has been called.

    What runs stands in `_tasks` (in the event loop) or `_threads`; whoever has something to say in
    the log gives its `take_notes` to `events.follow`. `read` gives the configuration as it is by then.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time, read: Read | None = None) -> None:
        self.config = config
        self.events = EventLog()
        self._clock = clock
        self._sweeper = Sweeper(clock())
        self._lock = threading.Lock()
        self._settled = threading.Lock()
        """Whoever holds it sees the collector in one configuration."""
        self._persistence: Persistence | None = None
        if config.state.directory:
            self._persistence = Persistence(config, lambda: self.collector, self._lock, clock)
        self.collector = self._persistence.recover() if self._persistence is not None else Collector(config)
        self._earlier_drops = self.collector.kernel_drops
        self.outputs = Outputs(
            config, self.snapshot, self._take_remotes, lambda: self._runtime.registry.collect(), clock
        )
        self._runtime = Runtime(self.outputs.stored, lambda: self.collector.remotes, self.outputs.written)
        self._reload = Reload(read, self._apply)
        self.pages = Pages(config, self.snapshot, self._runtime, self._reload.notice)
        pages = self.pages
        self.ports = Ports(config, self.receive, pages.page, pages.answer, self._application, self._runtime)
        self._runtime.watch_config(lambda: self._reload.state, lambda: self.ports.web_config)
        self.notifier = Notifier()
        self._watchdog = Watchdog(self.notifier, self._threads, self._status)
        self._crew = Crew()
        self._reloading: set[asyncio.Task[str]] = set()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._follow()

    def _follow(self) -> None:
        """Whoever notices something that is worth a line in the log."""
        self.events.follow("agent", self._take_notes)
        self.events.follow("web", self.ports.take_notes)
        self.outputs.follow(self.events)
        if self._persistence is not None:
            self.events.follow("state", self._persistence.take_notes)
            self._runtime.watch_state(self._persistence.written)

    def _application(self, ready: Callable[[], bool], door: Door) -> web.Application:
        routes = reload_routes(self.begin_reload, lambda: self.config.web.lifecycle)
        return self.pages.application(ready, door, routes)

    def _tasks(self) -> Iterator[Run]:
        """What runs in the event loop until it is cancelled."""
        yield self._watch
        yield self._watchdog.run
        yield from self.ports.tasks()
        yield from self.outputs.tasks()

    def _threads(self) -> Iterator[Threaded]:
        """What has a thread of its own, in the order in which it begins; it ends in the other order."""
        if self._persistence is not None:
            yield self._persistence
        yield from self.ports.inputs
        yield from self.outputs.threads()

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
        keep = self._persistence.keep if self._persistence is not None else None
        for first in range(0, len(payloads), AT_ONCE):
            with self._lock:
                for payload in payloads[first : first + AT_ONCE]:
                    now = clock()
                    try:
                        receive(payload, now)
                    except Exception:
                        self._has_failed(payload)
                        continue
                    if keep is not None:
                        keep(now, payload)

    def _has_failed(self, payload: bytes) -> None:
        """A datagram has met a fault of ours, which should not be: others are taken all the same."""
        self.collector.dropped["fault"] += 1
        if self.events.may_say("receiver", "fault"):
            log.exception("a datagram has met a fault that should not be; it is passed over: %s", payload[:2000].hex())

    def snapshot(self) -> Snapshot:
        """The state now."""
        drops = self._earlier_drops + self.ports.kernel_drops()
        with self._settled, self._lock:
            if self._persistence is not None and drops != self.collector.kernel_drops:
                self._persistence.keep_drops(drops)
            self.collector.kernel_drops = drops
            now = self._clock()
            self._sweeper.sweep(self.collector, now)
            memory.expect(sum(len(agent.sources) for agent in self.collector.agents.values()))
            snapshot = derive_snapshot(self.collector, now, self._pause)
        if self._persistence is not None:
            self._persistence.settle()
        return snapshot

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
        self._stop, self._started = asyncio.Event(), asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._stop.set)
            self._loop.add_signal_handler(signal.SIGHUP, self.begin_reload)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # `serve` lets it wait until here
        try:
            listening = await self.ports.open()
            self.collector.receive_buffer = self.ports.receive_buffer
            self._earlier_drops -= self.ports.kernel_drops()  # those of a socket that outlives us are in both
            memory.tune()
            await self._crew.become(self._tasks(), self._threads())
            listening.log()
            self.notifier.ready(self._status())
            self._started.set()
            if started is not None:
                started(listening)
            await self._stop.wait()
            log.info("ending")
            self.notifier.stopping()
        finally:
            for one in self._reloading:
                one.cancel()
            await asyncio.gather(*self._reloading, return_exceptions=True)
            await self._crew.end_tasks()
            await self.ports.close()
            for thread in reversed(list(self._threads())):
                thread.stop()

    # --- another configuration

    def begin_reload(self) -> asyncio.Task[str]:
        """Read the configuration again, from the event loop. Gives why that of before stays in use, or ""."""
        assert self._loop is not None
        task = self._loop.create_task(self._read_again())
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)
        return task

    async def _read_again(self) -> str:
        await self._started.wait()
        self.notifier.reloading()
        try:
            return await self._reload.run()
        finally:
            self.pages.use(self.config)
            self.notifier.ready(self._status())

    async def _apply(self, config: Config) -> None:
        """Go on with this configuration, or raise ConfigError or InputError and change nothing."""
        check_inputs(config)
        check_state(config, self.config)
        endpoints = self.outputs.prepare(config)
        prepared = await asyncio.to_thread(self.ports.prepare, config)
        await asyncio.to_thread(self._reconfigure, config)
        before, self.config = self.config, config
        if self._persistence is not None:
            self._persistence.use(config)
        if config.log != before.log:
            set_up_log(config.log)
        await self.outputs.take(config, endpoints)
        listened, listening = self.ports.listening, self.ports.take(prepared)
        self.collector.receive_buffer = self.ports.receive_buffer
        await self._crew.become(self._tasks(), self._threads())
        self.ports.settle()
        self.outputs.settle()
        if listening != listened:
            listening.log()

    def _reconfigure(self, config: Config) -> None:
        with self._settled, self._lock:
            reconfigure(self.collector, config, self._pause)

    async def _watch(self) -> None:
        """Forget what is gone, and log what has been noticed."""
        growth = memory.Growth()
        while True:
            await asyncio.sleep(PULSE)
            with self._lock:
                self._sweeper.sweep(self.collector, self._clock())
            if self.pages.forget():
                memory.tidy()
            growth.look()
            self.events.write()


def check_inputs(config: Config) -> None:
    """Raises InputError where nothing would ever be heard."""
    if all(address in OFF for address in config.sflow.listen):
        raise InputError("[sflow] listen: no address is set, so nothing would ever be heard")


def serve(config: Config, started: Callable[[Listening], None] | None = None, read: Read | None = None) -> None:
    """Run the program until it is told to end. Raises InputError where a port cannot be opened."""
    check_inputs(config)
    App(config, read=read).run(started)
