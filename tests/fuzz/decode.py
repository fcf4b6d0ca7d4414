"""decode_datagram: bytes in, a value or a DecodeError out; a value can be encoded again and shown as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sflow_gmetrics.datagram import SAMPLE_TYPES, decode_datagram, encode_datagram
from sflow_gmetrics.errors import DecodeError
from sflow_gmetrics.inspect import datagram_json
from sflow_gmetrics.structures import COUNTER_RECORDS, FLOW_RECORDS
from tests.recordings import HSFLOWD, payloads

from . import door

NUMBERS = (0, 1, 2, 3, 4, 5, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFC, 0xFFFF_FFFF)
TAGS = {*SAMPLE_TYPES, *COUNTER_RECORDS, *FLOW_RECORDS, *NUMBERS}
EACH = 16
"""How many datagrams of a recording are seeds."""


def recorded() -> list[bytes]:
    """Different datagrams of real agents, and each counter structure once."""
    return [one for name in HSFLOWD for one in payloads(name)[:EACH]] + payloads("all_counters")


class Door(door.Door):
    """The decoder. A fixed set of words says what is wrong."""

    words = tuple(tag.to_bytes(4, "big") for tag in sorted(TAGS))
    longest = 512

    def seeds(self) -> Iterator[bytes]:
        yield from recorded()

    def enter(self, data: bytes) -> None:
        try:
            datagram = decode_datagram(data)
        except DecodeError as error:
            if error.reason not in DecodeError.REASONS:
                raise AssertionError(error.reason) from error
            return
        again = decode_datagram(encode_datagram(datagram))
        assert [sample.tag for sample in again.samples] == [sample.tag for sample in datagram.samples]
        json.dumps(datagram_json(datagram), allow_nan=False)
