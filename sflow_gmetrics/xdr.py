"""XDR as sFlow uses it: a bounded cursor over bytes, and the types that fields are made of.

All integers are big-endian and everything is aligned to 4 bytes. Pad bytes are skipped
unread, because real agents leave stale bytes in them.
Source: RFC 4506; sFlow version 5, section 5 (data types).
"""

from __future__ import annotations

import ipaddress
import struct
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .errors import DecodeError, EncodeError

U32_MAX = 0xFFFF_FFFF
U64_MAX = 0xFFFF_FFFF_FFFF_FFFF

_U32 = struct.Struct("!I")


def pad(length: int) -> int:
    """How many pad bytes follow `length` bytes."""
    return -length % 4


class Cursor:
    """A position in `data` that never passes `end`.

    Reading beyond the end raises DecodeError("truncated"); `limit` gives a cursor over the
    next bytes only, so that a nested length cannot reach its neighbour.
    """

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes, offset: int = 0, end: int | None = None) -> None:
        self.data = data
        self.offset = offset
        self.end = len(data) if end is None else end

    @property
    def remaining(self) -> int:
        """Bytes left."""
        return self.end - self.offset

    def skip(self, length: int) -> int:
        """Pass over `length` bytes and return where they began."""
        start = self.offset
        if length > self.end - start:
            raise DecodeError("truncated", f"{length} bytes wanted, {self.end - start} left", start)
        self.offset = start + length
        return start

    def limit(self, length: int) -> Cursor:
        """A cursor over the next `length` bytes; this one continues behind them."""
        start = self.skip(length)
        return Cursor(self.data, start, start + length)

    def u32(self) -> int:
        """An unsigned 32-bit integer."""
        value: int = _U32.unpack_from(self.data, self.skip(4))[0]
        return value

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        start = self.skip(length)
        return self.data[start : start + length]

    def opaque(self, maximum: int) -> bytes:
        """A length word, that many bytes, and the padding."""
        start = self.offset
        length = self.u32()
        if length > maximum:
            raise DecodeError("bad_string", f"a string of {length} bytes, at most {maximum} allowed", start)
        value = self.take(length)
        self.skip(min(pad(length), self.remaining))
        return value

    def count(self, item_size: int) -> int:
        """A count of items of at least `item_size` bytes each, checked against what is left."""
        start = self.offset
        value = self.u32()
        if value * item_size > self.remaining:
            raise DecodeError("bad_count", f"{value} items do not fit in {self.remaining} bytes", start)
        return value


@dataclass(frozen=True, slots=True)
class XdrType:
    """How one field travels and which Python value it becomes.

    `code` is its struct format where the size is fixed, else "" and `read` does the work.
    `unavailable` is the value that means "not known" on the wire (all ones).
    """

    name: str
    code: str
    read: Callable[[Cursor], Any]
    write: Callable[[Any], bytes]
    size: int
    """The size in bytes; for a variable type the least it can be."""
    numeric: bool = False
    unavailable: int | None = None
    count_name: str = ""
    """For a counted type: the name under which its count stands beside it in a decoded value."""
    item_length: int = 1
    """How much of the value's length is one item (2 hexadecimal digits a byte)."""


def _fixed(
    name: str,
    code: str,
    load: Callable[[Any], Any] | None = None,
    dump: Callable[[Any], Any] | None = None,
    *,
    unavailable: int | None = None,
) -> XdrType:
    packer = struct.Struct("!" + code)

    def read(cursor: Cursor) -> Any:
        (raw,) = packer.unpack_from(cursor.data, cursor.skip(packer.size))
        return raw if load is None else load(raw)

    def write(value: Any) -> bytes:
        try:
            return packer.pack(value if dump is None else dump(value))
        except (struct.error, ValueError, TypeError, OverflowError, AttributeError) as error:
            raise EncodeError(f"{value!r} is no {name}: {error}") from None

    return XdrType(name, code, read, write, packer.size, load is None, unavailable)


def text(raw: bytes) -> str:
    """Bytes from the wire as text that gives the same bytes back (UTF-8, surrogate escapes)."""
    return raw.decode("utf-8", "surrogateescape")


