"""The pages as they are now: rendered in a thread, and given to all readers who come together."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import TypeVar, cast

from aiohttp import web

from exporters import gmetad, gmond, interactive, landing, prometheus
from exporters.runtime import Runtime
from exporters.selection import Selection
from exporters.views import render_views
from exporters.web import make_app
from exporters.web_door import Door
from exporters.web_pages import PrometheusPages

from .config import Config
from .snapshot import Snapshot

T = TypeVar("T")

FRESH = 0.25
"""For how many seconds at least a page is given to several readers, and not rendered again."""
REST = 5
"""A snapshot stays fresh for this many times as long as it took to make: who asks often does not keep us busy."""


def _views(snapshot: Snapshot) -> bytes:
    """The views for ganglia-web as one JSON object: file name to contents."""
    return json.dumps({name: content.decode() for name, content in render_views(snapshot).items()}).encode()


_RENDERERS: Mapping[str, Callable[[Snapshot], bytes]] = {
    "gmond": gmond.render,
    "gmetad": gmetad.render,
    "views": _views,
}


class Pages:
    """Renders pages of `snapshot()`; what `runtime` says of the program stands behind those of Prometheus.

    The landing page has `notice()` at its head, if that is not empty.
    """

    def __init__(
        self,
        config: Config,
        snapshot: Callable[[], Snapshot],
        runtime: Runtime,
        notice: Callable[[], str] = lambda: "",
    ) -> None:
        self._snapshot = snapshot
        self._runtime = runtime
        self._notice = notice
        self._usual = Selection.of(config)
        self.prometheus = PrometheusPages(config, self.metrics, self.snapshot)
        self._made: dict[Hashable, object] = {}
        """What is fresh."""
        self._making: dict[Hashable, asyncio.Lock] = {}

    def use(self, config: Config) -> None:
        """From now on this is the configuration: what has been made before is not given to anybody again."""
        self._usual = Selection.of(config)
        self.prometheus.use(config)
        self._made, self._making = {}, {}

    def application(
        self, ready: Callable[[], bool], door: Door, routes: Iterable[web.RouteDef] = ()
    ) -> web.Application:
        """What the HTTP port serves behind the door, and other routes; `ready` says whether the collector listens."""
        return make_app(self.page, ready, [*self.prometheus.routes(), *routes], door)

    async def page(self, name: str) -> bytes:
        """A page."""
        return await self._shared(name, lambda: self._render(name))

    async def metrics(self, selection: Selection, openmetrics: bool) -> bytes:
        """The page of a selection for Prometheus. Of others than the usual one only the snapshot is kept and shared."""
        if selection == self._usual:
            make = partial(self._render_metrics, selection, openmetrics, self._snapshot)
            return await self._shared(("metrics", openmetrics), make)
        snapshot = await self.snapshot()
        return await asyncio.to_thread(self._render_metrics, selection, openmetrics, lambda: snapshot)

    async def snapshot(self) -> Snapshot:
        """The state, not older than a moment."""
        return await self._shared("snapshot", self._snapshot, REST)

    async def answer(self, request: bytes) -> bytes:
        """The answer of the interactive port; those who come together ask the same snapshot."""
        return await asyncio.to_thread(interactive.answer, request, await self.snapshot())

    def forget(self) -> bool:
        """Of what is neither fresh nor being made nothing is kept. Says whether nothing is left."""
        for key in [key for key, making in self._making.items() if key not in self._made and not making.locked()]:
            del self._making[key]
        return not self._made and not self._making

    async def _shared(self, key: Hashable, make: Callable[[], T], rest: float = 0.0) -> T:
        """What `make` makes in a thread: once for all who ask for this key while it is fresh.

        It may be large, and goes as soon as it is fresh no longer.
        """
        made = self._made
        async with self._making.setdefault(key, asyncio.Lock()):
            if key in made:
                return cast("T", made[key])
            begin = time.monotonic()
            thing = await asyncio.to_thread(make)
            made[key] = thing
            fresh = max(FRESH, rest * (time.monotonic() - begin))
            asyncio.get_running_loop().call_later(fresh, made.pop, key, None)
            return thing

    def _render(self, name: str) -> bytes:
        if name == "landing":
            return self._runtime.timed(name, lambda: landing.render(self._snapshot(), self._notice()))
        return self._runtime.timed(name, lambda: _RENDERERS[name](self._snapshot()))

    def _render_metrics(self, selection: Selection, openmetrics: bool, snapshot: Callable[[], Snapshot]) -> bytes:
        render = prometheus.render_openmetrics if openmetrics else prometheus.render
        name = "metrics" if selection == self._usual else "probe" if selection.one_host else "selected"
        return self._runtime.timed_page(
            name, selection, lambda end: render(snapshot(), selection, end), openmetrics=openmetrics
        )
