"""Memory of a program that runs for years: what is given back to the system, and when garbage is looked for."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_LARGE = 1 << 17


def tune() -> None:
    """Look for garbage rarely, and give large blocks back to the system when they are free.

    Rows are replaced all the time but hardly ever form cycles. Pages are large and short-lived:
    the C library would raise its own limit of what is large with each of them, and keep them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with contextlib.suppress(OSError, AttributeError):  # a C library that is not glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
