"""The collector's state as plain data: numbers, texts, lists and tables, as JSON has them, and nothing that could run.

What an agent's samples say is kept as their bytes: forms, names and numbers are read from those again.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import Any

from .agent import Agent
from .collector import Collector
from .source import Source

VERSION = 2
"""Another one as soon as an older program could not read what is written, or would read it wrongly."""


@dataclass(slots=True)
class Written:
    """What has become of the states: when the newest was written (0: none yet), and how often it failed.

    `seconds` is how long it took, `size` how large the file is, `interval` how often one is due.
    """

    time: float = 0.0
    seconds: float = 0.0
    size: int = 0
    errors: int = 0
    interval: float = 0.0


_OF_SOURCE = attrgetter(
    *("ds_class ds_index sequence epoch uptime received alive elapsed interval name service kind".split())
)
_OF_AGENT = tuple(
    "address name pool first_heard interval born cpus samples resets samples_lost samples_restarted conflicts "
    "streams_before rival looked".split()
)


def _text(raw: bytes) -> str:
    return b64encode(raw).decode("ascii")


def agent_state(agent: Agent) -> dict[str, Any]:
    """All that is known of an agent, its streams and its sources."""
    agent.settle()
    state = {name: getattr(agent, name) for name in _OF_AGENT}
    state["samples"], state["resets"] = dict(agent.samples), dict(agent.resets)
    state["host"] = [agent.host.ds_class, agent.host.ds_index] if agent.host is not None else None
    state["departed"] = [
        [service, [[*key, total] for key, total in kept.items()]] for service, kept in agent.departed.items()
    ]
    state["streams"] = []
    for sub_agent, stream in agent.streams.items():
        told = stream.state
        suspect = [*told.suspect[:3], _text(told.suspect[3])] if told.suspect is not None else None
        state["streams"].append([sub_agent, *told[:-1], suspect])
    state["sources"] = list(map(_source_state, agent.sources.values()))
    return state


def _source_state(source: Source) -> list[Any]:
    latest = source.latest
    return [
        *_OF_SOURCE(source),
        _text(latest.raw),
        latest.latched,
        latest.deltas,
        latest.mended,
        latest.offsets if any(latest.offsets) or None in latest.offsets else 0,
        source.base,
        sorted(source.missed),
        list(source.moments.items()),
        None if source.allowed_for == inf else source.allowed_for,
    ]


def collector_state(collector: Collector) -> dict[str, Any]:
    """What the collector has counted itself, and what pools keep of members that are gone."""
    for agent in collector.agents.values():
        agent.settle()
    return {
        "datagrams": collector.datagrams,
        "bytes": collector.bytes,
        "kernel_drops": collector.kernel_drops,
        "started": collector.started,
        "spared_until": collector.spared_until,
        "decode_errors": dict(collector.decode_errors),
        "dropped": dict(collector.dropped),
        "series_dropped": dict(collector.limits.dropped),
        "samples_before": dict(collector.samples_before),
        "resets_before": dict(collector.resets_before),
        "records": collector.layouts.record_counts(),
        "unknown_records": dict(collector.layouts.unknown_records),
        "ledger": [
            [*key, [[*name, count] for name, count in sums.items()]] for key, sums in collector.ledger.sums.items()
        ],
    }
