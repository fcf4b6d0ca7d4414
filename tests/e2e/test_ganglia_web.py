"""ganglia-web on the collector alone (its RRD files, its interactive port), and on a real gmetad above it.

One `serve` feeds both: five hosts in two pools, a recording of real agents.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from exporters.view_files import MARK
from exporters.views import RESERVED
from sflow_gmetrics.demo import schedule
from sflow_gmetrics.replay import open_sender
from tests.conftest import IN_CI
from tests.e2e.ganglia_web import CONF, PACKAGED, GangliaWeb, ganglia_web, mended_copy
from tests.e2e.rrdcached import rrdcached
from tests.e2e.servers import Gmetad, Served, gmetad, serving, wait_for

pytestmark = pytest.mark.e2e

CONFIG = """
[gmetad]
interactive_listen = "127.0.0.1:0"
grid = "e2e grid"
[rrd]
root = "{root}"
rrdcached = "{rrdcached}"
step = 1
write_every = 1
rra = ["AVERAGE:0.5:1:900"]
service_rra = ["AVERAGE:0.5:1:900"]
[views]
directory = "{views}"
reports = "{reports}"
[[pools]]
name = "web"
hosts = "web-.*"
[[pools]]
name = "db"
hosts = "db-.*"
"""
POOLS = {"web": ["web-host-01", "web-host-02", "web-host-03"], "db": ["db-host-01", "db-host-02"]}
SUMMARY = "__SummaryInfo__"
NUMERIC = {"float", "double", "int8", "uint8", "int16", "uint16", "int32", "uint32"}
TOTAL = "nginx.service.vcpu_util"


class Feeder(threading.Thread):
    """Sends what five agents would send, in real time; it can hold its breath."""

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._ending = threading.Event()
        self._running = threading.Event()
        self._running.set()

    def run(self) -> None:
        with open_sender(*self._target) as sender:
            for pause, payload in schedule():
                self._running.wait()
                if self._ending.wait(pause):
                    return
                sender.send(payload)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing is sent for as long as this lasts."""
        self._running.clear()
        try:
            yield
        finally:
            self._running.set()

    def stop(self) -> None:
        self._ending.set()
        self._running.set()
        self.join(5)


@dataclass(frozen=True)
class Bench:
    ours: Served
    feeder: Feeder
    rrds: Path
    views: Path
    daemon: str
    gmetad: Gmetad
    alone: GangliaWeb
    above: GangliaWeb

    def metrics(self) -> dict[str, dict[str, dict[str, str]]]:
        """Pools, hosts and their numeric metrics, as the gmond port prints them."""
        return {
            cluster.attrib["NAME"]: {
                host.attrib["NAME"]: {
                    one.attrib["NAME"]: one.attrib["VAL"]
                    for one in host.iter("METRIC")
                    if one.attrib["TYPE"] in NUMERIC
                }
                for host in cluster.iter("HOST")
            }
            for cluster in ElementTree.fromstring(self.ours.xml()).iter("CLUSTER")
        }


def all_there(metrics: dict[str, dict[str, dict[str, str]]]) -> bool:
    """Whether every host has said its name and has rates."""
    return all("bytes_in" in metrics.get(pool, {}).get(host, {}) for pool, hosts in POOLS.items() for host in hosts)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]) -> Iterator[Bench]:
    php, daemon, poller = (require_program(name) for name in ("php", "rrdcached", "gmetad"))
    require_program("rrdtool")
    if not PACKAGED.is_dir():
        reason = "ganglia-webfrontend is not installed; `tools/setup-system test` installs what the tests start"
        pytest.fail(reason, pytrace=False) if IN_CI else pytest.skip(reason)
    folder = tmp_path_factory.mktemp("web")
    root, rrds, views = folder / "root", folder / "our rrds", folder / "views"
    reports = mended_copy(root)
    shutil.copytree(CONF / "views", views)
    with contextlib.ExitStack() as stack:
        caching = stack.enter_context(rrdcached(daemon, folder, rrds))
        config = CONFIG.format(root=rrds, rrdcached=caching.address, views=views, reports=reports)
        ours = stack.enter_context(serving(folder, config))
        theirs = stack.enter_context(gmetad(poller, folder, ours.gmond))
        port = wait_for("our port", lambda: ours.program.search(r"interactive port on TCP \S+:(\d+)"))[1]
        feeder = Feeder(ours.sflow)
        feeder.start()
        stack.callback(feeder.stop)

        def web(name: str, port: int, rrds: Path, daemon: str) -> GangliaWeb:
            settings = {"ganglia_port": port, "rrds": rrds, "rrdcached_socket": daemon, "views_dir": views}
            return stack.enter_context(ganglia_web(php, root, folder / name, f"conf-{name}.php", **settings))

        alone = web("without-gmetad", int(port), rrds, caching.address)
        above = web("with-gmetad", theirs.interactive_port, theirs.rrds, "")
        both = Bench(ours, feeder, rrds, views, caching.address, theirs, alone, above)
        wait_for("all hosts", lambda: all_there(both.metrics()), 40, 0.5)
        wait_for("the views", lambda: (views / "view_web_nginx_service.json").exists(), 40, 0.5)
        yield both


