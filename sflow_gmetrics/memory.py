"""Memory of a program that runs for years: what is given back to the system, and when garbage is looked for."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE = 1 << 17
_USUAL = (50_000, 20, 100)
"""New objects, and how often these and older ones have been looked through, from which on garbage is looked for."""
_BETWEEN = (5_000, 20, 100)
"""The same between snapshots, when few objects are new."""
_GROWN = 1.25
"""All objects are looked through when the process has become so much larger since the last time,"""
_LEAST = 64 << 20
"""and by so many bytes at least: garbage is counted in objects, and one of them can be a page."""
_PER_SOURCE = 10
"""More objects than two snapshots have for a source."""


def tune() -> None:
    """Look for garbage rarely, and give large blocks back to the system when they are free.

    Rows are replaced all the time but hardly ever form cycles. Pages are large and short-lived:
    the C library would raise its own limit of what is large with each of them, and keep them.
    Threads take turns, so that one heap is enough: of several, each would keep what is free in it.
    """
    gc.collect()
    gc.freeze()
    expect(0)
    with contextlib.suppress(OSError, AttributeError):  # a C library that is not glibc
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, 1)


def expect(sources: int) -> None:
    """Snapshots of so many sources will be made: what they consist of is not to be looked through for garbage.

    That would cost half as much as to make them. `tidy` does it between them.
    """
    gc.set_threshold(max(_USUAL[0], _PER_SOURCE * sources), *_USUAL[1:])


def tidy() -> None:
    """Look for garbage if it is time; to be called while there is no snapshot."""
    for generation, count in reversed(list(enumerate(gc.get_count()))):
        if count > _BETWEEN[generation]:
            gc.collect(generation)
            return


class Growth:
    """Looks at how large the process is. `resident()` gives it in bytes."""

    def __init__(self, resident: Callable[[], int] | None = None) -> None:
        self._resident = resident or _resident
        self._before = self._resident()

    def look(self) -> None:
        """Look through all objects for garbage, if the process has become much larger than after the last time."""
        if self._resident() > max(self._before * _GROWN, self._before + _LEAST):
            gc.collect()
            self._before = self._resident()


def _resident() -> int:
    """The resident set of the process in bytes; 0 where that is not known, as without a file descriptor for it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
