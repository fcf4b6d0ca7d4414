"""Whether files have changed since they were read: certificates and keys are renewed while a program runs for years."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[tuple[int, ...] | None, ...]
"""Of each file: when it changed, which it is, and its size; None where there is none."""


def stamp_of(files: Iterable[Path]) -> Stamp:
    """The files as they are now."""
    return tuple(map(_stamp_of, files))


def _stamp_of(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size  # that of ctime: rights were mended
