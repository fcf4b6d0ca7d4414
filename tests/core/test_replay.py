"""Recordings sent again: with their spacing, in a loop, under other names, and to nobody."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sflow_gmetrics.datagram import Datagram, decode_datagram
from sflow_gmetrics.errors import DecodeError, InputError
from sflow_gmetrics.inputs.pcap import read_capture
from sflow_gmetrics.replay import Relabelled, as_hosts, open_sender, relabel, replay
from tests.recordings import CAPTURES

PACKETS = [Relabelled(1000.0 + offset, bytes([number])) for number, offset in enumerate((0.0, 2.0, 2.5, 6.0))]


@dataclass
class Clock:
    """A clock that only sleeping moves."""

    now: float = 50.0
    slept: float = 0.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.slept += seconds


@pytest.mark.parametrize(("speed", "times"), [(1.0, [0, 2, 2.5, 6]), (4.0, [0, 0.5, 0.625, 1.5]), (0.5, [0, 4, 5, 12])])
def test_packets_keep_their_distance_divided_by_speed(speed: float, times: list[float]) -> None:
    clock, sent = Clock(), list[tuple[float, bytes]]()
    count = replay(
        PACKETS,
        lambda payload: sent.append((clock.now - 50, payload)),
        speed=speed,
        clock=clock.read,
        sleep=clock.sleep,
    )
    assert count == 4
    assert sent == [(at, packet.payload) for at, packet in zip(times, PACKETS, strict=True)]


def test_speed_zero_does_not_sleep() -> None:
    clock, sent = Clock(), list[bytes]()
    assert replay(iter(PACKETS), sent.append, speed=0, clock=clock.read, sleep=clock.sleep) == 4
    assert clock.slept == 0
    assert sent == [packet.payload for packet in PACKETS]


def test_time_that_sending_takes_is_not_added() -> None:
    clock, times = Clock(), list[float]()

    def slow(_: bytes) -> None:
        times.append(clock.now - 50)
        clock.now += 0.25

    replay(PACKETS, slow, clock=clock.read, sleep=clock.sleep)
    assert times == [0, 2, 2.5, 6]


def test_packets_out_of_order_are_sent_without_waiting() -> None:
    clock, times = Clock(), list[float]()
    packets = [Relabelled(at, b"") for at in (5.0, 4.0, 6.0)]
    replay(packets, lambda _: times.append(clock.now - 50), clock=clock.read, sleep=clock.sleep)
    assert times == [0, 0, 1]


@pytest.mark.parametrize("speed", [-1.0, math.nan])
def test_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        replay(PACKETS, print, speed=speed)


def _stop_after(count: int, sent: list[bytes]) -> Callable[[bytes], None]:
    def send(payload: bytes) -> None:
        sent.append(payload)
        if len(sent) == count:
            raise KeyboardInterrupt

    return send


@pytest.mark.parametrize(("speed", "slept"), [(1.0, 6 + 2 + 6 + 2), (2.0, 3 + 1 + 3 + 1), (0.0, 0)])
def test_loop_begins_again_after_the_mean_distance(speed: float, slept: float) -> None:
    clock, sent = Clock(), list[bytes]()
    with pytest.raises(KeyboardInterrupt):
        replay(iter(PACKETS), _stop_after(9, sent), speed=speed, loop=True, clock=clock.read, sleep=clock.sleep)
    assert sent == [packet.payload for packet in (*PACKETS, *PACKETS, PACKETS[0])]
    assert clock.slept == pytest.approx(slept)


def test_loop_of_one_packet_takes_a_breath() -> None:
    clock, sent = Clock(), list[bytes]()
    with pytest.raises(KeyboardInterrupt):
        replay(PACKETS[:1], _stop_after(4, sent), loop=True, clock=clock.read, sleep=clock.sleep)
    assert clock.slept == 3


@pytest.mark.parametrize("loop", [False, True])
def test_empty_recording_ends_at_once(loop: bool) -> None:
    assert replay([], print, loop=loop) == 0


# --- other names

RECORDING = list(read_capture(CAPTURES / "hsflowd-systemd.pcap.gz"))


def hostnames(datagram: Datagram, ds_class: int) -> list[str]:
    records = (record for one in datagram.samples if one.ds_class == ds_class for record in one.records)
    return [record.fields["hostname"] for record in records if "hostname" in record.fields]


@pytest.mark.parametrize("agent", ["10.9.0.77", "2001:db8::77"])
def test_relabelled_datagram_differs_in_agent_and_host_name_only(agent: str) -> None:
    hosts = 0
    for packet in RECORDING:
        before, after = decode_datagram(packet.payload), decode_datagram(relabel(packet.payload, agent, "web-host-2"))
        assert (before.agent, after.agent) == ("10.9.0.2", agent)
        assert (before.sequence, before.uptime_ms, before.sub_agent_id) == (
            after.sequence,
            after.uptime_ms,
            after.sub_agent_id,
        )
        assert hostnames(after, 3) == hostnames(before, 3)
        assert hostnames(after, 2) == ["web-host-2"] * len(hostnames(before, 2))
        hosts += len(hostnames(after, 2))
        for old, new in zip(before.samples, after.samples, strict=True):
            assert (old.ds_class, old.ds_index, old.sequence) == (new.ds_class, new.ds_index, new.sequence)
            if old.ds_class == 3:
                assert old == new
            others = [one.fields for one in old.records if "hostname" not in one.fields]
            assert others == [one.fields for one in new.records if "hostname" not in one.fields]
    assert hosts == 39


def test_one_recording_becomes_several_hosts() -> None:
    hosts = {"10.9.0.2": "web-host-01", "10.9.0.3": "web-host-02"}
    packets = list(as_hosts(RECORDING[:10], hosts))
    assert [packet.time for packet in packets[::2]] == [packet.time for packet in RECORDING[:10]]
    assert [decode_datagram(packet.payload).agent for packet in packets] == ["10.9.0.2", "10.9.0.3"] * 10
    assert {name for packet in packets for name in hostnames(decode_datagram(packet.payload), 2)} == set(hosts.values())


def test_what_is_no_datagram_cannot_be_relabelled() -> None:
    with pytest.raises(DecodeError):
        relabel(b"junk", "10.0.0.1", "web")


# --- sockets


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_sender_reaches_a_listener(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} on this machine")
        listener.settimeout(10)
        with open_sender(host, listener.getsockname()[1]) as sender:
            replay(RECORDING[:5], sender.send, speed=0)
            assert [listener.recv(8192) for _ in range(5)] == [packet.payload for packet in RECORDING[:5]]
            assert (sender.sent, sender.errors) == (5, 0)


def test_nobody_listening_does_not_stop_the_replay() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with open_sender("127.0.0.1", port) as sender:
        assert replay(PACKETS, sender.send, speed=0) == 4
        assert sender.sent + sender.errors == 4
        assert sender.errors > 0


def test_datagram_that_is_too_long_is_counted() -> None:
    with open_sender("127.0.0.1", 9) as sender:
        sender.send(bytes(70_000))
        assert (sender.sent, sender.errors) == (0, 1)


@pytest.mark.parametrize(("host", "port"), [("name..invalid", 6343), ("127.0.0.1", 1 << 20), ("", -1)])
def test_unusable_target_is_an_input_error(host: str, port: int) -> None:
    with pytest.raises(InputError, match="cannot send to"):
        open_sender(host, port)
