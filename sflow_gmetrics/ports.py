"""Every port of the program: which are opened, or taken from systemd, and what answers there.

With another configuration, a port whose address is the same stays open; new ones are opened before
old ones are closed, and if one cannot be, all stays as it was.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from exporters.http_port import HttpPort
from exporters.runtime import Runtime
from exporters.tcp import CLIENTS, InteractivePort, XmlPort, listen_tcp
from exporters.web_door import Door
from exporters.web_security import WebSecurity

from .activation import PORTS, passed_sockets
from .config import OFF, Config, split_address
from .inputs.ports import sharing
from .inputs.udp import OVERHEAD, UdpInput
from .pools import trusted

log = logging.getLogger("sflow_gmetrics")

Address = tuple[str, int]
Serve = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the outputs can be reached; None where one is off. `web` is the first of `webs`."""

    sflow: tuple[Address, ...]
    gmond: Address | None = None
    webs: tuple[Address, ...] = ()
    gmetad: Address | None = None
    interactive: Address | None = None
    tls: bool = False

    @property
    def scheme(self) -> str:
        """Of the HTTP port's addresses."""
        return "https" if self.tls else "http"

    @property
    def web(self) -> Address | None:
        """The first address of the HTTP port."""
        return self.webs[0] if self.webs else None

    def log(self) -> None:
        """A line for each port."""
        for one in self.sflow:
            log.info("listening for sFlow on UDP %s", join_address(*one))
        for text, output in (
            ("gmond XML on TCP %s", self.gmond),
            ("gmetad XML on TCP %s", self.gmetad),
            ("gmetad's interactive port on TCP %s", self.interactive),
            *((f"metrics and landing page on {self.scheme}://%s/", one) for one in self.webs),
        ):
            if output is not None:
                log.info(text, join_address(*output))


KEYS = {
    "sflow": "[sflow] listen",
    "gmond": "[gmond] listen",
    "gmetad-xml": "[gmetad] xml_listen",
    "gmetad-interactive": "[gmetad] interactive_listen",
    "web": "[web] listen",
}
"""The keys that say where each port is."""

