"""Every structure that can be decoded, by what carries it and its tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..errors import DeclarationError
from ..schema import Field, Structure, tag_text
from . import (
    application,
    device,
    flow,
    gpu,
    host,
    interface,
    jvm,
    link,
    memcached,
    netstat,
    network,
    storage,
    vdi,
    virtual,
)

ROOMS = (interface, link, host, storage, network, netstat, virtual, jvm, memcached, application, vdi, device, gpu)


def registry(structures: Iterable[Structure]) -> Mapping[int, Structure]:
    """The structures by tag. Raises DeclarationError where two claim the same."""
    by_tag: dict[int, Structure] = {}
    for structure in structures:
        if structure.tag in by_tag:
            other = by_tag[structure.tag].name
            raise DeclarationError(f"{structure.name} and {other} both claim {tag_text(structure.tag)}")
        by_tag[structure.tag] = structure
    return MappingProxyType(by_tag)


COUNTER_RECORDS = registry(structure for room in ROOMS for structure in room.STRUCTURES)
"""Counter records by tag: what samples 0:2 and 0:4 carry."""

FLOW_RECORDS = registry(flow.STRUCTURES)
"""Flow records by tag: what samples 0:1, 0:3 and 0:5 carry."""


def counter_field(tag: int, name: str) -> Field:
    """The field of this name in the counter record with this tag."""
    return next(one for one in COUNTER_RECORDS[tag].fields if one.name == name)
