"""Remote write into a real Prometheus and a real VictoriaMetrics: the page's numbers, nothing lost, ends at once."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sflow_gmetrics.simulation import Fleet
from tests.e2e.servers import HOME, Prometheus, Served, feeding, fetch, free_port, serving, wait_for
from tests.e2e.stores import receiver, victoria_metrics
from tests.exporters.write_requests import read_body

pytestmark = pytest.mark.e2e

POOLS = '[[pools]]\nname = "web"\nhosts = "web-.*"\n'
CPU = 'sflow_pool_service_cpu_seconds_total{pool="web",service="nginx.service"}'
FPM = "php8.2-fpm.service"


def store(port: int, name: str, more: str = "") -> str:
    """A table of a store on this machine that is written to often."""
    return (
        f'[[remote_write]]\nurl = "http://{HOME}:{port}/api/v1/write"\nname = "{name}"\n'
        f"interval = 0.4\nmin_backoff = 0.1\nmax_backoff = 0.5\n{more}\n"
    )


def on_page(ours: Served, name: str, **labels: str) -> float:
    """The sum of a family's samples with these labels."""
    return sum(
        one.value
        for family in text_string_to_metric_families(ours.page().decode())
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    )


def outcome(ours: Served, name: str, word: str) -> float:
    """How many samples for a store have come to this."""
    return on_page(ours, "sflow_collector_remote_write_samples_total", endpoint=name, outcome=word)


def times_of(there: Prometheus, selector: str) -> set[tuple[str, float]]:
    """Host and time of every sample that a store has."""
    page = fetch(f"{there.url}/api/v1/query?{urllib.parse.urlencode({'query': f'{selector}[5m]'})}")
    result = json.loads(page)["data"]["result"]
    return {(one["metric"]["host"], float(when)) for one in result for when, _ in one["values"]}


def wait_in(stores: Iterable[Prometheus], what: str, condition: Callable[[Prometheus], object], seconds: float) -> None:
    """Wait until this holds in each of them."""
    for there in stores:
        wait_for(what, functools.partial(condition, there), seconds)


