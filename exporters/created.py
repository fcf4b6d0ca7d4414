"""The page with a `_created` series beside each counter: when it was 0.

A counter of a host or of anything on it was 0 when the host had booted, as it was when it was
first heard; a sum of a pool, when the collector heard its first agent. In OpenMetrics both
series of a row stand together, in the text format they are families of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .exposition import FamilyText, label_text, number
from .selection import Selection
from .sink import Description, Number, Samples, Sink

_Line = tuple[str, Number, float]
"""Labels, number, and when it was 0 (0: not known)."""


class CreatedPage(Sink):
    """One page of text; counters that are told no other time began at `began`."""

    def __init__(self, selection: Selection, began: float) -> None:
        super().__init__(selection)
        self._began = began
        self._families: dict[Description, list[_Line]] = {}

    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Sequence[str]:
        """The text of each row's labels."""
        return [label_text(names, values) for values in rows]

    def add(self, family: Description, names: Iterable[str], values: Iterable[str], number: Number) -> None:
        """One line."""
        self._families.setdefault(family, []).append((label_text(names, values), number, self._began))
        self.taken += 1

    def column(self, key: object, family: Description, samples: Samples) -> None:
        """A line for each row whose number is known."""
        extra = "," + label_text(*zip(*samples.extra, strict=True)) if samples.extra else ""
        lines = [(labels + extra, number, began) for labels, number, began in samples.one_by_one(self._began)]
        self._families.setdefault(family, []).extend(lines)
        self.taken += len(lines)

    def text(self, end: Callable[[], bytes], *, openmetrics: bool) -> bytes:
        """The page and its end."""
        parts = [part for family in self._families for part in self._texts(family, openmetrics=openmetrics)]
        return b"".join([*parts, end()])

    def _texts(self, family: Description, *, openmetrics: bool) -> Iterable[bytes]:
        lines = self._families[family]
        text = FamilyText(*family)
        created = FamilyText(f"{family.name.removesuffix('_total')}_created", "gauge", family.help)
        beside = text if openmetrics else created
        for labels, value, began in lines:
            text.add(labels, value)
            if family.type == "counter" and began:
                beside.blocks.append((f"{created.name}{_braces(labels)} {number(began)}\n".encode(),))
        yield from text.parts(openmetrics=openmetrics)
        yield from created.parts(openmetrics=openmetrics)


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""
