"""How much disk a fleet needs, against the files that a simulated fleet really gets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from exporters.overview import human_bytes
from exporters.rrd import Layout
from exporters.rrd_engines import open_engine
from exporters.rrd_writer import RrdWriter
from sflow_gmetrics import Collector
from sflow_gmetrics.config import Config, GmondConfig, RrdConfig
from sflow_gmetrics.simulation import Fleet
from sflow_gmetrics.simulation.naming import ROLES
from sflow_gmetrics.sizing import describe_files

HOSTS, SERVICES = 3, 4
SMALL = {"rra": ("AVERAGE:0.5:1:20", "MAX:0.5:4:5"), "service_rra": ("AVERAGE:0.5:1:10",)}
LINE = re.compile(r"^ +(host|service|pool|all) +([\d,]+) files +(.+)$", re.MULTILINE)


def promised(config: Config) -> dict[str, tuple[int, str]]:
    """Files and bytes by level, as the text says."""
    found = LINE.findall(describe_files(config, HOSTS, SERVICES))
    return {level: (int(files.replace(",", "")), size.strip()) for level, files, size in found}


def real(config: Config) -> dict[str, tuple[int, str]]:
    """The same, of the files that a fleet of hosts of one kind gets."""
    collector = Collector(config)
    for moment, payload in Fleet(HOSTS, SERVICES, 5.0, roles=ROLES[:1]).datagrams(20.0):
        collector.receive(payload, moment)
    writer = RrdWriter(config.rrd, open_engine(config.rrd))
    writer.add(Layout(config.rrd).updates(collector.snapshot(20.0), 30))
    writer.flush(31.0)
    writer.close(32.0)
    assert writer.stats.errors == writer.stats.queued == 0
    files: dict[str, list[int]] = {level: [] for level in ("host", "service", "pool")}
    for file in Path(config.rrd.root).rglob("*.rrd"):
        level = "pool" if file.parent.name == "__SummaryInfo__" else "service" if ".service." in file.name else "host"
        files[level].append(file.stat().st_size)
    files = {level: sizes for level, sizes in files.items() if level in config.rrd.levels}
    files["all"] = [size for sizes in files.values() for size in sizes]
    return {level: (len(sizes), human_bytes(sum(sizes))) for level, sizes in files.items()}


@pytest.mark.parametrize(
    ("gmond", "rrd"),
    [
        ({}, {}),
        ({"netstat": True}, {}),
        ({}, {"levels": ("host",)}),
        ({}, {"levels": ("service", "pool")}),
        ({}, {"include": (r".*\.service\.vcpu_util", "load_.*")}),
        ({}, {"exclude": (r".*\.vdisk_.*", "disk_.*")}),
    ],
    ids=str,
)
def test_what_is_promised_is_what_is_made(
    tmp_path: Path, require_program: Callable[[str], str], gmond: dict[str, bool], rrd: dict[str, tuple[str, ...]]
) -> None:
    require_program("rrdtool")
    settings = {**SMALL, **rrd}
    chosen = RrdConfig(root=str(tmp_path / "rrds"), creations=10_000, **settings)  # type: ignore[arg-type]
    config = Config(gmond=GmondConfig(**gmond), rrd=chosen)  # type: ignore[arg-type]
    found = promised(config)
    assert found["all"][0] > 10
    assert found == real(config)


def test_the_text_says_whether_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(rrd=RrdConfig(root=str(tmp_path / "not" / "there"), rrdcached="unix:/run/x"))
    text = describe_files(config, 10, 5)
    assert "written by rrdcached at unix:/run/x" in text
    assert f"{tmp_path} has " in text
    assert text.endswith("free: enough")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))
    assert "NOT ENOUGH" in describe_files(config, 10, 5)
