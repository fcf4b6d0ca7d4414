"""Brings values to their RRD files: each once, in order, evenly over time, whatever the engine does.

When the engine is away everything waits; when a single file is refused only that one does.
"""

from __future__ import annotations

import heapq
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from sflow_gmetrics.config import RrdConfig
from sflow_gmetrics.errors import EngineError

from .rrd_engines import Engine
from .rrd_file import EXISTS, read_header
from .rrd_queue import Batch, QueuedFile, RrdQueue, Update

__all__ = ["RrdWriter", "Stats", "Update"]

BATCH = 200
"""Files in one request to the engine."""
CREATIONS = 50
"""New files in one request to the engine, for which they are more work."""
SHARE = 1 / 6
"""For what part of a step a flush makes files, and for what part it writes: the next values are to be taken in time."""
VALUES = 20_000
"""Values that one flush sends at most, so that it ends soon also after a long absence."""
LOOKS = 5_000
"""Files that one flush looks at for the first time."""
CHECKS = 100
"""Files that one flush looks at again: rrdcached takes values for a deleted file as if it were there."""
LONGEST_ABSENCE = 30
"""Seconds between two attempts to reach an engine that is away, at most."""
LONGEST_TROUBLE = 60
"""Seconds between two attempts at a file that is refused, at most."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What has become of the values: each that was added is stored, dropped or queued.

    `errors` counts requests that failed, whose values wait; `refused` is how many files are
    refused now, `created` counts new ones; `last_write` is in seconds since the epoch (0: never),
    `away` says why the engine is away, "" when it is not.
    """

    stored: int = 0
    errors: int = 0
    queued: int = 0
    dropped: int = 0
    files: int = 0
    refused: int = 0
    created: int = 0
    last_write: float = 0.0
    away: str = ""


