"""The HTTP port: /metrics, health, and the landing page."""

from __future__ import annotations

import asyncio
import gzip
import math
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from . import prometheus

HTML = "text/html; charset=utf-8"
PATIENCE = 60.0
"""How long a client may take to read a page, in seconds."""
Pages = Callable[[str], Awaitable[bytes]]
"""Gives the bytes of "metrics", "openmetrics" or "landing" as they are now."""


def make_app(page: Pages, ready: Callable[[], bool]) -> web.Application:
    """The application. `ready` says whether the collector listens."""

    async def metrics(request: web.Request) -> web.Response:
        openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        body = await page("openmetrics" if openmetrics else "metrics")
        headers = {
            "Content-Type": prometheus.CONTENT_TYPE_OPENMETRICS if openmetrics else prometheus.CONTENT_TYPE,
            "Vary": "Accept, Accept-Encoding",
        }
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def landing(_request: web.Request) -> web.Response:
        return web.Response(body=await page("landing"), headers={"Content-Type": HTML, "Cache-Control": "no-store"})

    async def views(_request: web.Request) -> web.Response:
        return web.Response(body=await page("views"), headers={"Content-Type": "application/json"})

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="sflow_gmetrics is healthy.\n")

    async def is_ready(_request: web.Request) -> web.Response:
        if ready():
            return web.Response(text="sflow_gmetrics is ready.\n")
        return web.Response(text="sflow_gmetrics is not ready.\n", status=503)

    app = web.Application(middlewares=[send_soon])
    app.router.add_get("/", landing)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/-/views", views)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", is_ready)
    return app


@web.middleware
async def send_soon(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send the page, and hang up on a client that does not take it: it would keep it in memory for ever."""
    response = await handler(request)
    try:
        async with asyncio.timeout(PATIENCE):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header likes OpenMetrics 1.0 at least as much as the text format (as Prometheus' does)."""
    openmetrics = text = 0.0
    for entry in accept.lower().split(","):
        media, *parameters = [part.strip() for part in entry.split(";")]
        settings = dict(part.partition("=")[::2] for part in parameters)
        quality = _quality(settings.get("q", "1"))
        if media == "application/openmetrics-text" and settings.get("version", "1.0.0") == "1.0.0":
            openmetrics = max(openmetrics, quality)
        elif media in ("text/plain", "text/*", "*/*"):
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    for entry in accept_encoding.lower().split(","):
        coding, *parameters = [part.strip() for part in entry.split(";")]
        if coding == "gzip":
            return _quality(dict(part.partition("=")[::2] for part in parameters).get("q", "1")) > 0
    return False


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
