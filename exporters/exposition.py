"""Text for Prometheus: families, label texts and columns of numbers.

A page is the concatenation of families, a family that of blocks, and a block one `%`
template for many rows that stays as long as the set of its rows does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .sink import Number, Samples

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def escape(value: str) -> str:
    """A label value as the text format wants it between quotes."""
    return value.translate(_ESCAPES)


def label_text(names: Iterable[str], values: Iterable[str]) -> str:
    """Labels without braces: pool="web",host="h"."""
    return ",".join([f'{name}="{escape(value)}"' for name, value in zip(names, values, strict=True)])


@dataclass(slots=True)
class FamilyText:
    """One family of a page while it is put together."""

    name: str
    type: str
    help: str
    blocks: list[bytes] = field(default_factory=list)

    def add(self, labels: str, value: Number) -> None:
        """One sample."""
        braces = f"{{{labels}}}" if labels else ""
        self.blocks.append(f"{self.name}{braces} {number(value)}\n".encode())

    def parts(self, *, openmetrics: bool) -> list[bytes]:
        """The family's HELP and TYPE, and its blocks; nothing if it has no samples."""
        if not any(self.blocks):
            return []
        name = self.name.removesuffix("_total") if openmetrics and self.type == "counter" else self.name
        quoted = self.help.replace("\\", r"\\").replace("\n", r"\n")
        if openmetrics:
            quoted = quoted.replace('"', r"\"")
        return [f"# HELP {name} {quoted}\n# TYPE {name} {self.type}\n".encode(), *self.blocks]


def number(value: Number) -> str:
    """A number in the shortest form that reads back the same."""
    return repr(value) if value.__class__ is int or value.__class__ is float else repr(float(value))


class Block(NamedTuple):
    """The samples of one family over many rows: what they were made of, their template and their text.

    `known` are the labels of the rows whose number is known.
    """

    labels: Sequence[str]
    numbers: Sequence[Any]
    known: Sequence[str]
    template: str
    text: bytes


class Labels(NamedTuple):
    """The label texts of many rows, and the values they were made of."""

    values: Sequence[tuple[str, ...]]
    texts: list[str]


class Templates:
    """The label texts and blocks of the page rendered last, to be used again.

    Labels and templates stay while the rows are the same; where the numbers are the same too
    (limits, sizes, services without work), so does the text.
    """

    def __init__(self) -> None:
        self._old: dict[object, Block] = {}
        self._new: dict[object, Block] = {}
        self._old_labels: dict[object, Labels] = {}
        self._new_labels: dict[object, Labels] = {}

    def begin(self) -> None:
        """A new page: what is not used on it will be forgotten."""
        self._old, self._new = self._new, {}
        self._old_labels, self._new_labels = self._new_labels, {}

    @property
    def size(self) -> int:
        """How many samples are kept."""
        return sum(len(block.known) for block in (*self._old.values(), *self._new.values()))

    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
        """label_text for each of many rows of values; the same list while the rows are the same."""
        found = self._old_labels.get(key) or self._new_labels.get(key)
        if found is None or found.values != rows:
            found = Labels(rows, [label_text(names, values) for values in rows])
        self._new_labels[key] = found
        return found.texts

    def render(self, key: object, samples: Samples) -> bytes:
        """The text of many samples; `key` tells them from others on the page."""
        block = self._old.get(key)
        if block is None or block.labels is not samples.labels or block.numbers != samples.numbers:
            block = _make_block(block, samples)
        self._new[key] = block
        return block.text


def _make_block(old: Block | None, samples: Samples) -> Block:
    """The block of these samples, with the template of the old one where that has the same rows."""
    known, values = samples.labels, samples.numbers
    if any(value in values for value in samples.unknown):
        pairs = [pair for pair in zip(known, values, strict=True) if pair[1] not in samples.unknown]
        known, values = [label for label, _ in pairs], [value for _, value in pairs]
    if old is not None and (old.known is known or old.known == known):
        known, template = old.known, old.template
    else:
        extra = f",{_percent(label_text(*zip(*samples.extra, strict=True)))}" if samples.extra else ""
        template = "".join([f"{samples.name}{{{_percent(label)}{extra}}} %r\n" for label in known])
    text = template % tuple(samples.convert(values) if samples.convert is not None else values)
    return Block(samples.labels, samples.numbers, known, template, text.encode("utf-8"))


def _percent(label: str) -> str:
    return label.replace("%", "%%") if "%" in label else label
