"""Text for Prometheus: families, label texts and columns of numbers.

A page is the concatenation of families, a family that of blocks, and a block one `%`
template for many rows that stays as long as the set of its rows does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Number = float | int

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def escape(value: str) -> str:
    """A label value as the text format wants it between quotes."""
    return value.translate(_ESCAPES)


def label_text(names: Iterable[str], values: Iterable[str]) -> str:
    """Labels without braces: pool="web",host="h"."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in zip(names, values, strict=True))


@dataclass(slots=True)
class FamilyText:
    """One family of a page while it is put together."""

    name: str
    type: str
    help: str
    blocks: list[str] = field(default_factory=list)

    def add(self, labels: str, value: Number) -> None:
        """One sample."""
        braces = f"{{{labels}}}" if labels else ""
        self.blocks.append(f"{self.name}{braces} {number(value)}\n")

    def text(self, *, openmetrics: bool) -> str:
        """The family with its HELP and TYPE; nothing if it has no samples."""
        if not self.blocks:
            return ""
        name = self.name.removesuffix("_total") if openmetrics and self.type == "counter" else self.name
        quoted = self.help.replace("\\", r"\\").replace("\n", r"\n")
        if openmetrics:
            quoted = quoted.replace('"', r"\"")
        return "".join((f"# HELP {name} {quoted}\n# TYPE {name} {self.type}\n", *self.blocks))


def number(value: Number) -> str:
    """A number in the shortest form that reads back the same."""
    return repr(value) if value.__class__ is int or value.__class__ is float else repr(float(value))


@dataclass(slots=True)
class Block:
    """The samples of one family over many rows, as a template for their numbers."""

    labels: Sequence[str]
    template: str


@dataclass(slots=True)
class Labels:
    """The label texts of many rows, and the values they were made of."""

    values: Sequence[tuple[str, ...]]
    texts: list[str]


class Templates:
    """The label texts and templates of the page rendered last, to be used again where the rows are the same."""

    def __init__(self) -> None:
        self._old: dict[object, Block] = {}
        self._new: dict[object, Block] = {}
        self._old_labels: dict[object, Labels] = {}
        self._new_labels: dict[object, Labels] = {}

    def begin(self) -> None:
        """A new page: what is not used on it will be forgotten."""
        self._old, self._new = self._new, {}
        self._old_labels, self._new_labels = self._new_labels, {}

    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
        """label_text for each of many rows of values; the same list while the rows are the same."""
        found = self._old_labels.get(key) or self._new_labels.get(key)
        if found is None or found.values != rows:
            found = Labels(rows, [label_text(names, values) for values in rows])
        self._new_labels[key] = found
        return found.texts

    def render(
        self, key: object, name: str, extra: str, labels: Sequence[str], numbers: Sequence[Number | None]
    ) -> str:
        """The samples of `name`, one for each of `labels` whose number is known; `extra` are labels that all have."""
        if None in numbers:
            known = [(label, value) for label, value in zip(labels, numbers, strict=True) if value is not None]
            labels, numbers = [label for label, _ in known], [value for _, value in known]
            if not known:
                return ""
        block = self._old.get(key)
        if block is None or (block.labels is not labels and block.labels != labels):
            head, tail = name + "{", f",{_percent(extra)}}} %r\n" if extra else "} %r\n"
            block = Block(labels, "".join([head + _percent(label) + tail for label in labels]))
        self._new[key] = block
        return block.template % tuple(numbers)


def _percent(label: str) -> str:
    return label.replace("%", "%%") if "%" in label else label
