"""Collectors above and below each other: gmetads that poll us, and us polling gmond, gmetad and ourselves.

What the lowest level hears comes at once and then stands still, so that every level has to show
the same numbers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sflow_gmetrics.remote import NUMERIC_TYPES
from sflow_gmetrics.replay import open_sender
from sflow_gmetrics.simulation import Fleet
from tests.e2e.gmetads import gmetad_of
from tests.e2e.levels import Level, Ports, config, level
from tests.e2e.rrdcached import fetch
from tests.e2e.servers import (
    HOME,
    Address,
    Gmetad,
    free_port,
    read_all,
    running,
    wait_for,
)

pytestmark = pytest.mark.e2e

HOSTS, SERVICES, INTERVAL = 3, 2, 20.0
CLUSTER, GRID = "lower cluster", "lower grid"
Sums = dict[str, tuple[float, int]]
"""SUM and NUM by metric."""


def feed(target: Address) -> None:
    """All that a fleet sends in some intervals, at once: from then on its numbers stand still."""
    with open_sender(*target) as sender:
        for _, payload in Fleet(HOSTS, SERVICES, INTERVAL).datagrams(3.5 * INTERVAL):
            sender.send(payload)


# --- what documents say


def truth(document: ElementTree.Element) -> Sums:
    """The sums over all hosts of a gmond's document."""
    found: Sums = {}
    for metric in document.iter("METRIC"):
        if metric.attrib["TYPE"] in NUMERIC_TYPES:
            total, count = found.get(metric.attrib["NAME"], (0.0, 0))
            found[metric.attrib["NAME"]] = (total + float(metric.attrib["VAL"]), count + 1)
    return found


def sums(place: ElementTree.Element | None) -> Sums:
    """The sums that stand in a CLUSTER or GRID element itself."""
    if place is None:
        return {}
    return {one.attrib["NAME"]: (float(one.attrib["SUM"]), int(one.attrib["NUM"])) for one in place.iterfind("METRICS")}


def states(place: ElementTree.Element | None) -> tuple[int, int] | None:
    """Hosts up and down, as a CLUSTER or GRID element itself says."""
    hosts = place.find("HOSTS") if place is not None else None
    return None if hosts is None else (int(hosts.attrib["UP"]), int(hosts.attrib["DOWN"]))


def times(factor: int, one: Sums) -> Any:
    """So many times these sums, as far as the printed decimals say."""
    return {
        name: (pytest.approx(factor * total, abs=0.006 * factor), factor * count)
        for name, (total, count) in one.items()
    }


def asked(gmetad: Gmetad, request: str = "/?filter=summary") -> ElementTree.Element:
    """The answer of a real gmetad."""
    return ElementTree.fromstring(gmetad.ask(request))


@contextlib.contextmanager
def lowest(folder: Path, ports: Ports | None = None) -> Iterator[tuple[Level, Sums]]:
    """A `serve` that hears a fleet, and the sums over its hosts."""
    with level(folder, config(CLUSTER, GRID, ports)) as one:
        feed(one.served.sflow)
        yield one, wait_for("all hosts with their rates", lambda: _complete(one))


def _complete(one: Level) -> Sums | None:
    document = ElementTree.fromstring(one.served.xml())
    services = sum(name.endswith(".vcpu_util") for host in document.iter("HOST") for name in _names(host))
    found = truth(document)
    return found if services == HOSTS * SERVICES and found.get("cpu_user", (0, 0))[1] == HOSTS else None


def _names(host: ElementTree.Element) -> list[str]:
    return [metric.attrib["NAME"] for metric in host.iter("METRIC")]


# --- gmetads above us


