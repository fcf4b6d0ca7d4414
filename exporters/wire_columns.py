"""Columns of numbers straight from the bytes of many samples that lie alike.

Samples of one shape are laid one behind the other, so that a field stands at a fixed distance
in each, and a column is one slice with a step. Nothing is unpacked sample by sample.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from functools import cached_property
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
        self._arrays: dict[tuple[str, int], array[Any]] = {}

    def column(self, index: int) -> list[Any]:
        """The numbers of one field, in the order of the samples."""
        offset = self._offsets[index]
        if offset is None:
            return [self._shape.read_values(raw)[index] for raw in self._samples]
        code = self._shape.form.fields[index].type.code
        width = struct.calcsize("!" + code)
        shift = offset % width
        return self._array(code, shift)[(offset - shift) // width :: self._step // width].tolist()

    @cached_property
    def _gap(self) -> bytes:
        """What is put behind each sample, so that all have the same place in the words of 8 bytes."""
        return bytes(-self._shape.size % _LONG)

    @property
    def _step(self) -> int:
        return self._shape.size + len(self._gap)

    @cached_property
    def _bytes(self) -> bytes:
        return self._gap.join(self._samples) + self._gap

    def _array(self, code: str, shift: int) -> array[Any]:
        """All bytes from `shift` on as numbers of one type; those that are something else are of no use."""
        found = self._arrays.get((code, shift))
        if found is None:
            found = self._arrays[code, shift] = array(code)
            found.frombytes(self._bytes[shift:] + bytes(shift))
            if sys.byteorder == "little":
                found.byteswap()
        return found


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
