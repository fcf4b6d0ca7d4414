"""The HTTP port: what is asked for and what is sent, names that want to be markup, and clients that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import lxml.html
import pytest
from aiohttp.test_utils import TestServer
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

import exporters.web_door
from exporters import landing, prometheus
from exporters.negotiation import accepts_gzip, wants_openmetrics
from exporters.selection import Selection
from exporters.web import Pages, make_app
from exporters.web_pages import PrometheusPages
from sflow_gmetrics import Collector, Config
from sflow_gmetrics.config import PoolConfig
from sflow_gmetrics.snapshot import Snapshot
from tests.e2e.hostile import HOSTILE, renamed
from tests.recordings import packets

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def parse_openmetrics(text: str) -> Iterator[Metric]:
    """The families of a page in OpenMetrics."""
    yield from openmetrics_parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]


def collect(name: Callable[[str], str] = str, config: Config | None = None) -> Collector:
    """What is known after the recording; `name` renames hosts and services."""
    collector = Collector(config)
    for packet in packets("hsflowd-systemd"):
        collector.receive(renamed(packet.payload, name), packet.time)
    return collector


def last_moment() -> float:
    return packets("hsflowd-systemd")[-1].time


def real_pages() -> Pages:
    """The pages of a collector that has heard the recording."""
    snapshot = collect().snapshot(last_moment())

    async def page(name: str) -> bytes:
        render: dict[str, Callable[[Snapshot], bytes]] = {
            "metrics": prometheus.render,
            "openmetrics": prometheus.render_openmetrics,
            "landing": landing.render,
        }
        return render[name](snapshot)

    return page


@asynccontextmanager
async def http(page: Pages, ready: Callable[[], bool] = lambda: True) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with a server of the application; its pages come as they are sent."""

    async def render(_selection: Selection, openmetrics: bool) -> bytes:
        return await page("openmetrics" if openmetrics else "metrics")

    async def snapshot() -> Snapshot:
        return collect().snapshot(last_moment())

    routes = PrometheusPages(Config(), render, snapshot).routes()
    server = TestServer(make_app(page, ready, routes), host="127.0.0.1")
    async with server, aiohttp.ClientSession(server.make_url("/"), auto_decompress=False) as session:
        yield session


def ask(
    path: str, method: str = "GET", page: Pages | None = None, **headers: str
) -> tuple[aiohttp.ClientResponse, bytes]:
    """One answer; `headers` with _ for -."""

    async def scenario() -> tuple[aiohttp.ClientResponse, bytes]:
        async with http(page or real_pages()) as session:
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            async with session.request(method, path, headers=named) as answer:
                return answer, await answer.read()

    return asyncio.run(scenario())


# --- /metrics


def test_the_page_is_in_the_text_format_unless_something_else_is_asked_for() -> None:
    answer, body = ask("/metrics", Accept_Encoding="identity")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) == len(body)
    names = {family.name for family in parse_text(body.decode())}
    assert "sflow_pool_service_cpu_seconds" in names
    assert b"# EOF" not in body


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3], ids=["Prometheus 2", "Prometheus 3"])
def test_prometheus_gets_openmetrics(accept: str) -> None:
    answer, body = ask("/metrics", Accept=accept, Accept_Encoding="identity")
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert "sflow_pool_service_cpu_seconds" in {family.name for family in parse_openmetrics(body.decode())}
    assert body.endswith(b"\n# EOF\n")


def test_caches_are_told_what_the_page_depends_on() -> None:
    answer, _ = ask("/metrics")
    assert {word.strip() for word in answer.headers["Vary"].split(",")} == {"Accept", "Accept-Encoding"}


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        (BROWSER, False),
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text; Version=1.0.0", True),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text; version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.8", False),
        ("text/plain;q=0.2,application/openmetrics-text;q=0.8", True),
        ("application/openmetrics-text;q=0.1,*/*", False),
        ("application/openmetrics-text;q=nan", False),
        ("application/openmetrics-text;q=high", False),
        (";;,;q=,=", False),
    ],
)
def test_openmetrics_is_sent_where_it_is_liked_at_least_as_much(accept: str, openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip;q=x", False),
        ("br", False),
        ("", False),
        ("not-gzip", False),
    ],
)
def test_the_page_is_packed_where_that_is_allowed(accept: str, packed: bool) -> None:
    assert accepts_gzip(accept) is packed
    answer, body = ask("/metrics", Accept_Encoding=accept)
    assert (answer.headers.get("Content-Encoding") == "gzip") is packed
    assert (gzip.decompress(body) if packed else body).startswith(b"# HELP ")


# --- the others


def test_health_and_readiness() -> None:
    listening = False

    async def scenario() -> None:
        nonlocal listening
        async with http(real_pages(), lambda: listening) as session:
            for state, path, text in (
                (200, "/-/healthy", "sflow_gmetrics is healthy.\n"),
                (503, "/-/ready", "sflow_gmetrics is not ready.\n"),
            ):
                async with session.get(path) as answer:
                    assert (answer.status, await answer.text()) == (state, text)
                    assert answer.content_type == "text/plain"
            listening = True
            async with session.get("/-/ready") as answer:
                assert (answer.status, await answer.text()) == (200, "sflow_gmetrics is ready.\n")

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
def test_head_is_get_without_the_body(path: str) -> None:
    got, body = ask(path, Accept_Encoding="identity")
    head, nothing = ask(path, "HEAD", Accept_Encoding="identity")
    assert (head.status, nothing) == (200, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) == len(body) > 0


