"""The XML port: write the document to whoever connects, and close.

A client that does not read costs one coroutine until its time is up, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from sflow_gmetrics.errors import InputError

CLIENTS = 64
"""How many clients are served at once; one more is hung up on."""
PATIENCE = 60.0
"""How long a client may take to read the document, in seconds."""


def listen_tcp(host: str, port: int, what: str) -> socket.socket:
    """A listening TCP socket. Raises InputError, which names `what` and the cure."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"{what}: {host}:{port}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(256)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        cure = (
            f"find it with 'ss -ltnp sport = :{port}', or set another port"
            if error.errno == 98
            else "set another address"
        )
        raise InputError(f"{what}: TCP {host}:{port}: {error.strerror}; {cure}") from None
    return listener


class XmlPort:
    """Serves what `render()` gives on a listening socket, until cancelled."""

    def __init__(self, listener: socket.socket, render: Callable[[], Awaitable[bytes]]) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._render = render
        self._clients: set[asyncio.Task[None]] = set()
        self.served = self.refused = self.abandoned = 0

    async def serve(self) -> None:
        """Accept clients for ever."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    client, _ = await loop.sock_accept(self._listener)
                except OSError:
                    await asyncio.sleep(0.1)  # out of file descriptors: it passes
                    continue
                client.setblocking(False)
                if len(self._clients) >= CLIENTS:
                    self.refused += 1
                    client.close()
                    continue
                task = loop.create_task(self._write(client))
                self._clients.add(task)
                task.add_done_callback(self._clients.discard)
        finally:
            self._listener.close()
            for task in list(self._clients):
                task.cancel()

    async def _write(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with client:
            try:
                document = await self._render()
                async with asyncio.timeout(PATIENCE):
                    await loop.sock_sendall(client, document)
                self.served += 1
                client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):  # closing with unread bytes would cut the document off
                        while await loop.sock_recv(client, 4096):
                            pass
            except (TimeoutError, OSError):
                self.abandoned += 1
