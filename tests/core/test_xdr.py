"""The bounded cursor and the XDR types: what is read, what is refused, and where the cursor stands after it."""

from __future__ import annotations

from typing import Any

import pytest

from sflow_gmetrics.errors import DecodeError, EncodeError
from sflow_gmetrics.xdr import (
    ADDRESS,
    F32,
    F64,
    I32,
    I64,
    IP4,
    IP6,
    MAC,
    OCTETS4,
    REST,
    U32,
    U64,
    UUID,
    Cursor,
    XdrType,
    array,
    opaque,
    pad,
    read_fields,
    repeated,
    string,
    write_fields,
)

TYPES = [
    pytest.param(U32, 0xFFFF_FFFE, "fffffffe", id="u32"),
    pytest.param(I32, -2, "fffffffe", id="i32"),
    pytest.param(U64, 1 << 63, "8000000000000000", id="u64"),
    pytest.param(I64, -1, "ffffffffffffffff", id="i64"),
    pytest.param(F32, 1.5, "3fc00000", id="float"),
    pytest.param(F64, -2.25, "c002000000000000", id="double"),
    pytest.param(MAC, "02:fc:00:00:00:01", "02fc000000010000", id="mac"),
    pytest.param(IP4, "10.9.0.2", "0a090002", id="ip4"),
    pytest.param(IP6, "2001:db8::1", "20010db8000000000000000000000001", id="ip6"),
    pytest.param(UUID, "4c4c4544-0042-3510-8052-b4c04f4d5331", "4c4c4544004235108052b4c04f4d5331", id="uuid"),
    pytest.param(OCTETS4, "1,2,3,255", "010203ff", id="octets"),
    pytest.param(ADDRESS, "10.0.0.1", "000000010a000001", id="address IPv4"),
    pytest.param(ADDRESS, "::1", "00000002" + "00" * 15 + "01", id="address IPv6"),
    pytest.param(ADDRESS, "", "00000000", id="address unknown"),
    pytest.param(string(), "nginx", "000000056e67696e78000000", id="string"),
    pytest.param(string(), "é\udcff", "00000003c3a9ff00", id="string that is no UTF-8"),
    pytest.param(opaque("n"), "00ff7f", "0000000300ff7f00", id="opaque"),
    pytest.param(REST, "0102030405", "0102030405", id="rest"),
    pytest.param(array(U32, "n"), [1, 2], "000000020000000100000002", id="array"),
    pytest.param(array(MAC, "n"), [], "00000000", id="empty array"),
    pytest.param(repeated("n", ("a", U32)), [{"a": 7}, {"a": 8}], "000000020000000700000008", id="groups"),
]


@pytest.mark.parametrize(("xdr", "value", "wire"), TYPES)
def test_value_is_read_and_written(xdr: XdrType, value: Any, wire: str) -> None:
    cursor = Cursor(bytes.fromhex(wire))
    assert xdr.read(cursor) == value
    assert cursor.remaining == 0
    assert xdr.write(value).hex() == wire


NEEDED = {"string": 9, "string that is no UTF-8": 7, "opaque": 7}
"""How many of the bytes must be there; of the others only the padding may be missing."""