@pytest.mark.parametrize("path", ["/metric", "/metrics/", "/../metrics/x", "/%00", "/-/", "/favicon.ico", "/<script>"])
def test_there_is_nothing_else(path: str) -> None:
    answer, body = ask(path)
    assert answer.status == 404
    assert b"<" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(method: str) -> None:
    answer, _ = ask("/metrics", method)
    assert answer.status == 405


def test_an_error_says_nothing_of_the_inside() -> None:
    async def broken(_name: str) -> bytes:
        raise RuntimeError("a secret")

    answer, body = ask("/metrics", page=broken)
    assert answer.status == 500
    assert b"secret" not in body


# --- the landing page


def test_the_landing_page_names_what_there_is() -> None:
    answer, body = ask("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = lxml.html.document_fromstring(body)
    assert {"/metrics", "/-/healthy", "/-/ready"} <= {link.get("href") for link in page.iter("a")}
    text = text_of(body)
    assert all(word in text for word in ("web-host-01", "nginx.service", "10.9.0.2", "unspecified"))


def test_the_landing_page_of_a_new_collector_says_what_to_do() -> None:
    text = text_of(landing.render(Collector().snapshot(1e9)))
    assert "hsflowd.conf" in text
    assert "6343" in text


def text_of(page: bytes) -> str:
    """What a person reads on a page, and its style sheet."""
    return "".join(map(str, lxml.html.document_fromstring(page).itertext()))


def shape(page: bytes) -> set[tuple[str, frozenset[str]]]:
    """The kinds of elements of a page: names with the names of their attributes."""
    return {
        (str(one.tag), frozenset(map(str, one.attrib)))
        for one in lxml.html.document_fromstring(page).iter()
        if isinstance(one.tag, str)
    }


def longest_word(text: str) -> str:
    """The part of a hostile name that is to be found wherever the name is shown."""
    return max((found[0] for found in re.finditer(r"[\w(){}*]+", text, re.ASCII)), key=len)


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_hostile_names_stay_text(hostile: str) -> None:
    config = Config(pools=(PoolConfig("web", addresses=("10.0.0.0/8",)),))
    usual = landing.render(collect(config=config).snapshot(last_moment()))
    page = landing.render(collect(lambda name: hostile + name[-4:], config).snapshot(last_moment()))
    assert shape(page) <= shape(usual), "no element that is not there with usual names"
    assert page.count(b"</html>") == 1
    page.decode("utf-8")
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", page)
    assert longest_word(hostile) in text_of(page)


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_hostile_names_leave_the_metrics_readable(hostile: str) -> None:
    snapshot = collect(lambda name: hostile + name[-4:]).snapshot(last_moment())
    for body, parse in (
        (prometheus.render(snapshot), parse_text),
        (prometheus.render_openmetrics(snapshot), parse_openmetrics),
    ):
        hosts = {
            sample.labels["host"]
            for family in parse(body.decode("utf-8"))
            if family.name == "sflow_host_up"
            for sample in family.samples
        }
        (host,) = hosts
        assert host.endswith("t-01")
        assert longest_word(hostile) in host


# --- clients


BIG = b"# a long page\n" * 2_000_000


async def big_page(_name: str) -> bytes:
    return BIG


@contextlib.asynccontextmanager
async def silent_clients(port: int, count: int) -> AsyncIterator[list[socket.socket]]:
    """Clients that ask for the page and never read it."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(client)
        yield clients


def test_others_are_served_beside_clients_that_never_read() -> None:
    async def scenario() -> None:
        async with http(big_page) as session, silent_clients(_port(session), 20):
            begun = time.monotonic()
            for _ in range(3):
                async with session.get("/metrics", headers={"Accept-Encoding": "identity"}) as answer:
                    assert len(await answer.read()) == len(BIG)
            assert time.monotonic() - begun < 5

    asyncio.run(scenario())


def _port(session: aiohttp.ClientSession) -> int:
    url = session._base_url
    assert url is not None
    assert url.port is not None
    return url.port


def test_a_client_that_never_reads_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporters.web_door, "PATIENCE", 0.2)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with http(big_page) as session, silent_clients(_port(session), 1) as (client,):
            await asyncio.sleep(0.6)
            got = 0
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(5):
                    while data := await loop.sock_recv(client, 1 << 20):
                        got += len(data)
            assert 0 < got < len(BIG)

    asyncio.run(scenario())


def test_a_hundred_clients_at_once_are_served() -> None:
    async def scenario() -> None:
        async with http(real_pages()) as session:

            async def get(number: int) -> bytes:
                async with session.get("/metrics", headers={"Accept": PROMETHEUS_2 if number % 2 else ""}) as answer:
                    return gzip.decompress(await answer.read())

            bodies = await asyncio.gather(*map(get, range(100)))
            assert len(set(bodies)) == 2

    asyncio.run(scenario())
