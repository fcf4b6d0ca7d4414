"""What the collector has counted itself: what came, what of it was used, and what it has now."""

from __future__ import annotations

import platform
from collections.abc import Mapping

from sflow_gmetrics import __version__
from sflow_gmetrics.snapshot import Snapshot

from . import families as f
from .sink import Sink


def write_collector(sink: Sink, snapshot: Snapshot, series: Mapping[str, int]) -> None:
    """Hand over the collector's own families. `series` is how many the sink has taken of each level."""
    stats = snapshot.stats
    f.BUILD_INFO.add(sink, (__version__, platform.python_version()), 1)
    f.DATAGRAMS.add(sink, (), stats.datagrams)
    f.DATAGRAM_BYTES.add(sink, (), stats.bytes)
    f.KERNEL_DROPS.add(sink, (), stats.kernel_drops)
    f.RECEIVE_BUFFER.add(sink, (), stats.receive_buffer)
    f.IGNORED_FLOWS.add(sink, (), stats.samples["flow"])
    for key, (limit, used) in _limits(snapshot).items():
        f.LIMIT.add(sink, (key,), limit)
        if used is not None:
            f.LIMIT_USED.add(sink, (key,), used)
    for extra, counts in (
        (f.SAMPLES, stats.samples),
        (f.RECORDS, stats.records),
        (f.DECODE_ERRORS, stats.decode_errors),
        (f.DROPPED, stats.dropped),
        (f.SERIES_DROPPED, stats.series_dropped),
        (f.RESETS, stats.resets),
    ):
        for key in sorted(counts):
            extra.add(sink, (key,), counts[key])
    for level, taken in series.items():
        f.SERIES.add(sink, (level,), taken)
    for tag in sorted(stats.unknown_records):
        enterprise, _, number = tag.partition(":")
        f.UNKNOWN_RECORDS.add(sink, (enterprise, number), stats.unknown_records[tag])
    up = sum(agent.up for agent in snapshot.agents)
    f.AGENTS.add(sink, ("up",), up)
    f.AGENTS.add(sink, ("down",), len(snapshot.agents) - up)
    for pool in snapshot.pools:
        f.SERVICES.add(sink, (pool.name,), sum(len(host.services) for host in pool.hosts))


def _limits(snapshot: Snapshot) -> dict[str, tuple[int, int | None]]:
    """What is bounded, by the key that sets it, and how much of it is used where somebody else does not say."""
    config = snapshot.config
    fullest = max((len(host.services) for host in snapshot.hosts()), default=0)
    return {
        "sflow.receive_buffer": (config.sflow.receive_buffer, None),
        "sflow.agents": (config.sflow.agents, len(snapshot.agents)),
        "sflow.memory": (config.sflow.memory, snapshot.stats.memory),
        "services.services_per_host": (config.services.services_per_host, fullest),
        "services.series": (config.services.series, snapshot.stats.service_series),
        **({"rrd.queue": (config.rrd.queue, None)} if config.rrd.root else {}),
    }
