"""Sources that travel together: datagrams that come again and again with the same samples in them.

An agent sends its sources in a fixed order, so most datagrams look like the one of an interval
before, but for their numbers. Such a datagram is checked and taken as a whole, with two struct
calls, and nothing is unpacked for good: the convoy keeps its newest datagram and the one before
as bytes, and what a reader wants to know follows from those. Whatever is not as usual (another
order, a fallen counter, a lost sample, a restart) disbands the convoy, and each sample is looked
at for itself, by the rules in `source`.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from math import inf
from operator import gt, itemgetter, sub
from weakref import WeakValueDictionary

from .draft import Part
from .layout import Shape, counter_reader, identity_reader
from .schema import counter
from .source import Latest, Source
from .stream import AGREEMENT, MASK, SMOOTHING, Stream

STREAM = slice(4, 16)
"""What tells the streams of agents apart that have an IPv4 address: address and sub-agent."""
FIRST_SAMPLE = 28
"""Where the samples of an IPv4 agent's datagram begin."""
FIRST_SOURCE = slice(40, 48)
"""The data source of the first sample: what tells the convoys of a stream apart."""
_SEQUENCE: Part = ("I", 4, counter("sequence_number"))
_UPTIME: Part = ("I", 4, counter("uptime", unit="ms"))
LATEST = 1 << 20
"""Of how many convoys, the latest, the layouts are kept for others: as many as have so many bytes together."""
_WORD = struct.Struct("!I").unpack_from
_Key = tuple[tuple[Shape, ...], tuple[int, ...]]
"""Shapes and heads of a layout."""


class ConvoyLayout:
    """How the samples of a datagram lie, for all convoys whose samples have these shapes.

    `heads` are the sizes of what stands before each sample's records: tag, length, sequence
    number and data source, 20 bytes or, compact, 16.
    """

    __slots__ = ("__weakref__", "counters", "identity", "sequences", "usual")

    def __init__(self, shapes: tuple[Shape, ...], heads: tuple[int, ...]) -> None:
        parts: list[Part] = [("same", 16, None), _SEQUENCE, _UPTIME, ("same", 4, None)]
        sequences: list[int] = []
        place = 2
        for shape, head in zip(shapes, heads, strict=True):
            parts += [("same", 8, None), _SEQUENCE, ("same", head - 12, None), *shape.parts]
            sequences.append(place)
            place += 1 + len(shape.wire)
        self.identity = identity_reader(parts)
        self.counters = counter_reader(parts)
        first = sequences[0]
        self.sequences = itemgetter(*sequences) if len(sequences) > 1 else lambda steps: (steps[first],)
        self.usual = (1,) * len(sequences)


