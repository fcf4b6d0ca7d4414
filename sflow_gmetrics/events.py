"""What is noticed while the program runs becomes lines in the log: of each kind of one subject one a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger("sflow_gmetrics")

QUIET = frozenset(("new", "gone", "named", "back", "restarted"))
"""Events that are no trouble, by their first word."""
INTERVAL = 60.0
"""How often the same event of the same subject is logged at the most, in seconds."""
SUBJECTS = 10_000
"""Of how many events in such a time the last time is kept; then it is begun anew."""

Notes = Mapping[Any, tuple[int, str]]
"""Event, or (name, event), to how many times and the newest text."""


class EventLog:
    """Writes to the log what those who are followed have noticed."""

    def __init__(self) -> None:
        self._followed: list[tuple[str, Callable[[], Notes]]] = []
        self._logged: dict[tuple[str, str], float] = {}
        """When each event was logged in the last `INTERVAL`, the oldest first."""

    def follow(self, subject: str, take_notes: Callable[[], Notes]) -> None:
        """From now on `write` asks `take_notes` for what it has to say of a subject, or of named ones of its kind."""
        self._followed.append((subject, take_notes))

    def write(self) -> None:
        """Log what has been noticed since the last call."""
        for subject, take_notes in self._followed:
            for key, (count, detail) in take_notes().items():
                name, event = key if isinstance(key, tuple) else (None, key)
                self.say(subject if name is None else f"{subject} {name or 'unknown'}", event, detail, count)

    def may_say(self, subject: str, event: str) -> bool:
        """Whether the same event of the same subject was not logged a moment ago; then it is now."""
        now = time.monotonic()
        while self._logged and now - next(iter(self._logged.values())) >= INTERVAL:
            del self._logged[next(iter(self._logged))]
        if (subject, event) in self._logged:
            return False
        if len(self._logged) >= SUBJECTS:
            self._logged.clear()
        self._logged[subject, event] = now
        return True

    def say(self, subject: str, event: str, detail: str, count: int = 1) -> None:
        """Log an event, unless the same one of the same subject was logged a moment ago."""
        if not self.may_say(subject, event):
            return
        kind = event.partition(" ")[0]
        fields = {"subject": subject, "event": kind, "count": count, "msg": detail}
        level = logging.INFO if kind in QUIET else logging.WARNING
        times = f" ({count} times)" if count > 1 else ""
        log.log(level, "%s: %s%s", subject, detail, times, extra={"event_fields": fields})
