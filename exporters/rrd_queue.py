"""The values that wait for an RRD engine: for each file in order, within a limit for all, due evenly over time.

Every file has a place in a ring. A hand goes round it once in `write_every` seconds, and the
files that it passes are due. Files that are new stand in a line beside it.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sflow_gmetrics.config import RrdConfig

from .rrd_file import NewFile

TROUBLED_VALUES = 240
"""Values that are kept for a file that the engine refuses."""
FORGET = 8
"""So many steps without a value, which a file that lives has in each, and a file for which none waits is forgotten."""


class Update(NamedTuple):
    """A value for a file at a time (seconds since the epoch): "12.34", or "12.34:3"; "U" is unknown.

    `new_file` describes the file for the case that it has to be made; it is given path and start.
    """

    path: str
    time: int
    values: str
    new_file: Callable[[str, int], NewFile]


class QueuedFile:
    """A file: `waiting` are its values, "time:value" each, a gap's mark before the value that ends the gap.

    `newest` is the time of the newest value ever added, `ready` whether the file is there and
    fits, `delay` for how many seconds it is left alone after having been refused (0: it was not).
    """

    __slots__ = ("delay", "new_file", "newest", "path", "ready", "waiting")

    def __init__(self, path: str, new_file: Callable[[str, int], NewFile]) -> None:
        self.path = path
        self.new_file = new_file
        self.newest = 0
        self.waiting: list[str] | None = None
        self.ready = False
        self.delay = 0


Batch = list[tuple[QueuedFile, list[str]]]


class RrdQueue:
    """Files and what waits for them. Any thread may call any method."""

    def __init__(self, config: RrdConfig) -> None:
        self.step = config.step
        self.write_every = max(config.write_every, config.step)
        self._forget = FORGET * config.step
        self.limit = config.queue
        self.queued = 0
        """Values that wait, or are on their way to the engine."""
        self.dropped = 0
        self.line: deque[QueuedFile] = deque()
        """Files whose state nobody knows yet."""
        self._lock = threading.Lock()
        self._files: dict[str, QueuedFile] = {}
        self._ring: list[QueuedFile] = []
        self._hand = self._second_hand = 0
        self._owed = 0.0  # files that the hand has yet to pass
        self._notes: dict[str, tuple[int, str]] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, file: QueuedFile) -> bool:
        """Whether a file is still thought of."""
        return self._files.get(file.path) is file

    def add(self, updates: Iterable[Update]) -> None:
        """Queue values. One that is not later than its file's newest is dropped."""
        step = self.step
        with self._lock:
            files = self._files
            for path, time, values, new_file in updates:
                file = files.get(path)
                if file is None:
                    file = files[path] = QueuedFile(path, new_file)
                    self._ring.append(file)
                    self.line.append(file)
                newest = file.newest
                if time <= newest:
                    self._drop(1, "late", f"{path} has had a value at {newest}, and now one at {time}")
                    continue
                value = f"{time}:{values}"
                if newest and time - newest > step:
                    value = _marked(value, step)
                file.newest = time
                self.queued += 1
                if file.waiting is None:
                    file.waiting = [value]
                else:
                    file.waiting.append(value)
                    if file.delay:
                        self._bound(file)
            self._shrink()

    # --- what is due

    def owe(self, elapsed: float) -> None:
        """So many seconds have passed: the hand is to move on, once round at most."""
        self._owed = min(self._owed + len(self._ring) * elapsed / self.write_every, len(self._ring))

    def pass_files(self, most: int, now: float) -> Batch:
        """Move the hand until there is a batch of `most` files. Long silent files leave the ring."""
        found: list[QueuedFile] = []
        with self._lock:
            ring = self._ring
            while self._owed >= 1 and ring and len(found) < most:
                self._owed -= 1
                if self._hand >= len(ring):
                    self._hand = 0
                file = ring[self._hand]
                if file.ready and file.waiting is not None:
                    found.append(file)
                elif file.waiting is None and file.newest < now - self._forget:
                    del self._files[file.path]
                    ring[self._hand] = ring[-1]
                    ring.pop()
                    continue
                self._hand += 1
        return self.take(found)

    def next_files(self, most: int) -> list[QueuedFile]:
        """Ready files, round the ring at its own pace."""
        with self._lock:
            if self._second_hand >= len(self._ring):
                self._second_hand = 0
            found = self._ring[self._second_hand : self._second_hand + most]
            self._second_hand += most
        return [file for file in found if file.ready]

    def take(self, files: Iterable[QueuedFile]) -> Batch:
        """What waits for each file; it counts as queued until it is stored or put back."""
        batch: Batch = []
        with self._lock:
            for file in files:
                if file.waiting is not None:
                    batch.append((file, file.waiting))
                    file.waiting = None
        return batch

    def stored(self, count: int) -> None:
        """So many of the values that were taken are stored."""
        with self._lock:
            self.queued -= count

    def put_back(self, batch: Batch) -> None:
        """Values that were taken wait again, before those that came meanwhile."""
        with self._lock:
            for file, values in batch:
                file.waiting = values + (file.waiting or [])
            self._shrink()

    # --- single files

    def head(self, file: QueuedFile) -> int:
        """The time of the first value that waits, or else of the newest there was."""
        with self._lock:
            return _time(file.waiting[0]) if file.waiting else file.newest

    def mark_gap(self, file: QueuedFile, last: int) -> None:
        """The file's last value is of this time (0: unknown): if that is long ago, no line is to be drawn from it."""
        with self._lock:
            if file.waiting and _time(file.waiting[0]) - last > self.step:
                file.waiting[0] = _marked(file.waiting[0], self.step)

    def refuse(self, file: QueuedFile, values: list[str], delay: int) -> None:
        """The file takes nothing for `delay` seconds; of what was taken and came meanwhile only so much is kept."""
        with self._lock:
            if values:
                file.waiting = values + (file.waiting or [])
            file.ready = False
            file.delay = delay
            self._bound(file)

    # --- what there is to say

    def note(self, event: str, detail: str, number: int = 1) -> None:
        """Keep how often something happened, and the newest details."""
        with self._lock:
            self._note(event, detail, number)

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """The notes since the last call."""
        with self._lock:
            notes, self._notes = self._notes, {}
        return notes

    def _note(self, event: str, detail: str, number: int) -> None:
        self._notes[event] = (self._notes.get(event, (0, ""))[0] + number, detail)

    # --- the limits; the lock is held

    def _bound(self, file: QueuedFile) -> None:
        if file.waiting and (surplus := len(file.waiting) - TROUBLED_VALUES) > 0:
            self._cut(file, surplus)
            self._drop(surplus, "dropped", f"{file.path} has been refused for too long")

    def _shrink(self) -> None:
        """Drop the oldest values of all until the rest is within the limit."""
        surplus = self.queued - self.limit
        if surplus <= 0:
            return
        heads = [(_time(file.waiting[0]), number, file) for number, file in enumerate(self._ring) if file.waiting]
        heapq.heapify(heads)
        dropped = 0
        while heads and dropped < surplus:
            _, number, file = heads[0]
            self._cut(file, 1)
            dropped += 1
            if file.waiting:
                heapq.heapreplace(heads, (_time(file.waiting[0]), number, file))
            else:
                heapq.heappop(heads)
        if dropped:
            self._drop(dropped, "dropped", f"more than {self.limit} values wait")

    def _cut(self, file: QueuedFile, surplus: int) -> None:
        """Take the first values away; what follows them follows a gap."""
        assert file.waiting is not None
        del file.waiting[:surplus]
        self.queued -= surplus
        if file.waiting:
            file.waiting[0] = _marked(file.waiting[0], self.step)
        else:
            file.waiting = None
            file.newest -= 1  # so that the next value, a step later, follows a gap too

    def _drop(self, number: int, event: str, detail: str) -> None:
        self.dropped += number
        self._note(event, detail, number)


def _time(value: str) -> int:
    """When a value that waits was taken."""
    return int(value.rpartition(" ")[2].partition(":")[0])


def _marked(value: str, step: int) -> str:
    """The value with an unknown one a step before it, so that no line is drawn over what was not seen."""
    if " " in value:
        return value
    time, _, numbers = value.partition(":")
    return f"{int(time) - step}:U{':U' * numbers.count(':')} {value}"