# --- values


def fetch_all(files: list[Path], at: int, daemon: str) -> list[tuple[float, ...]]:
    """What `rrdtool fetch` prints of each file for a second, the newest values from the daemon included."""
    commands = [f'fetch "{file}" AVERAGE -s {at - 1} -e {at} --daemon {daemon}' for file in files]
    text = subprocess.run(
        ["rrdtool", "-"], input="\n".join([*commands, ""]), check=True, capture_output=True, text=True, timeout=60
    ).stdout
    answers = re.split(r"^(?:OK|ERROR).*$", text, flags=re.MULTILINE)[:-1]
    rows = [re.search(rf"^{at}: (.*)$", answer, re.MULTILINE) for answer in answers]
    return [tuple(map(float, row[1].split())) if row else () for row in rows]


def printed(number: Decimal | int) -> float:
    """A number as `rrdtool fetch` prints it."""
    return float(f"{number:.10e}")


def summed(hosts: list[dict[str, str]]) -> dict[str, tuple[float, float]]:
    """The sum and the number of each metric over hosts."""
    names = {name for metrics in hosts for name in metrics}
    lists = {name: [Decimal(metrics[name]) for metrics in hosts if name in metrics] for name in names}
    return {name: (printed(sum(values)), len(values)) for name, values in lists.items()}


def still(bench: Bench) -> tuple[dict[str, dict[str, dict[str, str]]], int] | None:
    """The metrics at a second, when nothing was sent before and after it; None where a service went meanwhile."""
    with bench.feeder.silent():
        time.sleep(0.5)
        metrics = bench.metrics()
        at = int(time.time()) + 2
        time.sleep(max(at + 1.3 - time.time(), 0))
        return (metrics, at) if all_there(metrics) and bench.metrics() == metrics else None


def test_the_rrd_files_hold_what_the_collector_says(bench: Bench) -> None:
    metrics, at = wait_for("a moment in which no service goes", lambda: still(bench), 40, 4.0)
    expected: dict[Path, tuple[float, ...]] = {}
    for pool, hosts in metrics.items():
        for host, values in hosts.items():
            for name, value in values.items():
                expected[bench.rrds / pool / host / f"{name}.rrd"] = (printed(Decimal(value)),)
        for name, sums in summed(list(hosts.values())).items():
            expected[bench.rrds / pool / SUMMARY / f"{name}.rrd"] = sums
    for name, sums in summed([one for hosts in metrics.values() for one in hosts.values()]).items():
        expected[bench.rrds / SUMMARY / f"{name}.rrd"] = sums
    stored = dict(zip(expected, fetch_all(list(expected), at, bench.daemon), strict=True))
    wrong = {str(file): (stored[file], value) for file, value in expected.items() if stored[file] != value}
    assert not wrong
    assert len(expected) > 900
    assert stored[bench.rrds / "web" / SUMMARY / f"{TOTAL}.rrd"][1] >= 2


# --- pages

PAGES = {
    "grid": {"r": "hour"},
    "tree": {"t": "yes"},
    "pool": {"c": "web", "m": "load_one", "r": "hour", "sh": "1"},
    "pool without hosts": {"c": "db", "sh": "0"},
    "physical": {"c": "web", "p": "2"},
    "host": {"c": "web", "h": "web-host-01", "r": "hour"},
    "node": {"c": "web", "h": "web-host-01", "p": "1"},
}
GRAPHS = {"grid": 6, "tree": 0, "pool": 9, "pool without hosts": 6, "physical": 0, "host": 80, "node": 0}
"""How many graphs are on each, at least."""


