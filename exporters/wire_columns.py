"""Columns of numbers straight from the bytes of many samples that lie alike.

Samples of one shape are laid one behind the other, so that a field stands at a fixed distance
in each, and a column is one slice with a step. Nothing is unpacked sample by sample.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any

from sflow_gmetrics.layout import Shape

_WORD = 4
_LONG = 8
_MARK = 0x4000_0000
"""What stands in every word of a probe, with the word's number added."""


class WireColumns:
    """The numbers of some samples of one shape, by the index of the field in the form."""

    def __init__(self, shape: Shape, samples: Sequence[bytes]) -> None:
        self._shape, self._samples = shape, samples
        self._offsets = _offsets_of(shape)
        gap = bytes(-shape.size % _LONG)  # so that all samples have the same place in the words of 8 bytes
        self._step = shape.size + len(gap)
        self._bytes = memoryview(gap.join(samples) + gap)

    def column(self, index: int) -> list[Any]:
        """The numbers of one field, in the order of the samples."""
        offset = self._offsets[index]
        if offset is None:
            return [self._shape.read_values(raw)[index] for raw in self._samples]
        code = self._shape.form.fields[index].type.code
        width = struct.calcsize("!" + code)
        shift = offset % width
        words = self._bytes[shift : len(self._bytes) - -shift % width].cast(code)  # type: ignore[call-overload]
        column = array(code, words[offset // width :: self._step // width].tobytes())
        if sys.byteorder == "little":
            column.byteswap()
        return column.tolist()


KNOWN = 1_000
"""How many shapes of a form are remembered."""


def _offsets_of(shape: Shape) -> list[int | None]:
    known: dict[Shape, list[int | None]] = shape.form.derived.setdefault("offsets on the wire", {})
    found = known.get(shape)
    if found is None:
        if len(known) >= KNOWN:
            known.clear()
        found = known[shape] = offsets_of(shape)
    return found


def offsets_of(shape: Shape) -> list[int | None]:
    """Where each number of the form lies in a sample; None where that is not between two words.

    It is seen from a probe: what the shape reads from a sample in which each word has a number.
    """
    probe = struct.pack(f"!{shape.size // _WORD}I", *range(_MARK, _MARK + shape.size // _WORD))
    probe += bytes(shape.size - len(probe))
    offsets: list[int | None] = []
    for one, number in zip(shape.form.fields, shape.read_values(probe), strict=True):
        found = struct.pack("!" + one.type.code, number)
        offset = (int.from_bytes(found[:_WORD], "big") - _MARK) * _WORD
        offsets.append(offset if offset >= 0 and probe[offset : offset + len(found)] == found else None)
    return offsets
