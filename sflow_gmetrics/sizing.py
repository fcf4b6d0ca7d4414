"""How much disk a fleet's RRD files will need, before the disk is full."""

from __future__ import annotations

import shutil
from pathlib import Path

from exporters.overview import human_bytes
from exporters.rrd import needs
from exporters.tree import grid_of

from .collector import Collector
from .config import Config
from .simulation.fleet import Fleet
from .snapshot import Snapshot


def describe_files(config: Config, hosts: int, services: int) -> str:
    """How many files and bytes the fleet will need, and whether the disk has them."""
    found = needs(config.rrd, hosts, services, grid_of(_one_of_each(config)))
    engine = f"rrdcached at {config.rrd.rrdcached}" if config.rrd.rrdcached else "rrdtool"
    total = sum(one.bytes for one in found)
    lines = [
        f"  RRD files in {config.rrd.root} every {config.rrd.step} s, written by {engine}",
        f"  {hosts} hosts with {services} services each, in one pool, will need:",
        *(_line(one.level, one.files, one.bytes) for one in found),
        _line("all", sum(one.files for one in found), total),
    ]
    existing = Path(config.rrd.root).absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    verdict = "enough" if free > total else "NOT ENOUGH: see [rrd] levels, include, exclude and service_rra"
    return "\n".join((*lines, f"  {existing} has {human_bytes(free)} free: {verdict}"))


def _line(level: str, files: int, size: int) -> str:
    return f"    {level:8} {files:>12,} files  {human_bytes(size):>12}"


def _one_of_each(config: Config) -> Snapshot:
    """One host with one service, which says what metrics they have."""
    collector = Collector(Config(gmond=config.gmond))
    for moment, payload in Fleet(1, 1, 5.0).datagrams(20.0):
        collector.receive(payload, moment)
    return collector.snapshot(20.0)
