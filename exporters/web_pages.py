"""What the HTTP port has for Prometheus: /metrics in parts, /probe for one host, /sd to discover both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from cramjam import gzip

from sflow_gmetrics.config import Config
from sflow_gmetrics.errors import QueryError
from sflow_gmetrics.snapshot import Snapshot

from . import prometheus
from .negotiation import accepts_gzip, wants_openmetrics
from .query import parse_metrics_query, parse_probe_query
from .selection import Selection
from .targets import agent_addresses, describe_targets

WAITING = 100
"""How many may wait for a page that is not the usual one; those who come on top are sent away."""
Render = Callable[[Selection, bool], Awaitable[bytes]]
"""Gives the page of a selection, in OpenMetrics or not."""


class PrometheusPages:
    """The routes for Prometheus. `render` gives a page, `snapshot` the state now."""

    def __init__(self, config: Config, render: Render, snapshot: Callable[[], Awaitable[Snapshot]]) -> None:
        self.use(config)
        self._render = render
        self._snapshot = snapshot
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    def use(self, config: Config) -> None:
        """From now on this is the configuration."""
        self._config = config
        self._usual = Selection.of(config)

    def routes(self) -> list[web.RouteDef]:
        """Paths and what answers there."""
        return [
            web.get("/metrics", _explained(self.metrics)),
            web.get("/probe", _explained(self.probe)),
            web.get("/sd", _explained(self.discover)),
        ]

    async def metrics(self, request: web.Request) -> web.Response:
        """Everything, or what the parameters choose."""
        if not request.query:
            return await self._page(request, self._usual)
        selection = parse_metrics_query(request.query.items(), self._config)
        return await self._in_turn(request, selection)

    async def probe(self, request: web.Request) -> web.Response:
        """One host, by its name or its agent's address."""
        snapshot = await self._snapshot()
        selection = parse_probe_query(request.query.items(), self._config, agent_addresses(snapshot))
        if not any(selection.takes_host(host.name, host.address) for host in snapshot.hosts()):
            return web.Response(
                text=f"no host or agent {selection.host!r} is known here; /sd?by=host lists the hosts\n", status=404
            )
        return await self._in_turn(request, selection)

    async def discover(self, request: web.Request) -> web.Response:
        """Targets for Prometheus' http_sd_configs."""
        if not request.headers.get(hdrs.HOST):
            raise web.HTTPBadRequest(text="the request has no Host header, which the targets are made of: send one")
        targets = describe_targets(request.query.items(), await self._snapshot(), request.host, request.secure)
        return web.json_response(targets)

    async def _in_turn(self, request: web.Request, selection: Selection) -> web.Response:
        """A page that is not the usual one. They are made one after the other: there are endlessly many."""
        if self._waiting >= WAITING:
            return web.Response(text="too many pages are being asked for\n", status=503, headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                return await self._page(request, selection)
        finally:
            self._waiting -= 1

    async def _page(self, request: web.Request, selection: Selection) -> web.Response:
        openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        body = await self._render(selection, openmetrics)
        headers = {
            "Content-Type": prometheus.CONTENT_TYPE_OPENMETRICS if openmetrics else prometheus.CONTENT_TYPE,
            "Vary": "Accept, Accept-Encoding",
        }
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            body = await asyncio.to_thread(_gzip, body)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)


def _gzip(body: bytes) -> bytes:
    """Level 1: it takes half as long as zlib, and other threads run meanwhile."""
    return bytes(gzip.compress(body, level=1))


def _explained(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Handler:
    """The handler; a parameter that cannot be is answered with status 400 and the cure."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except QueryError as error:
            return web.Response(text=f"{error}\n", status=400)

    return answer
