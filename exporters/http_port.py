"""The HTTP port's connections: so many at once, each for as long as its client gets on.

aiohttp speaks HTTP on them; here they are accepted, watched, and hung up on. When all places are
taken, or too many bytes wait for readers, the client that has stood still longest has to go.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf

from .tcp import WAITING_BYTES, waiting_bytes

CLIENTS = 256
"""How many connections there are at once; more wait in the listening socket's queue."""
HEADERS = 10.0
"""How long a client may take for the TLS handshake, and for a whole request, in seconds."""
PATIENCE = 60.0
"""How long it may take to read an answer, in seconds."""
REST = 120.0
"""How long a connection is kept for its next request, in seconds."""
GRACE = 2.0
"""How long a client may stand still while others need its place, in seconds."""
PULSE = 0.5
"""Seconds between two looks at who stands still."""


class Client(asyncio.Protocol):
    """A connection: passes everything on to `inner`, aiohttp's protocol, and keeps since when its client is to act.

    Where `admits` says no, nothing is passed on: the connection ends before anything is heard.
    """

    def __init__(
        self, inner: asyncio.Protocol, admits: Callable[[asyncio.Transport], bool], listener: socket.socket
    ) -> None:
        self._inner: asyncio.Protocol | None = inner
        self._admits = admits
        self.listener = listener
        self.leaves = False
        """The listener is closed: its next answer is its last."""
        self.refused = False
        self.transport: asyncio.Transport | None = None
        self.accepting: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        self.body = b""
        """What it is sent now."""
        self.why = ""
        self._expect("handshake", HEADERS)

    def _expect(self, why: str, patience: float) -> None:
        self.why, self.since = why, asyncio.get_running_loop().time() if patience < inf else inf
        self.deadline = self.since + patience

    def works(self) -> None:
        """The client has asked, and waits for us."""
        self._expect("", inf)

    def reads(self, body: bytes) -> None:
        """It is to read this."""
        self.body = body
        self._expect("slow", PATIENCE)

    def gets_on(self) -> None:
        """It has read some of it."""
        self.since = asyncio.get_running_loop().time()

    def rests(self) -> None:
        """It has been given its answer and may ask again."""
        self.body = b""
        self._expect("idle", REST)

    def hang_up(self) -> None:
        """End the connection at once; what has not been sent is thrown away."""
        if self.transport is not None:
            self.transport.abort()
        elif self.accepting is not None:
            self.accepting.cancel()

    # --- asyncio.Protocol

    @property
    def _passes(self) -> asyncio.Protocol:
        return self._inner or asyncio.Protocol()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there, and encrypted if it is to be."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._expect("headers", HEADERS)
        self.refused = not self._admits(transport)
        if self.refused:
            self._inner = None
            transport.abort()
        else:
            self._passes.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """A request, or a part of one: all of it has to come soon."""
        if self.why == "idle":
            self._expect("headers", HEADERS)
        self._passes.data_received(data)

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        return self._passes.eof_received()

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._passes.pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self._passes.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self.gone.set()
        if self.transport is not None:
            self._passes.connection_lost(error)


def client_of(transport: asyncio.BaseTransport | None) -> Client | None:
    """The client of a request's transport; None where it does not come from an HttpPort, or has gone."""
    protocol = transport.get_protocol() if isinstance(transport, asyncio.Transport) else None
    return protocol if isinstance(protocol, Client) else None


async def _no_tls() -> ssl.SSLContext | None:
    return None