def test_gmetads_above_us_add_up_what_we_say(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """Unmodified gmetads with us as a gmond and as a grid, and gmetads above these.

    On the second level all numbers are ours. On the third they are where the second has
    clusters of hosts. Where it has a grid, it shows that as METRICS sums, and gmetad 3.7.2 adds
    those of others to a table that it throws away: hosts are counted, sums are 0. In our place
    there they are what they should be.
    """
    gmetad = require_program("gmetad")
    with lowest(tmp_path / "lowest") as (ours, expected), contextlib.ExitStack() as stack:

        def above(name: str, port: int, more: str = "") -> Gmetad:
            sources = {name: [(HOME, port)]}
            return stack.enter_context(gmetad_of(gmetad, tmp_path / name, sources, grid=name, step=1, more=more))

        as_gmond = above("as gmond", ours.served.gmond[1])
        as_grid = above("as grid", ours.xml[1])
        flat = above("as grid, flat", ours.xml[1], "scalable off")
        third, third_over_grid = above("over clusters", as_gmond.xml_port), above("over a grid", as_grid.xml_port)

        def wait_until_equal(one: Gmetad, place: str, wanted: Any) -> None:
            wait_for(
                f"our sums at {place} of {one.rrds.parent.name}", lambda: sums(asked(one).find(place)) == wanted, 25
            )
            assert states(asked(one).find(place)) == (HOSTS, 0)

        once = times(1, expected)
        wait_until_equal(as_gmond, f"GRID/CLUSTER[@NAME='{CLUSTER}']", once)
        wait_until_equal(as_grid, f"GRID/GRID[@NAME='{GRID}']", once)
        wait_until_equal(flat, f"GRID/CLUSTER[@NAME='{CLUSTER}']", once)
        wait_until_equal(third, "GRID/GRID[@NAME='as gmond']", once)
        assert asked(as_grid).find(f"GRID/GRID[@NAME='{GRID}']").get("AUTHORITY") == f"http://{HOME}/lower/"  # type: ignore[union-attr]
        hosts = {one.get("NAME"): _names(one) for one in ours.tree().iter("HOST")}
        for one in (as_gmond, flat):
            shown = asked(one, f"/{CLUSTER}")
            assert {host.get("NAME"): sorted(_names(host)) for host in shown.iter("HOST")} == {
                name: sorted(names) for name, names in hosts.items()
            }
            assert {path.name for path in (one.rrds / CLUSTER).iterdir()} == {"__SummaryInfo__", *hosts}
        assert (as_grid.rrds / GRID / "__SummaryInfo__" / "load_one.rrd").exists()

        place = "GRID/GRID[@NAME='as grid']"
        wait_for("our hosts on the third level", lambda: states(asked(third_over_grid).find(place)) == (HOSTS, 0), 20)
        lost: Sums = wait_for(
            "the names of our sums there",
            lambda: (found := sums(asked(third_over_grid).find(place))).keys() == expected.keys() and found,
        )
        assert set(lost.values()) == {(0.0, 0)}, "gmetad has been mended: say so, here and in the documentation"
        source = f'[[gmetad.sources]]\nname = "far"\naddresses = ["{HOME}:{as_grid.xml_port}"]\ninterval = 1\n'
        over_grid = stack.enter_context(level(tmp_path / "us over a grid", config("own", "own", more=source)))
        wait_for("our sums in us, from the same", lambda: sums(over_grid.ask("/?filter=summary").find(place)) == once)
        assert _states(over_grid, "GRID") == (HOSTS, 0)
        assert "error" not in as_gmond.program.said().lower()


# --- us above others


UPPER = """
[[gmetad.sources]]
name = "ours as gmond"
addresses = ["{home}:{dead}", "{home}:{gmond}"]
interval = 1
[[gmetad.sources]]
name = "ours as grid"
addresses = ["{home}:{dead}", "{home}:{xml}"]
interval = 1
[[gmetad.sources]]
name = "real gmetad"
addresses = ["{home}:{gmetad}"]
interval = 1
[rrd]
root = "{root}"
step = 2
write_every = 2
rra = ["AVERAGE:0.5:1:60"]
service_rra = ["AVERAGE:0.5:1:60"]
creations = 2000
"""


def test_we_above_ourselves_and_a_real_gmetad(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """Sources whose first address is dead; all outputs; and the lowest level is killed and comes back."""
    require_program("rrdtool")
    gmetad, ports, root = require_program("gmetad"), Ports.free(), tmp_path / "rrds"
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as lower:
        ours, expected = lower.enter_context(lowest(tmp_path / "lowest", ports))
        sources = {"x": [ours.served.gmond]}
        real = stack.enter_context(gmetad_of(gmetad, tmp_path / "real", sources, grid="real grid", step=1))
        more = UPPER.format(
            home=HOME, dead=free_port(), gmond=ports.gmond, xml=ports.xml, gmetad=real.xml_port, root=root
        )
        upper = stack.enter_context(level(tmp_path / "upper", config("upper", "upper grid", more=more)))
        above = stack.enter_context(gmetad_of(gmetad, tmp_path / "above", {"y": [upper.xml]}, grid="above", step=1))
        _everything_is_shown(upper, expected)
        _everything_is_stored(root, expected, [one.attrib["NAME"] for one in ours.tree().iter("HOST")])
        wait_for(
            "all sums in a gmetad above",
            lambda: sums(asked(above).find("GRID/GRID[@NAME='upper grid']")) == times(3, expected),
            20,
        )

        ours.served.program.process.kill()
        killed = time.monotonic()
        places = (f"GRID/CLUSTER[@NAME='{CLUSTER}']", f"GRID/GRID[@NAME='{GRID}']")
        wait_for("hosts that are down", lambda: [_states(upper, one) for one in places] == [(0, HOSTS)] * 2, 12)
        assert time.monotonic() - killed > 3, "an interval or two without an answer say nothing yet"
        assert sums(upper.ask("/?filter=summary").find(places[0])) == {}
        assert {
            int(one.attrib["TN"]) > 4 * int(one.attrib["TMAX"]) for one in upper.ask(f"/{CLUSTER}").iter("HOST")
        } == {True}
        assert b'sflow_collector_source_up{source="ours as gmond"} 0.0' in upper.served.page()
        assert "refuses the connection" in upper.served.program.said()
        lower.close()
        _, again = lower.enter_context(lowest(tmp_path / "lowest", ports))
        assert again.keys() == expected.keys()
        _everything_is_shown(upper, again)
        wait_for("the log to say so", lambda: "answers again" in upper.served.program.said(), 5)


def _states(upper: Level, place: str) -> tuple[int, int] | None:
    return states(upper.ask("/?filter=summary").find(place))


def _everything_is_shown(upper: Level, expected: Sums) -> None:
    """Each source has the same hosts and numbers, and the whole is three times that."""
    once, thrice = times(1, expected), times(3, expected)
    places = (f"CLUSTER[@NAME='{CLUSTER}']", f"GRID[@NAME='{GRID}']", "GRID[@NAME='real grid']")

    def found() -> list[Sums]:
        grid = upper.ask("/?filter=summary").find("GRID")
        assert grid is not None
        return [sums(grid), *(sums(grid.find(place)) for place in places)]

    wait_for("the sums of all sources", lambda: found() == [thrice, once, once, once], 20)

    def shown() -> bool:
        """The XML port may give a page that is a moment older than the interactive port's."""
        whole = upper.tree().find("GRID")
        assert whole is not None
        hosts = {place: len(whole.findall(f"{place}//HOST")) for place in places}
        return hosts == dict.fromkeys(places, HOSTS) and truth(whole) == thrice

    wait_for("the same in detail on the XML port", shown, 5)
    assert _states(upper, "GRID") == (3 * HOSTS, 0)
    assert [one.get("NAME") for one in upper.ask(f"/{CLUSTER}").iter("CLUSTER")] == [CLUSTER]
    page = upper.served.page()
    for name in ("ours as gmond", "ours as grid", "real gmetad"):
        assert f'sflow_collector_source_up{{source="{name}"}} 1.0'.encode() in page


def _everything_is_stored(root: Path, expected: Sums, hosts: list[str]) -> None:
    """The files of the grid, of each cluster and grid, and of the hosts of those that we poll as a gmond."""
    total, count = expected["load_one"]
    for place, factor in (("", 3), (CLUSTER, 1), (GRID, 1), ("real grid", 1)):
        file = root / place / "__SummaryInfo__" / "load_one.rrd"
        wanted: Any = (pytest.approx(factor * total, abs=0.006 * factor), factor * count)
        wait_for(f"{wanted} in {file}", lambda: _newest(file) == wanted, 20, 0.3)  # noqa: B023
    wait_for(
        "files of all hosts", lambda: {one.name for one in (root / CLUSTER).iterdir()} == {"__SummaryInfo__", *hosts}
    )
    for host in hosts:
        names = {file.stem for file in (root / CLUSTER / host).iterdir()}
        assert {"load_one", "cpu_user"} <= names
        assert sum(name.endswith(".vcpu_util") for name in names) == SERVICES
    assert {one.name for one in (root / GRID).iterdir()} == {"__SummaryInfo__"}


def _newest(file: Path) -> tuple[float, ...] | None:
    """The newest known values of a file."""
    now = int(time.time()) // 2 * 2
    found = fetch(file, now - 20, now, 2) if file.exists() else {}
    return found[max(found)] if found else None


GMOND = """
globals {{ daemonize = no  setuid = no  send_metadata_interval = 1  override_hostname = "real-gmond" }}
cluster {{ name = "debian hosts"  owner = "lab" }}
udp_send_channel {{ host = 127.0.0.1  port = {udp}  ttl = 1 }}
udp_recv_channel {{ port = {udp}  bind = 127.0.0.1 }}
tcp_accept_channel {{ port = {tcp}  bind = 127.0.0.1 }}
modules {{
  module {{ name = "core_metrics" }}
  module {{ name = "cpu_module"  path = "{modules}/modcpu.so" }}
  module {{ name = "load_module"  path = "{modules}/modload.so" }}
  module {{ name = "mem_module"  path = "{modules}/modmem.so" }}
}}
collection_group {{ collect_once = yes  time_threshold = 1  metric {{ name = "heartbeat" }} }}
collection_group {{ collect_every = 1  time_threshold = 1
  metric {{ name = "load_one" }}
  metric {{ name = "mem_free" }}
}}
collection_group {{ collect_once = yes  time_threshold = 1
  metric {{ name = "cpu_num" }}
  metric {{ name = "mem_total" }}
}}
"""


def test_a_debian_gmond_below_us(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """A gmond that measures its own host: its cluster stands beside ours, with its own words and numbers."""
    path, udp, tcp = require_program("gmond"), free_port(), free_port()
    modules = next(Path(path).parents[1].glob("lib*/**/ganglia/modcpu.so")).parent
    (tmp_path / "gmond.conf").write_text(GMOND.format(udp=udp, tcp=tcp, modules=modules), "ascii")
    more = f'[[gmetad.sources]]\nname = "debian"\naddresses = ["{HOME}:{tcp}"]\ninterval = 1\n'
    arguments = [path, "-c", str(tmp_path / "gmond.conf")]
    with (
        running(arguments, tmp_path / "gmond.log") as gmond,
        level(tmp_path / "ours", config(CLUSTER, GRID, more=more)) as ours,
    ):
        feed(ours.served.sflow)
        place = f"GRID/CLUSTER[@NAME='{CLUSTER}']"
        wait_for("our hosts", lambda: states(ours.ask("/?filter=summary").find(place)) == (HOSTS, 0))
        wanted = ["cpu_num", "load_one", "mem_free", "mem_total"]

        def host() -> ElementTree.Element | None:
            found = ours.ask("/debian hosts/real-gmond").find("GRID/CLUSTER/HOST")
            return found if gmond.runs() and found is not None and sorted(_names(found)) == wanted else None

        values = {one.attrib["NAME"]: one for one in wait_for("the host of gmond", host, 15).iter("METRIC")}
        document = ElementTree.fromstring(read_all((HOME, tcp)))
        for metric in document.iter("METRIC"):
            for key in ("TYPE", "UNITS", "SLOPE", "TMAX", "DMAX"):
                assert values[metric.attrib["NAME"]].attrib[key] == metric.attrib[key]
        constant = {name: values[name].attrib["VAL"] for name in ("cpu_num", "mem_total")}
        assert {name: document.find(f".//METRIC[@NAME='{name}']").attrib["VAL"] for name in constant} == constant  # type: ignore[union-attr]
        summary = ours.ask("/?filter=summary").find("GRID")
        assert summary is not None
        assert [one.get("NAME") for one in summary.iterfind("CLUSTER")] == [CLUSTER, "debian hosts"]
        assert states(summary.find("CLUSTER[@NAME='debian hosts']")) == (1, 0)
        own = sums(summary.find(f"CLUSTER[@NAME='{CLUSTER}']"))["cpu_num"]
        assert sums(summary)["cpu_num"] == (own[0] + float(constant["cpu_num"]), HOSTS + 1)
