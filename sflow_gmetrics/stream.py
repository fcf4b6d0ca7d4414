"""One stream of datagrams: what its sequence numbers and the agent's clock say.

A stream is keyed by agent address and sub-agent. It tells new datagrams from late ones and
duplicates, notices a restarted agent, counts what was lost, and says whether the agent's
uptime can be trusted to measure time.
Source: sFlow version 5, section 5 (datagram sequence number, uptime); RFC 3550, appendix A.1
for the rule that a sequence that jumps back is believed once its successor arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum
from itertools import count
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from .rivals import Rivals

if TYPE_CHECKING:
    from .convoy import Convoy

HALF = 1 << 31
MASK = (1 << 32) - 1
FAR = 1
"""A sequence that is farther ahead, with lost datagrams between, has to come with an uptime that fits."""
LONGEST_HELD = 9_216
HEAD = 44
"""Of a suspect that is longer than any frame only so many bytes are kept: it cannot be taken later."""
LATE_LIMIT_MS = 30_000
"""How far back in the agent's time a datagram can lie and still be a late one."""
AGREEMENT = 60.0
"""By how many seconds the agent's clock and ours may drift apart (late datagrams included)."""
SMOOTHING = 0.25
"""How much of a new interval goes into what is known of a source's interval."""
_SLEW = 0.001
_PATIENCE = 10.0
"""For how many seconds a sequence that goes on from below must be heard alone to be believed without other proof."""
_CONTESTED = 90.0
"""The same, and for how long, after another machine has been heard under the same address."""
_SLACK = 5.0
"""By how many seconds a restarted agent's start may seem to lie before the last that was heard of the old one."""

_epochs = count(1)


def later_epochs(epochs: Iterable[int]) -> dict[int, int]:
    """New epochs for those of another run, whose numbers mean nothing here; what was earlier stays earlier."""
    return {epoch: next(_epochs) for epoch in sorted(set(epochs))}


class StreamState(NamedTuple):
    """What a stream knows, for its successor in another run of the program."""

    datagrams: int
    lost: int
    reordered: int
    restarts: int
    epoch: int
    sequence: int
    uptime_ms: int
    wraps_ms: int
    anchor: float
    lag: float
    heard: float
    agrees: bool
    suspected: float
    undecided: bool
    resumed: bool
    proven: bool
    foreign: bool
    contested: float
    recent: tuple[int, ...]
    suspect: tuple[int, int, float, bytes] | None


class Verdict(Enum):
    """What a datagram is to its stream."""

    NEW = "new"
    LATE = "late"
    SUSPECT = "suspect"
    """It may come from a restarted agent: it is kept until the next one tells."""
    RESTARTED = "restarted"
    """A suspect's successor: the agent has restarted, and the suspect is to be taken first."""
    FOREIGN = "foreign"
    """Another machine that announces the same address has sent it."""


