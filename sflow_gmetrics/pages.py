"""The pages as they are now: rendered in a thread, and given to all readers who come together."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar, cast

from exporters import gmetad, gmond, interactive, landing, prometheus
from exporters.runtime import Runtime
from exporters.views import render_views

from .snapshot import Snapshot

T = TypeVar("T")

FRESH = 0.25
"""For how many seconds a page is given to several readers, and not rendered again."""


def _views(snapshot: Snapshot) -> bytes:
    """The views for ganglia-web as one JSON object: file name to contents."""
    return json.dumps({name: content.decode() for name, content in render_views(snapshot).items()}).encode()


_RENDERERS: Mapping[str, Callable[[Snapshot], bytes]] = {
    "gmond": gmond.render,
    "gmetad": gmetad.render,
    "metrics": prometheus.render,
    "openmetrics": prometheus.render_openmetrics,
    "landing": landing.render,
    "views": _views,
}


class Pages:
    """Renders pages of `snapshot()`; what `runtime` says of the program stands behind those of Prometheus."""

    def __init__(self, snapshot: Callable[[], Snapshot], runtime: Runtime) -> None:
        self._snapshot = snapshot
        self._runtime = runtime
        self._made: dict[Hashable, tuple[float, object]] = {}
        self._making: dict[Hashable, asyncio.Lock] = {}

    async def page(self, name: str) -> bytes:
        """A page."""
        return await self._shared(name, lambda: self._render(name))

    async def answer(self, request: bytes) -> bytes:
        """The answer of the interactive port; those who come together ask the same snapshot."""
        snapshot = await self._shared("snapshot", self._snapshot)
        return await asyncio.to_thread(interactive.answer, request, snapshot)

    def forget(self) -> None:
        """A page that is not fresh is not given to anybody again, and may be large."""
        old = time.monotonic() - FRESH
        for key in [key for key, (made, _) in self._made.items() if made < old]:
            del self._made[key]
        for key in [key for key, making in self._making.items() if key not in self._made and not making.locked()]:
            del self._making[key]

    async def _shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes in a thread: once for all who ask for this key while it is fresh."""
        async with self._making.setdefault(key, asyncio.Lock()):
            made, thing = self._made.get(key, (-1.0, None))
            if not 0 <= time.monotonic() - made < FRESH:
                thing = await asyncio.to_thread(make)
                self._made[key] = (time.monotonic(), thing)
            return cast("T", thing)

    def _render(self, name: str) -> bytes:
        body = self._runtime.timed(name, lambda: _RENDERERS[name](self._snapshot()))
        if name in ("metrics", "openmetrics"):
            return self._runtime.append_to(body, openmetrics=name == "openmetrics")
        return body
