"""The interactive port over real connections, with clients that do not behave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from exporters import gmetad, tcp
from exporters.interactive import answer
from exporters.tcp import InteractivePort, listen_tcp
from sflow_gmetrics.pools import trusted
from tests.exporters.trees import snapshot

HOME = "127.0.0.1"
SNAPSHOT = snapshot()
LOCAL = trusted(())
WHOLE, HOST = gmetad.render(SNAPSHOT), gmetad.render(SNAPSHOT, "/web/web-1")


class Client:
    """A connection: `say` something, and `hear` what comes until the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, *pieces: bytes, pause: float = 0.0) -> Client:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(pause)
        return self

    async def hear(self) -> bytes:
        """All that is said; b"" also where the connection is broken off."""
        try:
            return await asyncio.wait_for(self._reader.read(), 10)
        except ConnectionResetError:
            return b""
        finally:
            self._writer.close()


async def _answer(line: bytes) -> bytes:
    return await asyncio.to_thread(answer, line, SNAPSHOT)


@asynccontextmanager
async def serving(trusts: Callable[[str], bool] = LOCAL) -> AsyncIterator[InteractivePort]:
    port = InteractivePort(listen_tcp(HOME, 0, "test"), _answer, trusts)
    task = asyncio.create_task(port.serve())
    try:
        yield port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)


async def connect(port: InteractivePort) -> Client:
    return Client(*await asyncio.open_connection(HOME, port.port))


def test_a_line_is_answered() -> None:
    async def scenario() -> None:
        async with serving() as port:
            assert await (await (await connect(port)).say(b"/\n")).hear() == WHOLE
            assert await (await (await connect(port)).say(b"/web/web-1\r\n")).hear() == HOST
            assert await (await (await connect(port)).say(b"nonsense\n")).hear() == b""
            said = await (await (await connect(port)).say(b"GET /web/web-1 HTTP/1.0\r\nHost: x\r\n\r\n")).hear()
            assert said.endswith(b"\r\n\r\n" + HOST)

    asyncio.run(scenario())


def test_a_line_may_come_in_pieces() -> None:
    async def scenario() -> None:
        async with serving() as port:
            client = await connect(port)
            await client.say(*(bytes([byte]) for byte in b"/web/web-1\n"), pause=0.01)
            assert await client.hear() == HOST

    asyncio.run(scenario())


@pytest.mark.parametrize("pieces", [[], [b"/web"], [b"/"] * 100])
def test_silence_and_an_endless_trickle_are_hung_up_on(monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]) -> None:
    monkeypatch.setattr(tcp, "STALL", 0.3)

    async def scenario() -> None:
        async with serving() as port:
            bad, good = await connect(port), await connect(port)
            begun = asyncio.get_running_loop().time()
            talking = asyncio.create_task(bad.say(*pieces, pause=0.05))
            assert await (await good.say(b"/web/web-1\n")).hear() == HOST
            assert await bad.hear() == b""
            assert 0.2 < asyncio.get_running_loop().time() - begun < 3
            assert (port.served, port.abandoned) == (1, 1)
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)

    asyncio.run(scenario())


@pytest.mark.parametrize(("line", "document"), [(b"/" + b"a" * 2047, WHOLE), (b"/" * 9000, WHOLE), (b"a" * 2048, b"")])
def test_a_line_without_end_is_cut_after_2048_bytes(line: bytes, document: bytes) -> None:
    async def scenario() -> None:
        async with serving() as port:
            client = await connect(port)
            await client.say(line)
            assert await client.hear() == document

    asyncio.run(scenario())


def test_who_is_not_trusted_gets_nothing() -> None:
    async def scenario() -> None:
        async with serving(lambda address: address != HOME) as port:
            client = await connect(port)
            assert await client.hear() == b""
            assert port.served == 0

    asyncio.run(scenario())


def test_this_machine_is_always_trusted_and_others_where_it_is_said() -> None:
    some = trusted(("10.0.0.0/8", "2001:db8::/32"))
    assert all(map(some, (HOME, "::1", "10.1.2.3", "2001:db8::1")))
    assert not any(map(some, ("11.0.0.1", "192.0.2.1", "2001:db9::1")))
    assert not trusted(())("10.1.2.3")
    assert all(map(some, (f"::ffff:{HOME}", "::ffff:10.1.2.3"))), "IPv4 at a port that takes IPv6, too"
    assert not any(map(some, ("::ffff:11.0.0.1", "::ffff:0:10.1.2.3")))
    assert trusted(("::ffff:10.0.0.0/104",))("::ffff:10.1.2.3")


def test_clients_that_say_nothing_take_no_ones_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "GRACE", 0.2)

    async def scenario() -> None:
        async with serving() as port:
            silent = [await connect(port) for _ in range(tcp.CLIENTS + 5)]
            assert await (await (await connect(port)).say(b"/web/web-1\n")).hear() == HOST
            assert port.abandoned >= 6
            for one in silent:
                one._writer.close()

    asyncio.run(scenario())
