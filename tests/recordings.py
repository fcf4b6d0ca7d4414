"""The recordings and vectors that tests read.

The hsflowd-* recordings are of real agents, with sflowtool's reading of each beside them;
all_counters holds every counter structure once, each field with a value of its own.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from sflow_gmetrics.inputs.pcap import Packet, read_capture

CAPTURES = Path(__file__).parent / "captures"
VECTORS = Path(__file__).parent / "vectors"
HSFLOWD = ("hsflowd-host", "hsflowd-systemd", "hsflowd-flows")
"""A host alone; a host with seven services, one stopped and one restarted; packet and transaction samples."""


def packets(name: str) -> list[Packet]:
    """A recording's datagrams in their order."""
    path = CAPTURES / f"{name}.pcap.gz"
    return list(read_capture(path if path.exists() else CAPTURES / f"{name}.pcap"))


def payloads(name: str) -> list[bytes]:
    """The bytes of a recording's datagrams."""
    return [packet.payload for packet in packets(name)]


def sflowtool_reading(name: str) -> list[dict[str, Any]]:
    """What sflowtool read in a recording: a dict a datagram."""
    with gzip.open(CAPTURES / f"{name}.sflowtool.json.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def hex_vector(name: str) -> bytes:
    """The bytes of tests/vectors/NAME.hex: hexadecimal digits, with comments after #."""
    lines = (VECTORS / f"{name}.hex").read_text(encoding="utf-8").splitlines()
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines))
