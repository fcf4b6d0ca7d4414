"""Every port of the program: which are opened, or taken from systemd, and what answers there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from exporters.http_port import HttpPort
from exporters.runtime import Runtime
from exporters.tcp import InteractivePort, XmlPort, listen_tcp
from exporters.web_door import Door
from exporters.web_security import WebSecurity

from .activation import passed_sockets
from .config import OFF, Config, split_address
from .errors import InputError
from .inputs.udp import UdpInput
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
        self.inputs: list[UdpInput] = []
        self.listening: Listening | None = None
        self._config = config
        self._receive = receive
        self._page = page
        self._answer = answer
        self._application = application
        self._runtime = runtime
        self._xml: list[XmlPort] = []
        self._security = WebSecurity(config.web.config_file)
        self._http: HttpPort | None = None
        self._runner: web.AppRunner | None = None

    async def open(self) -> Listening:
        """Open every port. Raises InputError for the first that cannot be."""
        gmetad = self._config.gmetad
        trusts = trusted(gmetad.trusted_hosts)
        passed = passed_sockets(self._config)

        def xml(listener: socket.socket) -> XmlPort:
            return XmlPort(listener, lambda: self._document("gmond", self._page("gmond")))

        def tree(listener: socket.socket) -> XmlPort:
            return XmlPort(listener, lambda: self._document("gmetad-xml", self._page("gmetad")), trusts)

        def asked(listener: socket.socket) -> XmlPort:
            return InteractivePort(
                listener, lambda line: self._document("gmetad-interactive", self._answer(line)), trusts
            )

        sflow = self._open_inputs(passed["sflow"])
        ports = (
            self._open_xml("[gmond] listen", self._config.gmond.listen, passed["gmond"], xml),
            self._open_xml("[gmetad] xml_listen", gmetad.xml_listen, passed["gmetad-xml"], tree),
            self._open_xml(
                "[gmetad] interactive_listen", gmetad.interactive_listen, passed["gmetad-interactive"], asked
            ),
        )
        webs = await self._open_web(passed["web"])
        self.listening = Listening(sflow, ports[0], webs, ports[1], ports[2], self._security.settings.tls is not None)
        return self.listening

    def tasks(self) -> Iterator[Serve]:
        """What serves readers in the event loop."""
        for port in self._xml:
            yield port.serve
        if self._http is not None:
            yield self._http.serve

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What has been noticed of HTTP clients, and of how they are kept out, since the last call."""
        return self._security.take_notes() | (self._http.take_notes() if self._http is not None else {})

    async def close(self) -> None:
        """Close those for readers; an input closes itself when it is stopped."""
        for port in self._xml:
            port.close()
        if self._http is not None:
            self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.end()
        self._security.close()

    def kernel_drops(self) -> int:
        """How many datagrams the kernel has dropped because a receive buffer was full."""
        return sum(one.kernel_drops() for one in self.inputs)

    @property
    def receive_buffer(self) -> int:
        """The size of an input's buffer in bytes, 0 without one."""
        return self.inputs[-1].receive_buffer if self.inputs else 0

    async def _document(self, port: str, made: Awaitable[bytes]) -> bytes:
        self._runtime.xml_requests.labels(port).inc()
        return await made

    def _open_inputs(self, passed: list[socket.socket]) -> tuple[Address, ...]:
        wanted = self._config.sflow.receive_buffer
        for one in passed:
            self.inputs.append(UdpInput("", 0, wanted, self._receive, one))
        places = _places(self._config.sflow.listen) if not passed else []
        for host, port in places:
            self.inputs.append(UdpInput(host, port, wanted, self._receive, only_v6=_has_v4(places)))
        for given in {one.receive_buffer for one in self.inputs if one.receive_buffer < wanted}:
            log.warning(
                "the receive buffer is %d bytes, not %d: raise it with 'sysctl -w net.core.rmem_max=%d'",
                given,
                wanted,
                wanted,
            )
        return tuple((one.host, one.port) for one in self.inputs)

    def _open_xml(
        self, key: str, address: str, passed: list[socket.socket], make: Callable[[socket.socket], XmlPort]
    ) -> Address | None:
        listeners = _listeners(key, (address,), passed)
        self._xml += map(make, listeners)
        return _address(listeners[0]) if listeners else None

    async def _open_web(self, passed: list[socket.socket]) -> tuple[Address, ...]:
        listeners = _listeners("[web] listen", self._config.web.listen, passed)
        if listeners:
            door = Door(self._runtime.answered, self._security)
            application = self._application(lambda: self.listening is not None, door)
            self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
            await self._runner.setup()
            assert self._runner.server is not None
            security = self._security
            self._http = HttpPort(listeners, self._runner.server, security.tls, security.admits, self._runtime.hung_up)
            if self._config.web.config_file:
                self._runtime.watch_web_config(lambda: security.good, lambda: security.loaded)
            self._runtime.watch_connections(lambda: self._http.connections if self._http is not None else 0)
        return tuple(map(_address, listeners))


def _listeners(key: str, addresses: tuple[str, ...], passed: list[socket.socket]) -> list[socket.socket]:
    """The listening sockets of a port: those that were passed, else of its addresses. Raises InputError."""
    if passed:
        for one in passed:
            one.setblocking(False)
        return passed
    places = _places(addresses)
    opened: list[socket.socket] = []
    try:
        for host, port in places:
            opened.append(listen_tcp(host, port, key, only_v6=_has_v4(places)))
    except InputError:
        for one in opened:
            one.close()
        raise
    return opened


def _places(addresses: tuple[str, ...]) -> list[Address]:
    return [split_address(address) for address in addresses if address not in OFF]


def _has_v4(places: list[Address]) -> bool:
    """Whether IPv4 has addresses of its own among these, so that [::] is to leave it alone."""
    return any(":" not in host for host, _ in places)


def _address(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return host, port


def join_address(host: str, port: int) -> str:
    """Host and port as one writes them, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
