"""A file that is only in memory, for what reads files."""

from __future__ import annotations

import os


class MemoryFile:
    """Its `path` can be opened as often as wanted, and holds what was written last."""

    def __init__(self, name: str) -> None:
        self._file = os.memfd_create(name)
        self.path = f"/proc/self/fd/{self._file}"

    def write(self, data: bytes) -> None:
        """These bytes and no others."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, data, 0)
