"""The files of ganglia-web's views and reports: their names, and how they come to the disk and leave it again."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from sflow_gmetrics.errors import EngineError
from sflow_gmetrics.names import digest

MARK = "sflow_gmetrics"
"""The value of `generated_by` in every file of ours; ganglia-web passes over the key."""
KEEP = 7 * 86_400.0
"""A file stays for so many seconds after its service was last seen: its RRD files are still worth a look."""
TOUCH = 3600.0
"""How often, in seconds, a file that does not change is marked as seen (by its modification time)."""
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


class FileNames:
    """Names of letters, digits, _ and -, each given once whatever the case."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._used = set(reserved)

    def give(self, raw: str, ends: tuple[str, ...] = ("",)) -> str:
        """A name for `raw` which with each of `ends` behind it is new; a suffix makes it distinct."""
        stem = _UNFIT.sub("_", raw)[:120]
        if not self._take(stem, ends):
            stem = f"{stem}-{digest(raw)}"
            while not self._take(stem, ends):
                stem += "_"
        return stem

    def _take(self, stem: str, ends: tuple[str, ...]) -> bool:
        wanted = {f"{stem}{end}".lower().replace("-", "_") for end in ends}  # ganglia-web takes - for _ here and there
        if wanted & self._used:
            return False
        self._used |= wanted
        return True


def write_views(
    files: Mapping[str, bytes], directory: str | Path, reports_directory: str | Path = "", now: float | None = None
) -> int:
    """Bring both directories up to date; the result is how many files were written or removed.

    Files are replaced as a whole. One that is not ours, or that somebody has edited in
    ganglia-web (which drops our mark), is never touched. Raises EngineError.
    """
    now = time.time() if now is None else now
    views = Path(directory)
    reports = Path(reports_directory) if reports_directory else views / "graph.d"
    try:
        for place in (views, reports):
            place.mkdir(parents=True, exist_ok=True)
        changes = 0
        for name, content in files.items():
            changes += _write((views if name.startswith("view_") else reports) / name, content, now)
        for path in (*views.glob("view_*.json"), *reports.glob("*_report.json")):
            if path.name not in files and _is_ours(path) and path.stat().st_mtime < now - KEEP:
                path.unlink()
                changes += 1
    except OSError as error:
        raise EngineError(f"[views] {error.filename or directory}: {error.strerror}") from None
    return changes


def _write(path: Path, content: bytes, now: float) -> bool:
    """Whether the file had to be written."""
    try:
        old = path.read_bytes()
    except FileNotFoundError:
        pass
    else:
        if old == content:
            if not now - TOUCH < path.stat().st_mtime <= now:
                os.utime(path, (now, now))
            return False
        if not _is_ours(path):
            return False
    handle, temporary = tempfile.mkstemp(prefix=".sflow_gmetrics-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            os.fchmod(handle, 0o644)
        os.utime(temporary, (now, now))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


def _is_ours(path: Path) -> bool:
    """Whether we have made the file, and nobody has changed it since."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("generated_by") == MARK
