"""The HTTP port: health, the landing page, and what else it is given to serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HTML = "text/html; charset=utf-8"
PATIENCE = 60.0
"""How long a client may take to read a page, in seconds."""
Pages = Callable[[str], Awaitable[bytes]]
"""Gives the bytes of "landing" or "views" as they are now."""


def make_app(
    page: Pages,
    ready: Callable[[], bool],
    routes: Iterable[web.AbstractRouteDef] = (),
    middlewares: Iterable[Middleware] = (),
) -> web.Application:
    """The application. `ready` says whether the collector listens; `routes` are what else there is."""

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

    app = web.Application(middlewares=[*middlewares, send_soon])
    app.router.add_get("/", landing)
    app.router.add_get("/-/views", views)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", is_ready)
    app.router.add_routes(routes)
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
