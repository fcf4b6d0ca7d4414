"""Memory of a program that runs for years: what is given back to the system, and when garbage is looked for."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_LARGE = 1 << 17
_YOUNG = 50_000
_PER_SOURCE = 10
"""More objects than two snapshots have for a source."""


def tune() -> None:
    """Look for garbage rarely, and give large blocks back to the system when they are free.

    Rows are replaced all the time but hardly ever form cycles. Pages are large and short-lived:
    the C library would raise its own limit of what is large with each of them, and keep them.
    """
    gc.collect()
    gc.freeze()
    expect(0)
    with contextlib.suppress(OSError, AttributeError):  # a C library that is not glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def expect(sources: int) -> None:
    """Look for garbage when more has gathered than snapshots of so many sources make.

    To look through one costs half as much as to make it, and it ends by itself.
    """
    gc.set_threshold(max(_YOUNG, _PER_SOURCE * sources), 20, 100)
