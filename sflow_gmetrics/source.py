"""One data source: its newest sample and the 64-bit totals of its counters.

The rules are those of `counters.step`; `Source.update` follows them for a whole sample, with a fast
path for the usual case, that all counters have grown by something plausible.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from operator import add, gt, sub
from typing import TYPE_CHECKING, Any, NamedTuple

from .counters import POISON, step, without_wraps
from .layout import UNKNOWN_CPUS, Shape, share
from .operators import unavailable_value
from .schema import Role
from .stream import AGREEMENT, HALF, MASK, SMOOTHING, Stream
from .xdr import U32

if TYPE_CHECKING:
    from .agent import Agent
    from .convoy import Convoy

JITTER = 5.0
"""A start time that moves by less than this many seconds has not moved."""
DEFAULT_INTERVAL = 30.0
"""Host sFlow's polling interval, until a source has shown its own."""
INTERVALS_TO_LIVE = 3
LONG = 3600.0
"""Seconds between samples from which on nothing is taken for usual."""


class Latest(NamedTuple):
    """The newest sample of a source, and what is known of its counters.

    `raw` are its bytes from the record count on, `older` those of the sample before. By `offsets`
    the totals are ahead of the raw counters: 0 until the first wrap or reset. `latched`, `given`
    and `mended` stand for what does not simply follow from the bytes.
    """

    shape: Shape
    raw: bytes
    older: bytes
    latched: tuple[int | None, ...] | None
    given: list[int | None] | None
    mended: tuple[Any, ...] | None
    offsets: tuple[int | None, ...]

    @classmethod
    def usual(cls, shape: Shape, raw: bytes, older: bytes, offsets: tuple[int | None, ...]) -> Latest:
        """A sample of which everything follows from the bytes; made by one call, for there are many."""
        return tuple.__new__(cls, (shape, raw, older, None, None, None, offsets))

    @property
    def values(self) -> tuple[Any, ...]:
        """The numbers of the newest sample in the order of the form's fields."""
        return self.mended or self.shape.read_values(self.raw)

    @property
    def previous(self) -> tuple[int | None, ...]:
        """The counters that the next sample is compared with."""
        return self.latched or self.shape.read_counters(self.raw)

    @property
    def totals(self) -> list[int | None]:
        """The 64-bit totals in the order of the form's counters. The first total is the first raw value."""
        previous, offsets = self.previous, self.offsets
        if None in offsets or None in previous:
            return [None if a is None or b is None else a + b for a, b in zip(previous, offsets, strict=True)]
        return list(map(add, previous, offsets))

    @property
    def deltas(self) -> list[int | None]:
        """What each counter has added in the last step, None where that is not known."""
        if self.given is not None:
            return self.given
        return list(map(sub, self.previous, self.shape.read_counters(self.older)))


