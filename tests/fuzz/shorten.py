"""What is left of a finding when everything is taken away that it does not need."""

from __future__ import annotations

import re
from collections.abc import Callable

from .door import Door


def shortened(opened: Callable[[], Door], finding: bytes) -> bytes:
    """What is left without the parts that can be left out: its exception says the same, but for numbers."""
    wanted = _outcome(opened(), finding)
    if wanted is None:
        return finding
    parts = opened().parts(finding)
    width = len(parts)
    while width:
        place = 0
        while place < len(parts):
            fewer = parts[:place] + parts[place + width :]
            if _outcome(opened(), b"".join(fewer)) == wanted:
                parts = fewer
            else:
                place += width
        width //= 2
    return b"".join(parts)


def _outcome(door: Door, finding: bytes) -> tuple[type[Exception], str] | None:
    try:
        door.again(finding)
    except Exception as error:
        return type(error), re.sub(r"\d+", "", str(error))
    return None
