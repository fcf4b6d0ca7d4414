"""An unmodified Prometheus on top of the page: its rates against the truth, its staleness, and promtool's opinion."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sflow_gmetrics.simulation import Fleet
from tests.e2e.servers import feeding, prometheus, serving, wait_for

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
        wait_for("a Prometheus without the stopped service", lambda: not theirs.query(gone), 5)
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


def test_promtool_finds_nothing_to_mend(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    promtool = require_program("promtool")
    fleet = Fleet(4, 5, 1.0, start=time.time())
    with serving(tmp_path, POOLS) as ours, feeding(ours.sflow, fleet):
        page = wait_for(
            "a page with sums", lambda: _lines(page := ours.page(), "sflow_pool_service_cpu_seconds_total") and page
        )
        checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
