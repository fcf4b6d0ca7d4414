"""One data source: its newest sample and the 64-bit totals of its counters.

The rules are those of `step`; `Source.update` follows them for a whole sample, with a fast
path for the usual case, that all counters have grown by something plausible.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from operator import add, gt, sub
from typing import TYPE_CHECKING, Any

from .layout import UNKNOWN_CPUS, Form, Shape
from .operators import unavailable_value
from .schema import Field, Role
from .stream import AGREEMENT, HALF, MASK, Stream
from .xdr import U32

if TYPE_CHECKING:
    from .agent import Agent

POISON = 1 << 63
"""A 64-bit counter from here on has run below zero in the agent; it is not data."""
JITTER = 5.0
"""A start time that moves by less than this many seconds has not moved."""
DEFAULT_INTERVAL = 30.0
"""Host sFlow's polling interval, until a source has shown its own."""
INTERVALS_TO_LIVE = 3
LONG = 3600.0
"""Seconds between samples from which on nothing is taken for usual."""


def step(
    one: Field, previous: int | None, new: int, allowed: float, restarted: bool
) -> tuple[int | None, int | None, str]:
    """What one counter's new value adds to its total.

    Returns (base for the next step, increase or None if it is not known, reason). `allowed`
    is the greatest increase that is physically possible, `restarted` says that the sample
    sequence or the agent began again. Reasons: "" usual, "first", "unavailable", "invalid",
    "gap" (grown by more than possible), "wrap", "restart", "decrease".
    """
    if new == one.type.unavailable:
        return previous, None, "unavailable"
    if new >= POISON:
        return previous, None, "invalid"
    if previous is None:
        return new, None, "first"
    if new >= previous:
        increase = new - previous
        return (new, increase, "") if increase <= allowed else (new, None, "gap")
    if restarted:
        return new, (new if new <= allowed else None), "restart"
    if one.type is U32:
        increase = (new - previous) & MASK
        if increase <= allowed:
            return new, increase, "wrap"
    return new, None, "decrease"


