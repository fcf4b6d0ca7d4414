"""UDP payloads from packet captures: pcap and pcapng, plain or gzipped, from a file or standard input.

A capture is somebody else's bytes: whatever is wrong with it, InputError is the only
exception that leaves this module. Packets that are no UDP, fragments and link types that
are not known are passed over; a capture that breaks off in a packet ends before it.
Source: libpcap's savefile format, the pcapng draft, and tcpdump.org's list of link types.
"""

from __future__ import annotations

import gzip
import io
import ipaddress
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, cast

import dpkt

from ..errors import InputError

SFLOW_PORT = 6343
LONGEST_BLOCK = 16 << 20
"""Bytes; a packet or pcapng block that claims more is damage, not data."""

FILE_HEADER = 24
"""Bytes of pcap's file header, the shorter of the two."""

PCAP_MAGICS = frozenset(
    bytes.fromhex(magic) for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "a1b2cd34", "34cdb2a1")
)
PCAPNG_MAGIC = bytes.fromhex("0a0d0d0a")
CURE = "record one with: tcpdump -i any -w FILE udp port 6343"

Frame = tuple[float, int, bytes]
"""Seconds since the epoch, link type, the bytes from the link header on."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A UDP payload: when it was captured (seconds since the epoch), who sent it (an IP address) and to which port.

    The payload is shorter than it was on the wire where the capture was made with a short snap length.
    """

    time: float
    payload: bytes
    source: str
    destination_port: int


def read_capture(path: str | os.PathLike[str], port: int | None = SFLOW_PORT) -> Iterator[Packet]:
    """The UDP payloads of a capture to this destination port (None: to any), in the order of the file.

    The path "-" is standard input. Raises InputError, at the first packet asked for or at the
    place of the damage.
    """
    name = "standard input" if str(path) == "-" else str(path)
    try:
        with ExitStack() as stack:
            for moment, link, frame in _frames(_Stream(_opened(path, stack))):
                packet = _udp_packet(moment, link, frame)
                if packet is not None and port in (None, packet.destination_port):
                    yield packet
    except _DamageError as error:
        raise InputError(f"{name} {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{name} cannot be read: {reason}; give a capture file that this user may read") from None


class _DamageError(Exception):
    """What is wrong with the capture, as the end of a sentence that begins with its name."""


class _CutError(Exception):
    """The capture ends inside of something."""


class _Stream:
    """A file of which `read` gives exactly what is asked for, or nothing at the end of the file.

    Raises _CutError where the file ends in between. `taken` counts the bytes that were read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ahead = b""
        self.taken = 0

    def give_back(self, data: bytes) -> None:
        """The next read begins with these bytes."""
        self._ahead = data
        self.taken -= len(data)

    def read(self, length: int) -> bytes:
        """The next `length` bytes."""
        if not 0 <= length <= LONGEST_BLOCK:
            raise _DamageError(f"is damaged: it claims a block of {length} bytes")
        ahead, self._ahead = self._ahead[:length], self._ahead[length:]
        try:
            data = ahead + self._file.read(length - len(ahead))
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise _CutError from None
        if data and len(data) < length:
            raise _CutError
        self.taken += len(data)
        return data

    def rest(self, length: int) -> bytes:
        """The next `length` bytes of something that has begun: they must be there."""
        data = self.read(length)
        if len(data) < length:
            raise _CutError
        return data


def _opened(path: str | os.PathLike[str], stack: ExitStack) -> IO[bytes]:
    """The capture's bytes, unzipped where they are zipped; `stack` closes what is opened here."""
    if str(path) != "-":
        file = stack.enter_context(open(path, "rb"))  # noqa: SIM115 - the stack closes it
    elif sys.stdin is not None:
        file = cast(io.BufferedReader, sys.stdin.buffer)
    else:
        raise _DamageError("is closed; name a capture file instead of -")
    zipped = file.peek(1)[:1] == b"\x1f"
    return cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=file))) if zipped else file


def _frames(stream: _Stream) -> Iterator[Frame]:
    magic = _first_bytes(stream)
    frames = _pcapng_frames if magic == PCAPNG_MAGIC else _pcap_frames
    try:
        yield from frames(stream)
    except _CutError:
        if stream.taken < FILE_HEADER:
            raise _DamageError(f"breaks off in its header; {CURE}") from None
    except (struct.error, ValueError, dpkt.Error) as error:
        raise _DamageError(f"is damaged: {error}") from None


def _first_bytes(stream: _Stream) -> bytes:
    try:
        magic = stream.read(4)
    except _CutError:
        magic = b"?"
    if not magic:
        raise _DamageError(f"is empty; {CURE}")
    if magic not in PCAP_MAGICS and magic != PCAPNG_MAGIC:
        raise _DamageError(f"is no pcap or pcapng capture; {CURE}")
    stream.give_back(magic)
    return magic


