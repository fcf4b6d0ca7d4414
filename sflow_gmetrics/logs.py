"""The log on standard error: text for people, logfmt or JSON for programs; an event is one line, whatever is in it."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import datetime

from .config import LogConfig

_PLAIN = re.compile(r"[^\s\"=\\\x00-\x1f\x7f-\xa0]+")
"""What needs no quotes in logfmt."""


def set_up(config: LogConfig) -> None:
    """Log in this form and from this level on; may be called again."""
    root = logging.getLogger()
    for one in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(one)
    handler = _Handler(sys.stderr)
    handler.setFormatter(_FORMATTERS[config.format])
    root.addHandler(handler)
    root.setLevel(config.level.upper())


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours, and nobody else's."""


class TextFormatter(logging.Formatter):
    """Time, level and message; below it the traceback of a fault."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line; what cannot be printed is escaped in it."""
        line = super().formatMessage(record)
        return line if line.isprintable() else "".join(map(_printable, line))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode()


class LogfmtFormatter(logging.Formatter):
    """key=value pairs as Prometheus writes them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in _fields(record, self).items())


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class JsonFormatter(logging.Formatter):
    """An object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return json.dumps(dict(_fields(record, self)))


def _fields(record: logging.LogRecord, formatter: logging.Formatter) -> Mapping[str, str | int]:
    """What a record says; an event has its subject, kind and count apart from the text (see `EventLog`)."""
    event: Mapping[str, str | int] = getattr(record, "event_fields", {})
    fields: dict[str, str | int] = {
        "time": datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        **event,
    }
    fields.setdefault("msg", record.getMessage())
    if record.exc_info:
        fields["error"] = formatter.formatException(record.exc_info)
    return fields


_FORMATTERS: Mapping[str, logging.Formatter] = {
    "text": TextFormatter(),
    "logfmt": LogfmtFormatter(),
    "json": JsonFormatter(),
}
