"""The demonstration: recordings of a real agent, replayed in a loop into our own UDP port as several hosts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from importlib.resources import as_file, files

from ..inputs.pcap import read_capture
from ..replay import Relabelled, open_sender, relabel

RECORDING = "hsflowd-systemd.pcap.gz"
"""196 s of an agent with seven services; redis stops and starts, nginx restarts, apache2 starts late."""
HOSTS = {
    "10.9.0.2": "web-host-01",
    "10.9.0.3": "web-host-02",
    "10.9.0.4": "web-host-03",
    "10.9.1.2": "db-host-01",
    "10.9.1.3": "db-host-02",
}
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
    """Replays the recording to a port of this machine, each host some seconds after the one before it."""

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
    """(seconds to wait, payload) for ever: the recording for each host, one second apart.

    Each pass looks like restarted agents, which is what it is.
    """
    with as_file(files(__package__) / RECORDING) as path:
        packets = list(read_capture(path))
    first = packets[0].time
    merged = sorted(
        (
            Relabelled(packet.time - first + index, relabel(packet.payload, agent, host))
            for index, (agent, host) in enumerate(HOSTS.items())
            for packet in packets
        ),
        key=lambda packet: packet.time,
    )
    before = 0.0
    for packet in itertools.chain.from_iterable(itertools.repeat(merged)):
        yield max(packet.time - before, 0.0), packet.payload
        before = packet.time
