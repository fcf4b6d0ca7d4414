"""How the bytes of one sample lie: a walk over its records, from which a shape is made."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from .schema import Field, Structure
from .structures import COUNTER_RECORDS
from .xdr import pad

Part = tuple[str, int, Field | None]
"""A piece of a sample: "same" bytes, bytes to "skip", or a number's code with its field; and its size."""


class Draft:
    """A walk over the records of one sample that notes how to read all samples like it."""

    def __init__(self, payload: bytes, offset: int, end: int) -> None:
        self.code: list[str] = []
        self.parts: list[Part] = []
        self.count = 0
        self.numbers: list[tuple[Field, int]] = []
        self.texts: list[tuple[str, int]] = []
        self.unknown: list[int] = []
        self.structures: dict[int, tuple[Structure, int]] = {}
        self.whole = True
        """False for a sample with a record that reaches beyond its end, or a field beyond that of its record."""
        (records,) = struct.unpack_from("!I", payload, offset)
        offset += 4
        self._constant("4x", 4)
        for _ in range(records):
            if offset + 8 > end:  # the count is not to be believed, and must not cost anything
                self.whole = False
                return
            tag, length = struct.unpack_from("!II", payload, offset)
            offset += 8
            self._constant("8x", 8)
            self._record(payload, offset, offset + length, tag)
            offset += length
        self.whole &= offset <= end
        self._skip(end - offset)

    def key(self) -> tuple[Any, ...]:
        """What tells this shape from others."""
        known = tuple((tag, count) for tag, (_, count) in self.structures.items())
        return (tuple([part[:2] for part in self.parts]), known, tuple(self.unknown))

    def _constant(self, code: str, size: int) -> None:
        self.code.append(code)
        self.parts.append(("same", size, None))

    def _skip(self, size: int) -> None:
        if size > 0:
            self.code.append(f"{size}x")
            self.parts.append(("skip", size, None))

    def _record(self, payload: bytes, offset: int, end: int, tag: int) -> None:
        structure = COUNTER_RECORDS.get(tag)
        if structure is None:
            self.unknown.append(tag)
        if structure is None or not _SAME[tag].isdisjoint(self.structures) or not _plain(structure.fields):
            self._skip(end - offset)
            return
        present = 0
        for one in structure.fields:
            if offset >= end and present >= structure.required:
                break
            offset = self._field(payload, offset, end, one)
            present += 1
        self.structures[tag] = (structure, present)
        self.whole &= offset <= end
        self._skip(end - offset)

    def _field(self, payload: bytes, offset: int, end: int, one: Field) -> int:
        size = one.type.size
        if one.type.numeric:
            self.code.append(one.type.code)
            self.parts.append((one.type.code, size, one))
            self.numbers.append((one, self.count))
            self.count += 1
            return offset + size
        if one.type.code:
            return offset + self._text(one, one.type.code, size)
        length: int = struct.unpack_from("!I", payload, offset)[0]
        self._constant("4x", 4)
        padding = min(pad(length), end - offset - 4 - length)
        self._text(one, f"{length}s", length)
        self._skip(padding)
        return offset + 4 + length + padding

    def _text(self, one: Field, code: str, size: int) -> int:
        """A text of fixed size. Pad bytes are in the code of a MAC; agents leave stale bytes there."""
        self.texts.append((one.name, self.count))
        self.code.append(code)
        self.count += 1
        stale = size - struct.calcsize("!" + code.partition("2x")[0])
        self.parts.append(("same", size - stale, None))
        if stale:
            self.parts.append(("skip", stale, None))
        return size


def whole_draft(payload: bytes, offset: int, end: int) -> Draft | None:
    """The walk over the sample whose record count stands at `offset`; None where it reaches beyond its end."""
    try:
        draft = Draft(payload, offset, end)
    except (struct.error, IndexError):
        return None
    return draft if draft.whole else None


def _same(structure: Structure) -> frozenset[int]:
    """The tags of the structures that say the same as this one: itself, and an older version of it.

    A sample that carries both counts by the first; else there would be two series of one name.
    """
    families = {(one.family.name, one.family.labels) for one in structure.fields if one.family is not None}
    others = (
        other.tag
        for other in COUNTER_RECORDS.values()
        if any(one.family is not None and (one.family.name, one.family.labels) in families for one in other.fields)
    )
    return frozenset((structure.tag, *others))


_SAME = {tag: _same(structure) for tag, structure in COUNTER_RECORDS.items()}


def _plain(fields: Iterable[Field]) -> bool:
    """Whether every field has one place: a number, a fixed text or a string."""
    return all(one.type.code or one.type.name == "string" for one in fields)
