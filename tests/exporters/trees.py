"""Snapshots with hosts of ours and of other collectors, and how their documents are read."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable

from lxml import etree

from exporters import gmetad
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.remote import Remote, RemoteCluster, RemoteHost, RemoteMetric
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import START, Sender, host, service

CONFIG = """
[gmetad]
grid = "our grid"
authority = "http://web.example/ganglia/"
[[gmetad.sources]]
name = "far"
addresses = ["127.0.0.1:1"]
interval = 10
[[pools]]
name = "web"
hosts = 'web.*'
[[pools]]
name = "data base"
hosts = 'db.*'
"""
NOW = START + 200
EXTRAS = (("TITLE", "One Minute Load Average"), ("DESC", "One Minute Load Average"), ("GROUP", "load"))


def snapshot(remotes: Iterable[Remote] = (), config: str = CONFIG) -> Snapshot:
    """At NOW: web-1 and web-2 with nginx, db-1 with redis, and web-3, which has been silent for 180 s."""
    collector = Collector(parse_config(config))
    senders = {name: Sender(collector, f"10.0.0.{at}") for at, name in enumerate(("web-1", "web-2", "db-1", "web-3"))}
    for step in range(1, 11):
        for at, (name, sender) in enumerate(senders.items(), 1):
            sender.tick(20)
            if name == "web-3" and step > 1:
                continue
            unit = "redis.service" if name == "db-1" else "nginx.service"
            sender.send(
                host(step, name, load_one=0.25 * at, bytes_in=1001 * at * step, mem_total=at << 30, cpu_user=step),
                service(step, unit, cpuTime=123 * at * step, rd_bytes=(1 << 20) * at * step),
            )
    return with_remotes(collector.snapshot(NOW), remotes)


def with_remotes(base: Snapshot, remotes: Iterable[Remote]) -> Snapshot:
    return dataclasses.replace(base, remotes=tuple(remotes))


def alone(*remotes: Remote, time: float = NOW) -> Snapshot:
    """A collector without agents of its own."""
    return with_remotes(Collector(parse_config(CONFIG)).snapshot(time), remotes)


def load(value: str = "0.50", name: str = "load_one", tn: int = 5, dmax: int = 0, kind: str = "float") -> RemoteMetric:
    return RemoteMetric(name, value, kind, "", tn, 70, dmax, "both", "gmond", EXTRAS)


def remote_host(name: str, *metrics: RemoteMetric, tn: int = 5, tmax: int = 20) -> RemoteHost:
    return RemoteHost(name, "10.9.0.1", int(NOW) - tn, tn, tmax, metrics=metrics or (load(),))


def remote_cluster(name: str, *hosts: RemoteHost) -> RemoteCluster:
    return RemoteCluster(name, int(NOW), "someone", "N0 E0", "http://far.example/", hosts)


def far(*clusters: RemoteCluster, fetched: float = NOW, name: str = "far") -> Remote:
    """What a source has said."""
    return Remote(name, fetched, 0.1, "", "127.0.0.1:1", clusters)


def parsed(document: bytes) -> etree._Element:
    """The document, checked against the DTD that it brings along."""
    return etree.parse(io.BytesIO(document), etree.XMLParser(dtd_validation=True)).getroot()


def grid_element(one: Snapshot, request: str = "/") -> etree._Element:
    """The outermost GRID of an answer."""
    (grid,) = parsed(gmetad.render(one, request))
    assert grid.tag == "GRID"
    return grid


def names(elements: Iterable[etree._Element]) -> list[str]:
    return [one.get("NAME", "") for one in elements]


def child(parent: etree._Element, tag: str, name: str) -> etree._Element:
    (found,) = [one for one in parent.findall(tag) if one.get("NAME") == name]
    return found


def sums(place: etree._Element) -> dict[str, tuple[str, int]]:
    """SUM and NUM of the METRICS that stand in a place itself."""
    return {one.get("NAME", ""): (one.get("SUM", ""), int(one.get("NUM", ""))) for one in place.findall("METRICS")}


def states(place: etree._Element) -> tuple[int, int]:
    """Hosts up and down of a place itself."""
    (found,) = place.findall("HOSTS")
    return int(found.get("UP", "")), int(found.get("DOWN", ""))
