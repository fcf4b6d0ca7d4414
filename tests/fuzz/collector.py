"""Collector.receive: agents that send anything at any time to a collector that has heard much before.

An input is a few datagrams, each a recorded one with some words overwritten, or any bytes; and
how much later it comes. Another event changes the configuration. Thousands of inputs go to one
collector. Every LOOK of them its outputs are read. A finding is all inputs since the collector
was new.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from lxml import etree

from exporters import gmetad, gmond
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import COUNTERS_EXPANDED, FLOW_EXPANDED, decode_header
from sflow_gmetrics.reconfigure import reconfigure
from tests.core.builders import NoConvoys
from tests.exporters.test_prometheus import Series, read
from tests.recordings import VECTORS

from . import decode, door
from .bounds import check_bounds

FORGET_AFTER = 300
CONFIG = f"""
gmond = {{ netstat = true, interfaces = true }}
web.groups = ["interface", "netstat", "vdi"]
sflow = {{ agents = 40, forget_after = {FORGET_AFTER}, allow = ["10.0.0.0/8", "::/0", "192.168.0.0/16"] }}
services = {{ services_per_host = 20, exclude = ".*x", rewrite = [{{ match = '(.)..*', replace = "$1" }}] }}
pools = [{{ name = "web", hosts = "w.*" }}, {{ name = "near", addresses = ["10.0.0.2", "10.0.0.3"] }}]
"""
OTHER_CONFIG = f"""
web.groups = ["interface", "netstat", "vdi"]
sflow = {{ agents = 40, forget_after = {FORGET_AFTER}, allow = ["10.0.0.0/31", "10.0.0.2", "::/0"] }}
services = {{ services_per_host = 2, exclude = "s.*" }}
pools = [{{ name = "near", addresses = ["10.0.0.1"] }}]
"""
START = 1_700_000_000.0
SECONDS = (0.0, 0.2, 1.0, 5.0, 20.0, 20.0, 400.0, -3600.0)
AGENTS = 4
RECONFIGURE = 0x80
"""Begins the event that changes the configuration, if no bytes follow."""
EVENTS = 2
"""Datagrams of an input; more would only make it slow."""
QUIET = 50
"""Datagrams between two changes of the configuration: each of them looks at every source."""
LOOK = 10_000
"""Inputs between two looks at the outputs."""
LIFE = 40_000
"""Inputs for one collector."""
MOST = 10_000
"""How long any list, dict or set of this collector may get: far more than its limits together."""

_HEADER = struct.Struct("!II4sIII")
_PATCH = struct.Struct("!HI")
_LENGTH = struct.Struct("!I")
_PAIR = struct.Struct("!II")


class Base:
    """A recorded datagram, and where the sequence number of each sample stands in it, by data source."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.sequences: list[tuple[int, bytes]] = []
        place = _HEADER.size + 4
        while place + 16 <= len(payload):
            tag, length = _PAIR.unpack_from(payload, place)
            width = 8 if tag in (COUNTERS_EXPANDED, FLOW_EXPANDED) else 4
            self.sequences.append((place + 8, payload[place + 12 : place + 12 + width]))
            place += 8 + length