class Source:
    """A data source (ds_class, ds_index) of an agent.

    `latest` is its newest sample with the totals of its counters; a sample that is as usual
    costs little more than to be looked at. `base` is what each total was when it began to count
    for the pool. Both are replaced and never changed in place, so that a snapshot can keep them.
    While the source travels in a `convoy`, all that it knows is as old as that has last settled.
    """

    __slots__ = (
        "agent",
        "alive",
        "allowed",
        "allowed_for",
        "base",
        "convoy",
        "ds_class",
        "ds_index",
        "elapsed",
        "epoch",
        "form",
        "identity",
        "info",
        "interval",
        "kind",
        "latest",
        "length",
        "missed",
        "moments",
        "name",
        "place",
        "received",
        "role",
        "sequence",
        "service",
        "shape",
        "texts",
        "uptime",
    )

    latest: Latest
    base: list[int | None]

    def __init__(self, agent: Agent, ds_class: int, ds_index: int) -> None:
        self.agent = agent
        self.ds_class = ds_class
        self.ds_index = ds_index
        self.role = Role.NONE
        self.name = self.service = self.kind = ""
        self.place = ("", "", "", "")
        self.info = ("", "", "", "", "", "")
        self.interval = 0.0
        self.length = -1
        self.convoy: Convoy | None = None

    # --- identity

    def identify(self, shape: Shape, raw: bytes) -> None:
        """Take a new shape or new texts. Totals of structures that stay are carried over."""
        self.length = len(raw)
        self.identity = share(shape.identity(raw, 0))
        self.texts: Mapping[str, str] = shape.read_texts(raw)
        self.place = ("", "", "", "")
        self.shape = shape
        self.form = shape.form
        old: Latest | None = getattr(self, "latest", None)
        if old is None or old.shape.form is not shape.form:
            self._carry_over(old, raw)
        else:
            self.latest = Latest(shape, raw, raw, old.previous, old.deltas, None, old.offsets)

    def _carry_over(self, old: Latest | None, raw: bytes) -> None:
        nothing = [None] * len(self.form.counters)
        previous: list[int | None] = list(nothing)
        offsets: list[int | None] = list(nothing)
        base: list[int | None] = list(nothing)
        for place, one in enumerate(self.form.counters):
            index = old.shape.form.counter_index(one) if old is not None else None
            if old is not None and index is not None:
                previous[place] = old.previous[index]
                offsets[place] = old.offsets[index]
                base[place] = self.base[index]
        self.latest = Latest(self.shape, raw, raw, tuple(previous), self.form.no_deltas, None, tuple(offsets))
        self.base = base
        self.elapsed = 0.0
        self.missed: frozenset[int] = frozenset()
        self.moments: Mapping[int, float] = {}
        self.forget_allowance()

    # --- what follows from the newest sample

    @property
    def values(self) -> tuple[Any, ...]:
        """The numbers of the newest sample in the order of the form's fields."""
        return self.latest.values

    @property
    def deltas(self) -> list[int | None]:
        """What each counter has added in the last `elapsed` seconds, None where that is not known."""
        return self.latest.deltas

    @property
    def totals(self) -> list[int | None]:
        """The 64-bit totals in the order of the form's counters. The first total is the first raw value."""
        return self.latest.totals

    def forget_allowance(self) -> None:
        """Send the next sample over the careful path (the bounds have changed)."""
        self.allowed: list[int] = []
        self.allowed_for = float("inf")

    def reset(self) -> None:
        """Another service has taken this ds_index: nothing of the old one is carried over."""
        del self.latest
        self.interval = 0.0

    # --- samples

    def begin(self, new: tuple[int, ...], raw: bytes, sequence: int, stream: Stream, now: float) -> None:
        """The first sample: its counters and its bytes from the record count on."""
        self.sequence, self.epoch, self.uptime = sequence, stream.epoch, stream.uptime
        self.received = self.alive = now
        self._step(new, raw, 0.0, restarted=False)

    def takes(self, sequence: int, stream: Stream, now: float) -> bool:
        """Whether a sample is new and of the machine that the source belongs to, as far as one can tell."""
        if stream.epoch == self.epoch:
            return sequence != self.sequence
        before = self.agent.stream_of(self.epoch)
        return before is None or stream.runs_with(before) or stream.started_after(self.received) or self.expires < now

    def update(self, new: tuple[int, ...], raw: bytes, sequence: int, stream: Stream, now: float) -> None:
        """The next sample, if the source takes it."""
        ahead = (sequence - self.sequence) & MASK
        same = stream.epoch == self.epoch
        elapsed = now - self.received
        if same:
            by_agent = stream.uptime - self.uptime
            if by_agent > 0 and (elapsed <= 0 or (stream.agrees and -AGREEMENT < by_agent - elapsed < AGREEMENT)):
                elapsed = by_agent
            elif by_agent > 0 and self.uptime < stream.leapt:
                usual = ahead * self.own_interval  # our clock has leapt meanwhile, or the agent's
                elapsed = min(by_agent, elapsed, key=lambda seconds: abs(seconds - usual))
            restarted, certain = ahead >= HALF, True
        else:
            restarted, certain = self._handed_over(ahead, stream)
        if restarted:
            self.agent.samples_restarted += 1
        elif ahead > 1:
            self.agent.samples_lost += ahead - 1
        self.sequence = sequence
        self.epoch = stream.epoch
        self.uptime = stream.uptime
        self.received = now
        if elapsed >= self.allowed_for and not restarted:
            deltas: list[Any] = list(map(sub, new, self.latest.previous))
            if not deltas or (min(deltas) >= 0 and MASK not in new and not any(map(gt, deltas, self.allowed))):
                self.latest = Latest(self.shape, raw, raw, None, deltas, None, self.latest.offsets)
                self.elapsed = elapsed
                self.alive = now
                self.interval += (elapsed / ahead - self.interval) * SMOOTHING
                if self.form.unusual:
                    self.tell(now)
                return
        if elapsed > 0 and not restarted:
            interval = elapsed / ahead
            self.interval = self.interval + (interval - self.interval) * SMOOTHING if self.interval else interval
            self.agent.interval = self.interval
        self._step(new, raw, max(elapsed, 0.0), restarted, certain)

    def _handed_over(self, ahead: int, stream: Stream) -> tuple[bool, bool]:
        """Whether counters began again now that another stream brings them, and whether they are the same machine's."""
        before = self.agent.stream_of(self.epoch)
        if before is not None and stream.runs_with(before):
            return ahead == 0 or ahead >= HALF, True
        later = stream.epoch > self.epoch and stream.proven
        return True, later and (before is None or stream.started_after(self.received))

    def _step(self, new: tuple[int, ...], raw: bytes, elapsed: float, restarted: bool, certain: bool = True) -> None:
        """The careful path: every counter by the rules of `step`. What is not `certain` to be its own adds nothing."""
        form, agent = self.form, self.agent
        cpus = agent.cpus or UNKNOWN_CPUS
        old = self.latest
        self.latest = old._replace(raw=raw, older=raw, mended=None)
        if form.unusual:
            self.tell(self.received)
        allowances = form.allowances(elapsed, max(cpus, agent.cpus or UNKNOWN_CPUS))
        if not certain:
            allowances = [-1] * len(allowances)
        elif not restarted:
            allowances = without_wraps(form.counters64, old.previous, new, allowances)
        totals, base = old.totals, list(self.base)
        previous: list[int | None] = []
        deltas: list[int | None] = []
        reasons: list[str] = []
        for index, (one, before, value) in enumerate(zip(form.counters, old.previous, new, strict=True)):
            kept, delta, reason = step(one, before, value, allowances[index], restarted)
            previous.append(kept)
            deltas.append(delta if elapsed > 0 and index not in self.missed else None)
            reasons.append(reason)
            if reason == "first":
                base[index] = totals[index] = kept if totals[index] is None else totals[index]
            elif delta:
                totals[index] = (totals[index] or 0) + delta
            if reason in agent.resets:
                agent.resets[reason] += 1
        offsets = tuple(
            None if total is None or kept is None else total - kept
            for total, kept in zip(totals, previous, strict=True)
        )
        if offsets == form.level:
            offsets = form.level
        mended = self.latest.mended
        if "invalid" in reasons:
            mended = self._without_poison(self.values)
        else:
            self.alive = self.received
        self.latest = Latest(self.shape, raw, raw, tuple(previous), deltas, mended, offsets)
        self.base, self.elapsed = base, elapsed
        self.missed = frozenset(i for i, reason in enumerate(reasons) if reason in ("unavailable", "invalid"))
        self._allow(elapsed)

    def _allow(self, elapsed: float) -> None:
        """Let the next sample take the fast path, if there is nothing special about this one."""
        previous = self.latest.previous
        known = [one for one in previous if one is not None]
        if (
            self.missed
            or len(known) < len(previous)
            or max(known, default=0) >= POISON // 2
            or not self.interval
            or not 0 < elapsed <= LONG
        ):
            self.forget_allowance()
        else:
            self.allowed_for = max(int(elapsed * 1.8) / 2, 0.5)
            self.allowed = self.form.shared_allowances(self.allowed_for, self.agent.cpus)

    def _without_poison(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """A sample of a service without processes: gauges that are 0 are not known."""
        mended = list(values)
        for index in self.form.gauges64:
            if mended[index] == 0:
                mended[index] = unavailable_value(self.form.fields[index])
        return tuple(mended)

    def tell(self, now: float) -> None:
        """Start times (now minus the agent's seconds, held still while they only jitter), and a host's CPUs.

        A float that is no number is not known.
        """
        values = self.values
        floats = self.form.floats
        if not all(isfinite(values[index]) for index in floats):
            mended = tuple(
                -1.0 if index in floats and not isfinite(value) else value for index, value in enumerate(values)
            )
            self.latest = self.latest._replace(mended=mended)
        cpus = self.form.cpus
        if cpus is not None and self.agent.host is self:
            self.agent.cpus = 0 if values[cpus] == U32.unavailable else values[cpus]
        moments = dict(self.moments)
        for index in self.form.clocks:
            if values[index] == unavailable_value(self.form.fields[index]):
                moments.pop(index, None)
                continue
            moment = float(round(max(now - values[index], 0.0)))
            if abs(moment - moments.get(index, -2 * JITTER)) > JITTER:
                moments[index] = moment
        self.moments = moments

    # --- life

    def settle(self) -> None:
        """Let the source know what has come in its convoy."""
        if self.convoy is not None:
            self.convoy.settle()

    def disband(self) -> None:
        """From here on it goes its own way, and so do those of its convoy."""
        if self.convoy is not None:
            self.convoy.disband()

    @property
    def expires(self) -> float:
        """When the source is no longer to be shown, in seconds since the epoch."""
        return self.alive + INTERVALS_TO_LIVE * self.own_interval

    @property
    def own_interval(self) -> float:
        """The interval at which the source sends, in seconds; its agent's while it has sent only once."""
        return max(self.interval or self.agent.interval or DEFAULT_INTERVAL, 1.0)
