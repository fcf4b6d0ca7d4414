"""The program: the one module that knows everyone, and where clock, sockets and threads are."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web

from exporters import gmetad, gmond, interactive, landing, prometheus
from exporters.runtime import Runtime
from exporters.tcp import InteractivePort, XmlPort, listen_tcp
from exporters.view_files import write_views
from exporters.views import render_views
from exporters.web import make_app

from .collector import Collector
from .config import OFF, Config, split_address
from .errors import EngineError, InputError
from .inputs.federation import Federation
from .inputs.udp import UdpInput
from .pools import trusted
from .remote import Remote
from .snapshot import Snapshot
from .storage import Storage

log = logging.getLogger("sflow_gmetrics")

FRESH = 0.25
"""For how many seconds a page is given to several readers, and not rendered again."""
QUIET = frozenset(("new", "gone", "named", "back", "restarted"))
"""Events that are no trouble."""
VIEWS_INTERVAL = 15.0
"""How often the views for ganglia-web are brought up to date, in seconds."""
NOTE_INTERVAL = 60.0
"""How often the same event of the same agent is logged at the most, in seconds."""


Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the outputs can be reached; None where one is off."""

    sflow: tuple[Address, ...]
    gmond: Address | None = None
    web: Address | None = None
    gmetad: Address | None = None
    interactive: Address | None = None


def _views(snapshot: Snapshot) -> bytes:
    """The views for ganglia-web as one JSON object: file name to contents."""
    return json.dumps({name: content.decode() for name, content in render_views(snapshot).items()}).encode()


_RENDERERS: Mapping[str, Callable[[Snapshot], bytes]] = {
    "gmond": gmond.render,
    "gmetad": gmetad.render,
    "metrics": prometheus.render,
    "openmetrics": prometheus.render_openmetrics,
    "landing": landing.render,
    "views": _views,
}


