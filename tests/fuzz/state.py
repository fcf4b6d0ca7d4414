"""The state that another run has left: a StateError, or a collector that goes on and shows pages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from exporters import gmond, prometheus
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.errors import StateError
from sflow_gmetrics.restore import finish, restore
from sflow_gmetrics.state import agent_state, collector_state
from tests.core.builders import START, Sender, host, service

from . import collector, door


def _heard() -> list[Sender]:
    """Agents whose state has something in most of its places."""
    config = parse_config("[[services.rewrite]]\nmatch = 'app@.*'\nreplace = 'app'\n[sflow]\nforget_after = 60")
    one = Sender(Collector(config))
    for number in range(1, 6):
        units = [service(number, "app@1.service", 1, cpuTime=number, structures=("virt_cpu", "host_descr"))]
        if number == 1:
            units.append(service(1, "app@2.service", 2, structures=("virt_cpu", "host_descr")))
        one.send(host(number, structures=("host_cpu", "host_descr"), cpu_user=number, uptime=number), *units)
        one.tick(20)
    other = Sender(Collector())
    other.send(host(1, structures=("host_descr",)))
    other.sequence = 0
    other.send(host(2, structures=("host_descr",)))
    return [one, other]


ODD: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2, 1.5, -1e300, 1e300, 1 << 32, (1 << 64) - 1, 1 << 64, 1 << 200, math.nan, math.inf),
    *("", "x", "\ud800", "AAAABQ==", "10.0.0.1", "x" * 20_000, [], {}, [None], [[]], [0, 0], {"": 0}, [1] * 6),
)


class Door(door.Door):
    """Plain data behind its checksum. An input chooses one of two, and puts odd values into places of it."""

    longest = 32

    def __init__(self) -> None:
        self._config = parse_config(collector.CONFIG)
        self._states = [
            json.dumps([collector_state(one.collector), list(map(agent_state, one.collector.agents.values()))])
            for one in _heard()
        ]

    def seeds(self) -> Iterator[bytes]:
        yield from (b"\0", b"\1", b"\0\0\0\0", b"\0\0\x20\1\0\x40\5", b"\1\0\x30\2")

    def enter(self, data: bytes) -> None:
        own, agents = whole = json.loads(self._states[data[0] % 2 if data else 0])
        places = list(_places(whole))[1:]  # not `own` as a whole, nor the list of agents
        for at in range(1, len(data) - 2, 3):
            inside, key = places[int.from_bytes(data[at : at + 2], "big") % len(places)]
            if inside is not whole:
                inside[key] = ODD[data[at + 2] % len(ODD)]
        now = START + 120
        try:
            restored = restore(self._config, own, agents, now)
        except StateError:
            return
        finish(restored, now)
        snapshot = restored.snapshot(now)
        gmond.render(snapshot).decode("ascii")
        prometheus.render(snapshot).decode("utf-8")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in lists and tables that holds something."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
