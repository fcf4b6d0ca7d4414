"""HTTP connections: how many there are at once, and how long clients are waited for that do not get on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from exporters import http_port
from exporters.http_port import HttpPort
from exporters.tcp import listen_tcp
from exporters.web import make_app
from exporters.web_door import Door
from sflow_gmetrics import crew

HOME = "127.0.0.1"
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = bytes(range(256)) * 80_000
"""20 MB: more than the kernel keeps for a client that does not read."""


class Served:
    """A running port, and what it says of its clients."""

    def __init__(self) -> None:
        self.hung_up: Counter[str] = Counter()
        self.answers: Counter[tuple[str, int]] = Counter()
        self.body = b"short\n"
        self.listeners = [listen_tcp(HOME, 0, "test") for _ in range(2)]
        self.places = [one.getsockname() for one in self.listeners]
        self.port: HttpPort | None = None

    @property
    def place(self) -> tuple[str, int]:
        host, port = self.places[0]
        return host, port

    @property
    def connections(self) -> int:
        assert self.port is not None
        return self.port.connections

    async def page(self, _name: str) -> bytes:
        raise RuntimeError("a fault of ours")

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.body)

    async def get(self, path: str = "/metrics", method: str = "GET", place: int = 0) -> tuple[int, bytes]:
        host, port = self.places[place]
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://{host}:{port}{path}", headers={"Accept-Encoding": "identity"}) as answer,
        ):
            return answer.status, await answer.read()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    served = Served()

    def count(endpoint: str, code: int) -> None:
        served.answers[endpoint, code] += 1

    runner = web.AppRunner(
        make_app(served.page, lambda: True, [web.get("/metrics", served.metrics)], Door(count)),
        access_log=None,
        shutdown_timeout=0.5,
    )
    await runner.setup()
    assert runner.server is not None
    served.port = HttpPort(served.listeners, runner.server, hung_up=lambda why: served.hung_up.update([why]) or None)
    tasks = crew.Crew()
    await tasks.become([served.port.serve], ())
    try:
        yield served
    finally:
        await tasks.end_tasks()
        await runner.cleanup()
        await served.port.end()
        assert served.connections == 0


def run(scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with serving() as served:
            await scenario(served)

    asyncio.run(whole())


async def connect(served: Served, request: bytes = b"") -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, served.place)
    client.send(request)
    return client


async def ended(client: socket.socket) -> int:
    """How many bytes came until the end of the connection."""
    got = 0
    with client, contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            while data := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
                got += len(data)
    return got


def test_every_listener_is_served() -> None:
    async def scenario(served: Served) -> None:
        assert [await served.get(place=place) for place in (0, 1)] == [(200, b"short\n")] * 2

    run(scenario)


def test_a_large_page_comes_whole() -> None:
    async def scenario(served: Served) -> None:
        served.body = BIG
        assert await served.get() == (200, BIG)
        assert await served.get(method="HEAD") == (200, b"")

    run(scenario)


def test_a_fault_does_not_end_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(served: Served) -> None:
        pages, faults = HttpPort._pages, 0

        def fail_once(port: HttpPort) -> list[bytes]:
            nonlocal faults
            faults += 1
            if faults == 1:
                raise MemoryError
            return pages(port)

        monkeypatch.setattr(HttpPort, "_pages", fail_once)
        monkeypatch.setattr(http_port, "PULSE", 0.01)
        monkeypatch.setattr(crew, "PAUSE", 0.0)
        async with asyncio.timeout(5):
            while faults < 2:
                await asyncio.sleep(0.01)
        assert [await served.get(place=place) for place in (0, 1)] == [(200, b"short\n")] * 2

    run(scenario)


def test_answers_are_counted_by_endpoints_that_there_are() -> None:
    async def scenario(served: Served) -> None:
        for path in ("/metrics", "/-/healthy", "/nothing", "/metrics/x", "/%2e%2e/%00", "/-/views"):
            await served.get(path)
        await served.get("/metrics", "POST")
        assert served.answers == {
            ("/metrics", 200): 1,
            ("/-/healthy", 200): 1,
            ("other", 404): 3,
            ("other", 405): 1,
            ("/-/views", 500): 1,
        }

    run(scenario)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics?shard=\xb4 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /metrics HTTP/9\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["query", "TLS", "length", "version", "long"],
)
def test_what_is_no_http_is_refused_and_not_logged(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(served: Served) -> None:
        assert await ended(await connect(served, request_)) > 0
        assert (await served.get())[0] == 200

    run(scenario)
    assert not caplog.records


async def trickle(client: socket.socket) -> None:
    """A byte of an address or a header now and then."""
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.sleep(0.05)
            client.send(b"X")


@pytest.mark.parametrize("begin", [b"", b"GET /", REQUEST[:-2] + b"X-Long: "])
def test_a_request_has_to_come_soon(monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(http_port, "HEADERS", 0.3)
    monkeypatch.setattr(http_port, "PULSE", 0.05)

    async def scenario(served: Served) -> None:
        client = await connect(served, begin)
        sending = asyncio.ensure_future(trickle(client) if begin else asyncio.sleep(0))
        assert await ended(client) == 0
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert served.hung_up == {"headers": 1}

    run(scenario)


def test_a_second_request_has_to_come_soon_too_once_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "HEADERS", 0.3)
    monkeypatch.setattr(http_port, "PULSE", 0.05)

    async def scenario(served: Served) -> None:
        client = await connect(served, REQUEST)
        await asyncio.sleep(0.6)
        assert served.connections == 1, "between two requests there is more time"
        client.send(b"GET /m")
        await ended(client)
        assert served.hung_up["headers"] == 1

    run(scenario)


def test_a_connection_is_kept_for_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "REST", 0.3)
    monkeypatch.setattr(http_port, "PULSE", 0.05)

    async def scenario(served: Served) -> None:
        assert await ended(await connect(served, REQUEST)) > 100
        assert not served.hung_up

    run(scenario)


async def sip(client: socket.socket) -> None:
    """Take a byte now and then."""
    while await asyncio.get_running_loop().sock_recv(client, 1):
        await asyncio.sleep(0.05)


def test_a_client_that_takes_a_byte_at_a_time_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "PATIENCE", 0.5)
    monkeypatch.setattr(http_port, "PULSE", 0.05)

    async def scenario(served: Served) -> None:
        served.body = BIG
        client = await connect(served, REQUEST)
        sipping = asyncio.ensure_future(sip(client))
        async with asyncio.timeout(20):
            while served.connections or not served.hung_up:
                await asyncio.sleep(0.05)
        sipping.cancel()
        await asyncio.gather(sipping, return_exceptions=True)
        assert await ended(client) < len(BIG)
        assert served.hung_up == {"slow": 1}

    run(scenario)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
def test_a_body_that_cannot_be_read_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture, encoding: bytes) -> None:
    async def scenario(served: Served) -> None:
        request = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nContent-Encoding: %s\r\nContent-Length: 3\r\n\r\nabc"
        for _ in range(3):
            client = await connect(served, request % encoding)
            await asyncio.get_running_loop().sock_recv(client, 1000)
            client.close()
        assert (await served.get())[0] == 200

    run(scenario)
    assert not caplog.records


def test_a_client_that_goes_away_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(served: Served) -> None:
        served.body = BIG
        for _ in range(3):
            client = await connect(served, REQUEST)
            await asyncio.get_running_loop().sock_recv(client, 100)
            client.close()
        async with asyncio.timeout(10):
            while served.connections:
                await asyncio.sleep(0.05)
        assert not served.hung_up

    run(scenario)
    assert not caplog.records


@pytest.mark.parametrize("size", [0, 6, 200_000, len(BIG)])
def test_when_all_places_are_taken_who_stands_still_has_to_go(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(http_port, "CLIENTS", 5)
    monkeypatch.setattr(http_port, "GRACE", 0.2)

    async def scenario(served: Served) -> None:
        served.body = BIG[:size]
        silent = [await connect(served, REQUEST if size else b"") for _ in range(8)]
        assert await served.get() == (200, BIG[:size])
        assert served.connections <= 5
        assert served.hung_up["limit"] >= 4
        assert served.port is not None
        (note,) = served.port.take_notes().values()
        assert "all 5 HTTP connections are taken" in note[1]
        for client in silent:
            client.close()

    run(scenario)


async def connect_to_page_of_its_own(served: Served, number: int) -> socket.socket:
    """A client that asks, and does not read."""
    served.body = b"%d" % number + BIG
    client = await connect(served, REQUEST)
    await asyncio.sleep(0.1)
    return client


def test_bytes_that_wait_for_slow_readers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "WAITING_BYTES", 3 * len(BIG))
    monkeypatch.setattr(http_port, "GRACE", 0.2)
    monkeypatch.setattr(http_port, "PULSE", 0.05)

    async def scenario(served: Served) -> None:
        stuck = [await connect_to_page_of_its_own(served, number) for number in range(6)]
        async with asyncio.timeout(20):
            while served.hung_up["limit"] < 4:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert served.hung_up == {"limit": 4}, "no more than needed have to go"
        for client in stuck:
            client.close()

    run(scenario)


def test_of_many_slow_readers_as_many_as_needed_have_to_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "WAITING_BYTES", 3 * len(BIG))
    monkeypatch.setattr(http_port, "GRACE", 0.5)
    monkeypatch.setattr(http_port, "PULSE", 2.0)

    async def scenario(served: Served) -> None:
        stuck = [await connect_to_page_of_its_own(served, number) for number in range(8)]
        async with asyncio.timeout(3.5):  # at the first or second look
            while served.hung_up["limit"] < 6:
                await asyncio.sleep(0.05)
        for client in stuck:
            client.close()

    run(scenario)


def test_readers_of_one_page_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "WAITING_BYTES", 3 * len(BIG))
    monkeypatch.setattr(http_port, "GRACE", 0.1)
    monkeypatch.setattr(http_port, "PULSE", 0.05)

    async def scenario(served: Served) -> None:
        served.body = BIG
        stuck = [await connect(served, REQUEST) for _ in range(6)]
        await asyncio.sleep(0.5)
        assert (served.connections, served.hung_up) == (6, {})
        for client in stuck:
            client.close()

    run(scenario)
