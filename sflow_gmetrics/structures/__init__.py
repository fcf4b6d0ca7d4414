"""Every structure that can be decoded, by what carries it and its tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..errors import DeclarationError
from ..schema import Structure, tag_text
from . import application, device, flow, gpu, host, interface, jvm, memcached, netstat, virtual


def _registry(structures: Iterable[Structure]) -> Mapping[int, Structure]:
    by_tag: dict[int, Structure] = {}
    for structure in structures:
        if structure.tag in by_tag:
            other = by_tag[structure.tag].name
            raise DeclarationError(f"{structure.name} and {other} both claim {tag_text(structure.tag)}")
        by_tag[structure.tag] = structure
    return MappingProxyType(by_tag)


COUNTER_RECORDS = _registry(
    structure
    for room in (interface, host, netstat, virtual, jvm, memcached, application, device, gpu)
    for structure in room.STRUCTURES
)
"""Counter records by tag: what samples 0:2 and 0:4 carry."""

FLOW_RECORDS = _registry(flow.STRUCTURES)
"""Flow records by tag: what samples 0:1, 0:3 and 0:5 carry."""