class HttpPort:
    """Accepts connections on all `listeners` until cancelled; each gets a `protocol()`. `listen_on` gives it others.

    `tls()` gives what a new connection is encrypted with, None for nothing; `admits` then says
    whether it may stay. `hung_up(why)` is told of each client that was not waited for any longer:
    handshake, headers, slow, limit, refused. After a fault it can serve again.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        tls: Callable[[], Awaitable[ssl.SSLContext | None]] = _no_tls,
        admits: Callable[[asyncio.Transport], bool] = lambda _transport: True,
        hung_up: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._listeners: dict[socket.socket, asyncio.Task[None] | None] = dict.fromkeys(listeners)
        self._group: asyncio.TaskGroup | None = None
        self._protocol = protocol
        self._tls = tls
        self._admits = admits
        self._hung_up = hung_up
        self._clients: dict[asyncio.Task[None], Client] = {}
        self._notes: dict[str, tuple[int, str]] = {}

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return len(self._clients)

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What is worth a line in the log since the last call."""
        notes, self._notes = self._notes, {}
        return notes

    async def serve(self) -> None:
        """Accept clients for ever."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._watch())
                for listener in self._listeners:
                    self._listeners[listener] = self._group.create_task(self._accept(listener))
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._group = None

    def listen_on(self, listeners: list[socket.socket]) -> None:
        """Listen on these from now on. Who has come to another is answered once more at the most."""
        before, self._listeners = self._listeners, dict.fromkeys(listeners)
        for listener, task in before.items():
            if listener in self._listeners:
                self._listeners[listener] = task
            elif task is not None and not task.done():
                task.add_done_callback(partial(self._leave, listener))
                task.cancel()
            else:
                self._leave(listener)
        for listener, task in self._listeners.items():
            if task is None and self._group is not None:
                self._listeners[listener] = self._group.create_task(self._accept(listener))

    def close(self) -> None:
        """Listen no longer."""
        for listener in self._listeners:
            self._leave(listener)

    def _leave(self, listener: socket.socket, _accepting: asyncio.Task[None] | None = None) -> None:
        """Listen no longer here."""
        listener.close()
        for client in self._clients.values():
            client.leaves = client.leaves or client.listener is listener

    async def end(self) -> None:
        """Hang up on those who are still there."""
        for client in self._clients.values():
            client.hang_up()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while len(self._clients) >= CLIENTS:
                if not self._make_room(f"all {CLIENTS} HTTP connections are taken"):
                    await asyncio.wait(self._clients, timeout=PULSE, return_when=asyncio.FIRST_COMPLETED)
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                if self._clients:
                    self._make_room("there is no file descriptor for another HTTP client")
                await asyncio.sleep(0.1)
                continue
            connection.setblocking(False)
            client = Client(self._protocol(), self._admits, listener)
            client.accepting = loop.create_task(self._serve(connection, client))
            self._clients[client.accepting] = client
            client.accepting.add_done_callback(self._clients.pop)

    async def _serve(self, connection: socket.socket, client: Client) -> None:
        """One client, to its end."""
        loop = asyncio.get_running_loop()
        try:
            tls = await self._tls()
        except BaseException:
            connection.close()
            raise
        patience = HEADERS if tls is not None else None
        try:
            await loop.connect_accepted_socket(lambda: client, connection, ssl=tls, ssl_handshake_timeout=patience)
        except (OSError, ValueError) as error:  # those of TLS are OSErrors
            self._end("handshake", f"a TLS handshake failed: {error or 'it took too long'}")
            return
        if client.refused:
            self._end("refused", "a client's certificate has none of client_allowed_sans")
        await client.gone.wait()

    async def _watch(self) -> None:
        """Hang up on those who take too long."""
        while True:
            await asyncio.sleep(PULSE)
            now = asyncio.get_running_loop().time()
            for client in list(self._clients.values()):
                late = client.deadline < now or (client.leaves and client.why == "idle")
                if late and not client.gone.is_set():
                    if client.why != "idle":
                        self._hung_up(client.why)
                    client.hang_up()
            while waiting_bytes(self._pages()) > WAITING_BYTES:
                if not self._make_room(f"more than {WAITING_BYTES >> 20} MiB wait for slow HTTP clients"):
                    break

    def _pages(self) -> list[bytes]:
        """What clients are sent, without those who have been hung up on."""
        return [client.body for client in self._clients.values() if client.body and client.since < inf]

    def _make_room(self, reason: str) -> bool:
        """Hang up on who stands still longest, if it is long enough."""
        slowest = min(self._clients.values(), key=lambda client: client.since)
        if slowest.since + GRACE > asyncio.get_running_loop().time():
            return False
        self._end("limit", f"{reason}: hung up on the one that stood still longest")
        slowest.since = inf
        slowest.hang_up()
        return True

    def _end(self, why: str, text: str) -> None:
        self._hung_up(why)
        self._notes[why] = (self._notes.get(why, (0, ""))[0] + 1, text)
