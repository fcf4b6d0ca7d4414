"""The journal: every datagram that has come since the newest state was begun, so that a crash loses none.

A file is a line that says what it is, and frames: number, time and length of a datagram, a checksum, and its
bytes. Frames are handed to the system several times a second and before a page is shown, so that what readers
have seen is never ahead of what survives. A frame that is torn ends the file.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import FileIO
from math import isfinite
from pathlib import Path
from zlib import crc32

from .errors import StateError

MAGIC = b"sflow_gmetrics journal 1\n"
LIMIT = 256 << 20
"""From this size in bytes on a new state is due, whatever the interval."""
PULSE = 0.2
"""Seconds between two writes that nobody has asked for."""
WAITING = 100_000
"""How many datagrams wait at the most while a disk does not take them."""
PATIENCE = 3.0
"""For how many seconds a page waits until all that it shows is written."""
_FRAME = struct.Struct("!QdI")
_SUM = 4
_LONGEST = 0xFFFF
DROPS = 1 << 63
"""In the number of a frame that is no datagram, but how many the kernel has dropped."""
START = 1 << 62
"""In the number of one that says that a program has begun: it had been away."""
CONFIGURED = 1 << 61
"""In the number of one that says that another configuration is in force."""
NUMBER = CONFIGURED - 1
"""What remains of a number."""

Frame = tuple[int, float, bytes]
"""Number, time and bytes of a datagram."""


def read_journal(path: Path) -> Iterator[Frame]:
    """The datagrams of a file up to its end, or to where it is torn. Raises StateError for what is no journal."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
            if not MAGIC.startswith(head):
                raise StateError("it is no journal of this version")
            while len(head := file.read(_FRAME.size + _SUM)) == _FRAME.size + _SUM:
                number, time, length = _FRAME.unpack_from(head)
                payload = file.read(length) if length <= _LONGEST else b""
                whole = len(payload) == length and _sum(head[: _FRAME.size], payload) == head[_FRAME.size :]
                if not whole or not isfinite(time):
                    return
                yield number, time, payload
    except OSError as error:
        raise StateError(f"it cannot be read: {error.strerror}") from None


def _sum(head: bytes, payload: bytes) -> bytes:
    return crc32(payload, crc32(head)).to_bytes(_SUM)


class Journal:
    """Writes datagrams to the file of a generation, from a thread of its own.

    `add` and `begin` are called by who holds the collector's `lock`. `full` is called when the file
    has become so long that a state is due, `failed` when it cannot be written; nothing is then
    written until the next `begin`.
    """

    def __init__(
        self,
        lock: AbstractContextManager[bool],
        full: Callable[[], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._lock = lock
        self._full, self._failed = full, failed
        self.count = 0
        """How many datagrams have come since the file was begun."""
        self._frames: list[Frame] = []
        self._batches: list[tuple[FileIO | None, list[Frame]]] = []
        self._file: FileIO | None = None
        self._size = 0
        self._wanted = threading.Event()
        self._written = threading.Condition()
        self._came = self._done = 0
        self._late = False
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def works(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def add(self, now: float, payload: bytes) -> None:
        """A datagram has come."""
        if len(self._frames) < WAITING:
            self._frames.append((self.count, now, payload))
        self.count += 1
        self._came += 1

    def add_drops(self, drops: int) -> None:
        """The kernel has dropped so many datagrams by now."""
        self._frames.append((DROPS | self.count, 0.0, drops.to_bytes(16)))

    def add_start(self, now: float) -> None:
        """The program begins."""
        self._frames.append((START | self.count, now, b""))

    def add_configured(self, now: float) -> None:
        """Another configuration is in force."""
        self._frames.append((CONFIGURED | self.count, now, b""))

    def begin(self, file: FileIO | None) -> None:
        """What comes from here on goes to another file."""
        self._batches.append((self._file, self._frames))
        self._file, self._frames = file, []
        self.count = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        self._ending = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def settle(self) -> None:
        """Wait until all that has come is written, but not for long, and not again while the disk hangs."""
        with self._written:
            if self._late or not self._thread.is_alive():
                return
            goal = self._came
            self._wanted.set()
            self._late = not self._written.wait_for(lambda: self._done >= goal, PATIENCE)

    def _run(self) -> None:
        ending = False
        while not ending:
            self._wanted.wait(PULSE)
            self._wanted.clear()
            ending = self._ending
            with self._lock:
                batches, self._batches = [*self._batches, (self._file, self._frames)], []
                self._frames = []
                current, came = self._file, self._came
            for file, frames in batches:
                self._write(file, frames)
                if file is not current:
                    self._close(file)
            with self._written:
                self._done = came
                self._late = False
                self._written.notify_all()
        self._close(self._file)

    def _close(self, file: FileIO | None) -> None:
        """Close a file. On some file systems only this says that what was written is not there."""
        try:
            if file is not None:
                file.close()
        except OSError as error:
            self._failed(error)

    def _write(self, file: FileIO | None, frames: list[Frame]) -> None:
        if file is None or file.closed or not frames or file.tell() > 2 * LIMIT:
            return
        parts: list[bytes] = []
        for number, now, payload in frames:
            head = _FRAME.pack(number, now, len(payload))
            parts += (head, _sum(head, payload), payload)
        left = memoryview(b"".join(parts))
        try:
            while left:
                left = left[file.write(left) :]
            if file.tell() > LIMIT:
                self._full()
        except OSError as error:
            self._close(file)
            self._failed(error)


def new_journal(path: Path) -> FileIO:
    """An empty journal. Raises OSError."""
    file = FileIO(path, "w")
    file.write(MAGIC)
    return file
