"""Sources that travel together: datagrams that come again and again with the same samples in them.

An agent sends its sources in a fixed order, so most datagrams look like the one of an interval
before, but for their numbers. Such a datagram is checked and taken as a whole: as one great
number, of which a mask says which bits must be the same, and a subtraction how much each counter
has grown. Nothing is unpacked: the convoy keeps its newest datagram and the one before as bytes,
and what a reader wants to know follows from those. Whatever is not as usual (another order, a
fallen counter, a lost sample, a restart) disbands the convoy, and each sample is looked at for
itself, by the rules in `source`.

How many counters are compared with one subtraction: Hacker's Delight, section 2-18 (a guard bit
above each, so that none borrows from the next).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from math import inf
from weakref import WeakValueDictionary

from .draft import Part
from .layout import Shape, is_constant, is_counter
from .schema import counter
from .source import Latest, Source
from .stream import AGREEMENT, SMOOTHING, Stream

STREAM = slice(4, 16)
"""What tells the streams of agents apart that have an IPv4 address: address and sub-agent."""
FIRST_SAMPLE = 28
"""Where the samples of an IPv4 agent's datagram begin."""
FIRST_SOURCE = slice(40, 48)
"""The data source of the first sample: what tells the convoys of a stream apart."""
_SEQUENCE: Part = ("I", 4, counter("sequence_number"))
_HEADER: list[Part] = [("same", 16, None), ("skip", 8, None), ("same", 4, None)]
"""Sequence number and uptime have rules of their own."""
_SEQUENCE_AND_UPTIME = struct.Struct("!II").unpack_from
_PLACE = 16
"""Where these two stand."""
CEILINGS = 16
"""Of how many sorts of bounds a layout remembers what they are together."""
LATEST = 1 << 18
"""Of how many convoys, the latest, the layouts are kept for others: as many as have so many bytes together."""
_BELOW = {size: (1 << 8 * size - 1) - 1 for size in (4, 8)}
"""The greatest number below the guard of a counter, by its size in bytes."""
_WORD = struct.Struct("!I").unpack_from
_Key = tuple[tuple[Shape, ...], tuple[int, ...]]
"""Shapes and heads of a layout."""


class ConvoyLayout:
    """Which bits of a datagram are what, for all convoys whose samples have these shapes.

    Masks over the datagram as a number. `same` are the bits that do not change: tags, lengths,
    texts, and the topmost bit of each counter and of each sample's sequence number, which are
    the `guards`; `counters` are the bits below those, and `ones` the lowest bit of those of 32
    bits. To what counters have grown by, `least` is added, and guards are left where it was not
    too little: a sequence number is a counter that grows by one, neither more nor less.

    `heads` are the sizes of what stands before each sample's records: tag, length, sequence
    number and data source, 20 bytes or, compact, 16.
    """

    __slots__ = ("__weakref__", "_below", "_ceilings", "_pack", "counters", "guards", "least", "ones", "same")

    def __init__(self, shapes: tuple[Shape, ...], heads: tuple[int, ...]) -> None:
        parts = list(_HEADER)
        for shape, head in zip(shapes, heads, strict=True):
            parts += [("same", 8, None), _SEQUENCE, ("same", head - 12, None), *shape.parts]
        masks = [_masks(part) for part in parts]
        same, guards, counters, ones, firsts = (
            int.from_bytes(b"".join(mask), "big") for mask in zip(*masks, strict=True)
        )
        self.same, self.guards, self.counters, self.ones = same | guards, guards, counters, ones
        self.least = guards - firsts
        self._below = [_BELOW[part[1]] for part in parts if is_counter(part)]
        self._pack = struct.Struct("!" + "".join(part[0] if is_counter(part) else f"{part[1]}x" for part in parts)).pack
        self._ceilings: dict[tuple[object, ...], int] = {}

    def ceiling(self, sources: Sequence[Source]) -> int:
        """From this, what counters have grown by is subtracted, and guards are left where it was not too much."""
        key = tuple([(source.allowed_for, source.agent.cpus) for source in sources])
        found = self._ceilings.get(key)
        if found is None:
            if len(self._ceilings) >= CEILINGS:
                self._ceilings.clear()
            most = self._pack(*map(min, _allowed(sources), self._below))
            found = self._ceilings[key] = int.from_bytes(most, "big") + self.least + self.guards
        return found


def _masks(part: Part) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """What a part adds to the masks: constant, guard, counter below it, one of 32 bits, and one that grows by one."""
    size = part[1]
    nothing, last = bytes(size), b"\1".rjust(size, b"\0")
    if is_counter(part):
        guard, below = b"\x80".ljust(size, b"\0"), b"\x7f".ljust(size, b"\xff")
        return nothing, guard, below, last if size == 4 else nothing, last if part is _SEQUENCE else nothing
    return b"\xff" * size if is_constant(part) else nothing, nothing, nothing, nothing, nothing


def _allowed(sources: Sequence[Source]) -> Iterator[int]:
    """The greatest usual increases in the order in which the counters come, sequence numbers among them."""
    for source in sources:
        yield 1
        for place in source.shape.wire:
            yield source.allowed[place]


class Convoy:
    """Some sources of a stream, and the newest datagram that brought them all.

    `members` are the sources, each with the offsets of its sample's sequence number and of its
    records. What the members say of themselves is as old as the last `settle`.
    """

    __slots__ = (
        "_allowed_for",
        "_ceiling",
        "_elapsed",
        "_fade",
        "_gathered",
        "_high",
        "_layout",
        "_members",
        "_number",
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
        self._number = int.from_bytes(payload, "big")
        self._high = self._number & layout.guards != 0
        sources = [source for source, _, _ in members]
        self._ceiling = layout.ceiling(sources)
        for source in sources:
            source.convoy = self
        self._allowed_for = max(source.allowed_for for source in sources)
        self._fade, self._gathered = 1.0, 0.0
        self._taken = 0
        stream.convoys[payload[FIRST_SOURCE]] = self

    def __len__(self) -> int:
        """How many samples a datagram brings."""
        return len(self._members)

    def take(self, payload: bytes, now: float) -> bool:
        """Take the next datagram as a whole; False, and nothing is changed, if something about it is not as usual."""
        layout, last, stream = self._layout, self._payload, self._stream
        if len(payload) != len(last):
            return False
        number, before = int.from_bytes(payload, "big"), self._number
        if (number ^ before) & layout.same:
            return False
        sequence, uptime_ms = _SEQUENCE_AND_UPTIME(payload, _PLACE)
        if sequence != stream.sequence + 1 or uptime_ms < stream.uptime_ms:
            return False
        uptime = (uptime_ms + stream.wraps_ms) / 1000
        elapsed, off = uptime - self._uptime, now - uptime - stream.anchor
        if (
            elapsed < self._allowed_for
            or not -AGREEMENT < elapsed - (now - self._received) < AGREEMENT
            or not -AGREEMENT <= off <= AGREEMENT
        ):
            return False
        guards, counters = layout.guards, number & layout.counters
        grown = counters - (before & layout.counters) + layout.least
        if grown & (self._ceiling - grown) & guards != guards:
            return False
        if self._high and (counters + layout.ones) & guards:  # it can be one that says "not known"
            return False
        stream.agrees = True
        stream.move(sequence, uptime_ms, uptime, off, now)
        self._taken += 1
        self._older, self._payload, self._number = last, payload, number
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
