"""The mixin on a real Prometheus: every rule evaluates, every panel has data, and node_exporter's expressions work."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sflow_gmetrics.simulation import Fleet
from tests.e2e import everything
from tests.e2e.servers import HOME, Prometheus, feeding, free_port, prometheus, serving, wait_for
from tests.mixin.promql import MIXIN, RULES, metric_names, panels_of, rules

pytestmark = pytest.mark.e2e

NGINX = "nginx.service"


@dataclass(frozen=True)
class Site:
    """A Prometheus with the mixin's rules on a collector that uses all that it can."""

    prometheus: Prometheus
    fleet: Fleet


class _Takes(BaseHTTPRequestHandler):
    """A store that takes whatever it is sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


@contextlib.contextmanager
def _store() -> Iterator[str]:
    with ThreadingHTTPServer((HOME, 0), _Takes) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOME}:{server.server_port}/api/v1/write"
        finally:
            server.shutdown()
            thread.join()


def _config(folder: Path, store: str) -> str:
    return f"""
    groups = ["app", "gpu", "http", "interface", "jvm", "memcached", "netstat"]
    [[pools]]
    name = "web"
    hosts = "web-.*"
    [rrd]
    root = "{folder / "rrd"}"
    step = 1
    write_every = 1
    [[gmetad.sources]]
    name = "away"
    addresses = ["127.0.0.1:{free_port()}"]
    interval = 1
    [[remote_write]]
    url = "{store}"
    interval = 1
    """


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("mixin")
    fleet = Fleet(6, 5, 1.0, start=time.time())
    with (
        _store() as store,
        serving(folder, _config(folder, store)) as ours,
        feeding(ours.sflow, fleet) as lock,
        feeding(ours.sflow, everything.Everything(time.time())),
        prometheus(require_program("prometheus"), folder, ours.web, rules=RULES) as theirs,
    ):
        wait_for("hosts in Prometheus", lambda: len(theirs.query("sflow_host_up == 1")) == 7, 40)
        ours.xml()
        with lock:
            fleet.restart_service(fleet.agents[0].name, NGINX)
            fleet.remove_host(fleet.agents[-1].name)
        last = 'node_cpu_seconds_total{cpu="63"}'
        wait_for("counts of what happened", lambda: theirs.query("sflow_collector_series_resets_total"), 40)
        wait_for("a host that is down", lambda: theirs.query("sflow_host_up == 0"), 40)
        wait_for("a pending alert", lambda: theirs.query('ALERTS{alertname="SflowHostDown"}'), 40)
        wait_for("rates of what the rules record", lambda: theirs.query(f"rate({last}[1m])"), 40)
        yield Site(theirs, fleet)


def test_every_rule_evaluates_and_records(site: Site) -> None:
    for group in site.prometheus.ask("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok" or rule["name"] in SLOW, f"{rule['name']}: {rule.get('lastError')}"
    names = set(site.prometheus.ask("label/__name__/values"))
    assert set(rules("record")) - names <= SLOW


SLOW = {"pool_service:sflow_pool_service_hosts:median6h"}
"""Recorded once a minute; promtool's tests see to it."""

CHOICES = (
    {"pool": "web", "host": "web-001", "service": NGINX, "instance": ".+"},
    *(
        {"pool": "web", "host": everything.HOST, "service": service, "instance": ".+"}
        for service in everything.SERVICES
    ),
)
"""What a reader may choose."""


def _several(board: dict[str, Any]) -> set[str]:
    """The variables that may have several values."""
    return {one["name"] for one in board["templating"]["list"] if one.get("multi")}


def _asked(expression: str, several: set[str], choice: dict[str, str]) -> str:
    """The expression as Grafana sends it."""
    for name, value in choice.items():
        expression = expression.replace(f'"${name}"', '".+"' if name in several else f'"{value}"')
    return expression.replace("$__rate_interval", "30s").replace("$__range", "60s")


BOARDS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((MIXIN / "dashboards").glob("*.json"))}
PANELS = [
    pytest.param(
        panel, {one["name"] for one in board["templating"]["list"] if one.get("multi")}, id=f"{name} {panel['id']}"
    )
    for name, board in BOARDS.items()
    for panel in panels_of(board)
    if panel["type"] != "row"
]


@pytest.mark.parametrize(("panel", "several"), PANELS)
def test_a_panel_has_data(panel: dict[str, Any], several: set[str], site: Site) -> None:
    for target in panel["targets"]:
        answers = (site.prometheus.query(_asked(target["expr"], several, choice)) for choice in CHOICES)
        found = next((answer for answer in answers if answer), None)
        assert found, f"no data for {panel['title']}: {target['expr']}"
        assert "$" not in _asked(target["expr"], several, CHOICES[0])
        if panel["type"] == "table":
            renamed = panel["transformations"][1]["options"]["renameByName"]
            labels = {name for name in renamed if not name.startswith("Value")}
            assert {frozenset(name for name, _ in one) for one in found} == {frozenset(labels)}
        elif panel["type"] == "stat":
            assert len(found) == 1


def test_a_variable_has_values(site: Site) -> None:
    for board in BOARDS.values():
        for one in board["templating"]["list"][1:]:
            selector, label = one["definition"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            chosen = _asked(selector, set(), CHOICES[0])
            assert site.prometheus.ask(f"label/{label}/values", **{"match[]": chosen}), one["definition"]


def test_node_exporters_expressions_say_what_our_own_say(site: Site) -> None:
    theirs, agent = site.prometheus, site.fleet.agents[1]
    it = f'instance="{agent.name}", job="node"'
    number = theirs.number
    assert number(f"count(count by (cpu) (node_cpu_seconds_total{{{it}}}))") == agent.cpus
    busy = number(f'100 - (avg by (instance) (rate(node_cpu_seconds_total{{mode="idle", {it}}}[1m])) * 100)')
    assert busy is not None
    assert -10 < busy < 110
    for mode in ("idle", "user", "iowait"):
        total = number(f'sum(node_cpu_seconds_total{{mode="{mode}", {it}}})')
        own = number(f'sflow_host_cpu_seconds_total{{mode="{mode}", host="{agent.name}"}}')
        assert total == pytest.approx(own, rel=0.02)
    used = number(f"100 * (1 - node_memory_MemAvailable_bytes{{{it}}} / node_memory_MemTotal_bytes{{{it}}})")
    assert used is not None
    assert 5 < used < 95
    for expression in (
        f"node_load1{{{it}}}",
        f'sum by (instance) (rate(node_network_receive_bytes_total{{device!="lo", {it}}}[1m]))',
        f"rate(node_disk_written_bytes_total{{{it}}}[1m])",
        f"node_time_seconds{{{it}}} - node_boot_time_seconds{{{it}}}",
        f'node_filesystem_avail_bytes{{{it}, fstype!="tmpfs"}} / node_filesystem_size_bytes{{{it}}}',
        f"node_netstat_Tcp_CurrEstab{{{it}}}",
        f'node_uname_info{{{it}, nodename="{agent.name}", sysname="linux"}}',
    ):
        assert len(theirs.query(expression)) == 1, expression
        assert all(name.startswith("node_") for name in metric_names(expression))
