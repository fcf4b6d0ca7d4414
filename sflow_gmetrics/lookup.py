"""The addresses of host names: asked for in threads of their own, so that a DNS server that is away stops nobody else.

The system's resolver cannot be told to give up, and waits for half a minute and more. In the
event loop's own threads it would keep pages from being made.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""Family, type, protocol, canonical name and address, as the socket module has them."""


class Lookup:
    """Looks up names. Who asks for a name that is being looked up waits with the others."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int, int], asyncio.Future[list[AddressInfo]]] = {}

    async def find(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> list[AddressInfo]:
        """The addresses of a name. Raises OSError, and ValueError for a name that DNS cannot have."""
        key = host, port, family
        found = self._running.get(key)
        if found is None:
            found = self._running[key] = _in_thread(
                lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)  # type: ignore[arg-type,return-value]
            )
            found.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(found)

    def _ended(self, key: tuple[str, int, int], found: asyncio.Future[list[AddressInfo]]) -> None:
        del self._running[key]
        if not found.cancelled():
            found.exception()  # nobody may be left who waits for it


def _in_thread(find: Callable[[], list[AddressInfo]]) -> asyncio.Future[list[AddressInfo]]:
    """What `find` gives, found in a thread that nobody waits for at the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[AddressInfo]] = loop.create_future()

    def settle(found: list[AddressInfo] | Exception) -> None:
        if future.done():
            return
        if isinstance(found, Exception):
            future.set_exception(found)
        else:
            future.set_result(found)

    def work() -> None:
        try:
            found: list[AddressInfo] | Exception = find()
        except Exception as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=work, name="lookup", daemon=True).start()
    return future
