"""The XML port and clients that do not read: they cost themselves the document, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest

from exporters import tcp
from exporters.tcp import XmlPort, listen_tcp
from sflow_gmetrics import crew
from sflow_gmetrics.errors import InputError

DOCUMENT = bytes(range(256)) * 40_000
"""10 MB: more than the kernel keeps for a client that does not read."""
HOME = "127.0.0.1"


@asynccontextmanager
async def serving(render: Callable[[], Awaitable[bytes]]) -> AsyncIterator[XmlPort]:
    port = XmlPort(listen_tcp(HOME, 0, "test"), render)
    task = asyncio.create_task(port.serve())
    try:
        yield port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)  # its clients end


async def document() -> bytes:
    return DOCUMENT


async def read(port: XmlPort) -> bytes:
    """The document, as gmetad reads it: until the end of file."""
    reader, writer = await asyncio.open_connection(HOME, port.port)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


def connect(port: XmlPort) -> socket.socket:
    """A client that does nothing; its receive buffer is small."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((HOME, port.port))
    client.setblocking(False)
    return client


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_client_gets_the_document_and_the_end() -> None:
    async def scenario() -> None:
        async with serving(document) as port:
            assert await read(port) == DOCUMENT
            await until(lambda: port.served == 1)

    asyncio.run(scenario())


def test_each_client_gets_a_document_of_its_time() -> None:
    async def scenario() -> None:
        made = 0

        async def render() -> bytes:
            nonlocal made
            made += 1
            return b"%d" % made

        async with serving(render) as port:
            assert [await read(port) for _ in range(3)] == [b"1", b"2", b"3"]

    asyncio.run(scenario())


def test_a_client_that_sends_something_still_gets_all() -> None:
    """A health check that sends a request must not turn the end of the document into a reset."""

    async def scenario() -> None:
        async with serving(document) as port:
            reader, writer = await asyncio.open_connection(HOME, port.port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert await reader.read() == DOCUMENT
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


async def never(client: socket.socket) -> None:
    """Reads nothing."""


async def a_byte_at_a_time(client: socket.socket) -> None:
    """Reads a byte now and then."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_recv(client, 1)
        await asyncio.sleep(0.05)


async def hang_up(client: socket.socket) -> None:
    """Reads a little and is gone."""
    await asyncio.get_running_loop().sock_recv(client, 1000)
    client.close()


@pytest.mark.parametrize("behave", [never, a_byte_at_a_time, hang_up])
def test_others_are_served_at_once_beside_a_bad_client(behave: Callable[[socket.socket], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with serving(document) as port:
            with ExitStack() as stack:
                bad = [stack.enter_context(connect(port)) for _ in range(10)]
                behaving = [asyncio.ensure_future(behave(client)) for client in bad]
                begun = time.monotonic()
                assert all(one == DOCUMENT for one in await asyncio.gather(*(read(port) for _ in range(5))))
                assert time.monotonic() - begun < 5
                for one in behaving:
                    one.cancel()
                await asyncio.gather(*behaving, return_exceptions=True)
            await until(lambda: port.abandoned == 10)
            await until(lambda: port.served == 5)

    asyncio.run(scenario())


def test_a_hundred_clients_at_once_are_all_served() -> None:
    async def scenario() -> None:
        async def render() -> bytes:
            return DOCUMENT[:1_000_000]

        async with serving(render) as port:
            found = await asyncio.gather(*(read(port) for _ in range(100)))
            assert [len(one) for one in found] == [1_000_000] * 100
            await until(lambda: port.served == 100)
            assert port.abandoned == 0

    asyncio.run(scenario())


def test_when_all_places_are_taken_who_stands_still_has_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "GRACE", 0.2)

    async def scenario() -> None:
        async with serving(document) as port:
            with ExitStack() as stack:
                for _ in range(tcp.CLIENTS + 10):
                    stack.enter_context(connect(port))
                assert await read(port) == DOCUMENT
            assert 10 <= port.abandoned < tcp.CLIENTS, "no more than needed have to go"

    asyncio.run(scenario())


def test_clients_that_wait_for_the_document_are_not_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large document takes its time; that is not the clients' fault."""
    monkeypatch.setattr(tcp, "GRACE", 0.01)

    async def scenario() -> None:
        async def render() -> bytes:
            await asyncio.sleep(0.1)
            return b"late"

        async with serving(render) as port:
            assert await asyncio.gather(*(read(port) for _ in range(tcp.CLIENTS + 20))) == [b"late"] * (
                tcp.CLIENTS + 20
            )
            assert port.abandoned == 0

    asyncio.run(scenario())


def test_bytes_that_wait_for_slow_readers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "WAITING_BYTES", 3 * len(DOCUMENT))
    monkeypatch.setattr(tcp, "GRACE", 0.05)
    there = most = 0

    class Document(bytes):
        def __del__(self) -> None:
            nonlocal there
            there -= 1

    async def scenario() -> None:
        async def render() -> bytes:
            nonlocal there, most
            await asyncio.sleep(0.01)
            there += 1
            most = max(most, there)
            return Document(DOCUMENT)

        with ExitStack() as stuck:
            async with serving(render) as port:
                hung_up: list[str] = []
                port.hung_up = hung_up.append
                for _ in range(20):
                    stuck.enter_context(connect(port))
                await until(lambda: len(hung_up) >= 16)
                assert await read(port) == DOCUMENT
                assert set(hung_up) == {"limit"}
                assert most <= 3 + tcp.AT_ONCE + 1

    asyncio.run(scenario())


