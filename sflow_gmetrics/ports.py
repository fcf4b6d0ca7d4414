"""Every port of the program: which are opened, and what answers there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from exporters.tcp import InteractivePort, XmlPort, listen_tcp

from .config import OFF, Config, split_address
from .inputs.udp import UdpInput
from .pools import trusted

log = logging.getLogger("sflow_gmetrics")

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the outputs can be reached; None where one is off."""

    sflow: tuple[Address, ...]
    gmond: Address | None = None
    web: Address | None = None
    gmetad: Address | None = None
    interactive: Address | None = None

    def log(self) -> None:
        """A line for each port."""
        for one in self.sflow:
            log.info("listening for sFlow on UDP %s", join_address(*one))
        for text, output in (
            ("gmond XML on TCP %s", self.gmond),
            ("gmetad XML on TCP %s", self.gmetad),
            ("gmetad's interactive port on TCP %s", self.interactive),
            ("metrics and landing page on http://%s/", self.web),
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
        application: Callable[[Callable[[], bool]], web.Application],
    ) -> None:
        self.inputs: list[UdpInput] = []
        self.xml: list[XmlPort] = []
        self.listening: Listening | None = None
        self._config = config
        self._receive = receive
        self._page = page
        self._answer = answer
        self._application = application
        self._runner: web.AppRunner | None = None

    async def open(self) -> Listening:
        """Open every port. Raises InputError for the first that cannot be."""
        gmetad = self._config.gmetad
        trusts = trusted(gmetad.trusted_hosts)

        def xml(listener: socket.socket) -> XmlPort:
            return XmlPort(listener, lambda: self._page("gmond"))

        def tree(listener: socket.socket) -> XmlPort:
            return XmlPort(listener, lambda: self._page("gmetad"), trusts)

        def asked(listener: socket.socket) -> XmlPort:
            return InteractivePort(listener, self._answer, trusts)

        sflow = self._open_inputs()
        ports = (
            self._open_xml("[gmond] listen", self._config.gmond.listen, xml),
            self._open_xml("[gmetad] xml_listen", gmetad.xml_listen, tree),
            self._open_xml("[gmetad] interactive_listen", gmetad.interactive_listen, asked),
        )
        page = await self._open_web()
        self.listening = Listening(sflow, ports[0], page, ports[1], ports[2])
        return self.listening

    async def close(self) -> None:
        """Close those for readers; an input closes itself when it is stopped."""
        for port in self.xml:
            port.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def kernel_drops(self) -> int:
        """How many datagrams the kernel has dropped because a receive buffer was full."""
        return sum(one.kernel_drops() for one in self.inputs)

    @property
    def receive_buffer(self) -> int:
        """The size of an input's buffer in bytes, 0 without one."""
        return self.inputs[-1].receive_buffer if self.inputs else 0

    def _open_inputs(self) -> tuple[Address, ...]:
        wanted = self._config.sflow.receive_buffer
        for address in self._config.sflow.listen:
            if address not in OFF:
                one = UdpInput(*split_address(address), wanted, self._receive)
                self.inputs.append(one)
                if one.receive_buffer < wanted:
                    log.warning(
                        "the receive buffer is %d bytes, not %d: raise it with 'sysctl -w net.core.rmem_max=%d'",
                        one.receive_buffer,
                        wanted,
                        wanted,
                    )
        return tuple((one.host, one.port) for one in self.inputs)

    def _open_xml(self, key: str, address: str, make: Callable[[socket.socket], XmlPort]) -> Address | None:
        if address in OFF:
            return None
        host, port = split_address(address)
        opened = make(listen_tcp(host, port, key))
        self.xml.append(opened)
        return host, opened.port

    async def _open_web(self) -> Address | None:
        if self._config.web.listen in OFF:
            return None
        host, port = split_address(self._config.web.listen)
        listener = listen_tcp(host, port, "[web] listen")
        application = self._application(lambda: self.listening is not None)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return host, listener.getsockname()[1]


def join_address(host: str, port: int) -> str:
    """Host and port as one writes them, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
