"""Files of state: gzipped lines of JSON, written whole or not at all, and read only when they are whole.

    {"format": "sflow_gmetrics state", "version": 2, "time": ...}
    {"mark": 117, "agent": {...}}        an agent, when so many datagrams of the journal had come
    {"mark": 121, "collector": {...}}    what the collector has counted itself, as of the end
    {"lines": 2003, "passed_over": [5], "sha256": "..."}

`zcat FILE | jq` shows one. A line that is passed over has been overtaken by a later one, or by the agent's end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from .errors import StateError

FORMAT = "sflow_gmetrics state"
_GZIP = 31
_CHUNK = 1 << 20
LONGEST_LINE = 256 << 20
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class StateWriter:
    """A file of state while it is written; it stands under its name when it is complete. Raises OSError.

    As a context manager: what is left without `finish` is removed.
    """

    def __init__(self, path: Path, version: int, now: float) -> None:
        self._path = path
        self._draft = path.with_name(f"{path.name}.new")
        self._file: BinaryIO = self._draft.open("wb")
        self._packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        self._sum = hashlib.sha256()
        self.lines = 0
        """How many lines there are; the first line of an agent has the number 1."""
        self.size = 0
        self._finished = False
        try:
            self.add({"format": FORMAT, "version": version, "time": now})
        except OSError:
            self._remove()
            raise

    def __enter__(self) -> StateWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._finished:
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._draft.unlink()

    def add(self, line: Any) -> None:
        """Write a line."""
        data = _encode(line).encode("ascii") + b"\n"
        self._sum.update(data)
        self._file.write(self._packer.compress(data))
        self.lines += 1

    def finish(self, passed_over: list[int]) -> None:
        """All is there: write it to the disk and give it its name."""
        end = {"lines": self.lines, "passed_over": passed_over, "sha256": self._sum.hexdigest()}
        self._file.write(self._packer.compress(_encode(end).encode("ascii") + b"\n") + self._packer.flush())
        self._file.flush()
        self.size = self._file.tell()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.replace(self._path)
        self._finished = True
        sync_directory(self._path.parent)


class StateFile:
    """A file of state that has been found whole. Raises StateError, also while its `agents` are read.

    `time` is when it was begun, in seconds since the epoch, and `own` what the collector has counted
    itself; `mark` says up to which datagram of the journal, and `marks` the same of each agent that
    has been read.
    """

    def __init__(self, path: Path, version: int) -> None:
        self._path = path
        digest = hashlib.sha256()
        held: list[bytes] = []
        count = 0
        for line in _lines(path):
            if count == 0:
                self.time = _time_of(_decode(line), version)
            count += 1
            held.append(line)
            if len(held) > 2:
                digest.update(held.pop(0))
        if count < 3:
            raise StateError("it is torn")
        digest.update(held[0])
        own, end = map(_decode, held)
        if end.get("sha256") != digest.hexdigest() or end.get("lines") != count - 1:
            raise StateError("its checksum is wrong: it is torn or damaged")
        self._passed_over = _whole_numbers(end.get("passed_over"))
        self._agents_end = count - 2
        (self.mark,) = _whole_numbers([own.get("mark")])
        self.own: Any = own.get("collector")
        self.marks: dict[str, int] = {}

    def agents(self) -> Iterator[Any]:
        """The state of each agent."""
        for number, line in enumerate(_lines(self._path)):
            if 0 < number < self._agents_end and number not in self._passed_over:
                one = _decode(line)
                agent: Any = one.get("agent")
                yield agent
                (self.marks[str(agent["address"])],) = _whole_numbers([one.get("mark")])


def _time_of(head: Any, version: int) -> float:
    """When the file was begun, if its first line is as it should be."""
    if head.get("format") != FORMAT:
        raise StateError("it is no state of sflow_gmetrics")
    if head.get("version") != version:
        raise StateError(f"it has version {head.get('version')!r:.20}, this program reads {version}")
    time = head.get("time")
    if type(time) not in (int, float) or not isfinite(time):
        raise StateError("it does not say when it was written")
    return float(time)


def _whole_numbers(value: Any) -> frozenset[int]:
    if type(value) is not list or not all(type(one) is int for one in value):
        raise StateError("something in it is no number")
    return frozenset(value)


def _decode(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise StateError("a line of it is no JSON") from None
    if type(value) is not dict:
        raise StateError("a line of it is no table")
    return value


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a gzipped file, each with its end. Holds one line and a chunk, whatever the file says."""
    unpacker = zlib.decompressobj(_GZIP)
    rest = bytearray()
    try:
        with path.open("rb") as file:
            while not unpacker.eof:
                packed = unpacker.unconsumed_tail or file.read(_CHUNK)
                if not packed:
                    raise StateError("it is torn")
                data = unpacker.decompress(packed, _CHUNK)
                if b"\n" in data:
                    first, *more = data.split(b"\n")
                    yield bytes(rest + first + b"\n")
                    rest = bytearray(more.pop())
                    for line in more:
                        yield line + b"\n"
                else:
                    rest += data
                if len(rest) > LONGEST_LINE:
                    raise StateError("a line of it is longer than any can be")
            if rest or unpacker.unused_data or file.read(1):
                raise StateError("there is something behind its end")
    except zlib.error:
        raise StateError("it is not gzipped, or damaged") from None
    except OSError as error:
        raise StateError(f"it cannot be read: {error.strerror}") from None


def sync_directory(path: Path) -> None:
    """Let names in a directory survive a loss of power. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
