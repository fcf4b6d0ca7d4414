"""Recordings sent again, with their own spacing, as one agent or as several.

A recording is sent byte by byte as it was received. With `loop` each pass begins again with
the sequence numbers, uptime and counters of the recording's start: to a collector it is an
agent that restarted, which is the honest thing to show, as no work is invented.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from .datagram import Record, Sample, decode_datagram, encode_datagram
from .errors import InputError

AS_FAST_AS_POSSIBLE = 0.0
_PHYSICAL_ENTITY = 2
_HOST_DESCR = "host_descr"


class Packet(Protocol):
    """A recorded datagram: when it was received (seconds) and its UDP payload."""

    @property
    def time(self) -> float: ...
    @property
    def payload(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A packet under another agent's name."""

    time: float
    payload: bytes


class Sender:
    """A connected UDP socket that goes on when nobody listens; `errors` counts what could not be sent."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.sent = 0
        self.errors = 0

    def send(self, payload: bytes) -> None:
        """Send one datagram. A refusal (an earlier one found no listener) or a full queue is counted."""
        try:
            self._socket.send(payload)
        except OSError:
            self.errors += 1
        else:
            self.sent += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sender(host: str, port: int) -> Sender:
    """A sender to this address or name, IPv4 or IPv6. Raises InputError when it is not known or has no route."""
    if not 0 < port <= 65_535:
        raise InputError(f"cannot send to {host}:{port}: a port is a number from 1 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot send to {host}:{port}: {error}") from None
    problem: OSError | None = None
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return Sender(connection)
    raise InputError(f"cannot send to {host}:{port}: {problem}")


def replay(
    packets: Iterable[Packet],
    send: Callable[[bytes], object],
    *,
    speed: float = 1.0,
    loop: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Send the payloads at their recorded distances divided by `speed`; how many were sent.

    Speed 0 is as fast as possible. With `loop` it ends only by an exception (KeyboardInterrupt).
    Raises ValueError for a speed below 0.
    """
    if not speed >= 0:
        raise ValueError(f"speed {speed}: it must be 0 (as fast as possible) or more")
    if not loop:
        return _pass(packets, send, speed, clock, sleep)
    recording = list(packets)
    sent = 0
    while recording:
        sent += _pass(recording, send, speed, clock, sleep)
        if speed:
            sleep(_mean_distance(recording) / speed)
    return sent


def _pass(
    packets: Iterable[Packet],
    send: Callable[[bytes], object],
    speed: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> int:
    sent = 0
    begun = first = 0.0
    for packet in packets:
        if not sent:
            begun, first = clock(), packet.time
        elif speed:
            pause = begun + (packet.time - first) / speed - clock()
            if pause > 0:
                sleep(pause)
        send(packet.payload)
        sent += 1
    return sent


def _mean_distance(recording: list[Packet]) -> float:
    """The pause between two passes: the mean distance of two packets, or a second for a single packet."""
    if len(recording) < 2:
        return 1.0
    return max(0.0, recording[-1].time - recording[0].time) / (len(recording) - 1)


def relabel(payload: bytes, agent: str, host: str) -> bytes:
    """The same datagram from another agent address, its physical host under another name.

    Services keep their names, and with them their indexes. Padding becomes zero, and bytes
    that the declared structures do not know behind their fields are lost. Raises DecodeError.
    """
    datagram = decode_datagram(payload)
    samples = tuple(_rename(sample, host) for sample in datagram.samples)
    return encode_datagram(replace(datagram, agent=agent, samples=samples))


def _rename(sample: Sample, host: str) -> Sample:
    if sample.ds_class != _PHYSICAL_ENTITY:
        return sample
    return replace(sample, records=tuple(_rename_record(record, host) for record in sample.records))


def _rename_record(record: Record, host: str) -> Record:
    if record.structure is None or record.structure.name != _HOST_DESCR or record.malformed:
        return record
    return replace(record, fields={**record.fields, "hostname": host})


def as_hosts(packets: Iterable[Packet], hosts: Mapping[str, str]) -> Iterator[Relabelled]:
    """Each packet once for every agent address in `hosts`, which gives the host name that goes with it."""
    for packet in packets:
        for agent, host in hosts.items():
            yield Relabelled(packet.time, relabel(packet.payload, agent, host))
