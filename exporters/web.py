"""The HTTP port: health, the landing page, and what else it is given to serve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from .web_door import Door

HTML = "text/html; charset=utf-8"
Pages = Callable[[str], Awaitable[bytes]]
"""Gives the bytes of "landing" or "views" as they are now."""


def make_app(
    page: Pages,
    ready: Callable[[], bool],
    routes: Iterable[web.AbstractRouteDef] = (),
    door: Door | None = None,
) -> web.Application:
    """The application: `routes` are what else there is, and every request comes through the `door`.

    `ready` says whether the collector listens.
    """

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

    app = web.Application(middlewares=[(door or Door()).middleware])
    app.router.add_get("/", landing)
    app.router.add_get("/-/views", views)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", is_ready)
    app.router.add_routes(routes)
    return app
