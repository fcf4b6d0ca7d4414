"""rrdcached as an engine: batches of commands over one connection that is opened again when it breaks.

Source: rrdcached(1) of RRDtool 1.7.2, and how it was seen to behave.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from collections import deque
from collections.abc import Sequence
from io import BufferedIOBase, BytesIO

from sflow_gmetrics.errors import EngineError

from .rrd_file import NewFile, explain

TIMEOUT = 10.0
"""Seconds to wait for the next piece of an answer."""


class Rrdcached:
    """An rrdcached at unix:/PATH or HOST:PORT.

    It acknowledges a value before its journal is on disk (the last 4 KiB sit in a stdio buffer),
    so the newest acknowledged updates are kept and sent again on every new connection.
    """

    LINE = 3500
    """The longest command in characters: rrdcached and its journal take 4096 bytes."""
    BATCH = 1000
    """How many updates may be without an answer."""
    FILES = 50
    """How many new files may be."""
    REMEMBERED = 1 << 18
    """How many characters of acknowledged updates are kept; some file systems buffer more than 4 KiB."""

    name = "rrdcached"
    _LAST = re.compile(r"illegal attempt to update using time .* last update time is ([0-9]+)")

    def __init__(self, address: str, timeout: float = TIMEOUT) -> None:
        self.address = address
        self.local = address.startswith("unix:") or address.rpartition(":")[0] in ("localhost", "127.0.0.1", "[::1]")
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._answers: BufferedIOBase = BytesIO()
        self._acknowledged: deque[list[str]] = deque()
        self._acknowledged_size = 0

    def update(self, batch: Sequence[tuple[str, str]]) -> list[str]:
        """See Engine. A long update goes in pieces, the next one when the one before is stored."""
        errors = [""] * len(batch)
        left: list[tuple[int, str, str]] = []
        for index, (path, values) in enumerate(batch):
            if path.isprintable() and len(path) < self.LINE // 2:
                left.append((index, _escape(path), values))
            else:
                errors[index] = "not a path for rrdcached"
        while left:
            again: list[tuple[int, str, str]] = []
            for start in range(0, len(left), self.BATCH):
                again += self._update(left[start : start + self.BATCH], errors)
            left = again
        return errors

    def _update(self, entries: Sequence[tuple[int, str, str]], errors: list[str]) -> list[tuple[int, str, str]]:
        """Send the first piece of each entry. Gives what is left of them."""
        lines, rests = [], []
        for _, path, values in entries:
            rest = ""
            if len(path) + len(values) > self.LINE:
                values, rest = _split(values, self.LINE - len(path))
            lines.append(f"UPDATE {path} {values}\n")
            rests.append(rest)
        refused = self._batch(lines)
        self._remember(lines)
        left: list[tuple[int, str, str]] = []
        if not refused and not any(rests):
            return left
        for number, ((index, path, _), line, rest) in enumerate(zip(entries, lines, rests, strict=True), 1):
            error = refused.get(number, "")
            if error and (known := self._LAST.match(error)):
                kept = _newer(line[len(path) + 8 : -1], int(known[1]))
                rest = " ".join(part for part in (kept, rest) if part)
                error = ""
            if error:
                errors[index] = error
            elif rest:
                left.append((index, path, rest))
        return left

    def create(self, files: Sequence[NewFile]) -> list[str]:
        """See Engine. A daemon without -R makes no directories: then we do, where it is on this machine."""
        errors: list[str] = []
        for start in range(0, len(files), self.FILES):
            errors += self._create(files[start : start + self.FILES])
        again = [number for number, file in enumerate(files) if errors[number] and self._make_place(file.path)]
        if again:
            for number, error in zip(again, self._create([files[number] for number in again]), strict=True):
                errors[number] = error
        return [error and explain(error, file) for error, file in zip(errors, files, strict=True)]

    def _make_place(self, path: str) -> bool:
        place = os.path.dirname(path)
        if not self.local or os.path.isdir(place):
            return False
        with contextlib.suppress(OSError):
            os.makedirs(place, exist_ok=True)
            return True
        return False

    def _create(self, files: Sequence[NewFile]) -> list[str]:
        lines = [
            f"CREATE {_escape(file.path)} -b {file.start} -s {file.step} -O {file.definitions}\n" for file in files
        ]
        errors = [
            "" if len(line) <= self.LINE and line[:-1].isprintable() else "not a path for rrdcached" for line in lines
        ]
        good = [number for number, error in enumerate(errors) if not error]
        for place, error in self._batch([lines[number] for number in good]).items():
            errors[good[place - 1]] = error
        return errors

    def _batch(self, lines: Sequence[str]) -> dict[int, str]:
        """The errors of commands by their number, from 1."""
        if not lines:
            return {}
        try:
            if self._socket is None:
                self._connect()
            return self._exchange(lines)
        except (OSError, ValueError) as error:
            self.close()
            what = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or error
            raise EngineError(f"rrdcached at {self.address}: {what}") from None

    def _connect(self) -> None:
        if self.address.startswith("unix:"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(self._timeout)
            self._socket.connect(self.address.removeprefix("unix:"))
        else:
            host, _, port = self.address.rpartition(":")
            self._socket = socket.create_connection((host.strip("[]"), int(port)), self._timeout)
        self._answers = self._socket.makefile("rb")
        for lines in self._acknowledged:
            self._exchange(lines)

    def _exchange(self, lines: Sequence[str]) -> dict[int, str]:
        """One BATCH. Raises OSError and ValueError, after which the connection is of no more use."""
        assert self._socket is not None
        self._socket.sendall(f"BATCH\n{''.join(lines)}.\n".encode())
        if not self._line().startswith("0 "):
            raise ValueError("it takes no BATCH")
        count = int(self._line().partition(" ")[0])
        if not 0 <= count <= 4 * len(lines):
            raise ValueError(f"{count} lines of errors for {len(lines)} commands")
        errors: dict[int, str] = {}
        number = 0
        for _ in range(count):
            line = self._line()
            head, _, text = line.partition(" ")
            if head.isdecimal() and number < int(head) <= len(lines):
                number = int(head)
                errors[number] = text or "RRD Error:"
            elif number:  # the text of an error may have more than one line
                errors[number] += f" {line}"
            else:
                raise ValueError(f"an answer that makes no sense: {line[:100]}")
        return errors

    def _line(self) -> str:
        line = self._answers.readline(1 << 16)
        if not line.endswith(b"\n"):
            raise ConnectionResetError(errno.ECONNRESET, "it hung up")
        return line[:-1].decode("utf-8", "replace")

    def _remember(self, lines: list[str]) -> None:
        self._acknowledged.append(lines)
        self._acknowledged_size += sum(map(len, lines))
        while len(self._acknowledged) > 1:
            size = sum(map(len, self._acknowledged[0]))
            if self._acknowledged_size - size < self.REMEMBERED:
                break
            self._acknowledged.popleft()
            self._acknowledged_size -= size

    def close(self) -> None:
        """See Engine."""
        if self._socket is not None:
            self._answers.close()
            self._socket.close()
            self._socket = None


def _escape(path: str) -> str:
    """A path in a command of rrdcached, which knows no quotes."""
    return path.replace("\\", "\\\\").replace(" ", "\\ ")


def _split(values: str, size: int) -> tuple[str, str]:
    """The first values, of at most `size` characters together, at least one; and those after them."""
    end = values.rfind(" ", 0, max(size, 1))
    if end < 0:
        end = values.find(" ")
    return (values, "") if end < 0 else (values[:end], values[end + 1 :])


def _newer(values: str, last: int) -> str:
    """The values after `last`; at least the first one is not, for it was refused."""
    _, *rest = values.split(" ")
    return " ".join(value for value in rest if int(value.partition(":")[0]) > last)