def test_readers_of_one_document_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "WAITING_BYTES", 3 * len(DOCUMENT))
    monkeypatch.setattr(tcp, "GRACE", 0.05)

    async def scenario() -> None:
        with ExitStack() as stuck:
            async with serving(document) as port:
                for _ in range(20):
                    stuck.enter_context(connect(port))
                await asyncio.sleep(0.3)
                assert (port.connections, port.abandoned) == (20, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("limit", ["STALL", "PATIENCE"])
def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(tcp, limit, 0.2)

    async def scenario() -> None:
        async with serving(document) as port:
            with connect(port):
                await until(lambda: port.abandoned == 1)

    asyncio.run(scenario())


def test_the_end_of_the_port_is_the_end_of_its_clients() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with serving(document) as port:
            client = connect(port)
            assert await loop.sock_recv(client, 1000) == DOCUMENT[:1000]
        with client:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOME, port.port)
            got = 1000
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(5):
                    while data := await loop.sock_recv(client, 1 << 20):
                        got += len(data)
            assert got < len(DOCUMENT)

    asyncio.run(scenario())


def test_a_fault_does_not_end_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        accept, faults = loop.sock_accept, 0

        async def fail_once(listener: socket.socket) -> tuple[socket.socket, object]:
            nonlocal faults
            faults += 1
            if faults == 1:
                raise MemoryError
            return await accept(listener)

        monkeypatch.setattr(loop, "sock_accept", fail_once)
        monkeypatch.setattr(crew, "PAUSE", 0.0)
        port, tasks = XmlPort(listen_tcp(HOME, 0, "test"), document), crew.Crew()
        await tasks.become([port.serve], ())
        assert await read(port) == DOCUMENT
        assert faults > 1
        await tasks.end_tasks()
        assert port.listener.fileno() < 0

    asyncio.run(scenario())


def test_a_port_that_cannot_be_had_is_named() -> None:
    with listen_tcp(HOME, 0, "first") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"second: TCP {HOME}:{port}: Address already in use; .*ss -ltnp"):
            listen_tcp(HOME, port, "second")
    with pytest.raises(InputError, match=r"third: TCP 192\.0\.2\.1:0: .*; set another address"):
        listen_tcp("192.0.2.1", 0, "third")
    with pytest.raises(InputError, match=r"fourth: no\.such\.invalid:0: "):
        listen_tcp("no.such.invalid", 0, "fourth")
    with pytest.raises(InputError, match=r"fifth: no\.\.such:0: "):
        listen_tcp("no..such", 0, "fifth")


def test_ipv6_is_listened_on() -> None:
    with listen_tcp("::1", 0, "test") as bound:
        assert bound.family == socket.AF_INET6
