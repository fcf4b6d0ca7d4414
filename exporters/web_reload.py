"""/-/reload: let the configuration be read again, as Prometheus has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web


def reload_routes(begin: Callable[[], asyncio.Task[str]], allowed: Callable[[], bool]) -> list[web.RouteDef]:
    """The route. What `begin()` begins says why the new configuration is not in use, "" if it is.

    `allowed()` is whether one may ask for it.
    """

    async def answer(_request: web.Request) -> web.Response:
        if not allowed():
            text = "403: set lifecycle = true in [web] to allow this, or send SIGHUP\n"
            return web.Response(status=403, text=text)
        problem = await asyncio.shield(begin())  # also if the client does not wait
        if problem:
            return web.Response(status=500, text=f"{problem}\n")
        return web.Response(text="The configuration has been read and is in use.\n")

    return [web.post("/-/reload", answer), web.put("/-/reload", answer)]
