"""The demonstration: a recording of a real agent, replayed in a loop into our own UDP port as several hosts."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import as_file, files

from ..datagram import Sample, decode_datagram, encode_datagram
from ..inputs.pcap import read_capture
from ..replay import Packet, Relabelled, open_sender, relabel

RECORDING = "hsflowd-systemd.pcap.gz"
"""196 s of an agent with seven services; redis stops and starts, nginx restarts, apache2 starts late."""
PAUSE = 5.0
"""Seconds between the recording's end and its beginning: its polling interval."""


@dataclass(frozen=True, slots=True)
class DemoHost:
    """One of the hosts: it begins at second `offset` of the recording, and has all its services but some."""

    agent: str
    name: str
    offset: float
    without: frozenset[str] = frozenset()


_WEB = frozenset({"redis-server.service"})
_DB = frozenset({"nginx.service", "apache2.service"})
HOSTS = (
    DemoHost("10.9.0.2", "web-host-01", 20, _WEB),
    DemoHost("10.9.0.3", "web-host-02", 113, _WEB),
    DemoHost("10.9.0.4", "web-host-03", 165, _WEB),
    DemoHost("10.9.1.2", "db-host-01", 110, _DB),
    DemoHost("10.9.1.3", "db-host-02", 170, _DB),
)
CONFIG = """
[sflow]
listen = ["127.0.0.1:6343"]
[gmond]
listen = "127.0.0.1:8649"
cluster = "demo"
[web]
listen = "127.0.0.1:9343"
[[pools]]
name = "web"
hosts = "web-.*"
[[pools]]
name = "db"
hosts = "db-.*"
"""
"""What `serve --demo` runs with when no configuration is given."""


class Demo:
    """Replays the recording to a port of this machine, each host from another place in it."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._replay, name="demo", daemon=True)

    def start(self) -> None:
        """Begin to replay."""
        self._thread.start()

    def stop(self) -> None:
        """End the replay."""
        self._ending.set()
        self._thread.join(2.0)

    def _replay(self) -> None:
        with open_sender(*self._target) as sender:
            for pause, payload in schedule():
                if self._ending.wait(pause):
                    return
                sender.send(payload)


def schedule() -> Iterator[tuple[float, bytes]]:
    """(seconds to wait, payload) for ever: the recording for each host.

    Where it begins again it looks like a restarted agent, which is what it is.
    """
    with as_file(files(__package__) / RECORDING) as path:
        packets = list(read_capture(path))
    before = 0.0
    for packet in heapq.merge(*(_host(host, packets) for host in HOSTS), key=lambda packet: packet.time):
        yield packet.time - before, packet.payload
        before = packet.time


def _host(host: DemoHost, packets: Iterable[Packet]) -> Iterator[Relabelled]:
    """What one host sends, for ever; its times begin with 0."""
    own = [Relabelled(packet.time, _payload(host, packet.payload)) for packet in packets]
    first, length = own[0].time, own[-1].time - own[0].time + PAUSE
    begin = -host.offset
    while True:
        yield from (
            Relabelled(begin + packet.time - first, packet.payload)
            for packet in own
            if begin + packet.time - first >= 0
        )
        begin += length


def _payload(host: DemoHost, payload: bytes) -> bytes:
    """The datagram as this host would send it; without samples where all were of services that it does not have."""
    datagram = decode_datagram(relabel(payload, host.agent, host.name))
    samples = tuple(sample for sample in datagram.samples if _unit(sample) not in host.without)
    return encode_datagram(replace(datagram, samples=samples))


def _unit(sample: Sample) -> str:
    """The name that the sample tells of its host or service."""
    return next((str(record.fields["hostname"]) for record in sample.records if "hostname" in record.fields), "")