class World:
    """A collector, its clock, and agents that count what they have sent."""

    def __init__(self, bases: list[Base]) -> None:
        self._configs = [parse_config(CONFIG), parse_config(OTHER_CONFIG)]
        self.collector, self._careful = Collector(self._configs[0]), Collector(self._configs[0])
        self._careful.convoys = NoConvoys()
        self.now = START
        self.sent = 0
        self._quiet_until = 0
        self._bases = bases
        self._born = [START - 1000.0] * AGENTS
        self._sequences = [0] * AGENTS
        self._sources: list[dict[bytes, int]] = [{} for _ in range(AGENTS)]
        self._before: dict[Series, float] = {}

    def take(self, data: bytes) -> None:
        """Send what the input says."""
        place = 0
        for _ in range(EVENTS):
            if place >= len(data):
                break
            how = data[place]
            self.now += SECONDS[how & 7] + self.sent * 0.618 % 0.01  # never quite when something is over
            if SECONDS[how & 7] > FORGET_AFTER:
                for one in (self.collector, self._careful):
                    one.sweep(self.now)
            if how & 0x80:
                length = int.from_bytes(data[place + 1 : place + 3], "big")
                payload = data[place + 3 : place + 3 + length]
                place += 3 + length
            else:
                payload, place = self._known(data, place)
            if payload or how != RECONFIGURE:
                self.sent += 1
                for one in (self.collector, self._careful):
                    one.receive(payload, self.now)
            elif self.sent >= self._quiet_until:
                self._quiet_until = self.sent + QUIET
                self._configs.reverse()
                for one in (self.collector, self._careful):
                    reconfigure(one, self._configs[0])
        assert self.collector.datagrams == self.sent

    def _known(self, data: bytes, place: int) -> tuple[bytes, int]:
        """A recorded datagram as one of the agents would send it now; then what the input overwrites in it."""
        how = data[place]
        which, patches = data[place + 1 : place + 3].ljust(2, b"\0")
        place += 3
        base = self._bases[which % len(self._bases)]
        payload = bytearray(base.payload)
        agent, order = how >> 3 & 3, how >> 5 & 3
        if order == 3:  # it has started again
            self._born[agent], self._sequences[agent], self._sources[agent] = self.now, 0, {}
        sources = self._sources[agent]
        for at, source in base.sequences:
            sources[source] = (sources.get(source, 0) + (order != 1)) & 0xFFFF_FFFF
            payload[at : at + 4] = sources[source].to_bytes(4, "big")
        self._sequences[agent] += (1, 0, 7, 1)[order]
        uptime_ms = int((self.now - self._born[agent]) * 1000) & 0xFFFF_FFFF
        sequence = self._sequences[agent] & 0xFFFF_FFFF
        _HEADER.pack_into(payload, 0, 5, 1, bytes((10, 0, 0, agent + 1)), 1, sequence, uptime_ms)
        for _ in range(min(patches & 7, (len(data) - place) // _PATCH.size)):
            at, word = _PATCH.unpack_from(data, place)
            place += _PATCH.size
            at = at % (len(payload) // 4) * 4
            payload[at : at + 4] = word.to_bytes(4, "big")
        return bytes(payload), place

    def look(self) -> None:
        """All outputs can be read, no pool total has fallen, and all totals are those of who looks at each sample."""
        snapshot = self.collector.snapshot(self.now)
        for document in (gmond.render(snapshot), gmetad.render(snapshot), gmetad.render(snapshot, "/?filter=summary")):
            etree.parse(io.BytesIO(document), etree.XMLParser(dtd_validation=True))
        page = read(snapshot)
        totals, careful = (
            {key: value for key, value in one.items() if key[0].endswith("_total")}
            for one in (page, read(self._careful.snapshot(self.now)))
        )
        assert totals == careful, {key for key in totals.keys() | careful.keys() if totals.get(key) != careful.get(key)}
        for key, value in self._before.items():
            assert page.get(key, 0) >= value, f"{key} has fallen from {value} to {page.get(key)}"
        pools = ("sflow_pool_", "sflow_collector_")
        self._before = {
            key: value for key, value in page.items() if key[0].endswith("_total") and key[0].startswith(pools)
        }
        for one in (self.collector, self._careful):
            one.take_notes()


class Door(door.Door):
    """The collector with all its outputs."""

    longest = 1500
    words = (*decode.Door.words, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0\7\0\0\0\0")

    def __init__(self) -> None:
        self._bases = [Base(one) for one in decode.recorded() if decode_header(one).offset == 28]
        self._renew()

    def _renew(self) -> None:
        self._world = World(self._bases)
        self._story: list[bytes] = []

    def seeds(self) -> Iterator[bytes]:
        for which in range(len(self._bases)):
            yield bytes((4, which, 0)) * 4
        whole = [path.read_bytes() for path in sorted((VECTORS / "fuzz_decode").glob("*.bin"))]
        for payload in whole:
            yield b"\x80\0\0\x84" + len(payload).to_bytes(2, "big") + payload

    def enter(self, data: bytes) -> None:
        if len(self._story) >= LIFE:
            self.leave()
            self._renew()
        self._story.append(data)
        self._world.take(data)
        if len(self._story) % LOOK == 0:
            self._world.look()

    def leave(self) -> None:
        self._world.look()
        check_bounds(self._world.collector, MOST)

    def finding(self, data: bytes) -> bytes:
        return b"".join(_LENGTH.pack(len(one)) + one for one in self._story)

    def again(self, finding: bytes) -> None:
        """Look a few times on the way and at the end: a short story shows what a look has found, too."""
        self._renew()
        parts = self.parts(finding)
        for number, part in enumerate(parts, 1):
            self._world.take(part[_LENGTH.size :])
            if number % (len(parts) // 8 + 1) == 0 or number == len(parts):
                self._world.look()

    def parts(self, finding: bytes) -> list[bytes]:
        parts = []
        while finding:
            end = _LENGTH.size + _LENGTH.unpack_from(finding)[0]
            parts.append(finding[:end])
            finding = finding[end:]
        return parts