@pytest.mark.parametrize(
    ("xdr", "wire", "length"),
    [
        pytest.param(row.values[0], row.values[2], length, id=f"{row.id} {length}")
        for row in TYPES
        for length in range(NEEDED.get(str(row.id), len(str(row.values[2])) // 2))
        if row.id != "rest"
    ],
)
def test_value_that_breaks_off_is_refused(xdr: XdrType, wire: str, length: int) -> None:
    with pytest.raises(DecodeError) as caught:
        xdr.read(Cursor(bytes.fromhex(wire)[:length]))
    assert caught.value.reason in ("truncated", "bad_count")


@pytest.mark.parametrize("xdr", [U32, I32, U64, I64, F32, F64, MAC, IP4, IP6, UUID, OCTETS4])
def test_size_is_what_is_read(xdr: XdrType) -> None:
    cursor = Cursor(bytes(32))
    xdr.read(cursor)
    assert cursor.offset == xdr.size


@pytest.mark.parametrize(
    ("xdr", "value"),
    [
        (U32, 1 << 32),
        (U32, -1),
        (U64, "7"),
        (I32, 1 << 31),
        (MAC, "02:fc"[:4]),
        (IP4, "2001:db8::1"),
        (IP4, "10.0.0.256"),
        (IP6, "10.0.0.1"),
        (UUID, "4c4c"),
        (OCTETS4, "1,2,x,4"),
        (OCTETS4, None),
        (ADDRESS, "web-01"),
        (string(4), "nginx"),
    ],
)
def test_value_of_another_type_is_not_written(xdr: XdrType, value: Any) -> None:
    with pytest.raises(EncodeError):
        xdr.write(value)


@pytest.mark.parametrize(("length", "padding"), [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3)])
def test_padding_fills_a_word(length: int, padding: int) -> None:
    assert pad(length) == padding


def test_cursor_reads_to_its_end_and_not_beyond() -> None:
    cursor = Cursor(b"\0\0\0\1\0\0\0\2\0\0", 4)
    assert cursor.u32() == 2
    assert cursor.remaining == 2
    with pytest.raises(DecodeError) as caught:
        cursor.u32()
    assert (caught.value.reason, caught.value.offset) == ("truncated", 8)
    assert cursor.take(2) == b"\0\0"


def test_limited_cursor_stays_inside_and_the_outer_one_goes_on_behind_it() -> None:
    outer = Cursor(bytes(range(12)))
    inner = outer.limit(6)
    assert outer.offset == 6
    assert inner.take(6) == bytes(range(6))
    with pytest.raises(DecodeError):
        inner.take(1)
    assert outer.take(6) == bytes(range(6, 12))


def test_limit_beyond_the_end_moves_nothing() -> None:
    cursor = Cursor(bytes(4))
    with pytest.raises(DecodeError):
        cursor.limit(5)
    assert cursor.remaining == 4


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"abc", b"\0\1\0"])
def test_what_stands_in_the_padding_does_not_matter(garbage: bytes) -> None:
    cursor = Cursor(b"\0\0\0\5nginx" + garbage + b"\0\0\0\7")
    assert string().read(cursor) == "nginx"
    assert cursor.u32() == 7
    assert MAC.read(Cursor(b"\2\0\0\0\0\1" + garbage[:2])) == "02:00:00:00:00:01"


def test_last_string_may_lack_its_padding() -> None:
    assert string().read(Cursor(b"\0\0\0\5nginx")) == "nginx"


def test_string_longer_than_allowed_is_refused_with_its_place() -> None:
    with pytest.raises(DecodeError) as caught:
        string(4).read(Cursor(b"\0\0\0\0\0\0\0\5nginx\0\0\0", 4))
    assert (caught.value.reason, caught.value.offset) == ("bad_string", 4)


@pytest.mark.parametrize("xdr", [array(U32, "n"), array(MAC, "n"), repeated("n", ("a", U32), ("b", U64))])
def test_count_that_cannot_fit_is_refused_before_anything_is_read(xdr: XdrType) -> None:
    with pytest.raises(DecodeError) as caught:
        xdr.read(Cursor(b"\xff\xff\xff\xff" + bytes(64)))
    assert caught.value.reason == "bad_count"


def test_unknown_address_type_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        ADDRESS.read(Cursor(b"\0\0\0\3\0\0\0\0"))
    assert caught.value.reason == "bad_address"


def test_counted_fields_bring_their_count_by_name() -> None:
    members = (("header", opaque("header_length")), ("stack", array(U32, "n")))
    wire = bytes.fromhex("00000003aabbcc00" + "0000000200000001" + "00000002")
    values = read_fields(Cursor(wire), members)
    assert values == {"header_length": 3, "header": "aabbcc", "n": 2, "stack": [1, 2]}
    assert write_fields(values, members) == wire
