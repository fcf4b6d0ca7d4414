"""RRD files themselves: how a new one is described, and what the head of an existing one says."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from dataclasses import dataclass
from typing import NamedTuple

_HEAD = struct.Struct("@4s5s7xdQQQ")
"""Cookie, version, a double that tells byte orders apart, then how many data sources and archives, and the step."""
_COOKIE, _DOUBLE = b"RRD\0", 8.642135e130
_FIRST_SOURCE = 128
_DEFINITION = 120
"""Bytes of a data source's or an archive's definition, where a C long has 64 bits."""
_COUNTS = struct.Struct("@24xQQ")
"""In an archive's definition: its rows, and how many steps each is made of."""
_READ = 4096

EXISTS = "File exists"
"""What an engine says of a new file that is there already."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be made: its data sources as (name, type), its archives as FUNCTION:XFF:STEPS:ROWS.

    The first value must be later than `start` (seconds since the epoch); a source that is silent
    for more than `heartbeat` seconds is unknown.
    """

    path: str
    start: int
    step: int
    heartbeat: int
    sources: tuple[tuple[str, str], ...]
    archives: tuple[str, ...]

    @property
    def size(self) -> int:
        """About how many bytes it takes: the rows of its archives, 8 for each number."""
        return 8 * len(self.sources) * sum(int(archive.rpartition(":")[2]) for archive in self.archives)

    @property
    def definitions(self) -> str:
        """The data sources and archives as `rrdtool create` takes them."""
        sources = [f"DS:{name}:{kind}:{self.heartbeat}:U:U" for name, kind in self.sources]
        return " ".join([*sources, *(f"RRA:{archive}" for archive in self.archives)])


class Header(NamedTuple):
    """The names of a file's data sources and the time of its last value (0: unknown)."""

    sources: tuple[str, ...]
    last: int


def read_header(path: str) -> Header | None:
    """The head of a file, None when there is no such file.

    Raises OSError when it cannot be read, ValueError when it is no RRD file of this machine.
    Source: rrd_format.h of RRDtool 1.7.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(_READ)
    except FileNotFoundError:
        return None
    if len(head) < _FIRST_SOURCE or not head.startswith(_COOKIE):
        raise ValueError("is no RRD file")
    _, _, double, sources, archives, step = _HEAD.unpack_from(head)
    if double != _DOUBLE:
        raise ValueError("is an RRD file of another kind of machine")
    last = _FIRST_SOURCE + _DEFINITION * (sources + archives)
    if last + 8 > len(head):
        raise ValueError("is an RRD file with more data sources and archives than any of ours")
    begin = _FIRST_SOURCE + _DEFINITION * sources
    if not step or not all(all(_COUNTS.unpack_from(head, at)) for at in range(begin, last, _DEFINITION)):
        raise ValueError("is a damaged RRD file, with a step of 0 or an archive of nothing: move it away")
    names = (head[at : at + 20] for at in range(_FIRST_SOURCE, begin, _DEFINITION))
    return Header(
        tuple(name.partition(b"\0")[0].decode("ascii", "replace") for name in names),
        struct.unpack_from("@q", head, last)[0],
    )


def explain(error: str, file: NewFile) -> str:
    """An engine's error about a new file, with the cause where the engine itself does not say it.

    On a full disk rrdcached answers without a text, and rrdtool says OK and makes no file.
    """
    if EXISTS in error:
        return EXISTS
    error = error.removeprefix("RRD Error:").strip()
    if not error or "temporary file" in error:
        with contextlib.suppress(OSError):
            place = os.statvfs(os.path.dirname(file.path))
            if place.f_flag & os.ST_RDONLY:
                return os.strerror(errno.EROFS)
            if place.f_bavail * place.f_frsize < file.size or (place.f_files and not place.f_favail):
                return os.strerror(errno.ENOSPC)
    return error or "the file was not made, for no known reason"
