"""Text for Prometheus: families, label texts and columns of numbers.

A page is the concatenation of families, and a family that of blocks of lines. The labels of a
row are made into text once and are shared by all families on which the row has a line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from .sink import Number, Samples

LINES = 250
"""How many lines are made by one call: they stay in the processor's cache, and other threads get their turn."""
EOF = b"# EOF\n"
"""The last line of OpenMetrics."""
END = "} "
"""What stands between labels and number."""
_MINE = 2
"""How often an object is referred to that only one variable has, and the call that counts."""
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def escape(value: str) -> str:
    """A label value as the text format wants it between quotes."""
    return value if value.isidentifier() else value.translate(_ESCAPES)


def label_text(names: Iterable[str], values: Iterable[str]) -> str:
    """Labels without braces: pool="web",host="h"."""
    return ",".join([f'{name}="{escape(value)}"' for name, value in zip(names, values, strict=True)])


@dataclass(slots=True)
class FamilyText:
    """One family of a page while it is put together."""

    name: str
    type: str
    help: str
    blocks: list[Iterable[bytes]] = field(default_factory=list)
    """What makes the lines, when the page is written."""

    def add(self, labels: str, value: Number) -> None:
        """One sample."""
        braces = f"{{{labels}}}" if labels else ""
        self.blocks.append((f"{self.name}{braces} {number(value)}\n".encode(),))

    def parts(self, *, openmetrics: bool) -> Iterator[bytes]:
        """The family's HELP and TYPE, and its lines; nothing if it has none."""
        name = self.name.removesuffix("_total") if openmetrics and self.type == "counter" else self.name
        quoted = self.help.replace("\\", r"\\").replace("\n", r"\n")
        if openmetrics:
            quoted = quoted.replace('"', r"\"")
        if self.blocks:
            yield f"# HELP {name} {quoted}\n# TYPE {name} {self.type}\n".encode()
            yield from chain.from_iterable(self.blocks)


def number(value: Number) -> str:
    """A number in the shortest form that reads back the same."""
    return repr(value) if value.__class__ is int or value.__class__ is float else repr(float(value))


def blocks_of(samples: Samples) -> Iterator[bytes]:
    """The lines of many samples, all of which are known; a bounded number at once."""
    labels, numbers = samples.labels, samples.numbers
    if samples.extra:
        end = template(f",{label_text(*zip(*samples.extra, strict=True))}{END}")
        labels = [text.removesuffix(_END) + end for text in labels]
    before = f"{samples.name}{{".encode()
    for start in range(0, len(labels), LINES):
        some = numbers[start : start + LINES]
        shown = samples.convert(some) if samples.convert is not None else some
        yield _lines(before, labels[start : start + LINES], shown)


def template(text: str) -> bytes:
    """Text as it stands in a template for numbers: percent signs are doubled."""
    return text.replace("%", "%%").encode()


_END = template(END)


def _lines(before: bytes, labels: Sequence[bytes], numbers: Sequence[Number]) -> bytes:
    """Lines that differ by their labels and numbers only."""
    first, given = numbers[0], tuple(numbers)
    if first == numbers[-1] and numbers.count(first) == len(numbers):
        end, given = f"{first!r}\n".encode(), ()
    else:
        end = b"%d\n" if sum(numbers).__class__ is int else b"%a\n"  # one float makes the sum a float
    return (before + (end + before).join(labels) + end) % given


class Labels(NamedTuple):
    """The label texts of many rows, as templates, and the values they were made of."""

    values: Sequence[tuple[str, ...]]
    texts: list[bytes]


class LabelTexts:
    """What is left of the page rendered last: texts of rows that are still there, and its memory, are used again."""

    def __init__(self) -> None:
        self._old: dict[object, Labels] = {}
        self._new: dict[object, Labels] = {}
        self.room = b""
        """The page itself: memory that the next one can have."""

    def begin(self) -> None:
        """A new page: what is not used on it will be forgotten."""
        self._old, self._new = self._new, {}

    def take_room(self) -> bytes:
        """Bytes to be written over by an io.BytesIO that alone has them."""
        room, self.room = self.room, b""
        return room if sys.getrefcount(room) == _MINE else bytes(len(room))

    @property
    def size(self) -> int:
        """How many texts are kept."""
        return sum(len(labels.texts) for labels in (*self._old.values(), *self._new.values()))

    def of(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[bytes]:
        """Templates of label_text and END for each of many rows; `key` is the same for the same sort of rows."""
        found = self._new.get(key) or self._old.get(key)
        if found is None or found.values != rows:
            known = dict(zip(*found, strict=True)) if found is not None else {}
            found = Labels(rows, [known.get(values) or template(label_text(names, values) + END) for values in rows])
        self._new[key] = found
        return found.texts
