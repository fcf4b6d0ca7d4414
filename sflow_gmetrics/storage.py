"""What is stored: at every tick the tree's values go to the RRD writer, and views for ganglia-web are kept current."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from exporters.rrd import Layout
from exporters.rrd_engines import open_engine
from exporters.rrd_writer import RrdWriter, Stats
from exporters.view_files import write_views
from exporters.views import render_views

from .config import RrdConfig, ViewsConfig
from .errors import EngineError
from .snapshot import Snapshot

log = logging.getLogger("sflow_gmetrics")

PULSE = 1.0
"""Seconds between two looks at whether something is due."""
VIEWS_INTERVAL = 15.0
"""How often the views for ganglia-web are brought up to date, in seconds."""


class Storage:
    """Writes the RRD files of `snapshot()` at fixed ticks of `step` seconds, in a thread of its own.

    `earlier` is what has become of the values of one that has ended.
    """

    def __init__(
        self,
        config: RrdConfig,
        snapshot: Callable[[], Snapshot],
        clock: Callable[[], float],
        earlier: Stats | None = None,
    ) -> None:
        self._step = config.step
        self._layout = Layout(config)
        self._engine = open_engine(config)
        self._writer = RrdWriter(config, self._engine, earlier)
        self._snapshot = snapshot
        self._clock = clock
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rrd", daemon=True)
        self._last = 0

    @property
    def state(self) -> tuple[str, Stats]:
        """The engine's name and what has become of the values."""
        return self._engine.name, self._writer.stats

    @property
    def name(self) -> str:
        """What its thread is called."""
        return self._thread.name

    def works(self, _within: float) -> bool:
        """Whether the thread lives. It may wait long for a slow disk, which a restart would not make faster."""
        return self._thread.is_alive()

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What is to be said since the last call."""
        return self._writer.take_notes()

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what waits, and end."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        self._last = int(self._clock()) // self._step * self._step
        while not self._ending.is_set():
            try:
                self._pulse()
            except Exception:
                log.exception("the RRD thread has met a fault that should not be; it goes on")
            now = self._clock()
            self._ending.wait(min(PULSE, max(self._last + self._step - now, 0.05)))
        self._writer.close(self._clock())

    def _pulse(self) -> None:
        now = self._clock()
        tick = int(now) // self._step * self._step
        if tick > self._last or tick < self._last - self._step:  # a little back is not worth a second value
            if (missed := (tick - self._last) // self._step - 1) > 0:
                self._writer.missed(missed, "no values were taken in time: the disk is too slow, or the clock was set")
            self._last = tick
            self._writer.add(list(self._layout.updates(self._snapshot(), tick)))
        self._writer.flush(now)


class ViewFiles:
    """Writes the views and reports for ganglia-web about the services that are there, again and again."""

    def __init__(self, config: ViewsConfig, snapshot: Callable[[], Snapshot], clock: Callable[[], float]) -> None:
        self._config = config
        self._snapshot = snapshot
        self._clock = clock
        self._notes: dict[str, tuple[int, str]] = {}

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What is to be said since the last call."""
        notes, self._notes = self._notes, {}
        return notes

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(VIEWS_INTERVAL)
            try:
                await asyncio.to_thread(self._write)
            except EngineError as error:
                self._notes["away"] = (1, str(error))

    def _write(self) -> None:
        views = render_views(self._snapshot())
        write_views(views, self._config.directory, self._config.reports, self._clock())
