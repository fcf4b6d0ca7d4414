"""The program: the one module that knows everyone, and where clock, sockets and threads are."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from exporters import gmond, landing, prometheus
from exporters.tcp import XmlPort, listen_tcp
from exporters.web import make_app

from .collector import Collector
from .config import OFF, Config, split_address
from .errors import InputError
from .inputs.udp import UdpInput
from .snapshot import Snapshot

log = logging.getLogger("sflow_gmetrics")

FRESH = 0.25
"""For how many seconds a page is given to several readers, and not rendered again."""
NOTE_INTERVAL = 60.0
"""How often the same event of the same agent is logged at the most, in seconds."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the outputs can be reached; None where one is off."""

    sflow: tuple[tuple[str, int], ...]
    gmond: tuple[str, int] | None
    web: tuple[str, int] | None


class App:
    """A collector with its inputs and outputs. `run` returns when `stop` has been called."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.collector = Collector(config)
        self._clock = clock
        self._lock = threading.Lock()
        self._inputs: list[UdpInput] = []
        self._pages: dict[str, tuple[float, bytes]] = {}
        self._rendering: dict[str, asyncio.Lock] = {}
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._logged: dict[tuple[str, str], float] = {}
        self.listening: Listening | None = None

    # --- state

    def receive(self, payload: bytes) -> None:
        """One datagram, from the input's thread."""
        with self._lock:
            self.collector.receive(payload, self._clock())

    def snapshot(self) -> Snapshot:
        """The state now."""
        drops = sum(one.kernel_drops() for one in self._inputs)
        with self._lock:
            self.collector.kernel_drops = drops
            return self.collector.snapshot(self._clock())

    async def page(self, name: str) -> bytes:
        """A page, rendered in a thread; readers who come together get the same."""
        lock = self._rendering.setdefault(name, asyncio.Lock())
        async with lock:
            made, body = self._pages.get(name, (-1.0, b""))
            if not 0 <= time.monotonic() - made < FRESH:
                body = await asyncio.to_thread(self._render, name)
                self._pages[name] = (time.monotonic(), body)
            return body

    def _render(self, name: str) -> bytes:
        snapshot = self.snapshot()
        if name == "gmond":
            return gmond.render(snapshot)
        if name == "metrics":
            return prometheus.render(snapshot)
        if name == "openmetrics":
            return prometheus.render_openmetrics(snapshot)
        return landing.render(snapshot)

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
        tasks: list[asyncio.Task[Any]] = []
        runner: web.AppRunner | None = None
        try:
            self._open_inputs()
            xml = self._open_gmond()
            runner, address = await self._open_web()
            if xml is not None:
                tasks.append(self._loop.create_task(xml.serve()))
            tasks.append(self._loop.create_task(self._watch()))
            self.listening = Listening(
                tuple((one.host, one.port) for one in self._inputs),
                (split_address(self.config.gmond.listen)[0], xml.port) if xml is not None else None,
                address,
            )
            _tune_garbage_collection()
            for one in self._inputs:
                one.start()
            self._log_start()
            if started is not None:
                started(self.listening)
            await self._stop.wait()
            log.info("ending")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if runner is not None:
                await runner.cleanup()
            for one in self._inputs:
                one.stop()

    def _open_inputs(self) -> None:
        for address in self.config.sflow.listen:
            if address not in OFF:
                wanted = self.config.sflow.receive_buffer
                one = UdpInput(*split_address(address), wanted, self.receive)
                self._inputs.append(one)
                self.collector.receive_buffer = one.receive_buffer
                if one.receive_buffer < wanted:
                    log.warning(
                        "the receive buffer is %d bytes, not %d: raise it with 'sysctl -w net.core.rmem_max=%d'",
                        one.receive_buffer,
                        wanted,
                        wanted,
                    )

    def _open_gmond(self) -> XmlPort | None:
        if self.config.gmond.listen in OFF:
            return None
        listener = listen_tcp(*split_address(self.config.gmond.listen), "[gmond] listen")
        return XmlPort(listener, lambda: self.page("gmond"))

    async def _open_web(self) -> tuple[web.AppRunner | None, tuple[str, int] | None]:
        if self.config.web.listen in OFF:
            return None, None
        host, port = split_address(self.config.web.listen)
        listener = listen_tcp(host, port, "[web] listen")
        runner = web.AppRunner(make_app(self.page, lambda: self.listening is not None), access_log=None)
        await runner.setup()
        await web.SockSite(runner, listener, shutdown_timeout=1.0).start()
        return runner, (host, listener.getsockname()[1])

    # --- events

    def _log_start(self) -> None:
        assert self.listening is not None
        for host, port in self.listening.sflow:
            log.info("listening for sFlow on UDP %s:%d", host, port)
        if self.listening.gmond is not None:
            log.info("gmond XML on TCP %s:%d", *self.listening.gmond)
        if self.listening.web is not None:
            log.info("metrics and landing page on http://%s:%d/", *self.listening.web)

    async def _watch(self) -> None:
        """Forget what is gone, and log what the collector has noticed, each kind of event of an agent once a minute."""
        while True:
            await asyncio.sleep(1.0)
            with self._lock:
                self.collector.sweep(self._clock())
                notes = self.collector.take_notes()
            now = time.monotonic()
            for (agent, event), (count, detail) in notes.items():
                if now - self._logged.get((agent, event), -NOTE_INTERVAL) >= NOTE_INTERVAL:
                    self._logged[agent, event] = now
                    times = f" ({count} times)" if count > 1 else ""
                    level = logging.INFO if event in ("new", "gone", "named") else logging.WARNING
                    log.log(level, "agent %s: %s%s", agent or "unknown", detail, times)
            if len(self._logged) > 10_000:
                self._logged.clear()


def _tune_garbage_collection() -> None:
    """Rows are replaced all the time but hardly ever form cycles: look for those rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def serve(config: Config, started: Callable[[Listening], None] | None = None) -> None:
    """Run the program until it is told to end. Raises InputError where a port cannot be opened."""
    if all(address in OFF for address in config.sflow.listen):
        raise InputError("[sflow] listen: no address is set, so nothing would ever be heard")
    App(config).run(started)
