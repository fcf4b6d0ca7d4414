"""Who else speaks under an agent's address: told by numbers that go on beside those that are known.

Each machine counts its own datagrams and its own uptime. A datagram that fits neither what comes
next nor what came before may be from an agent that has restarted, or a very old one. But when
such datagrams go on at the pace of our clock, and those that are known go on between them, two
machines announce one address.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

MOST = 4
"""How many others are told apart; a fifth takes the place of the one that was silent longest."""
SURE = 2
"""How often both must have gone on in turns."""
_AHEAD = 10_000
"""How many datagrams another machine may send between two that are looked at."""
_PACE = 5.0
"""By how many seconds its uptime and our clock may go on apart."""


class _Rival(NamedTuple):
    sequence: int
    uptime_ms: int
    now: float
    turns: int


class Rivals:
    """The datagrams that do not fit into a stream."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: deque[_Rival] = deque(maxlen=MOST)

    def meet(self, sequence: int, uptime_ms: int, now: float, heard: float) -> bool:
        """Whether this one is from another machine; the stream itself was last `heard` then."""
        turns = 0
        for one in self._known:
            pace = (uptime_ms - one.uptime_ms) / 1000 - (now - one.now)
            if 0 < (sequence - one.sequence) % (1 << 32) <= _AHEAD and abs(pace) < _PACE:
                turns = one.turns + (heard > one.now)
                self._known.remove(one)
                break
        self._known.append(_Rival(sequence, uptime_ms, now, turns))
        return turns >= SURE