def _raw(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def mac_text(raw: bytes) -> str:
    """Six bytes as 02:fc:00:00:00:01."""
    return raw.hex(":")


def uuid_text(raw: bytes) -> str:
    """Sixteen bytes as 8-4-4-4-12 hexadecimal digits."""
    return str(uuid.UUID(bytes=raw))


U32 = _fixed("u32", "I", unavailable=U32_MAX)
I32 = _fixed("i32", "i")
U64 = _fixed("u64", "Q", unavailable=U64_MAX)
I64 = _fixed("i64", "q")
F32 = _fixed("float", "f")
F64 = _fixed("double", "d")
MAC = _fixed("mac", "6s2x", mac_text, lambda value: bytes.fromhex(value.replace(":", "")))
IP4 = _fixed("ip4", "4s", lambda raw: str(ipaddress.IPv4Address(raw)), lambda v: ipaddress.IPv4Address(v).packed)
IP6 = _fixed("ip6", "16s", lambda raw: str(ipaddress.IPv6Address(raw)), lambda v: ipaddress.IPv6Address(v).packed)
UUID = _fixed("opaque[16]", "16s", uuid_text, lambda value: uuid.UUID(value).bytes)
OCTETS4 = _fixed(
    "4 x u8",
    "4s",
    lambda raw: ",".join(str(octet) for octet in raw),
    lambda value: bytes(int(octet) for octet in value.split(",")),
)


def _write_opaque(raw: bytes) -> bytes:
    return _U32.pack(len(raw)) + raw + bytes(pad(len(raw)))


def string(maximum: int = 65_535) -> XdrType:
    """A counted UTF-8 string of at most `maximum` bytes."""

    def write(value: str) -> bytes:
        raw = _raw(value)
        if len(raw) > maximum:
            raise EncodeError(f"a string of {len(raw)} bytes, at most {maximum} allowed")
        return _write_opaque(raw)

    return XdrType("string", "", lambda cursor: text(cursor.opaque(maximum)), write, 4)


def opaque(count_name: str) -> XdrType:
    """Counted bytes as hexadecimal digits."""
    return XdrType(
        "opaque",
        "",
        lambda cursor: cursor.opaque(65_535).hex(),
        lambda value: _write_opaque(bytes.fromhex(value)),
        4,
        count_name=count_name,
        item_length=2,
    )


REST = XdrType("opaque", "", lambda cursor: cursor.take(cursor.remaining).hex(), bytes.fromhex, 0)


def read_address(cursor: Cursor) -> str:
    """An address with its type word: IPv4, IPv6, or "" for unknown."""
    start = cursor.offset
    kind = cursor.u32()
    if kind == 1:
        return str(IP4.read(cursor))
    if kind == 2:
        return str(IP6.read(cursor))
    if kind == 0:
        return ""
    raise DecodeError("bad_address", f"address type {kind}; 0, 1 and 2 are known", start)


def write_address(value: str) -> bytes:
    """The reverse of read_address."""
    if not value:
        return _U32.pack(0)
    try:
        packed = ipaddress.ip_address(value).packed
    except ValueError as error:
        raise EncodeError(str(error)) from None
    return _U32.pack(1 if len(packed) == 4 else 2) + packed


ADDRESS = XdrType("address", "", read_address, write_address, 4)


def read_fields(cursor: Cursor, members: Iterable[tuple[str, XdrType]]) -> dict[str, Any]:
    """One value after the other, by name; a counted array brings its count with it."""
    values: dict[str, Any] = {}
    for name, member in members:
        value = member.read(cursor)
        if member.count_name:
            values[member.count_name] = len(value) // member.item_length
        values[name] = value
    return values


def write_fields(values: dict[str, Any], members: Iterable[tuple[str, XdrType]]) -> bytes:
    """The reverse of read_fields."""
    return b"".join(member.write(values[name]) for name, member in members)


def array(item: XdrType, count_name: str) -> XdrType:
    """A counted array of one type: a list."""

    def read(cursor: Cursor) -> list[Any]:
        return [item.read(cursor) for _ in range(cursor.count(max(item.size, 1)))]

    def write(values: list[Any]) -> bytes:
        return _U32.pack(len(values)) + b"".join(item.write(value) for value in values)

    return XdrType(f"{item.name}<>", "", read, write, 4, count_name=count_name)


def repeated(count_name: str, *members: tuple[str, XdrType]) -> XdrType:
    """A counted array of groups of fields: a list of dicts."""
    least = sum(member.size for _, member in members)

    def read(cursor: Cursor) -> list[dict[str, Any]]:
        return [read_fields(cursor, members) for _ in range(cursor.count(least))]

    def write(groups: list[dict[str, Any]]) -> bytes:
        return _U32.pack(len(groups)) + b"".join(write_fields(group, members) for group in groups)

    return XdrType("group<>", "", read, write, 4, count_name=count_name)