class RrdWriter:
    """Between ticks and an engine. `add` may be called while `flush` is at work in another thread.

    `earlier` is what a writer has counted that has ended: what it has left in its queue is lost.
    `clock` tells how long the engine takes, in seconds.
    """

    def __init__(
        self,
        config: RrdConfig,
        engine: Engine,
        earlier: Stats | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        earlier = earlier or Stats()
        self._engine = engine
        self._clock = clock
        self._queue = RrdQueue(config)
        self._queue.dropped = earlier.dropped + earlier.queued
        self._creations = max(config.creations, 1)
        self._may_create = float(self._creations)
        self._troubled: list[tuple[float, int, QueuedFile]] = []  # a heap by the time of the next attempt
        self._order = count()
        self._refused = 0
        self._sees_files = False  # which another machine's are not
        self._flushed: float | None = None
        self._away = ""
        self._away_since = 0.0
        self._again = 0.0
        self._pause = 0
        self._stored, self._errors, self._created = earlier.stored, earlier.errors, earlier.created
        self._last_write = earlier.last_write

    @property
    def stats(self) -> Stats:
        """The state at this moment."""
        return Stats(
            stored=self._stored,
            errors=self._errors,
            queued=self._queue.queued,
            dropped=self._queue.dropped,
            files=len(self._queue),
            refused=self._refused,
            created=self._created,
            last_write=self._last_write,
            away=self._away,
        )

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What is to be said since the last call: how often, and the newest details.

        The keys are "away" and "back" (the engine), "refused" (a file), "dropped" and "late" (values)
        and "missed" (ticks).
        """
        return self._queue.take_notes()

    def missed(self, ticks: int, why: str) -> None:
        """At so many ticks no values were taken."""
        self._queue.note("missed", why, ticks)

    def add(self, updates: Iterable[Update]) -> None:
        """Queue the values of a tick. A value that is not later than its file's newest is dropped."""
        self._queue.add(updates)

    def flush(self, now: float) -> None:
        """Send what is due at `now`, seconds since the epoch. To be called every second or so.

        It may wait for the engine, for some ten seconds when that hangs; with one that is slow it
        leaves the rest for the next time after a third of a step. It raises nothing.
        """
        if now < self._again <= now + LONGEST_ABSENCE:
            return
        elapsed = 0.0 if self._flushed is None else min(max(now - self._flushed, 0.0), self._queue.write_every)
        self._flushed = now
        self._may_create = min(self._may_create + elapsed * self._creations, self._creations)
        self._queue.owe(elapsed)
        self._flush(now, VALUES, self._queue.step * SHARE)

    def close(self, now: float) -> None:
        """Send what waits, as far as the engine takes it at once, and close the engine."""
        self._queue.owe(self._queue.write_every)
        self._flush(now, 10 * VALUES, math.inf)
        self._engine.close()

    def _flush(self, now: float, most: int, seconds: float) -> None:
        try:
            self._check_files()
            self._open_files(now, self._clock() + seconds)
            until = self._clock() + seconds
            while most > 0 and (batch := self._queue.pass_files(BATCH, now)):
                most -= self._send(batch, now)
                if self._clock() >= until:
                    break
        except EngineError as error:
            self._leave(str(error), now)

    # --- files that are new or were refused

    def _open_files(self, now: float, until: float) -> None:
        """Look at the files in the line, some after the other, as long as there is time and more may be made."""
        line = self._queue.line
        while self._troubled and self._troubled[0][0] <= now:
            line.append(heapq.heappop(self._troubled)[2])
        looks = min(LOOKS, len(line))
        while looks > 0 and self._may_create >= 1:
            looks -= self._open_some(now, looks, until)
            if self._clock() >= until:
                break

    def _open_some(self, now: float, looks: int, until: float) -> int:
        """Look at files, make those that are missing, and send their first values. Gives at how many it has looked."""
        there: list[QueuedFile] = []
        missing: list[QueuedFile] = []
        looked = 0
        while looked < looks and len(there) < BATCH and len(missing) < min(CREATIONS, int(self._may_create)):
            file = self._queue.line.popleft()
            looked += 1
            if file not in self._queue:
                self._take_again(file)
                continue
            found = self._look(file, now)
            if found is not None:
                (there if found else missing).append(file)
            if self._clock() >= until:
                break
        try:
            there += self._create(missing, now)
        finally:
            for file in there:
                file.ready = True
                if file.waiting is None:
                    self._take_again(file)
        self._send(self._queue.take(there), now)
        return looked

    def _check_files(self) -> None:
        """Put files that have been deleted in the line."""
        for file in self._queue.next_files(CHECKS):
            if os.path.exists(file.path):
                self._sees_files = True
            elif self._sees_files:
                file.ready = False
                self._queue.line.append(file)

    def _look(self, file: QueuedFile, now: float) -> bool | None:
        """Whether the file is there; None when it is, and cannot be used."""
        try:
            header = read_header(file.path)
            if header is None:
                return False
            wanted = tuple(name for name, _ in file.new_file(file.path, 0).sources)
            if header.sources != wanted:
                raise ValueError(f"has the data sources {', '.join(header.sources)}, not {', '.join(wanted)}")
        except (OSError, ValueError) as error:
            self._refuse(file, [], getattr(error, "strerror", None) or str(error), now)
            return None
        self._queue.mark_gap(file, header.last)
        return True

    def _create(self, files: Sequence[QueuedFile], now: float) -> list[QueuedFile]:
        """Make files. Gives those that are there now."""
        if not files:
            return []
        new = [file.new_file(file.path, self._queue.head(file) - self._queue.step) for file in files]
        self._may_create -= len(new)
        try:
            errors = self._engine.create(new)
        except EngineError:
            self._queue.line.extendleft(reversed(files))
            raise
        self._return(now)
        there: list[QueuedFile] = []
        for file, error in zip(files, errors, strict=True):
            if error == EXISTS:  # the engine is on another machine
                self._queue.mark_gap(file, 0)
            elif error:
                self._refuse(file, [], error, now)
                continue
            else:
                self._created += 1
            there.append(file)
        return there

    def _refuse(self, file: QueuedFile, values: list[str], why: str, now: float) -> None:
        """Leave a file alone for a while, with what could not be stored."""
        self._refused += not file.delay
        self._queue.refuse(file, values, min(2 * file.delay or 1, LONGEST_TROUBLE))
        self._queue.note("refused", f"{file.path}: {why}")
        self._errors += 1
        heapq.heappush(self._troubled, (now + file.delay, next(self._order), file))

    def _take_again(self, file: QueuedFile) -> None:
        """The file is as good as any other."""
        self._refused -= bool(file.delay)
        file.delay = 0

    # --- the engine

    def _send(self, batch: Batch, now: float) -> int:
        """Hand a batch to the engine. Gives how many values it had."""
        if not batch:
            return 0
        try:
            errors = self._engine.update(
                [(file.path, values[0] if len(values) == 1 else " ".join(values)) for file, values in batch]
            )
        except EngineError:
            self._queue.put_back(batch)
            raise
        self._return(now)
        stored = refused = 0
        for (file, values), error in zip(batch, errors, strict=True):
            if error:
                refused += len(values)
                self._refuse(file, values, error, now)
            else:
                stored += len(values)
                self._take_again(file)
        self._queue.stored(stored)
        if stored:
            self._stored += stored
            self._last_write = now
        return stored + refused

    def _leave(self, why: str, now: float) -> None:
        if not self._away:
            self._away_since = now
            self._queue.note("away", why)
        self._errors += 1
        self._away = why
        self._pause = min(2 * self._pause or 1, LONGEST_ABSENCE)
        self._again = now + self._pause

    def _return(self, now: float) -> None:
        if self._away:
            self._queue.note("back", f"after {now - self._away_since:.0f} s; {self._queue.queued} values wait")
        self._away, self._pause, self._again = "", 0, 0.0
