"""The HTTP port: /metrics, health, and the landing page."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

from aiohttp import web

from . import prometheus

HTML = "text/html; charset=utf-8"
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

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="sflow_gmetrics is healthy.\n")

    async def is_ready(_request: web.Request) -> web.Response:
        if ready():
            return web.Response(text="sflow_gmetrics is ready.\n")
        return web.Response(text="sflow_gmetrics is not ready.\n", status=503)

    app = web.Application()
    app.router.add_get("/", landing)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", is_ready)
    return app


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics 1.0 to the text format (as Prometheus' does)."""
    best, openmetrics = 0.0, False
    for entry in accept.split(","):
        media, *parameters = [part.strip() for part in entry.split(";")]
        settings = dict(part.partition("=")[::2] for part in parameters)
        quality = _quality(settings.get("q", "1"))
        if media == "application/openmetrics-text" and settings.get("version", "1.0.0") == "1.0.0":
            if quality >= best and quality > 0:
                best, openmetrics = quality, True
        elif media == "text/plain" and quality > best:
            best, openmetrics = quality, False
    return openmetrics


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    for entry in accept_encoding.split(","):
        coding, *parameters = [part.strip() for part in entry.split(";")]
        if coding == "gzip":
            return _quality(dict(part.partition("=")[::2] for part in parameters).get("q", "1")) > 0
    return False


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