class Stream:
    """The state of one (agent, sub-agent).

    `epoch` changes with every restart; within one, `uptime` (seconds, unwrapped) only grows.
    `agrees` says whether the last datagram's uptime fits the receive time, which is `heard`. At the
    uptime `leapt` one of the two clocks had leapt.
    `proven` says whether the agent is known to have started anew at the newest restart; else it
    may be another machine that has taken over, and its counters are nobody's increase.
    """

    __slots__ = (
        "_contested",
        "_former",
        "_home",
        "_lag",
        "_recent",
        "_rivals",
        "_undecided",
        "agrees",
        "anchor",
        "convoys",
        "datagrams",
        "epoch",
        "foreign",
        "heard",
        "leapt",
        "lost",
        "proven",
        "reordered",
        "restarts",
        "resumed",
        "sequence",
        "suspect",
        "suspected",
        "uptime",
        "uptime_ms",
        "wraps_ms",
    )

    def __init__(self, sequence: int, uptime_ms: int, now: float) -> None:
        self.datagrams = self.lost = self.reordered = self.restarts = 0
        self._rivals = Rivals()
        self._contested = -_CONTESTED
        self._former = inf
        """When the agent's clock was at 0, by ours, before it restarted."""
        self.proven = True
        self.foreign = False
        """Whether it is another machine's than the one that has the address, and so is not taken."""
        self._recent: deque[int] = deque(maxlen=64)
        self.convoys: dict[bytes, Convoy] = {}
        """The sources that travel together, by the first of them."""
        self.suspect: tuple[int, int, float, bytes] | None = None
        self.suspected = 0.0
        """When the first of the suspects that go on came; while the stream is `foreign`, its newest datagram."""
        self._undecided = False
        """Whether the suspect is not yet counted: it may be no late one."""
        self.resumed = False
        """Whether the collector was away after the newest datagram."""
        self._begin(sequence, uptime_ms, now)

    def _begin(self, sequence: int, uptime_ms: int, now: float) -> None:
        self.epoch = next(_epochs)
        self.sequence = sequence
        self.uptime_ms = uptime_ms
        self.wraps_ms = 0
        self.uptime = uptime_ms / 1000
        self.anchor = self._lag = self._home = now - self.uptime
        self.heard = now
        self.leapt = -inf
        self.agrees = True
        self._recent.clear()
        self._recent.append(sequence << 32 | uptime_ms)
        self.suspect, self._undecided = None, False
        self.datagrams += 1

    @classmethod
    def restore(cls, state: StreamState) -> Stream:
        """The stream that said this of itself; its epoch is one of this run."""
        stream = cls(state.sequence, state.uptime_ms, state.lag)
        stream.epoch = state.epoch
        stream.datagrams, stream.lost, stream.reordered, stream.restarts = state[:4]
        stream.wraps_ms = state.wraps_ms
        stream.uptime = (state.uptime_ms + state.wraps_ms) / 1000
        stream.anchor, stream._lag, stream.agrees = state.anchor, state.lag, state.agrees
        stream._home = state.anchor
        stream.heard = state.heard
        stream.suspected, stream.suspect = state.suspected, state.suspect
        stream._undecided, stream.resumed = state.undecided, state.resumed
        stream.proven, stream.foreign, stream._contested = state.proven, state.foreign, state.contested
        stream._recent = deque(state.recent, 64)
        return stream

    @property
    def state(self) -> StreamState:
        """What it knows now."""
        return StreamState(
            self.datagrams,
            self.lost,
            self.reordered,
            self.restarts,
            self.epoch,
            self.sequence,
            self.uptime_ms,
            self.wraps_ms,
            self.anchor,
            self._lag,
            self.heard,
            self.agrees,
            self.suspected,
            self._undecided,
            self.resumed,
            self.proven,
            self.foreign,
            self._contested,
            tuple(self._recent),
            self.suspect,
        )

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """How many datagrams have come, were lost, came late or twice; and how often it began anew."""
        return self.datagrams, self.lost, self.reordered, self.restarts

    @property
    def last_heard(self) -> float:
        """When its newest datagram came, in seconds since the epoch; one that is a suspect yet counts."""
        return self.heard if self.suspect is None else max(self.heard, self.suspect[2])

    @property
    def started(self) -> float:
        """When the agent started, in seconds since the epoch."""
        return self.anchor

    def accept(self, sequence: int, uptime_ms: int, now: float, payload: bytes) -> Verdict:
        """Judge the next datagram and, if it is new, move on to it."""
        ahead = (sequence - self.sequence) & MASK
        strange = self._is_strange if ahead > FAR else self._is_of_former_life
        if ahead == 0 or ahead >= HALF or strange(uptime_ms, now):
            return self._behind(sequence, uptime_ms, now, payload)
        if uptime_ms < self.uptime_ms:
            if self.uptime_ms - uptime_ms < HALF:
                self.restart(sequence, uptime_ms, now)
                return Verdict.NEW
            self.wraps_ms += 1 << 32
        self.lost += ahead - 1
        self.advance(sequence, uptime_ms, now)
        return Verdict.NEW

    def advance(self, sequence: int, uptime_ms: int, now: float) -> None:
        """Move on to a datagram that is new."""
        uptime = (uptime_ms + self.wraps_ms) / 1000
        off = now - uptime - self.anchor
        if not -AGREEMENT <= off <= AGREEMENT:
            off = self._disagree(now - uptime, off, uptime)
        else:
            self.agrees = True
        self.move(sequence, uptime_ms, uptime, off, now)

    def move(self, sequence: int, uptime_ms: int, uptime: float, off: float, now: float) -> None:
        """The same where it is known already by how many seconds the agent's clock is off."""
        if self.suspect is not None:
            self._dismiss()
        self.datagrams += 1
        self.sequence, self.uptime_ms, self.uptime = sequence, uptime_ms, uptime
        self._recent.append(sequence << 32 | uptime_ms)
        self.anchor += off * _SLEW
        self._lag, self.heard = now - uptime, now

    def resume(self, sequence: int, uptime_ms: int, now: float, payload: bytes) -> Verdict:
        """Judge the first datagram after the collector was away, maybe for long enough to hide a restart.

        Numbers that go on prove nothing then: an agent that has started since is another one.
        """
        self.resumed = False
        if uptime_ms >= self.uptime_ms and now - (uptime_ms + self.wraps_ms) / 1000 > self._lag + self.uptime:
            self.restart(sequence, uptime_ms, now)
            return Verdict.NEW
        return self.accept(sequence, uptime_ms, now, payload)

    def restart(self, sequence: int, uptime_ms: int, now: float) -> None:
        """The agent has started afresh: sequence, uptime and sample sequences begin again."""
        self.proven = self._started_since(uptime_ms, now) or uptime_ms <= LATE_LIMIT_MS
        self.restarts += 1
        self.disband()
        self._former = self.heard - self.uptime_ms / 1000
        self._begin(sequence, uptime_ms, now)

    def disband(self) -> None:
        """Let none of its sources travel with others any more."""
        for convoy in list(self.convoys.values()):
            convoy.disband()

    def _disagree(self, lag: float, off: float, uptime: float) -> float:
        """The agent's clock does not run with ours. A step of our clock is forgiven, a drift is not.

        Returns by how much it is off now.
        """
        self.agrees = False
        if abs(lag - self._lag) > AGREEMENT:
            self._home, self.anchor, self.leapt = self.anchor, lag, uptime
            return 0.0
        return off

    def _is_strange(self, uptime_ms: int, now: float) -> bool:
        """Whether a sequence far ahead comes with an uptime that is not this agent's."""
        wraps_ms = self.wraps_ms
        if uptime_ms < self.uptime_ms:
            if self.uptime_ms - uptime_ms < HALF:
                return not self._started_since(uptime_ms, now)
            wraps_ms += 1 << 32
        lag = now - (uptime_ms + wraps_ms) / 1000
        return abs(lag - self.anchor) > AGREEMENT and abs(lag - self._home) > AGREEMENT

    def _is_of_former_life(self, uptime_ms: int, now: float) -> bool:
        """Whether a sequence that is next by chance comes with the uptime of the agent before it restarted."""
        zero, lag = now - uptime_ms / 1000, now - (uptime_ms + self.wraps_ms) / 1000
        return uptime_ms > self.uptime_ms and abs(zero - self._former) <= AGREEMENT < abs(lag - self.anchor)

    def _behind(self, sequence: int, uptime_ms: int, now: float, payload: bytes) -> Verdict:
        """A number that is not next: late, double, of an agent that has restarted, or of another machine."""
        late = 0 <= self.uptime_ms - uptime_ms <= LATE_LIMIT_MS
        behind = (self.sequence - sequence) & MASK < HALF
        possible = behind and 0 <= self.uptime_ms - uptime_ms <= AGREEMENT * 1000
        if late or uptime_ms > self.uptime_ms:
            known = [entry & MASK for entry in self._recent if entry >> 32 == sequence]
            if known and known[-1] != uptime_ms and uptime_ms <= LATE_LIMIT_MS:
                if self.suspect is not None and self._goes_on(sequence, uptime_ms):
                    return Verdict.RESTARTED
                self.restart(sequence, uptime_ms, now)
                return Verdict.NEW
            late = late and (known[-1] == uptime_ms if known else behind and sequence > self._recent[0] >> 32)
        patience = _CONTESTED if 0 <= now - self._contested < _CONTESTED else _PATIENCE
        if self.suspect is None or not self._goes_on(sequence, uptime_ms):
            self.suspected = now
        elif now - self.suspected >= patience or (not late and self._started_since(uptime_ms, now)):
            return Verdict.RESTARTED
        self._dismiss()
        self.suspect = (sequence, uptime_ms, now, payload if len(payload) <= LONGEST_HELD else payload[:HEAD])
        if not late and not possible and self._rivals.meet(sequence, uptime_ms, now, self.heard):
            self._contested = now
            return Verdict.FOREIGN
        self._undecided = not late
        self.reordered += late
        return Verdict.LATE if late else Verdict.SUSPECT

    def _dismiss(self) -> None:
        """The suspect was only late."""
        self.reordered += self._undecided
        self.suspect, self._undecided = None, False

    def _goes_on(self, sequence: int, uptime_ms: int) -> bool:
        """Whether this is what comes after the suspect: a later one, or the first after one more restart."""
        assert self.suspect is not None
        earlier, earlier_ms, _, _ = self.suspect
        if sequence == earlier:
            return uptime_ms != earlier_ms and max(uptime_ms, earlier_ms) <= LATE_LIMIT_MS
        return (sequence - earlier) & MASK <= 32 and uptime_ms >= earlier_ms

    def started_after(self, moment: float) -> bool:
        """Whether the agent has started after this time, in seconds since the epoch."""
        return self.anchor >= moment - _SLACK

    def runs_with(self, other: Stream) -> bool:
        """Whether two streams of one address have started together: the agent speaks as two sub-agents."""
        return abs(self.anchor - other.anchor) <= _SLACK

    def _started_since(self, uptime_ms: int, now: float) -> bool:
        """Whether an agent of this uptime has started after the last datagram of the one that we know.

        One that is older than that has been sent by the one that we know: a double of an old datagram.
        """
        return now - uptime_ms / 1000 >= self._lag + self.uptime - _SLACK
