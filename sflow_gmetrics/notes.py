"""What is worth a line in the log, kept until somebody takes it."""

from __future__ import annotations

MOST = 1_000
"""How many different ones are kept; what is beyond them has been counted all the same."""

Taken = dict[tuple[str, str], tuple[int, str]]
"""(Agent, event) to how often and what, in words."""


class Notes:
    """Events by agent ("" for none) and kind."""

    def __init__(self) -> None:
        self._notes: Taken = {}

    def add(self, agent: str, event: str, detail: str) -> None:
        """Something has happened."""
        count, _ = self._notes.get((agent, event), (0, ""))
        if count or len(self._notes) < MOST:
            self._notes[agent, event] = (count + 1, detail)

    def take(self) -> Taken:
        """What has happened since the last call."""
        notes, self._notes = self._notes, {}
        return notes