def test_two_stores_have_what_the_page_has_and_forget_at_once(
    tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    fleet = Fleet(6, 5, 1.0, seed=7, start=time.time())
    webs = [agent.name for agent in fleet.agents if agent.pool == "web"]
    account = fleet.ledger.account("web", "nginx.service")
    ports = free_port(), free_port()
    with (
        receiver(require_program("prometheus"), tmp_path / "prometheus", ports[0]) as one,
        victoria_metrics(require_program("victoria-metrics"), tmp_path / "victoria", ports[1]) as other,
    ):
        both = (one, other)
        with (
            serving(tmp_path, POOLS + store(ports[0], "one") + store(ports[1], "other")) as ours,
            feeding(ours.sflow, fleet) as lock,
        ):
            up = f'sflow_service_up{{service="{FPM}"}}'
            wait_in(both, "every host's service", lambda there: len(there.query(up)) == len(webs), 20)
            with lock:
                for name in webs:
                    fleet.stop_service(name, FPM)
            wait_for("a page without the service", lambda: not on_page(ours, "sflow_service_up", service=FPM), 15)
            wait_in(both, "a store without it", lambda there: not there.query(up), 5)
            hosts = f'sflow_pool_service_hosts{{service="{FPM}"}}'
            wait_in(both, "a service without hosts", lambda there: there.number(hosts) == 0, 5)
            with lock:
                for agent in list(fleet.agents):
                    fleet.remove_host(agent.name)
                truth = account.certain.cpu_ms / 1000
            wait_in(both, "the true total", lambda there: there.number(CPU) == pytest.approx(truth, abs=1e-6), 10)
            shown = on_page(ours, "sflow_pool_service_cpu_seconds_total", pool="web", service="nginx.service")
            assert shown == pytest.approx(truth, abs=1e-6)
            assert [outcome(ours, name, word) for name in ("one", "other") for word in ("failed", "dropped")] == [0] * 4
        wait_in(both, "nothing, for the collector has ended", lambda there: not there.query('{job="sflow"}'), 5)


def test_a_store_that_was_away_has_every_sample(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    prometheus = require_program("prometheus")
    ports = free_port(), free_port()
    fleet = Fleet(5, 3, 3.0, seed=3, start=time.time())  # seldom, so that no gathering can miss a sample
    load = "sflow_host_load1"
    with (
        victoria_metrics(require_program("victoria-metrics"), tmp_path / "victoria", ports[1]) as stays,
        serving(tmp_path, POOLS + store(ports[0], "leaves") + store(ports[1], "stays")) as ours,
        feeding(ours.sflow, fleet) as lock,
    ):
        with receiver(prometheus, tmp_path / "prometheus", ports[0]) as there:
            wait_for("all hosts", lambda: len(there.query(load)) == 5, 20)
        before = len(times_of(stays, load))
        wait_for("samples that wait", lambda: outcome(ours, "leaves", "retried") > 0, 10)
        wait_for("two samples of each host meanwhile", lambda: len(times_of(stays, load)) >= before + 10, 20)
        with receiver(prometheus, tmp_path / "prometheus", ports[0]) as there:
            with lock:
                for agent in list(fleet.agents):
                    fleet.remove_host(agent.name)
            wait_for(
                "an empty queue",
                lambda: (
                    outcome(ours, "leaves", "sent")
                    and not on_page(ours, "sflow_collector_remote_write_pending_samples", endpoint="leaves")
                ),
                15,
            )
            wait_for("the same samples", lambda: times_of(there, load) == times_of(stays, load), 10)
            assert len(times_of(there, load)) >= before + 10
        assert outcome(ours, "leaves", "failed") == outcome(ours, "leaves", "dropped") == 0
        wait_for("a line", lambda: ours.program.search("takes samples again"))


class Refusing:
    """A store that takes nothing: what it was sent, by the time of the newest sample in each request."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []


@contextlib.contextmanager
def refusing() -> Iterator[tuple[int, Refusing]]:
    """A real HTTP server that answers every request with 400."""
    kept = Refusing()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(400)
            self.end_headers()
            self.wfile.write(b"out of bounds:\nno thanks")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOME, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1], kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_store_that_refuses_is_not_asked_again_and_holds_nobody_up(
    tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    port, fleet = free_port(), Fleet(3, 3, 1.0, start=time.time())
    with (
        refusing() as (refuses, kept),
        victoria_metrics(require_program("victoria-metrics"), tmp_path / "victoria", port) as good,
        serving(tmp_path, POOLS + store(refuses, "refuses") + store(port, "good")) as ours,
        feeding(ours.sflow, fleet),
    ):
        wait_for("hosts in the good store", lambda: len(good.query("sflow_host_up")) == 3, 20)
        wait_for("some refusals", lambda: len(kept.bodies) >= 4 and outcome(ours, "refuses", "failed"), 10)
        assert outcome(ours, "refuses", "sent") == outcome(ours, "refuses", "retried") == 0
        assert outcome(ours, "good", "sent") > 0
        assert outcome(ours, "good", "failed") == 0
        wait_for(
            "the store's words",
            lambda: (
                "remote write to refuses: refused" in ours.program.said()
                and "status 400: out of bounds: no thanks" in ours.program.said()
            ),
            5,
        )
        bodies = list(kept.bodies)
        newest = [max(one.time_ms for one in read_body(body)) for body in bodies]
        assert newest == sorted(set(newest)), "each is sent once"


def test_one_query_over_two_collectors(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    port = free_port()
    fleets = [Fleet(4, 4, 1.0, seed=seed, start=time.time()) for seed in (1, 2)]
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    tables = [POOLS + store(port, "both", f'external_labels = {{ instance = "{folder.name}" }}') for folder in folders]
    with (
        victoria_metrics(require_program("victoria-metrics"), tmp_path / "victoria", port) as there,
        serving(folders[0], tables[0]) as one,
        serving(folders[1], tables[1]) as other,
        feeding(one.sflow, fleets[0]) as lock,
        feeding(other.sflow, fleets[1]) as other_lock,
    ):
        hosts = 'sum(sflow_pool_hosts{state="up"})'
        wait_for("all hosts of both", lambda: there.number(hosts) == 8, 20)
        wait_for("their work", lambda: (there.number("sum(sflow_pool_cpu_seconds_total)") or 0) > 2, 10)
        for holding, fleet in ((lock, fleets[0]), (other_lock, fleets[1])):
            with holding:
                for agent in list(fleet.agents):
                    fleet.remove_host(agent.name)
        time.sleep(0.5)

        def pages() -> dict[tuple[str, str], float]:
            found: dict[tuple[str, str], float] = {}
            for page in (one.page(), other.page()):
                for family in text_string_to_metric_families(page.decode()):
                    for sample in family.samples:
                        if sample.name == "sflow_pool_service_cpu_seconds_total":
                            key = sample.labels["pool"], sample.labels["service"]
                            found[key] = found.get(key, 0.0) + sample.value
            return found

        def stored() -> dict[tuple[str, str], float]:
            sums = there.query("sum by (pool, service) (sflow_pool_service_cpu_seconds_total)")
            return {(dict(labels)["pool"], dict(labels)["service"]): value for labels, value in sums.items()}

        truth = pages()
        assert len(truth) > 4
        wait_for("the sum of both pages", lambda: stored() == pytest.approx(truth, abs=1e-6), 10)
        instances = {dict(labels)["instance"] for labels in there.query("sflow_collector_build_info")}
        assert instances == {"a", "b"}
