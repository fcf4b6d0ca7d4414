"""RRD files: which there are, what goes into each at a tick, and how large they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporters.rrd import Layout, Profile
from exporters.rrd_engines import RrdtoolPipe
from exporters.rrd_file import NewFile, read_header
from exporters.rrd_queue import Update
from exporters.tree_hosts import Line
from sflow_gmetrics.config import COMPACT_RRA, GMETAD_RRA, RrdConfig
from sflow_gmetrics.remote import RemoteCluster, RemoteGrid, RemoteSum, RemoteSummary
from sflow_gmetrics.snapshot import Snapshot
from tests.exporters.trees import (
    alone,
    child,
    far,
    grid_element,
    load,
    remote_cluster,
    remote_host,
    snapshot,
    sums,
    with_remotes,
)

TICK = 1_700_000_010
SUMMARY = "__SummaryInfo__"
UTIL = "nginx.service.vcpu_util"


def stored(one: Snapshot, **settings: object) -> dict[str, Update]:
    """The updates of a tick by path below the root."""
    layout = Layout(RrdConfig(root="/rrd/", **settings))  # type: ignore[arg-type]
    updates = list(layout.updates(one, TICK))
    found = {update.path.removeprefix("/rrd/"): update for update in updates}
    assert len(found) == len(updates), "a file stands twice"
    assert all(update.path.startswith("/rrd/") for update in updates)
    assert {update.time for update in updates} <= {TICK}
    return found


# --- which files


def test_files_stand_where_gmetad_puts_them() -> None:
    one = snapshot()
    found = stored(one)
    places = {path.rpartition("/")[0] for path in found}
    clusters = {"web": ("web-1", "web-2"), "data base": ("db-1",)}
    assert places == {
        SUMMARY,
        *(f"{cluster}/{place}" for cluster, hosts in clusters.items() for place in (SUMMARY, *hosts)),
    }
    whole, summary = grid_element(one), grid_element(one, "/?filter=summary")
    for cluster, hosts in clusters.items():
        for host in hosts:
            shown = child(child(whole, "CLUSTER", cluster), "HOST", host)
            values = {str(m.get("NAME")): m.get("VAL") for m in shown if m.get("TYPE") != "string"}
            mine = {
                path.rpartition("/")[2]: update.values
                for path, update in found.items()
                if path.startswith(f"{cluster}/{host}/")
            }
            assert mine == {f"{name}.rrd": value for name, value in values.items()}
        for name, (total, count) in sums(child(summary, "CLUSTER", cluster)).items():
            assert found[f"{cluster}/{SUMMARY}/{name}.rrd"].values == f"{total}:{count}"
    for name, (total, count) in sums(summary).items():
        assert found[f"{SUMMARY}/{name}.rrd"].values == f"{total}:{count}"
    assert sum(path.startswith(f"{SUMMARY}/") for path in found) == len(sums(summary))


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        (("host",), {"web/web-1/load_one.rrd"}),
        (("service",), {f"web/web-1/{UTIL}.rrd"}),
        (
            ("pool",),
            {f"{place}/{name}.rrd" for place in (f"web/{SUMMARY}", SUMMARY) for name in ("load_one", UTIL)},
        ),
        ((), set()),
    ],
)
def test_levels(levels: tuple[str, ...], wanted: set[str]) -> None:
    candidates = {
        f"{place}/{name}.rrd" for place in ("web/web-1", f"web/{SUMMARY}", SUMMARY) for name in ("load_one", UTIL)
    }
    found = stored(snapshot(), levels=levels)
    assert candidates & set(found) == wanted
    every = stored(snapshot())
    assert all(every[path] == update._replace(new_file=every[path].new_file) for path, update in found.items())


@pytest.mark.parametrize(
    ("include", "exclude", "names"),
    [
        ((), (".*",), set()),
        (("load_one",), (), {"load_one"}),
        (("load_.*", UTIL), ("load_f.*",), {"load_one", UTIL}),
        (("load",), (), set()),
        ((), (r".*\..*", "(?!load_one|cpu_num).*"), {"load_one", "cpu_num"}),
    ],
)
def test_include_and_exclude_are_of_whole_names(
    include: tuple[str, ...], exclude: tuple[str, ...], names: set[str]
) -> None:
    found = stored(snapshot(), include=include, exclude=exclude)
    assert {path.rpartition("/")[2].removesuffix(".rrd") for path in found} == names
    assert all(sum(name in path for path in found) > 3 for name in names), "on hosts and in sums"


@pytest.mark.parametrize("name", ["a/b", "../up", ".hidden", "", "a\nb", "a:b", "x" * 200, "é", "a'b", "a\0b"])
def test_what_cannot_be_a_files_name_gets_none_and_others_do(name: str) -> None:
    one = alone(far(remote_cluster("plain", remote_host("a", load(name=name), load()))))
    assert set(stored(one)) == {
        "plain/a/load_one.rrd",
        f"plain/{SUMMARY}/load_one.rrd",
        f"{SUMMARY}/load_one.rrd",
    }


@pytest.mark.parametrize("host", ["../../up", "a/b", SUMMARY, "..", "x" * 500])
def test_no_host_is_written_outside_of_its_cluster(host: str) -> None:
    found = stored(alone(far(remote_cluster("plain", remote_host(host)))), levels=("host",))
    (path,) = found
    assert path.count("/") == 2
    assert path.startswith("plain/")
    assert ".." not in path
    assert not path.startswith(f"plain/{SUMMARY}/")
    assert max(map(len, path.split("/"))) <= 255


def test_what_is_remote() -> None:
    """Of a cluster hosts and sums, of a grid only sums, as with gmetad; texts and hosts that are down have no files."""
    metrics = (load("1.50"), load("x", "os_name", kind="string"))
    cluster = remote_cluster("plain", remote_host("a", *metrics), remote_host("down", *metrics, tn=500))
    given = RemoteSummary(3, 0, (RemoteSum("load_one", 4.5, 3, "double"),))
    grid = RemoteGrid("far grid", "", 5, (remote_cluster("deep", remote_host("d")),))
    remote = replace(far(cluster, RemoteCluster("sums", 5, summary=given)), grids=(grid,))
    found = {path: update.values for path, update in stored(alone(remote)).items()}
    assert found == {
        "plain/a/load_one.rrd": "1.50",
        f"plain/{SUMMARY}/load_one.rrd": "1.50:1",
        f"sums/{SUMMARY}/load_one.rrd": "4.50:3",
        f"far grid/{SUMMARY}/load_one.rrd": "0.50:1",
        f"{SUMMARY}/load_one.rrd": "6.50:5",
    }


def test_ticks_share_what_stays_the_same_and_forget_what_goes() -> None:
    layout = Layout(RrdConfig(root="/rrd"))
    one = snapshot([far(remote_cluster("plain", remote_host("a")))])
    first = {update.path: update for update in layout.updates(one, TICK)}
    second = {update.path: update for update in layout.updates(with_remotes(one, ()), TICK + 15)}
    gone = set(first) - set(second)
    assert gone == {"/rrd/plain/a/load_one.rrd", f"/rrd/plain/{SUMMARY}/load_one.rrd"}
    assert {update.time for update in second.values()} == {TICK + 15}
    path = "/rrd/web/web-1/load_one.rrd"
    assert next(one for one in second if one == path) is next(one for one in first if one == path)
    assert len(layout._rows) == 6, "three hosts with a service each"


def test_every_slope_has_its_kind_of_data_source() -> None:
    layout = Layout(RrdConfig(root="/rrd"))
    for slope, kind in (("both", "GAUGE"), ("zero", "GAUGE"), ("positive", "COUNTER"), ("derivative", "DERIVE")):
        line = Line("x", "", slope, "", "", 0, False)
        assert layout.profile(line, summary=False).sources == (("sum", kind),)
        assert layout.profile(line, summary=True).sources == (("sum", kind), ("num", "GAUGE"))


# --- real files


PROFILES = {
    "host": ("web/web-1/load_one.rrd", GMETAD_RRA, 1),
    "service": (f"web/web-1/{UTIL}.rrd", COMPACT_RRA, 1),
    "pool": (f"web/{SUMMARY}/{UTIL}.rrd", GMETAD_RRA, 2),
    "grid": (f"{SUMMARY}/load_one.rrd", GMETAD_RRA, 2),
}


@pytest.mark.parametrize("kind", PROFILES)
def test_sizes_are_those_of_real_files(tmp_path: Path, require_program: Callable[[str], str], kind: str) -> None:
    path, archives, sources = PROFILES[kind]
    update = stored(snapshot(), step=15)[path]
    file = update.new_file(str(tmp_path / "x.rrd"), TICK - 15)
    assert (file.step, file.heartbeat, file.archives, len(file.sources)) == (15, 120, archives, sources)
    made = _size(file, require_program("rrdtool"))
    assert made == Profile(file.sources, file.archives, 15).size
    known = {("host", 1): 630_760, ("grid", 2): 1_260_992, ("pool", 2): 1_260_992}
    assert made == known.get((kind, sources), made), "gmetad's own files"


@pytest.mark.parametrize("archives", [("AVERAGE:0.5:1:1",), ("MAX:0.1:7:33", "LAST:0:1:10"), COMPACT_RRA * 2])
@pytest.mark.parametrize("sources", [(("sum", "GAUGE"),), (("sum", "COUNTER"), ("num", "GAUGE"))])
def test_any_archives(
    tmp_path: Path,
    require_program: Callable[[str], str],
    archives: tuple[str, ...],
    sources: tuple[tuple[str, str], ...],
) -> None:
    profile = Profile(sources, archives, 10)
    assert _size(profile(str(tmp_path / "x.rrd"), TICK), require_program("rrdtool")) == profile.size


def _size(file: NewFile, rrdtool: str) -> int:
    engine = RrdtoolPipe(rrdtool)
    try:
        assert engine.create([file]) == [""]
    finally:
        engine.close()
    header = read_header(file.path)
    assert header is not None
    assert header.sources == tuple(name for name, _ in file.sources)
    return Path(file.path).stat().st_size