class Source:
    """A data source (ds_class, ds_index) of an agent.

    `totals` follow the raw counters (the first total is the first raw value), `base` is what
    each total was when it began to count for the pool. Lists are replaced, never changed, so
    that a snapshot can keep them.
    """

    __slots__ = (
        "agent",
        "alive",
        "allowed",
        "allowed_for",
        "base",
        "deltas",
        "ds_class",
        "ds_index",
        "elapsed",
        "epoch",
        "form",
        "identity",
        "info",
        "interval",
        "kind",
        "length",
        "missed",
        "moments",
        "name",
        "place",
        "previous",
        "received",
        "role",
        "sequence",
        "service",
        "shape",
        "texts",
        "totals",
        "uptime",
        "values",
    )

    previous: tuple[int | None, ...]
    totals: list[int | None]
    base: list[int | None]
    deltas: list[int | None]
    values: tuple[Any, ...]

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

    # --- identity

    def identify(self, shape: Shape, length: int, row: tuple[Any, ...]) -> None:
        """Take a new shape or new texts. Totals of structures that stay are carried over."""
        self.length = length
        self.identity = shape.identity(row)
        self.texts: Mapping[str, str] = shape.read_texts(row)
        old: Form | None = getattr(self, "form", None)
        self.place = ("", "", "", "")
        self.shape = shape
        self.form = shape.form
        if old is not shape.form:
            self._carry_over(old)

    def _carry_over(self, old: Form | None) -> None:
        previous: list[int | None] = []
        totals: list[int | None] = []
        base: list[int | None] = []
        for one in self.form.counters:
            index = old.counter_index(one) if old is not None else None
            previous.append(None if index is None else self.previous[index])
            totals.append(None if index is None else self.totals[index])
            base.append(None if index is None else self.base[index])
        self.previous = tuple(previous)
        self.totals = totals
        self.base = base
        self.deltas = self.form.no_deltas
        self.elapsed = 0.0
        self.missed: frozenset[int] = frozenset()
        self.moments: Mapping[int, float] = {}
        self.forget_allowance()

    def forget_allowance(self) -> None:
        """Send the next sample over the careful path (the bounds have changed)."""
        self.allowed: list[float] = []
        self.allowed_for = float("inf")

    def reset(self) -> None:
        """Another service has taken this ds_index: nothing of the old one is carried over."""
        del self.form
        self.interval = 0.0

    # --- samples

    def begin(self, values: tuple[Any, ...], sequence: int, stream: Stream, now: float) -> None:
        """The first sample."""
        self._note(sequence, stream, now)
        self.alive = now
        self._step(values, 0.0, 0.0, restarted=False)

    def update(self, values: tuple[Any, ...], sequence: int, stream: Stream, now: float) -> None:
        """The next sample; one with the same sequence number again changes nothing."""
        ahead = (sequence - self.sequence) & MASK
        same = stream.epoch == self.epoch
        if ahead == 0 and same:
            return
        elapsed = now - self.received
        if same:
            by_agent = stream.uptime - self.uptime
            if by_agent > 0 and (elapsed <= 0 or (stream.agrees and -AGREEMENT < by_agent - elapsed < AGREEMENT)):
                elapsed = by_agent
            restarted = ahead >= HALF
        else:
            restarted = ahead == 0 or ahead >= HALF or self.agent.has_restarted_since(self.epoch)
        if restarted:
            self.agent.samples_restarted += 1
        elif ahead > 1:
            self.agent.samples_lost += ahead - 1
        self._note(sequence, stream, now)
        if elapsed >= self.allowed_for and not restarted:
            new = self.form.pick_counters(values)
            deltas: list[Any] = list(map(sub, new, self.previous))
            if not deltas or (min(deltas) >= 0 and MASK not in new and not any(map(gt, deltas, self.allowed))):
                self.previous = new
                self.deltas = deltas
                self.totals = list(map(add, self.totals, deltas))
                self.values = values
                self.elapsed = elapsed
                self.alive = now
                self.interval += (elapsed / ahead - self.interval) * 0.25
                if self.form.unusual:
                    self._tell(values, now)
                return
        if elapsed > 0 and not restarted:
            interval = elapsed / ahead
            self.interval = self.interval + (interval - self.interval) * 0.25 if self.interval else interval
            self.agent.interval = self.interval
        self._step(values, max(elapsed, 0.0), now, restarted)

    def _note(self, sequence: int, stream: Stream, now: float) -> None:
        self.sequence = sequence
        self.epoch = stream.epoch
        self.uptime = stream.uptime
        self.received = now

    def _step(self, values: tuple[Any, ...], elapsed: float, now: float, restarted: bool) -> None:
        """The careful path: every counter by the rules of `step`."""
        form, agent = self.form, self.agent
        cpus = agent.cpus or UNKNOWN_CPUS
        self.values = values
        if form.unusual:
            self._tell(values, self.received)
        previous: list[int | None] = []
        deltas: list[int | None] = []
        totals = list(self.totals)
        base = list(self.base)
        poisoned = False
        missed: set[int] = set()
        allowances = form.allowances(elapsed, max(cpus, agent.cpus or UNKNOWN_CPUS))
        for index, (one, new) in enumerate(zip(form.counters, form.pick_counters(values), strict=True)):
            kept, delta, reason = step(one, self.previous[index], new, allowances[index], restarted)
            previous.append(kept)
            deltas.append(delta if elapsed > 0 and index not in self.missed else None)
            if reason == "first":
                base[index] = totals[index] = kept if totals[index] is None else totals[index]
            elif delta:
                totals[index] = (totals[index] or 0) + delta
            if reason in agent.resets:
                agent.resets[reason] += 1
            poisoned |= reason == "invalid"
            if reason in ("unavailable", "invalid"):
                missed.add(index)
        self.missed = frozenset(missed)
        self.previous = tuple(previous)
        self.totals, self.base, self.deltas, self.elapsed = totals, base, deltas, elapsed
        if poisoned:
            self.values = self._without_poison(self.values)
        if not poisoned:
            self.alive = self.received
        known = [one for one in previous if one is not None]
        if (
            missed
            or len(known) < len(previous)
            or max(known, default=0) >= POISON // 2
            or not self.interval
            or not 0 < elapsed <= LONG
        ):
            self.forget_allowance()
        else:
            self.allowed_for = max(int(elapsed * 2) / 2, 0.5)
            self.allowed = agent.allowances(form, self.allowed_for)

    def _without_poison(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """A sample of a service without processes: gauges that are 0 are not known."""
        mended = list(values)
        for index in self.form.gauges64:
            if mended[index] == 0:
                mended[index] = unavailable_value(self.form.fields[index])
        return tuple(mended)

    def _tell(self, values: tuple[Any, ...], now: float) -> None:
        """Start times (now minus the agent's seconds, held still while they only jitter), and a host's CPUs.

        A float that is no number is not known.
        """
        if not all(isfinite(values[index]) for index in self.form.floats):
            floats = self.form.floats
            self.values = tuple(
                -1.0 if index in floats and not isfinite(value) else value for index, value in enumerate(values)
            )
        cpus = self.form.cpus
        if cpus is not None and self.role is Role.HOST:
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

    @property
    def expires(self) -> float:
        """When the source is no longer to be shown, in seconds since the epoch."""
        return self.alive + INTERVALS_TO_LIVE * self.own_interval

    @property
    def own_interval(self) -> float:
        """The interval at which the source sends, in seconds; its agent's while it has sent only once."""
        return max(self.interval or self.agent.interval or DEFAULT_INTERVAL, 1.0)
