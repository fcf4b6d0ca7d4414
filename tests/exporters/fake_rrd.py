"""An RRD engine that fails as told, a writer before it, and values for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from exporters.rrd_file import EXISTS, NewFile
from exporters.rrd_writer import RrdWriter, Update
from sflow_gmetrics.config import RrdConfig
from sflow_gmetrics.errors import EngineError

T = TypeVar("T")
STEP = 15
START = 15_000
KIND = partial(NewFile, step=STEP, heartbeat=8 * STEP, sources=(("sum", "GAUGE"),), archives=("AVERAGE:0.5:1:10",))
NOWHERE = "/nonexistent/rrd"


@dataclass
class FakeEngine:
    """Stores as a real one does: what is newer than a file's newest. Not a stand-in for tests of the real ones.

    `away` raises before anything is done, `cut` after so many entries of the next request (-1: does not);
    `refused` are paths that take nothing.
    """

    name: str = "fake"
    away: bool = False
    cut: int = -1
    refused: set[str] = field(default_factory=set)
    files: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    calls: list[list[tuple[str, str]]] = field(default_factory=list)
    closed: bool = False

    def update(self, batch: Sequence[tuple[str, str]]) -> list[str]:
        self.calls.append(list(batch))
        return [self._store(path, values) for path, values in self._until_cut(batch)]

    def create(self, files: Sequence[NewFile]) -> list[str]:
        return [self._make(file) for file in self._until_cut(files)]

    def close(self) -> None:
        self.closed = True

    def _until_cut(self, entries: Sequence[T]) -> Iterator[T]:
        if self.away:
            raise EngineError("fake: not there")
        cut, self.cut = self.cut, -1
        for number, entry in enumerate(entries):
            if number == cut:
                raise EngineError("fake: cut off")
            yield entry

    def _make(self, file: NewFile) -> str:
        if file.path in self.files:
            return EXISTS
        if file.path in self.refused:
            return "No space left on device"
        self.files[file.path] = []
        self.starts[file.path] = file.start
        return ""

    def _store(self, path: str, values: str) -> str:
        if path in self.refused:
            return "Read-only file system"
        if path not in self.files:
            return f"No such file: {path}"
        for value in values.split(" "):
            time, _, number = value.partition(":")
            newest = self.files[path][-1][0] if self.files[path] else self.starts[path]
            if int(time) > newest:
                self.files[path].append((int(time), number))
        return ""

    def numbers(self, path: str) -> list[str]:
        return [number for _, number in self.files.get(path, [])]


def writer(engine: FakeEngine, **settings: int) -> RrdWriter:
    chosen = {"step": STEP, "write_every": STEP, "queue": 10_000, **settings}
    return RrdWriter(RrdConfig(root=NOWHERE, **chosen), engine)  # type: ignore[arg-type]


def path_of(number: int) -> str:
    return f"{NOWHERE}/{number}.rrd"


def tick(number: int) -> int:
    return START + number * STEP


def values(files: Iterable[int], number: int) -> list[Update]:
    return [Update(path_of(file), tick(number), str(number), KIND) for file in files]


def run(one: RrdWriter, first: int, last: int) -> None:
    """Flush every second from the first tick up to the last."""
    for second in range(tick(first), tick(last)):
        one.flush(float(second))
