"""An unmodified Prometheus on top of the page: its rates against the truth, its staleness, and promtool's opinion."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from exporters.prometheus import CONTENT_TYPE
from sflow_gmetrics.config import GROUPS
from sflow_gmetrics.simulation import Churn, Fleet
from sflow_gmetrics.simulation.fleet import pools_toml
from sflow_gmetrics.simulation.naming import ROLES
from tests.e2e.servers import CONFIG, HOME, ROOT, feeding, fetch, prometheus, replaying, serving, wait_for
from tests.recordings import packets

pytestmark = pytest.mark.e2e

POOLS = '[[pools]]\nname = "web"\nhosts = "web-.*"\n'
NGINX = 'sflow_pool_service_cpu_seconds_total{pool="web",service="nginx.service"}'
FPM = "php8.2-fpm.service"
SPAN = 12
"""Seconds over which rates are taken."""


def test_prometheus_computes_true_rates_and_forgets(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    program = require_program("prometheus")
    fleet = Fleet(6, 5, 1.0, seed=7, start=time.time())
    webs = [agent.name for agent in fleet.agents if agent.pool == "web"]
    account = fleet.ledger.account("web", "nginx.service")
    with (
        serving(tmp_path, POOLS) as ours,
        feeding(ours.sflow, fleet) as lock,
        prometheus(program, tmp_path, ours.web) as theirs,
    ):
        assert len(webs) > 1
        live = f'sflow_pool_service_hosts{{service="nginx.service"}} == {len(webs)}'
        wait_for("nginx of all hosts in Prometheus", lambda: theirs.number(live), 20)
        begun, done = time.monotonic(), account.done.cpu_ms
        scrapes = f"count_over_time({NGINX}[1m])"
        wanted = (theirs.number(scrapes) or 0) + SPAN + 1
        wait_for("a span of samples", lambda: (theirs.number(scrapes) or 0) >= wanted, SPAN + 10)
        cpus = (account.done.cpu_ms - done) / 1000 / (time.monotonic() - begun)
        rate = theirs.number(f"rate({NGINX}[{SPAN}s])")
        assert cpus > 0.01
        assert rate == pytest.approx(cpus, rel=0.25)
        by_host = theirs.number(
            f'sum(rate(sflow_service_cpu_seconds_total{{service="nginx.service",pool="web"}}[{SPAN}s]))'
        )
        assert by_host == pytest.approx(rate, rel=0.05)

        # a service stops everywhere: instant queries know it no longer than the page does
        with lock:
            for name in webs:
                fleet.stop_service(name, FPM)
        gone = f'sflow_service_up{{service="{FPM}"}}'
        assert len(theirs.query(gone)) == len(webs)
        wait_for("a page without the stopped service", lambda: _lines(ours.page(), "sflow_service_up", FPM) == [], 15)
        page_is_without = time.time()
        wait_for("one more scrape", lambda: (theirs.number("timestamp(up)") or 0) > page_is_without, 10, pause=0.01)
        assert not theirs.query(gone), "one scrape is enough"
        assert len(theirs.query('sflow_service_up{service="nginx.service",pool="web"}')) == len(webs)
        assert theirs.number(f'sflow_pool_service_hosts{{service="{FPM}"}}') == 0
        assert theirs.number("up") == 1

        # nobody sends any more: what the pool has done is exactly what was really done
        with lock:
            for agent in fleet.agents:
                fleet.remove_host(agent.name)
            truth = account.certain.cpu_ms / 1000
        wait_for("the true total", lambda: theirs.number(NGINX) == pytest.approx(truth, abs=1e-6), 6)


def _lines(page: bytes, *words: str) -> list[str]:
    return [
        line for line in page.decode().splitlines() if not line.startswith("#") and all(one in line for one in words)
    ]


CHURN = Churn(restarts=90)
"""Each service and each agent restarts three times in two minutes."""
WINDOW = 20
"""Seconds over which two rates are compared."""


def test_pool_rates_are_those_of_the_hosts_while_services_restart_and_a_host_leaves(
    tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    """In both formats: a Prometheus of this age asks for OpenMetrics, so text comes by way of a relay."""
    program = require_program("prometheus")
    fleet = Fleet(12, 4, 1.0, seed=5, start=time.time(), churn=CHURN, roles=ROLES[:1])
    leaves = fleet.agents[0].name
    with serving(tmp_path, pools_toml()) as ours, feeding(ours.sflow, fleet) as lock, relaying(ours.web) as text:
        jobs = [{"job_name": "text", "honor_labels": True, "static_configs": [{"targets": [text]}]}]
        with prometheus(program, tmp_path, ours.web, "500ms", jobs=jobs) as theirs:
            scrapes = f"count_over_time(sflow_collector_datagrams_total{{job='sflow'}}[{2 * WINDOW}s])"
            wait_for("half a window of samples", lambda: (theirs.number(scrapes) or 0) >= WINDOW, 40, pause=0.5)
            with lock:
                fleet.remove_host(leaves)
            gone = f"sflow_host_up{{host='{leaves}',job='sflow'}} == 0"
            wait_for("a host that is down", lambda: theirs.query(gone), 20)
            wait_for("a whole window", lambda: (theirs.number(scrapes) or 0) >= 2 * WINDOW + 4, 60, pause=0.5)
            for job in ("sflow", "text"):
                pools, hosts = (
                    theirs.query(f"sum by (pool, service) (rate({name}{{job='{job}'}}[{WINDOW}s]))")
                    for name in ("sflow_pool_service_cpu_seconds_total", "sflow_service_cpu_seconds_total")
                )
                assert len(pools) == 4
                assert sum(hosts.values()) == pytest.approx(sum(pools.values()), rel=0.01)
                for key, rate in pools.items():  # whoever restarts at an edge of the window counts for more here
                    assert hosts[key] == pytest.approx(rate, rel=0.03, abs=0.01), sorted(key)
            restarts = theirs.number("sum(sflow_collector_series_resets_total{job='sflow',reason!='gap'})")
            assert (restarts or 0) > 5
            assert theirs.number("count(count by (job) (up == 1))") == 2


@contextlib.contextmanager
def relaying(url: str) -> Iterator[str]:
    """HOST:PORT of a server that gives the pages of `url` in the text format, whatever is asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = fetch(url + self.path, Accept="text/plain", Accept_Encoding="identity")
            assert b"# EOF" not in body
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer((HOME, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"{HOME}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)


def test_the_scrape_configs_of_the_readme_find_and_scrape_everything(
    tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    program, promtool = require_program("prometheus"), require_program("promtool")
    text = (ROOT / "README.md").read_text("utf-8")
    (example,) = [part for part in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "http_sd_configs" in part]
    (tmp_path / "readme.yml").write_text(example, "utf-8")
    checked = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "readme.yml")], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    fleet = Fleet(5, 3, 1.0, start=time.time())
    names = {agent.name for agent in fleet.agents}
    with serving(tmp_path, pools_toml()) as ours, feeding(ours.sflow, fleet):
        wait_for("all hosts", lambda: len(json.loads(ours.page("/sd?by=host"))) == len(names))
        jobs = yaml.safe_load(example.replace("collector.example.net:9343", ours.web.removeprefix("http://")))
        jobs = [job | {"scrape_interval": "1s", "scrape_timeout": "1s"} for job in jobs["scrape_configs"]]
        with prometheus(program, tmp_path, "", jobs=jobs) as theirs:
            wanted = {"sflow-pools": 1, "sflow-hosts": len(names), "sflow-shards": 4}

            def found() -> dict[str, float]:
                return {dict(key)["job"]: number for key, number in theirs.query("count by (job) (up == 1)").items()}

            wait_for("all targets", lambda: found() == wanted, 30)
            instances = {dict(key)["instance"] for key in theirs.query("sflow_host_up{job='sflow-hosts'} == 1")}
            assert instances == names
            for job in ("sflow-hosts", "sflow-shards"):
                shown = theirs.query(f"sum by (host) (sflow_service_up{{job='{job}'}})")
                assert {dict(key)["host"] for key in shown} == names
            assert theirs.number("count(sflow_pool_hosts{job='sflow-pools',state='up'})")
            assert not theirs.query("sflow_pool_hosts{job='sflow-hosts'}")
            assert not theirs.query("sflow_host_up{job='sflow-pools'}")


SELECTED = [
    "/metrics",
    "/metrics?level=pool",
    "/metrics?level=host&level=service",
    "/metrics?level=host&group=netstat&group=interface&group=adaptor",
    "/probe?target=web-001",
]


def test_promtool_finds_nothing_to_mend(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """With all groups on, and agents that send every structure."""
    promtool = require_program("promtool")
    fleet = Fleet(4, 5, 1.0, start=time.time())
    config = CONFIG.replace("[web]", f"[web]\ngroups = {list(GROUPS)}")
    with (
        serving(tmp_path, POOLS, config) as ours,
        feeding(ours.sflow, fleet),
        replaying(ours.sflow, packets("all_counters"), 1000),
    ):
        wait_for("sums", lambda: _lines(ours.page(), "sflow_pool_service_cpu_seconds_total"))
        wait_for("every structure", lambda: all(_lines(ours.page(), f"sflow_{one}_") for one in ("gpu", "jvm", "vdi")))
        for path in SELECTED:
            page = ours.page(path)
            assert page.count(b"# TYPE") > 5
            checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, b""), path
