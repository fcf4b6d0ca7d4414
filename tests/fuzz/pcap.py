"""The reader of captures: packets with a time and an address, or an InputError."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Iterator

from sflow_gmetrics.errors import InputError
from sflow_gmetrics.inputs.pcap import LINK_TYPES, PCAP_MAGICS, read_capture
from tests.recordings import CAPTURES

from . import door
from .memory_file import MemoryFile


class Door(door.Door):
    """The first byte of an input says whether it is zipped."""

    longest = 512
    words = (
        *sorted(PCAP_MAGICS),
        *(struct.pack(order + "I", number) for order in "<>" for number in (0x0A0D0D0A, 0x1A2B3C4D, *range(1, 7))),
        *(struct.pack("<I", link) for link in sorted(LINK_TYPES)),
        *(bytes.fromhex(word) for word in ("8100", "88a8", "0800", "86dd", "4500", "6000", "18c7", "11", "2c", "3c")),
        struct.pack("<HH", 9, 1) + b"\x09\0\0\0",
        struct.pack("<HHq", 14, 8, 1_600_000_000),
        b"\xff\xff\xff\xff",
    )

    def __init__(self) -> None:
        self._file = MemoryFile("capture")

    def seeds(self) -> Iterator[bytes]:
        whole = (CAPTURES / "all_counters.pcap").read_bytes()
        yield b"\0" + whole[:400]
        yield b"\1" + whole[:400]
        datagram = whole[40:188]
        for link, head in ((1, b"\0" * 12 + b"\x08\0"), (113, b"\0" * 14 + b"\x08\0"), (276, b"\x08\0" + b"\0" * 18)):
            yield b"\0" + _pcapng("<", link, head + datagram[14:])
            yield b"\0" + _pcapng(">", link, head + datagram[14:])
        yield b"\0" + _pcapng("<", 101, _ip6(b"\0" * 8))
        yield b"\0" + _pcapng("<", 0, b"\0\0\0\0" + _ip6(b"\0" * 8))

    def enter(self, data: bytes) -> None:
        self._file.write(gzip.compress(data[1:], 0) if data[:1] == b"\1" else data[1:])
        try:
            for packet in read_capture(self._file.path, None):
                assert math.isfinite(packet.time)
                assert 0 <= packet.destination_port < 1 << 16
                assert packet.source
        except InputError:
            return


def _ip6(payload: bytes) -> bytes:
    """A UDP datagram to port 6343 behind an extension header."""
    udp = struct.pack("!HHHH", 1024, 6343, 8 + len(payload), 0) + payload
    options = bytes((17, 0, 1, 4, 0, 0, 0, 0))
    return struct.pack("!IHBB", 6 << 28, len(options) + len(udp), 0, 64) + bytes(32) + options + udp


def _pcapng(order: str, link: int, frame: bytes) -> bytes:
    """A section with one interface, whose clock has options, and one packet."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = len(body) + 12
        return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)

    options = struct.pack(order + "HHB3x", 9, 1, 9) + struct.pack(order + "HHq", 14, 8, 1) + bytes(4)
    packet = struct.pack(order + "5I", 0, 400_000, 1, len(frame), len(frame)) + frame
    return (
        block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        + block(1, struct.pack(order + "HxxI", link, 65_535) + options)
        + block(6, packet)
        + block(3, frame)
    )
