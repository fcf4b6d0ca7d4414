"""The XML port: write the document to whoever connects, and close.

A client that does not read costs one coroutine until its time is up, and holds up nobody:
when all places are taken, the one that has stood still longest has to go.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from math import inf

from sflow_gmetrics.errors import InputError, let_go

CLIENTS = 64
"""How many clients are served at once; more wait in the listening socket's queue."""
PATIENCE = 60.0
"""How long a client may take to read the document, in seconds."""
STALL = 10.0
"""How long it may take to read one chunk of it, in seconds."""
GRACE = 2.0
"""The same while others wait for a place."""
WAITING_BYTES = 256 << 20
"""How many bytes of documents, or of pages, may wait for readers of one port."""
AT_ONCE = 4
"""How many documents are made at the same time: so many more than may wait can there be."""
PAUSE = 0.1
"""Seconds after which one tries again to accept a client when there is no file descriptor for it."""
CHUNK = 1 << 16
LINE = 2048
"""The longest request line in bytes."""


def listen_tcp(host: str, port: int, what: str, *, only_v6: bool = False, shared: bool = False) -> socket.socket:
    """A listening TCP socket; with `only_v6`, [::] leaves IPv4 alone. Raises InputError: `what` and the cure.

    With `shared` it does not mind those of ours that are shared at the moment (SO_REUSEPORT).
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # the second for a name that DNS cannot have
        raise InputError(f"{what}: {host}:{port}: {getattr(error, 'strerror', None) or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if family == socket.AF_INET6 and only_v6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(256)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
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


def waiting_bytes(documents: Iterable[bytes]) -> int:
    """How many bytes documents have that wait for readers: one that several are given counts once, a single one not."""
    sizes = {id(one): len(one) for one in documents}
    return sum(sizes.values()) if len(sizes) > 1 else 0


def _close(client: socket.socket, _task: asyncio.Task[None]) -> None:
    client.close()


class XmlPort:
    """Serves what `render()` gives on a listening socket, until cancelled; after a fault it can serve again."""

    def __init__(
        self,
        listener: socket.socket,
        render: Callable[[], Awaitable[bytes]],
        trusts: Callable[[str], bool] = lambda _address: True,
    ) -> None:
        self.hung_up: Callable[[str], None] = lambda _why: None
        """Is told of each client that was not waited for any longer: slow, limit, files."""
        self.port: int = listener.getsockname()[1]
        self.listener = listener
        self._render = render
        self._trusts = trusts
        self._clients: dict[asyncio.Task[None], float] = {}
        """Each client with the time of its newest progress; no time while its document is made."""
        self._documents: dict[asyncio.Task[None], bytes] = {}
        """What each client is given."""
        self._making = asyncio.Semaphore(AT_ONCE)
        self.served = self.abandoned = 0

    async def serve(self) -> None:
        """Accept clients for ever."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                while len(self._clients) >= CLIENTS:
                    await self._make_room("limit", self._clients)
                try:
                    client, peer = await loop.sock_accept(self.listener)
                except OSError:  # out of file descriptors
                    await (self._make_room("files", self._clients) if self._clients else asyncio.sleep(PAUSE))
                    continue
                if not self._trusts(peer[0]):
                    client.close()
                    continue
                client.setblocking(False)
                task = loop.create_task(self._write(client))
                self._clients[task] = inf
                task.add_done_callback(self._clients.pop)
                task.add_done_callback(lambda task: self._documents.pop(task, None))
                task.add_done_callback(partial(_close, client))
        except asyncio.CancelledError:
            self.close()
            clients = list(self._clients)
            for task in clients:
                task.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            raise

    def close(self) -> None:
        """Listen no longer."""
        self.listener.close()

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return len(self._clients)

    async def _make_room(self, why: str, clients: Iterable[asyncio.Task[None]]) -> None:
        """Wait for a client to end, at the cost of the one of these that stands still longest if need be."""
        slowest = min(clients, key=self._clients.__getitem__)
        left = self._clients[slowest] + GRACE - asyncio.get_running_loop().time()
        if left <= 0:
            self.abandoned += 1
            self.hung_up(why)
            slowest.cancel()
            await asyncio.wait((slowest,))
        else:
            patience = min(left, GRACE if why == "limit" else PAUSE)
            await asyncio.wait(self._clients, timeout=patience, return_when=asyncio.FIRST_COMPLETED)

    async def _write(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            document = memoryview(await self._document(client))
            async with asyncio.timeout(PATIENCE):
                for begin in range(0, len(document), CHUNK):
                    self._progress()
                    async with asyncio.timeout(STALL):
                        await loop.sock_sendall(client, document[begin : begin + CHUNK])
            self._progress()
            self.served += 1
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):  # closing with unread bytes would cut the document off
                    while await loop.sock_recv(client, 4096):
                        pass
        except (TimeoutError, OSError) as error:
            let_go(error)
            self.abandoned += 1
            if isinstance(error, TimeoutError):
                self.hung_up("slow")

    async def _document(self, client: socket.socket) -> bytes:
        """What this client is to get."""
        return await self._make(self._render)

    async def _make(self, render: Callable[[], Awaitable[bytes]]) -> bytes:
        """A document, made as soon as not too many bytes of others wait."""
        async with self._making:
            while waiting_bytes(self._documents.values()) > WAITING_BYTES:
                await self._make_room("limit", self._documents)
            document = await render()
            task = asyncio.current_task()
            if task is not None:
                self._documents[task] = document
            return document

    def _progress(self, at: float | None = None) -> None:
        """This client has got on just now; `inf`: it waits for us."""
        task = asyncio.current_task()
        if task is not None:
            self._clients[task] = asyncio.get_running_loop().time() if at is None else at


class InteractivePort(XmlPort):
    """The same, but a client first says in one line what it wants; `answer(line)` gives the document."""

    def __init__(
        self, listener: socket.socket, answer: Callable[[bytes], Awaitable[bytes]], trusts: Callable[[str], bool]
    ) -> None:
        super().__init__(listener, lambda: answer(b"/"), trusts)
        self._answer = answer

    async def _document(self, client: socket.socket) -> bytes:
        """The answer to the client's line; a silent client is hung up on."""
        self._progress()
        loop = asyncio.get_running_loop()
        line = b""
        async with asyncio.timeout(STALL):
            while len(line) < LINE and b"\n" not in line and b"\r" not in line:
                chunk = await loop.sock_recv(client, LINE)
                if not chunk:
                    break
                line += chunk
        self._progress(inf)
        return await self._make(partial(self._answer, line))
