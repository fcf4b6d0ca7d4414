"""Captures of every form that is read, and captures that are none."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import types
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sflow_gmetrics.errors import InputError
from sflow_gmetrics.inputs.pcap import Packet, read_capture
from tests.recordings import CAPTURES, packets

PAYLOAD = b"\0\0\0\5 sFlow"
ETHERNET, NULL, RAW, LOOP, COOKED, COOKED_2 = 1, 0, 101, 108, 113, 276
MACS = bytes(12)
Read = Callable[..., list[Packet]]


def udp(payload: bytes = PAYLOAD, port: int = 6343) -> bytes:
    return struct.pack("!4H", 40_000, port, 8 + len(payload), 0) + payload


def ipv4(data: bytes, fragment: int = 0, protocol: int = 17) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 7, fragment, 64, protocol, 0)
    return head + ip_address("192.0.2.9").packed + ip_address("192.0.2.1").packed + data


def ipv6(data: bytes, following: int = 17) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(data), following, 64)
    return head + ip_address("2001:db8::9").packed + ip_address("2001:db8::1").packed + data


def pcap(*frames: bytes, link: int = ETHERNET, order: str = "<", nanoseconds: bool = False) -> bytes:
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    fraction = 250_000_000 if nanoseconds else 250_000
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(
        struct.pack(order + "4I", 1_000 + number, fraction, len(frame), len(frame)) + frame
        for number, frame in enumerate(frames)
    )


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)


def enhanced(number: int, ticks: int, frame: bytes, order: str = "<") -> bytes:
    head = struct.pack(order + "5I", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame, order)


ETHERNET_FRAME = MACS + b"\x08\x00" + ipv4(udp())


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reader(capture: bytes, **options: int | None) -> list[Packet]:
        path = tmp_path / "some.pcap"
        path.write_bytes(capture)
        return list(read_capture(path, **options))

    return reader


@pytest.mark.parametrize(
    ("link", "head"),
    [
        pytest.param(ETHERNET, MACS + b"\x08\x00", id="ethernet"),
        pytest.param(ETHERNET, MACS + b"\x81\x00\x00\x07\x08\x00", id="vlan"),
        pytest.param(ETHERNET, MACS + b"\x88\xa8\x00\x07\x81\x00\x00\x08\x08\x00", id="vlan in vlan"),
        pytest.param(RAW, b"", id="raw"),
        pytest.param(12, b"", id="raw as libpcap writes it"),
        pytest.param(228, b"", id="ipv4"),
        pytest.param(COOKED, bytes(14) + b"\x08\x00", id="cooked"),
        pytest.param(COOKED_2, b"\x08\x00" + bytes(18), id="cooked 2"),
        pytest.param(NULL, b"\x02\0\0\0", id="null"),
        pytest.param(LOOP, b"\0\0\0\x02", id="loop"),
    ],
)
def test_link_types(read: Read, link: int, head: bytes) -> None:
    expected = [Packet(1000.25, PAYLOAD, "192.0.2.9", 6343)]
    frame = head + ipv4(udp()) + b"padding"
    assert read(pcap(frame, link=link)) == expected
    pcapng = section() + interface(link) + enhanced(0, 1_000_250_000, frame)
    assert read(pcapng) == expected


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (ETHERNET, MACS + b"\x86\xdd"),
        (RAW, b""),
        (229, b""),
        (COOKED, bytes(14) + b"\x86\xdd"),
        (COOKED_2, b"\x86\xdd" + bytes(18)),
        (NULL, b"\x1c\0\0\0"),
    ],
)
def test_ipv6(read: Read, link: int, head: bytes) -> None:
    hop_by_hop = b"\x11\x00\x01\x04\0\0\0\0"
    frames = head + ipv6(udp()), head + ipv6(hop_by_hop + udp(), following=0)
    assert [(one.source, one.payload) for one in read(pcap(*frames, link=link))] == [("2001:db8::9", PAYLOAD)] * 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_byte_orders_and_resolutions(read: Read, order: str, nanoseconds: bool) -> None:
    capture = pcap(ETHERNET_FRAME, ETHERNET_FRAME, order=order, nanoseconds=nanoseconds)
    assert [packet.time for packet in read(capture)] == [1000.25, 1001.25]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_keeps_interfaces_and_sections_apart(read: Read, order: str) -> None:
    comment = b"\0\1\0\5caf\xe9s\0\0\0"  # not UTF-8
    nanoseconds = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
    halves_from_100 = struct.pack(">HHB3xHHq", 9, 1, 0x81, 14, 8, 100)
    capture = (
        section(order)
        + interface(ETHERNET, order=order)
        + interface(RAW, nanoseconds, order)
        + enhanced(1, 7_500_000_000, ipv4(udp(b"raw")), order)
        + block(5, bytes(12), order)
        + enhanced(0, 8_500_000, MACS + b"\x08\x00" + ipv4(udp(b"ethernet")), order)
        + section(">")
        + interface(RAW, comment + halves_from_100, ">")
        + enhanced(0, 3, ipv4(udp(b"next")), ">")
    )
    assert [(one.time, one.payload) for one in read(capture)] == [(7.5, b"raw"), (8.5, b"ethernet"), (101.5, b"next")]


def test_obsolete_packet_blocks_of_pcapng(read: Read) -> None:
    frame = ipv4(udp())
    old = block(2, struct.pack("<HH4I", 0, 0xFFFF, 0, 9_000_000, len(frame), len(frame)) + frame)
    assert [one.time for one in read(section() + interface(RAW) + old)] == [9.0]


def test_only_the_port_that_was_asked_for(read: Read) -> None:
    capture = pcap(*(ipv4(udp(port=port)) for port in (6343, 53, 6344)), link=RAW)
    assert [one.destination_port for one in read(capture)] == [6343]
    assert [one.destination_port for one in read(capture, port=6344)] == [6344]
    assert [one.destination_port for one in read(capture, port=None)] == [6343, 53, 6344]


FRAGMENT_HEADER = b"\x11\0\0\x01\0\0\0\7"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ipv4(udp(), fragment=0x2000), id="first fragment"),
        pytest.param(ipv4(udp(), fragment=0x0003), id="later fragment"),
        pytest.param(ipv6(FRAGMENT_HEADER + udp(), following=44), id="ipv6 fragment"),
        pytest.param(ipv6(b"\x3c\0\0\0\0\0\0\7" + b"\x11\0\1\4\0\0\0\0" + udp(), following=44), id="one more header"),
        pytest.param(ipv4(bytes(20), protocol=6), id="tcp"),
        pytest.param(ipv4(b"\0\7\0"), id="half a udp header"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x45", id="one byte"),
        pytest.param(b"\x4f" + ipv4(udp())[1:], id="options that are not there"),
        pytest.param(b"\x55" + ipv4(udp())[1:], id="ip version 5"),
        pytest.param(ipv6(b"\x00\xff" + udp(), following=0), id="endless extension headers"),
    ],
)
def test_other_packets_are_passed_over(read: Read, frame: bytes) -> None:
    assert [one.time for one in read(pcap(frame, ipv4(udp()), link=RAW))] == [1001.25]


def test_a_packet_cut_by_the_snap_length_gives_what_is_there(read: Read) -> None:
    assert [one.payload for one in read(pcap(ipv4(udp())[:-4], link=RAW))] == [PAYLOAD[:-4]]


def test_the_length_of_udp_bounds_the_payload(read: Read) -> None:
    assert [one.payload for one in read(pcap(ipv4(udp() + b"more"), link=RAW))] == [PAYLOAD]


def test_gzip_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gzip.decompress((CAPTURES / "hsflowd-host.pcap.gz").read_bytes())
    path = tmp_path / "plain.pcap"
    path.write_bytes(plain)
    expected = packets("hsflowd-host")
    assert len(expected) == 21
    assert list(read_capture(str(path))) == expected
    for data in plain, gzip.compress(plain):
        stdin = types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data)))
        monkeypatch.setattr("sys.stdin", stdin)
        assert list(read_capture("-")) == expected
        assert not stdin.buffer.closed


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(gzip.compress(b""), "is empty", id="empty gzip"),
        pytest.param(b"\xd4\xc3", "is no pcap or pcapng capture", id="two bytes"),
        pytest.param(b"hello, world\n" * 9, "is no pcap or pcapng capture", id="text"),
        pytest.param(b"\x1f\x8bnot gzip after all", "is no pcap or pcapng capture", id="gzip in name only"),
        pytest.param(pcap()[:20], "breaks off in its header", id="pcap header"),
        pytest.param(section()[:20], "breaks off in its header", id="pcapng header"),
        pytest.param(section()[:6], "breaks off in its header", id="six bytes of pcapng"),
        pytest.param(pcap(b"x", link=105), "link type 105", id="wireless"),
        pytest.param(pcap() + struct.pack("<4I", 1, 0, 0xFFFFFFF0, 9), "4294967280 bytes", id="a giant packet"),
        pytest.param(section() + struct.pack("<II", 6, 3), "-5 bytes", id="a block shorter than its header"),
        pytest.param(section() + enhanced(0, 0, b"x"), "interface 0", id="an interface that is not declared"),
        pytest.param(section() + block(1, b""), "is damaged", id="an interface without a link type"),
    ],
)
def test_what_is_no_capture_is_named_with_its_cure(read: Read, capture: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=r"some\.pcap .*" + reason):
        read(capture)


def test_what_cannot_be_opened_is_named_with_its_cure(tmp_path: Path) -> None:
    for path, reason in (tmp_path, "Is a directory"), (tmp_path / "absent.pcap", "No such file"):
        with pytest.raises(InputError, match=rf"{path} cannot be read: {reason}.*; give a capture file"):
            list(read_capture(path))


WHOLE = {
    "pcap": pcap(ETHERNET_FRAME, ETHERNET_FRAME),
    "pcapng": section() + interface(ETHERNET) + enhanced(0, 1, ETHERNET_FRAME) + enhanced(0, 2, ETHERNET_FRAME),
}


@pytest.mark.parametrize("form", WHOLE)
@pytest.mark.parametrize("missing", [1, 5, 40, len(ETHERNET_FRAME)])
def test_a_capture_cut_in_its_last_packet_gives_the_whole_ones(read: Read, form: str, missing: int) -> None:
    assert len(read(WHOLE[form])) == 2
    assert len(read(WHOLE[form][:-missing])) == 1


def test_a_gzip_file_cut_short_gives_what_it_holds(read: Read) -> None:
    zipped = (CAPTURES / "hsflowd-flows.pcap.gz").read_bytes()
    found = read(zipped[: len(zipped) // 2])
    assert 50 < len(found) < 378
    assert found == packets("hsflowd-flows")[: len(found)]


def whatever_it_gives(path: Path) -> list[Packet]:
    """The packets before the damage, if that is damage: any exception but InputError leaves this function."""
    found: list[Packet] = []
    with contextlib.suppress(InputError):
        found.extend(read_capture(path, port=None))
    return found


@given(
    head=st.sampled_from([pcap(link=link) for link in (0, 1, 101, 113, 276)] + [section(), section() + interface(1)]),
    tail=st.binary(max_size=200),
    frame=st.binary(max_size=80),
)
@example(head=WHOLE["pcapng"], tail=b"", frame=b"")
def test_hostile_bytes_end_in_packets_or_input_errors(
    head: bytes, tail: bytes, frame: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.pcap"
    path.write_bytes(head + struct.pack("<4I", 6, 0, len(frame), len(frame)) + frame + tail)
    assert all(isinstance(packet.payload, bytes) for packet in whatever_it_gives(path))


@given(cuts=st.lists(st.tuples(st.integers(24, 16_000), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_recording_ends_in_packets_or_an_input_error(
    cuts: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    recording = bytearray(gzip.decompress((CAPTURES / "hsflowd-host.pcap.gz").read_bytes()))
    for place, value in cuts:
        recording[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.pcap"
    path.write_bytes(recording)
    assert len(whatever_it_gives(path)) <= 21
