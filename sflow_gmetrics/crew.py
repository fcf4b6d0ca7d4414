"""What runs beside each other: tasks in the event loop and threads, begun and ended as they are wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from .notify import Part

log = logging.getLogger("sflow_gmetrics")

PAUSE = 10.0
"""Seconds after which a task that has met a fault of ours begins again."""

Run = Callable[[], Coroutine[Any, Any, None]]


class Threaded(Part, Protocol):
    """What runs in a thread of its own, and is watched. `stop` may come before `start`, and returns at the end."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class Crew:
    """The tasks and threads that run now."""

    def __init__(self) -> None:
        self._tasks: dict[Run, asyncio.Task[None]] = {}
        self._threads: list[Threaded] = []

    async def become(self, runs: Iterable[Run], threads: Iterable[Threaded]) -> None:
        """From now on exactly these run: those that do go on, others begin, and then the rest ends."""
        wanted, needed = list(runs), list(threads)
        for one in needed:
            if one not in self._threads:
                one.start()
        leaving = [one for one in self._threads if one not in needed]
        self._threads = needed
        await self._end_tasks([run for run in self._tasks if run not in wanted])
        for run in wanted:
            if run not in self._tasks:
                self._tasks[run] = asyncio.get_running_loop().create_task(_for_ever(run))
        for one in leaving:
            await asyncio.to_thread(one.stop)

    async def end_tasks(self) -> None:
        """Cancel all tasks and wait for their ends."""
        await self._end_tasks(list(self._tasks))

    async def _end_tasks(self, runs: list[Run]) -> None:
        tasks = [self._tasks.pop(run) for run in runs]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _for_ever(run: Run) -> None:
    """Run a task; a fault in it, which should not be, is logged with its place and does not end it."""
    while True:
        try:
            return await run()
        except Exception:
            log.exception("%s has met a fault that should not be; it begins again", run.__qualname__)
            await asyncio.sleep(PAUSE)