class App:
    """A collector with its inputs and outputs. `run` returns when `stop` has been called."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.collector = Collector(config)
        self._clock = clock
        self._lock = threading.Lock()
        self._inputs: list[UdpInput] = []
        self._pages: dict[str, tuple[float, bytes]] = {}
        self._recent: tuple[float, Snapshot] | None = None
        self._rendering: dict[str, asyncio.Lock] = {}
        self._ports: list[XmlPort] = []
        self._storage = Storage(config.rrd, self.snapshot, clock) if config.rrd.root else None
        self._federation = Federation(config.gmetad.sources, self._take_remotes) if config.gmetad.sources else None
        self._runtime = Runtime(
            lambda: self._storage.state if self._storage is not None else None, lambda: self.collector.remotes
        )
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._logged: dict[tuple[str, str], float] = {}
        self.listening: Listening | None = None

    # --- state

    def receive(self, payloads: list[bytes]) -> None:
        """Some datagrams, from the input's thread. A reader who wants the lock gets it between two of them."""
        for payload in payloads:
            with self._lock:
                self.collector.receive(payload, self._clock())

    def snapshot(self) -> Snapshot:
        """The state now."""
        drops = sum(one.kernel_drops() for one in self._inputs)
        with self._lock:
            self.collector.kernel_drops = drops
            return self.collector.snapshot(self._clock())

    def _take_remotes(self, remotes: tuple[Remote, ...]) -> None:
        """What other collectors have, from the federation."""
        with self._lock:
            self.collector.remotes = remotes

    async def page(self, name: str) -> bytes:
        """A page, rendered in a thread; readers who come together get the same."""
        async with self._rendering.setdefault(name, asyncio.Lock()):
            made, body = self._pages.get(name, (-1.0, b""))
            if not 0 <= time.monotonic() - made < FRESH:
                body = await asyncio.to_thread(self._render, name)
                self._pages[name] = (time.monotonic(), body)
            return body

    def _render(self, name: str) -> bytes:
        body = self._runtime.timed(name, lambda: _RENDERERS[name](self.snapshot()))
        if name in ("metrics", "openmetrics"):
            return self._runtime.append_to(body, openmetrics=name == "openmetrics")
        return body

    async def answer(self, request: bytes) -> bytes:
        """The answer of the interactive port; those who come together ask the same snapshot."""
        async with self._rendering.setdefault("interactive", asyncio.Lock()):
            made, snapshot = self._recent or (-1.0, None)
            if snapshot is None or not 0 <= time.monotonic() - made < FRESH:
                snapshot = await asyncio.to_thread(self.snapshot)
                self._recent = (time.monotonic(), snapshot)
            return await asyncio.to_thread(interactive.answer, request, snapshot)

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
        tasks: list[asyncio.Task[None]] = []
        runner: web.AppRunner | None = None
        try:
            self.listening, runner = await self._open()
            tasks = [self._loop.create_task(one) for one in self._services()]
            _tune_garbage_collection()
            for thread in self._threads():
                thread.start()
            self._log_start()
            if started is not None:
                started(self.listening)
            await self._stop.wait()
            log.info("ending")
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for port in self._ports:
                port.close()
            if runner is not None:
                await runner.cleanup()
            for thread in self._threads():
                thread.stop()

    def _services(self) -> Iterator[Coroutine[None, None, None]]:
        """What runs in the event loop."""
        for port in self._ports:
            yield port.serve()
        yield self._watch()
        if self._federation is not None:
            yield self._federation.run()
        if self.config.views.directory:
            yield self._keep_views()

    def _threads(self) -> list[UdpInput | Storage]:
        return [*self._inputs, *([self._storage] if self._storage is not None else [])]

    async def _open(self) -> tuple[Listening, web.AppRunner | None]:
        """Open every port. Raises InputError for the first that cannot be."""
        gmetad = self.config.gmetad
        trusts = trusted(gmetad.trusted_hosts)

        def xml(listener: socket.socket) -> XmlPort:
            return XmlPort(listener, lambda: self.page("gmond"))

        def tree(listener: socket.socket) -> XmlPort:
            return XmlPort(listener, lambda: self.page("gmetad"), trusts)

        def asked(listener: socket.socket) -> XmlPort:
            return InteractivePort(listener, self.answer, trusts)

        sflow = self._open_inputs()
        ports = (
            self._open_port("[gmond] listen", self.config.gmond.listen, xml),
            self._open_port("[gmetad] xml_listen", gmetad.xml_listen, tree),
            self._open_port("[gmetad] interactive_listen", gmetad.interactive_listen, asked),
        )
        runner, page = await self._open_web()
        return Listening(sflow, ports[0], page, ports[1], ports[2]), runner

    def _open_inputs(self) -> tuple[Address, ...]:
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
        return tuple((one.host, one.port) for one in self._inputs)

    def _open_port(self, key: str, address: str, make: Callable[[socket.socket], XmlPort]) -> Address | None:
        if address in OFF:
            return None
        host, port = split_address(address)
        opened = make(listen_tcp(host, port, key))
        self._ports.append(opened)
        return host, opened.port

    async def _open_web(self) -> tuple[web.AppRunner | None, Address | None]:
        if self.config.web.listen in OFF:
            return None, None
        host, port = split_address(self.config.web.listen)
        listener = listen_tcp(host, port, "[web] listen")
        runner = web.AppRunner(
            make_app(self.page, lambda: self.listening is not None), access_log=None, shutdown_timeout=1.0
        )
        await runner.setup()
        await web.SockSite(runner, listener).start()
        return runner, (host, listener.getsockname()[1])

    # --- events

    def _log_start(self) -> None:
        at = self.listening
        assert at is not None
        for one in at.sflow:
            log.info("listening for sFlow on UDP %s", join_address(*one))
        for text, output in (
            ("gmond XML on TCP %s", at.gmond),
            ("gmetad XML on TCP %s", at.gmetad),
            ("gmetad's interactive port on TCP %s", at.interactive),
            ("metrics and landing page on http://%s/", at.web),
        ):
            if output is not None:
                log.info(text, join_address(*output))

    async def _watch(self) -> None:
        """Forget what is gone, and log what has been noticed."""
        while True:
            await asyncio.sleep(1.0)
            with self._lock:
                self.collector.sweep(self._clock())
                notes = self.collector.take_notes()
            self._forget_pages()
            for (agent, event), (count, detail) in notes.items():
                self._say(f"agent {agent or 'unknown'}", event, count, detail)
            if self._federation is not None:
                for (source, event), (count, detail) in self._federation.take_notes().items():
                    self._say(f"source {source}", event, count, detail)
            if self._storage is not None:
                for event, (count, detail) in self._storage.take_notes().items():
                    self._say("RRD", event, count, detail)

    def _forget_pages(self) -> None:
        """A page that is not fresh is not given to anybody again, and may be large."""
        old = time.monotonic() - FRESH
        for name in [name for name, (made, _) in self._pages.items() if made < old]:
            del self._pages[name]
        if self._recent is not None and self._recent[0] < old:
            self._recent = None

    def _say(self, subject: str, event: str, count: int, detail: str) -> None:
        """Log an event, each kind of one subject once a minute at the most."""
        now = time.monotonic()
        if now - self._logged.get((subject, event), -NOTE_INTERVAL) < NOTE_INTERVAL:
            return
        if len(self._logged) > 10_000:
            self._logged.clear()
        self._logged[subject, event] = now
        level = logging.INFO if event in QUIET else logging.WARNING
        log.log(level, "%s: %s%s", subject, detail, f" ({count} times)" if count > 1 else "")

    async def _keep_views(self) -> None:
        """Write the views and reports for ganglia-web about the services that are there, again and again."""
        views = self.config.views
        while True:
            await asyncio.sleep(VIEWS_INTERVAL)
            try:
                await asyncio.to_thread(
                    lambda: write_views(render_views(self.snapshot()), views.directory, views.reports, self._clock())
                )
            except EngineError as error:
                self._say("views", "away", 1, str(error))


def join_address(host: str, port: int) -> str:
    """Host and port as one writes them, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
