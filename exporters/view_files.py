"""The files of ganglia-web's views and reports: their names, and how they come to the disk and leave it again."""

from __future__ import annotations

import contextlib
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
    ganglia-web (which drops our mark), is never touched. Raises EngineError when all is done
    that could be done, with the first file for which that was not so.
    """
    now = time.time() if now is None else now
    views = Path(directory)
    reports = Path(reports_directory) if reports_directory else views / "graph.d"
    try:
        for place in (views, reports):
            place.mkdir(parents=True, exist_ok=True)
        work: list[tuple[Path, bytes | None]] = [
            ((views if name.startswith("view_") else reports) / name, content) for name, content in files.items()
        ]
        there = (*views.glob("view_*.json"), *reports.glob("*_report.json"))
        work += [(path, None) for path in there if path.name not in files]
    except OSError as error:
        raise EngineError(f"[views] {error.filename or directory}: {error.strerror}") from None
    changes, troubles = 0, []
    for path, content in work:
        try:
            changes += _remove(path, now) if content is None else _write(path, content, now)
        except OSError as error:
            troubles.append(f"[views] {path}: {error.strerror}")
    if troubles:
        raise EngineError(troubles[0])
    return changes


def _remove(path: Path, now: float) -> bool:
    """Whether the file was ours, and has not been of use for long; then it is gone."""
    if not _is_ours(path) or path.stat().st_mtime >= now - KEEP:
        return False
    path.unlink()
    return True


def _write(path: Path, content: bytes, now: float) -> bool:
    """Whether the file had to be written."""
    try:
        old = path.read_bytes()
    except FileNotFoundError:
        pass
    else:
        if old == content:
            if now - TOUCH < path.stat().st_mtime <= now:
                return False
            with contextlib.suppress(OSError):  # it is another user's: then ours takes its place
                os.utime(path, (now, now))
                return False
        elif not _is_ours(path):
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