class Convoy:
    """Some sources of a stream, and the newest datagram that brought them all.

    `members` are the sources, each with the offsets of its sample's sequence number and of its
    records. What the members say of themselves is as old as the last `settle`.
    """

    __slots__ = (
        "_allowed",
        "_allowed_for",
        "_elapsed",
        "_fade",
        "_gathered",
        "_identity",
        "_layout",
        "_members",
        "_older",
        "_payload",
        "_received",
        "_stream",
        "_taken",
        "_uptime",
    )

    def __init__(
        self, layout: ConvoyLayout, members: Sequence[tuple[Source, int, int]], stream: Stream, payload: bytes
    ) -> None:
        self._layout, self._members, self._stream = layout, members, stream
        self._payload = self._older = payload
        first = members[0][0]
        self._received, self._uptime = first.received, first.uptime
        self._identity = b"".join(layout.identity(payload, 0))
        self._allowed: list[int] = [MASK, MASK]
        for source, _, _ in members:
            self._allowed.append(1)
            self._allowed += [source.allowed[place] for place in source.shape.wire]
            source.convoy = self
        self._allowed_for = max(source.allowed_for for source, _, _ in members)
        self._fade, self._gathered = 1.0, 0.0
        self._taken = 0
        stream.convoys[payload[FIRST_SOURCE]] = self

    def __len__(self) -> int:
        """How many samples a datagram brings."""
        return len(self._members)

    def take(self, payload: bytes, now: float) -> bool:
        """Take the next datagram as a whole; False, and nothing is changed, if something about it is not as usual."""
        layout, last, stream = self._layout, self._payload, self._stream
        if len(payload) != len(last) or b"".join(layout.identity(payload, 0)) != self._identity:
            return False
        new = layout.counters(payload, 0)
        sequence, uptime_ms = new[:2]
        if sequence != stream.sequence + 1 or uptime_ms < stream.uptime_ms:
            return False
        uptime = (uptime_ms + stream.wraps_ms) / 1000
        elapsed = uptime - self._uptime
        if (
            elapsed < self._allowed_for
            or not -AGREEMENT < elapsed - (now - self._received) < AGREEMENT
            or not -AGREEMENT <= now - uptime - stream.anchor <= AGREEMENT
        ):
            return False
        steps: list[int] = list(map(sub, new, layout.counters(last, 0)))
        if (
            min(steps) < 0
            or MASK in new
            or layout.sequences(steps) != layout.usual
            or any(map(gt, steps, self._allowed))
        ):
            return False
        stream.advance(sequence, uptime_ms, now)
        self._taken += 1
        self._older, self._payload = last, payload
        self._elapsed, self._received, self._uptime = elapsed, now, uptime
        self._fade *= 1 - SMOOTHING
        self._gathered += (elapsed - self._gathered) * SMOOTHING
        return True

    def settle(self) -> None:
        """Let every member know its newest sample, and agent and shapes what has come."""
        if not self._taken:
            return
        agent = self._members[0][0].agent
        agent.samples["counters"] += self._taken * len(self)
        payload, older, fade, gathered = self._payload, self._older, self._fade, self._gathered
        elapsed, uptime, received = self._elapsed, self._uptime, self._received
        taken, self._fade, self._gathered, self._taken = self._taken, 1.0, 0.0, 0
        before: float | None = None
        interval = 0.0
        for source, at, start in self._members:
            source.shape.count(taken)
            (source.sequence,) = _WORD(payload, at)
            records = slice(start, start + source.length)
            source.latest = Latest.usual(source.shape, payload[records], older[records], source.latest.offsets)
            source.elapsed, source.uptime = elapsed, uptime
            source.received = source.alive = received
            if source.interval != before:
                before, interval = source.interval, source.interval * fade + gathered
            source.interval = interval  # one object for all: they send together
            if source.form.unusual:
                source.tell(received)  # which can disband this convoy

    def disband(self) -> None:
        """From here on each member goes its own way."""
        if self._stream.convoys.pop(self._payload[FIRST_SOURCE], None) is None:
            return
        self.settle()
        for source, _, _ in self._members:
            source.convoy = None


class ConvoyLayouts:
    """All layouts that are in use, and those of the latest convoys: these are likely to be formed again."""

    def __init__(self) -> None:
        self._layouts: WeakValueDictionary[_Key, ConvoyLayout] = WeakValueDictionary()
        self._latest: deque[tuple[ConvoyLayout, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._layouts)

    def form(self, members: Sequence[tuple[Source, int, int]], stream: Stream, payload: bytes) -> None:
        """Let the sources that one datagram brought travel together, if all of them are as usual.

        `members` are the sources with the offsets of their samples and of these samples' records.
        """
        before = stream.convoys.get(payload[FIRST_SOURCE])
        if before is not None:
            before.disband()  # of other sources: compact and expanded samples can look alike there
        sources = [source for source, _, _ in members]
        if len(set(map(id, sources))) < len(sources):
            return
        if any(source.allowed_for == inf for source in sources):
            return
        key = tuple([source.shape for source in sources]), tuple([start - at for _, at, start in members])
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = ConvoyLayout(*key)
        self._latest.append((layout, len(payload)))
        self._bytes += len(payload)
        while self._bytes > LATEST:
            self._bytes -= self._latest.popleft()[1]
        Convoy(layout, [(source, at + 8, start) for source, at, start in members], stream, payload)
