"""What every HTTP request passes on its way in, and every answer on its way out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler
from aiohttp.web import RequestPayloadError

from sflow_gmetrics.errors import let_go

from .http_port import PATIENCE, Client, client_of
from .web_security import WebSecurity

log = logging.getLogger("sflow_gmetrics")

CHUNK = 1 << 18
"""So many bytes of a page are sent at once; what waits of it for its reader is not kept a second time."""


def _is_fault_of_ours(record: logging.LogRecord) -> bool:
    """Whoever sends what is no HTTP, or a body that cannot be read, would fill the log with what aiohttp says of it."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | RequestPayloadError)


logging.getLogger("aiohttp.server").addFilter(_is_fault_of_ours)


class Door:
    """Lets in whom `security` lets in, answers in whatever way a request ends, and sees to it that it is read.

    `count(endpoint, code)` is told of each answer: the endpoint is a path that there is, or "other".
    """

    def __init__(
        self,
        count: Callable[[str, int], None] = lambda _endpoint, _code: None,
        security: WebSecurity | None = None,
    ) -> None:
        self._count = count
        self._security = security or WebSecurity()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """One request, to the end of its answer."""
        client = client_of(request.transport)
        if client is not None:
            client.works()
        response = await self._security.refuses(request) or await _answered(request, handler)
        response.headers.update(self._security.settings.headers)
        resource = request.match_info.route.resource
        self._count(resource.canonical if resource is not None else "other", response.status)
        try:
            async with asyncio.timeout(PATIENCE):
                return await _send(request, response, client)
        except (TimeoutError, ConnectionError) as error:  # it reads too slowly, or has gone
            let_go(error)
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            if client is not None:
                client.rests()


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer; an error is one too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {key: value for key, value in error.headers.items() if key != hdrs.CONTENT_TYPE}
        return web.Response(status=error.status, reason=error.reason, text=f"{error.text}\n", headers=headers)
    except Exception:
        log.exception("the page %s has met a fault that should not be", request.path)
        return web.Response(status=500, text="500: a fault in sflow_gmetrics; its log says more\n")


async def _send(request: web.Request, response: web.StreamResponse, client: Client | None) -> web.StreamResponse:
    """Send an answer piece by piece, as its reader takes it."""
    body = response.body if isinstance(response, web.Response) else None
    if client is not None:
        client.reads(body if isinstance(body, bytes) else b"")
    if not isinstance(body, bytes) or request.method == hdrs.METH_HEAD or len(body) <= CHUNK:
        await response.prepare(request)
        await response.write_eof()
        return response
    stream = web.StreamResponse(status=response.status, reason=response.reason, headers=response.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    view = memoryview(body)
    for begin in range(0, len(body), CHUNK):
        await stream.write(view[begin : begin + CHUNK])
        if client is not None:
            client.gets_on()
    await stream.write_eof()
    return stream
