"""What a configuration has besides the ports: RRD files, views, stores to write to, and collectors that are polled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

from exporters import remote_write_queue
from exporters.remote_writer import Endpoint, Others, RemoteWriter
from exporters.rrd_writer import Stats

from .config import Config
from .crew import Run, Threaded
from .events import EventLog, Notes
from .inputs.federation import Federation
from .remote import Remote
from .snapshot import Snapshot
from .storage import Storage, ViewFiles


class Outputs:
    """All of them, made of `snapshot()`; what is polled goes to `take_remotes`. Raises ConfigError.

    What a new configuration leaves as it was goes on; what has been counted is kept.
    """

    def __init__(
        self,
        config: Config,
        snapshot: Callable[[], Snapshot],
        take_remotes: Callable[[tuple[Remote, ...]], None],
        others: Others,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._snapshot, self._take_remotes, self._clock = snapshot, take_remotes, clock
        self._stored: Stats | None = None
        self._remote_writer = RemoteWriter(config, snapshot, others)
        self._federation = Federation(config.gmetad.sources, take_remotes)
        self._views = ViewFiles(config.views, snapshot, clock)
        self._storage = self._new_storage(config)

    def _new_storage(self, config: Config) -> Storage | None:
        return Storage(config.rrd, self._snapshot, self._clock, self._stored) if config.rrd.root else None

    def prepare(self, config: Config) -> list[Endpoint]:
        """What has to be made for another configuration, and may fail: all is as it was. Raises ConfigError."""
        return self._remote_writer.prepare(config)

    async def take(self, config: Config, endpoints: list[Endpoint]) -> None:
        """Go on with this configuration; `tasks` and `threads` say what has to run for it."""
        before, self._config = self._config, config
        self._remote_writer.take(endpoints)
        if config.gmetad.sources != before.gmetad.sources:
            self._federation = Federation(config.gmetad.sources, self._take_remotes, known=self._federation)
        if config.views != before.views:
            self._views = ViewFiles(config.views, self._snapshot, self._clock)
        if config.rrd != before.rrd:
            storage, self._storage = self._storage, None
            if storage is not None:
                await asyncio.to_thread(storage.stop)
                self._stored = storage.state[1]
            self._storage = self._new_storage(config)

    def settle(self) -> None:
        """What belongs to the configuration before has ended."""
        self._remote_writer.settle()

    def tasks(self) -> Iterator[Run]:
        """What runs in the event loop."""
        yield self._federation.run
        yield from self._remote_writer.tasks()
        if self._config.views.directory:
            yield self._views.run

    def threads(self) -> Iterator[Threaded]:
        """What has a thread of its own."""
        if self._storage is not None:
            yield self._storage

    def stored(self) -> tuple[str, Stats] | None:
        """The RRD engine's name and what has become of the values; None without one."""
        return self._storage.state if self._storage is not None else None

    def written(self) -> Mapping[str, remote_write_queue.Stats]:
        """What has become of the samples for each store."""
        return self._remote_writer.stats

    def follow(self, events: EventLog) -> None:
        """Let the log say what is noticed."""

        def stored() -> Notes:
            return self._storage.take_notes() if self._storage is not None else {}

        events.follow("remote write to", self._remote_writer.take_notes)
        events.follow("source", lambda: self._federation.take_notes())
        events.follow("RRD", stored)
        events.follow("views", lambda: self._views.take_notes())
