"""What is made for a reader goes with the last reference to it: nothing waits until somebody looks for garbage."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator

import pytest
from aiohttp import web

from exporters import gmetad, gmond, http_port, interactive, landing, prometheus, tcp, web_door
from exporters.http_port import HttpPort
from exporters.rrd import Layout
from exporters.tcp import XmlPort, listen_tcp
from exporters.web import make_app
from exporters.web_door import Door
from sflow_gmetrics import Snapshot
from sflow_gmetrics.config import RrdConfig
from tests.exporters.trees import snapshot

OUTPUTS: dict[str, Callable[[Snapshot], object]] = {
    "metrics": prometheus.render,
    "openmetrics": prometheus.render_openmetrics,
    "gmond": gmond.render,
    "gmetad": gmetad.render,
    "interactive": lambda one: interactive.answer(b"/?filter=summary", one),
    "landing": lambda one: landing.render(one, ""),
    "rrd": lambda one: list(Layout(RrdConfig(root="/rrds")).updates(one, 100)),
}


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("output", OUTPUTS)
def test_no_output_makes_garbage(output: str) -> None:
    one = snapshot()
    for _ in range(2):  # what is remembered for the next time, and what was remembered of others
        OUTPUTS[output](one)
    gc.collect()
    OUTPUTS[output](one)
    assert gc.collect() == 0


class Page(bytes):
    """A page that says how many there are."""

    there = 0

    def __init__(self, _content: bytes) -> None:
        Page.there += 1

    def __del__(self) -> None:
        Page.there -= 1


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("end", ["goes away", "is too slow", "is in the way", "is there at the end"])
@pytest.mark.parametrize("kind", ["http", "xml"])
def test_a_reader_that_breaks_off_leaves_no_page_behind(kind: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if end == "is too slow":
        monkeypatch.setattr(tcp, "STALL", 0.1)
        monkeypatch.setattr(web_door, "PATIENCE", 0.1)
    if end == "is in the way":
        for port in (tcp, http_port):
            monkeypatch.setattr(port, "CLIENTS", 3)
            monkeypatch.setattr(port, "GRACE", 0.05)
            monkeypatch.setattr(port, "PULSE", 0.05, raising=False)

    async def page(*_: object) -> bytes:
        return Page(bytes(10_000_000))

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=await page())

    async def scenario() -> None:
        listener = listen_tcp("127.0.0.1", 0, "test")
        place = listener.getsockname()
        async with contextlib.AsyncExitStack() as stack:
            if kind == "http":
                runner = web.AppRunner(make_app(page, lambda: True, [web.get("/metrics", metrics)], Door()))
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                assert runner.server is not None
                port: XmlPort | HttpPort = HttpPort([listener], runner.server)
            else:
                port = XmlPort(listener, page)
            serving = asyncio.create_task(port.serve())
            clients = []
            for _ in range(6):
                client = stack.enter_context(socket.create_connection(place))
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                clients.append(client)
                await asyncio.sleep(0.05)
            if end == "goes away":
                for client in clients:
                    client.close()
            await asyncio.sleep(0.5)
            expected = {"is in the way": 3, "is there at the end": 6}.get(end, 0)
            assert Page.there <= expected
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            if isinstance(port, HttpPort):
                await port.end()
        await asyncio.sleep(0.05)

    asyncio.run(scenario())
    assert Page.there == 0
