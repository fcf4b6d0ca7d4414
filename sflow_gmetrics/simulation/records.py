"""Records of the declared structures, by the structure's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..datagram import Record, encode_structure
from ..structures import COUNTER_RECORDS

STRUCTURES = {structure.name: structure for structure in COUNTER_RECORDS.values()}


def counter_record(name: str, values: Mapping[str, Any]) -> Record:
    """A record with counters wrapped at their width, and 0 for fields without a value."""
    structure = STRUCTURES[name]
    fields: dict[str, Any] = {}
    for one in structure.fields:
        value = values.get(one.name, 0)
        fields[one.name] = value & (1 << 8 * one.type.size) - 1 if one.is_counter else value
    return encode_structure(structure, fields)