def _pcap_frames(stream: _Stream) -> Iterator[Frame]:
    reader = dpkt.pcap.Reader(stream)
    link = reader.datalink() & 0xFFFF
    if link not in LINK_TYPES:
        raise _DamageError(f"has link type {link}, which is not understood; {CURE}")
    for moment, frame in reader:
        yield float(moment), link, frame


def _pcapng_frames(stream: _Stream) -> Iterator[Frame]:
    """dpkt's own reader takes every packet for one of the first interface; this one keeps them apart."""
    order = "<"
    interfaces: list[_Interface] = []
    while head := stream.read(8):
        if head[:4] == PCAPNG_MAGIC:
            order = "<" if stream.rest(4) == b"\x4d\x3c\x2b\x1a" else ">"
            stream.rest(struct.unpack(order + "I", head[4:])[0] - 12)
            interfaces = []
            continue
        kind, length = struct.unpack(order + "II", head)
        body = stream.rest(length - 8)[:-4]  # the length stands at the end once more
        if kind == 1:
            interfaces.append(_interface(order, body))
        elif kind in (2, 6):  # the obsolete packet block and the enhanced one, which differ in the first word
            number, high, low, caplen = struct.unpack_from(order + ("H2x3I" if kind == 2 else "4I"), body)
            if number >= len(interfaces):
                raise _DamageError(f"is damaged: a packet of interface {number}, which is not declared")
            one = interfaces[number]
            yield one.offset + (high << 32 | low) / one.resolution, one.link, body[20 : 20 + caplen]


@dataclass(frozen=True, slots=True)
class _Interface:
    """An interface of a pcapng section: its link type, units of time in a second, and where its clock begins."""

    link: int
    resolution: int = 1_000_000
    offset: int = 0


def _interface(order: str, body: bytes) -> _Interface:
    link: int = struct.unpack_from(order + "H", body)[0]
    resolution, offset = 1_000_000, 0
    at = 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 9 and length == 1:
            units = struct.unpack("B", value)[0]
            resolution = 2 ** (units & 0x7F) if units & 0x80 else 10**units
        elif code == 14 and length == 8:
            offset = struct.unpack(order + "q", value)[0]
        at += 4 + length + -length % 4
    return _Interface(link, resolution, offset)


RAW_IP = frozenset((12, 14, 101, 228, 229))
LOOPBACK = frozenset((0, 108))
ETHERTYPES = {1: (12, 14), 113: (14, 16), 276: (0, 20)}
"""Ethernet, Linux cooked and Linux cooked 2: where the type of the packet stands, and where the packet begins."""
LINK_TYPES = RAW_IP | LOOPBACK | ETHERTYPES.keys()
VLAN_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
IP_TYPES = (b"\x08\x00", b"\x86\xdd")


def _ip_bytes(link: int, frame: bytes) -> bytes:
    """What follows the link header, or nothing where that is not IP."""
    if link in RAW_IP:
        return frame
    if link in LOOPBACK:
        return frame[4:]
    if link not in ETHERTYPES:
        return b""
    type_at, start = ETHERTYPES[link]
    ethertype = frame[type_at : type_at + 2]
    while ethertype in VLAN_TAGS:
        ethertype = frame[start + 2 : start + 4]
        start += 4
    return frame[start:] if ethertype in IP_TYPES else b""


def _udp_packet(moment: float, link: int, frame: bytes) -> Packet | None:
    data = _ip_bytes(link, frame)
    version = data[0] >> 4 if data else 0
    if version not in (4, 6) or (version == 4 and data[9:10] != b"\x11"):
        return None
    try:
        ip = dpkt.ip.IP(data) if version == 4 else dpkt.ip6.IP6(data)
    except Exception:  # a packet that dpkt cannot take apart, by whatever exception, is no UDP
        return None
    udp = ip.data
    if not isinstance(udp, dpkt.udp.UDP) or _is_fragment(ip):
        return None
    length = max(udp.ulen - 8, 0) if udp.ulen else None  # 0: longer than 65,535 bytes, or left to the network card
    return Packet(moment, bytes(udp.data)[:length], str(ipaddress.ip_address(ip.src)), udp.dport)


def _is_fragment(ip: Any) -> bool:
    """Whether this is a first fragment; dpkt sees no UDP in later ones of IPv4."""
    if ip.v == 4:
        return bool(ip.mf)
    header = ip.extension_hdrs.get(44)
    return header is not None and bool(header.m_flag or header.frag_off)