@pytest.fixture(params=["alone", "above"])
def web(request: pytest.FixtureRequest, bench: Bench) -> GangliaWeb:
    """ganglia-web without a gmetad, and with one."""
    found: GangliaWeb = getattr(bench, request.param)
    wait_for("load in a graph", lambda: found.numbers("graph.php?g=load_report&c=web&r=hour").get("1-min"), 20, 0.5)
    return found


def broken(web: GangliaWeb, page: str) -> list[str]:
    """The graphs of a page that are no pictures."""
    return [
        f"{one.status} {one.type} {len(one.body)} {one.url}"
        for one in web.get_all(web.graphs_on(page))
        if not one.is_graph
    ]


def has_numbers(web: GangliaWeb, url: str) -> None:
    """Every line of a graph has values; a service that has just come is given time."""

    def numbers() -> bool:
        lines = web.numbers(url)
        return bool(lines) and all(lines.values())

    wait_for(f"numbers in {url}", numbers, 20, 1.0)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_its_graphs_are_drawn(web: GangliaWeb, name: str) -> None:
    page = web.page(**PAGES[name])
    assert not broken(web, page)
    assert len(web.graphs_on(page)) >= GRAPHS[name]
    assert not web.php_errors()


def test_pages_name_the_pools_and_their_hosts(web: GangliaWeb) -> None:
    grid, pool, physical = (web.page(**PAGES[name]) for name in ("grid", "pool", "physical"))
    assert all(f"?c={name}&" in grid for name in POOLS)
    for host in POOLS["web"]:
        assert host in pool
        assert host in physical
    assert re.search(r"CPUs Total:.*?>\s*6\s*</", pool, re.DOTALL)
    assert re.search(r"Hosts up:.*?>\s*3\s*</", pool, re.DOTALL)
    assert TOTAL in web.page(**PAGES["host"])


def test_the_reports_of_pools_and_hosts_have_numbers(web: GangliaWeb) -> None:
    for name in ("grid", "pool", "host"):
        urls = [url for url in web.graphs_on(web.page(**PAGES[name])) if "/graph.php?" in url and "g=" in url]
        reports = [url for url in urls if "c=e2e&" not in url]  # the pool of hosts that have not said their names yet
        assert reports
        for url in reports:
            has_numbers(web, url)


def test_every_view_has_graphs_with_numbers(bench: Bench, web: GangliaWeb) -> None:
    files = sorted(bench.views.glob("view_*.json"))
    assert len(files) > 12
    for file in files:
        view = json.loads(file.read_text())
        page = web.page(tab="v", vn=view["view_name"])
        assert not broken(web, page)
        urls = web.graphs_on(page)
        assert len(urls) >= len(view["items"])
        if view.get("generated_by") == MARK:
            for url in urls:
                has_numbers(web, url)
    assert not web.php_errors()


def test_a_service_view_shows_its_hosts_and_its_pool(web: GangliaWeb) -> None:
    stack = web.numbers("graph.php?vn=web_nginx_service&item_id=cpu&r=hour")
    assert set(stack) == set(POOLS["web"])

    def report() -> dict[str, list[float]]:
        return web.numbers("graph.php?g=nginx_service_report&c=web&r=hour")

    wait_for("nginx on three hosts", lambda: max(report()["instances"]) == 3, 30, 1.0)
    total = report()
    assert 0 < max(total["total CPU"]) <= 3 * 200
    services = web.numbers("graph.php?vn=web_services&item_id=cpu&r=hour")
    assert {"nginx", "ssh", "hsflowd"} <= set(services)
    assert "redis-server" not in services
    assert set(web.numbers("graph.php?g=services_cpu_report&h=web-host-01&c=web&r=hour")) >= {"nginx", "ssh"}


def test_ganglia_web_has_no_report_that_a_service_could_take() -> None:
    if not PACKAGED.is_dir():
        pytest.skip("ganglia-webfrontend is not installed")
    reports = [*(PACKAGED / "graph.d").iterdir(), *(CONF / "graph.d").iterdir()]
    assert {one.stem.removesuffix("_report") for one in reports} - {"services_stack"} == RESERVED