_WHY = {
    "slow": "it took too long to read",
    "limit": f"all {CLIENTS} places were taken, or too much waited for readers, and it stood still longest",
    "files": "there was no file descriptor for another one",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one of our ports is to be; `nth` tells apart those with the same address, `only_v6` leaves IPv4 alone.

    A port that systemd has passed has no host.
    """

    port: str
    host: str
    number: int
    only_v6: bool = False
    nth: int = 0


Opened = UdpInput | XmlPort | socket.socket
"""What stands at a place: a socket where HTTP is spoken."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is ready for another configuration: every place that it has, those that are new among them, and TLS."""

    config: Config
    opened: dict[Place, Opened]
    new: list[Opened]
    security: WebSecurity

    def discard(self) -> None:
        """Close what has been opened: it is not needed."""
        for one in self.new:
            _close(one)
        self.security.close()


class Ports:
    """The ports of a configuration.

    Datagrams go to `receive`; readers of XML get a `page` or an `answer`, and HTTP the `application`.
    """

    def __init__(
        self,
        config: Config,
        receive: Callable[[list[bytes]], None],
        page: Callable[[str], Awaitable[bytes]],
        answer: Callable[[bytes], Awaitable[bytes]],
        application: Callable[[Callable[[], bool], Door], web.Application],
        runtime: Runtime,
    ) -> None:
        self.listening: Listening | None = None
        self._config = config
        self._receive = receive
        self._page = page
        self._answer = answer
        self._application = application
        self._runtime = runtime
        self._opened: dict[Place, Opened] = {}
        self._closed: list[UdpInput] = []
        self._left: list[XmlPort] = []
        self._notes: dict[str, tuple[int, str]] = {}
        self._trusts = trusted(config.gmetad.trusted_hosts)
        self._security = WebSecurity(config.web.config_file)
        self._http: HttpPort | None = None
        self._runner: web.AppRunner | None = None

    async def open(self) -> Listening:
        """Open every port. Raises InputError for the first that cannot be."""
        for port, sockets in passed_sockets(self._config).items():
            for nth, one in enumerate(sockets):
                self._opened[Place(port, "", 0, nth=nth)] = self._adopt(port, one)
        prepared = self.prepare(self._config)
        security = self._security
        self._runner = web.AppRunner(
            self._application(lambda: self.listening is not None, Door(self._runtime.answered, security)),
            access_log=None,
            shutdown_timeout=1.0,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self._http = HttpPort([], self._runner.server, security.tls, security.admits, self._runtime.hung_up)
        http = self._http
        self._runtime.watch_connections(lambda: http.connections)
        return self.take(prepared)

    def prepare(self, config: Config) -> Prepared:
        """Open what another configuration has and is not there. Raises ConfigError, InputError: all is as it was."""
        security = WebSecurity(config.web.config_file)
        passed = [place for place in self._opened if not place.host]
        wanted = [place for place in places(config) if all(place.port != one.port for one in passed)]
        leaving = [_socket(one) for place, one in self._opened.items() if place not in passed + wanted]
        opened, new = {place: self._opened[place] for place in passed}, []
        try:
            with sharing(leaving):
                for place in wanted:
                    found = self._opened.get(place)
                    opened[place] = one = found or self._open(place, config, shared=bool(leaving))
                    if not found:
                        new.append(one)
        except BaseException:
            Prepared(config, {}, new, security).discard()
            raise
        return Prepared(config, opened, new, security)

    def take(self, prepared: Prepared) -> Listening:
        """From now on the ports are these; `inputs` and `tasks` say what has to run for them, and what no longer."""
        config, before = prepared.config, self._opened
        self._config, self._opened = config, prepared.opened
        leaving = [one for place, one in before.items() if place not in self._opened]
        self._closed += [one for one in leaving if isinstance(one, UdpInput)]
        self._left = [one for one in leaving if isinstance(one, XmlPort)]
        self._trusts = trusted(config.gmetad.trusted_hosts)
        self._security.become(prepared.security)
        prepared.security.close()
        assert self._http is not None
        self._http.listen_on([one for one in self._opened.values() if isinstance(one, socket.socket)])
        self._size_buffers(config.sflow.receive_buffer)
        addresses = {port: tuple(self._addresses(port)) for port in PORTS}
        gmond, tree, asked = ((*addresses[port], None)[0] for port in ("gmond", "gmetad-xml", "gmetad-interactive"))
        tls = self._security.settings.tls is not None
        self.listening = Listening(addresses["sflow"], gmond, addresses["web"], tree, asked, tls)
        return self.listening

    def settle(self) -> None:
        """What served the ports before has ended; one that rested after a fault has not closed its own."""
        for one in self._left:
            one.close()
        self._left = []

    @property
    def inputs(self) -> list[UdpInput]:
        """The threads that receive."""
        return [one for one in self._opened.values() if isinstance(one, UdpInput)]

    def tasks(self) -> Iterator[Serve]:
        """What serves readers in the event loop."""
        for one in self._opened.values():
            if isinstance(one, XmlPort):
                yield one.serve
        if self._http is not None:
            yield self._http.serve

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What has been noticed of readers, and of how they are kept out, since the last call."""
        notes, self._notes = self._notes, {}
        return notes | self._security.take_notes() | (self._http.take_notes() if self._http is not None else {})

    def _hung_up(self, port: str, why: str) -> None:
        """A reader of an XML port was not waited for any longer."""
        self._runtime.xml_hung_up(port, why)
        event = f"{why} {port}"
        self._notes[event] = (
            self._notes.get(event, (0, ""))[0] + 1,
            f"hung up on a reader of port {port}: {_WHY[why]}",
        )

    async def close(self) -> None:
        """Close those for readers; an input closes itself when it is stopped."""
        for one in self._opened.values():
            if isinstance(one, XmlPort):
                one.close()
        if self._http is not None:
            self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.end()
        self._security.close()

    @property
    def web_config(self) -> tuple[bool, float] | None:
        """Whether the file of the web port is in use, and when what is in use was read; None without one."""
        return self._security.state

    def kernel_drops(self) -> int:
        """How many datagrams the kernel has dropped because a receive buffer was full."""
        return sum(one.kernel_drops() for one in (*self.inputs, *self._closed))

    @property
    def receive_buffer(self) -> int:
        """The size of an input's buffer in bytes, 0 without one."""
        return self.inputs[-1].receive_buffer if self.inputs else 0

    async def _document(self, port: str, made: Awaitable[bytes]) -> bytes:
        self._runtime.xml_requests.labels(port).inc()
        return await made

    def _open(self, place: Place, config: Config, *, shared: bool) -> Opened:
        host, number, only_v6 = place.host, place.number, place.only_v6
        if place.port == "sflow":
            size = config.sflow.receive_buffer
            return UdpInput(host, number, size, self._receive, only_v6=only_v6, shared=shared)
        listener = listen_tcp(host, number, KEYS[place.port], only_v6=only_v6, shared=shared)
        return self._adopt(place.port, listener)

    def _adopt(self, port: str, listener: socket.socket) -> Opened:
        """What stands at a port, on a socket that is bound to it."""
        if port == "sflow":
            return UdpInput("", 0, self._config.sflow.receive_buffer, self._receive, listener)
        listener.setblocking(False)
        if port == "web":
            return listener
        xml = self._xml_port(port, listener)
        xml.hung_up = partial(self._hung_up, port)
        self._runtime.watch_xml(port, lambda: self._readers(port))
        return xml

    def _xml_port(self, port: str, listener: socket.socket) -> XmlPort:
        if port == "gmond":
            return XmlPort(listener, lambda: self._document(port, self._page("gmond")))
        if port == "gmetad-xml":
            return XmlPort(
                listener, lambda: self._document(port, self._page("gmetad")), lambda peer: self._trusts(peer)
            )
        return InteractivePort(
            listener, lambda line: self._document(port, self._answer(line)), lambda peer: self._trusts(peer)
        )

    def _readers(self, port: str) -> int:
        """How many readers an XML port has."""
        return sum(
            one.connections for place, one in self._opened.items() if place.port == port and isinstance(one, XmlPort)
        )

    def _size_buffers(self, wanted: int) -> None:
        for one in self.inputs:
            one.resize(wanted)
        for given in {one.receive_buffer for one in self.inputs if one.receive_buffer < wanted}:
            log.warning(
                "the receive buffer is %d bytes, not %d: raise it with 'sysctl -w net.core.rmem_max=%d'",
                given,
                wanted,
                OVERHEAD * wanted,
            )

    def _addresses(self, port: str) -> Iterator[Address]:
        for place, one in self._opened.items():
            if place.port == port:
                yield _socket(one).getsockname()[:2]


def places(config: Config) -> Iterator[Place]:
    """Where the ports of a configuration are to be."""
    gmetad = config.gmetad
    listen = (config.sflow.listen, (config.gmond.listen,), (gmetad.xml_listen,), (gmetad.interactive_listen,))
    for port, addresses in zip(PORTS, (*listen, config.web.listen), strict=True):
        found = [split_address(address) for address in addresses if address not in OFF]
        has_v4 = any(":" not in host for host, _ in found)  # then [::] is to leave it alone
        seen: Counter[Address] = Counter()
        for address in found:
            host, number = address
            yield Place(port, host, number, has_v4 and host == "::", seen[address])
            seen[address] += 1


def _socket(opened: Opened) -> socket.socket:
    if isinstance(opened, UdpInput):
        return opened.socket
    return opened.listener if isinstance(opened, XmlPort) else opened


def _close(opened: Opened) -> None:
    if isinstance(opened, UdpInput):
        opened.stop()
    else:
        opened.close()


def join_address(host: str, port: int) -> str:
    """Host and port as one writes them, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
