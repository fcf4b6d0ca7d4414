"""An unmodified gmetad on top of the collector: its hosts, its sums, its RRD files, and what leaves it."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sflow_gmetrics.replay import Relabelled, relabel
from tests.e2e.hostile import HOSTILE, renamed
from tests.e2e.servers import Gmetad, Served, gmetad, replaying, serving, wait_for
from tests.recordings import packets

pytestmark = pytest.mark.e2e

WINDOW = 45.0
STOPPING, RUNNING = 52.0, 2.0
"""Where in the recording each host's 45 s begin: in the first, redis stops; in the second all goes on."""
SPEED = 3.0
WEB, OTHER = "web-host-01", "web-host-02"
UTIL = "nginx.service.vcpu_util"
REDIS = "redis-server.service.vmem_total"


def traffic() -> list[Relabelled]:
    """Two hosts, the first with one stretch of the recording and the second with another."""
    recording = packets("hsflowd-systemd")
    first = recording[0].time
    return sorted(
        (
            Relabelled(packet.time - first - begin, relabel(packet.payload, agent, host))
            for agent, host, begin in (("10.9.0.2", WEB, STOPPING), ("10.9.0.3", OTHER, RUNNING))
            for packet in recording
            if begin <= packet.time - first < begin + WINDOW
        ),
        key=lambda packet: packet.time,
    )


@dataclass(frozen=True)
class Bench:
    ours: Served
    gmetad: Gmetad

    def hosts(self) -> dict[str, dict[str, str]]:
        """gmetad's hosts with their metrics."""
        return metrics_by_host(self.gmetad.ask("/e2e"))

    def own_sum(self, metric: str) -> tuple[float, int]:
        """The sum of a metric over our hosts, and how many have it."""
        values = [float(host[metric]) for host in metrics_by_host(self.ours.xml()).values() if metric in host]
        return sum(values), len(values)

    def summary(self, metric: str) -> tuple[float, int] | None:
        """gmetad's SUM and NUM of a metric of the cluster."""
        for one in ElementTree.fromstring(self.gmetad.ask("/e2e?filter=summary")).iter("METRICS"):
            if one.get("NAME") == metric:
                return float(one.attrib["SUM"]), int(one.attrib["NUM"])
        return None


def metrics_by_host(document: bytes) -> dict[str, dict[str, str]]:
    return {
        host.attrib["NAME"]: {metric.attrib["NAME"]: metric.attrib["VAL"] for metric in host.iter("METRIC")}
        for host in ElementTree.fromstring(document).iter("HOST")
    }


def last_update(rrdtool: str, file: Path) -> dict[str, float]:
    """The newest values in an RRD file by data source name."""
    names, _, line = subprocess.check_output([rrdtool, "lastupdate", str(file)], text=True).strip().split("\n")
    return dict(zip(names.split(), map(float, line.partition(":")[2].split()), strict=True))


def averages(rrdtool: str, file: Path) -> list[float]:
    """The known values of the first data source in the last two minutes."""
    text = subprocess.check_output([rrdtool, "fetch", str(file), "AVERAGE", "--start", "end-120s"], text=True)
    values = [float(line.split()[1]) for line in text.splitlines() if ": " in line]
    return [value for value in values if value == value]


@contextlib.contextmanager
def bench(folder: Path, program: str) -> Iterator[Bench]:
    with serving(folder) as ours, gmetad(program, folder, ours.gmond) as theirs:
        yield Bench(ours, theirs)


def test_gmetad_lists_sums_stores_and_forgets(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    rrdtool = require_program("rrdtool")
    with bench(tmp_path, require_program("gmetad")) as both, replaying(both.ours.sflow, traffic(), SPEED) as sending:
        hosts = wait_for(
            "both hosts with redis in gmetad",
            lambda: (found := both.hosts()) and sum(REDIS in one for one in found.values()) == 2 and found,
            20,
        )
        assert set(hosts) == {WEB, OTHER}
        total, count = both.summary(REDIS) or (0, 0)
        assert total == pytest.approx(sum(float(one[REDIS]) for one in hosts.values()), rel=1e-3)
        assert count == 2

        # redis stopped on one host: it goes there, although the host and its other services go on
        left = wait_for(
            "a gmetad without the stopped redis",
            lambda: (found := both.hosts()) and not any(name.startswith("redis") for name in found[WEB]) and found,
            30,
        )
        assert REDIS in left[OTHER]
        assert {UTIL, "load_one", "ssh.service.vcpu_util"} <= left[WEB].keys()
        wait_for("a sum without the stopped redis", lambda: both.summary(REDIS) == both.own_sum(REDIS))
        assert both.own_sum(REDIS)[1] == 1

        # nothing more is sent: the numbers stand still until the services expire
        sending.join(20)
        truth, count = both.own_sum(UTIL)
        assert count == 2
        assert truth > 0
        settled: Any = (pytest.approx(truth, abs=0.011), 2)
        wait_for("the sum in gmetad", lambda: both.summary(UTIL) == settled)
        for host, metrics in metrics_by_host(both.ours.xml()).items():
            file = both.gmetad.rrds / "e2e" / host / f"{UTIL}.rrd"
            assert last_update(rrdtool, file) == {"sum": float(metrics[UTIL])}
        summary = both.gmetad.rrds / "e2e" / "__SummaryInfo__" / f"{UTIL}.rrd"
        assert last_update(rrdtool, summary) == {"sum": pytest.approx(truth, abs=0.011), "num": 2}
        stored = averages(rrdtool, summary)
        assert len(stored) >= 3
        assert max(stored) < 400, "two hosts with two CPUs each"
    assert "error" not in both.gmetad.program.said().lower()


def test_hostile_names_stay_names(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """Unchanged, each of them would make gmetad's XML unreadable, end it, or write outside of its directory."""
    window = packets("hsflowd-systemd")[:30]
    with bench(tmp_path, require_program("gmetad")) as both:
        usual = {path.name for path in tmp_path.iterdir()}
        for number, hostile in enumerate(HOSTILE, 1):
            as_one = [
                Relabelled(packet.time, renamed(relabel(packet.payload, f"10.9.9.{number}", ""), _behind(hostile)))
                for packet in window
            ]
            with replaying(both.ours.sflow, as_one, speed=0) as sending:
                sending.join(10)
        hosts = wait_for(
            "all hosts with their services in gmetad",
            lambda: len(found := both.hosts()) == len(HOSTILE) and min(map(_services, found.values())) >= 5 and found,
            20,
        )
        names = {*hosts, *(metric for metrics in hosts.values() for metric in metrics)}
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) and ".." not in name for name in names)
        wait_for("files of all hosts", lambda: len(list((both.gmetad.rrds / "e2e").iterdir())) == len(HOSTILE) + 1)
        assert {path.name for path in (both.gmetad.rrds / "e2e").iterdir()} == {"__SummaryInfo__", *hosts}
        assert both.gmetad.program.runs()
    assert {path.name for path in tmp_path.iterdir()} == usual


def _behind(hostile: str) -> Callable[[str], str]:
    return lambda name: hostile + name


def _services(metrics: dict[str, str]) -> int:
    return len([name for name in metrics if name.endswith(".vcpu_state")])
