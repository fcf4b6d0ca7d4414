"""Runs a soak: feeds the fleet, reads every output again and again, and notes what is wrong."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from sflow_gmetrics.simulation import Fleet
from tests.bench.measure import udp_queue
from tests.e2e.servers import feeding, fetch, read_all, wait_for

from .audit import Audits
from .plan import AUDITS, POLL, Plan
from .process import Look, descriptors_of, look_at
from .readings import Page, Totals, read_page
from .site import Site, site

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PAGE_AGE = 2.0
"""How many seconds old a page can be when it is read, at most."""
ZERO: tuple[tuple[str, dict[str, str]], ...] = (
    ("sflow_collector_kernel_drops_total", {}),
    ("sflow_collector_decode_errors_total", {}),
    ("sflow_collector_unknown_records_total", {}),
    ("sflow_collector_rrd_updates_total", {"outcome": "dropped"}),
    ("sflow_collector_remote_write_samples_total", {"outcome": "failed"}),
    ("sflow_collector_remote_write_samples_total", {"outcome": "dropped"}),
    ("sflow_collector_http_hangups_total", {}),
    ("sflow_agent_datagrams_lost_total", {}),
    ("sflow_agent_datagrams_reordered_total", {}),
)
"""What must be 0 at the end: nothing may be lost on one machine."""
ONE = ("sflow_collector_source_up", "sflow_collector_rrd_up")
"""And what must be 1."""


@dataclass
class Watched:
    """What has been seen up to now; `faults` are whatever else was not as it should be."""

    plan: Plan
    totals: Totals
    audits: Audits = field(default_factory=Audits)
    looks: list[Look] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    descriptors: dict[str, int] = field(default_factory=dict)


class _Counted:
    """A fleet, and how many of its datagrams were sent."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.sent = 0

    def datagrams(self, now: float) -> Iterator[tuple[float, bytes]]:
        for one in self.fleet.datagrams(now):
            yield one
            self.sent += 1


def watch(plan: Plan, find: Callable[[str], str], tell: Callable[[str], None]) -> Watched:
    """A whole soak; `find` knows where a program is, and `tell` is told how it goes."""
    watched = Watched(plan, Totals(plan.forget_after - PAGE_AGE))
    with tempfile.TemporaryDirectory() as name:
        with site(plan, Path(name), find) as running:
            fed = _Counted(
                Fleet(plan.hosts, plan.services, plan.interval, seed=plan.seed, start=time.time(), churn=plan.churn)
            )
            with feeding(running.collector.served.sflow, fed) as lock:
                watcher = _Watcher(watched, running, fed, lock)
                watcher.run(tell)
                watcher.end()
            program = running.collector.served.program
        if program.process.returncode != 0:
            watched.faults.append(f"the collector ended with status {program.process.returncode}")
        watched.log = program.said().splitlines()
    return watched


class _Watcher:
    """The rounds of one soak."""

    def __init__(self, watched: Watched, running: Site, fed: _Counted, lock: threading.Lock) -> None:
        self._watched = watched
        self._site = running
        self._fed = fed
        self._lock = lock
        self._start = time.monotonic()
        self._formats = 0

    @property
    def _now(self) -> float:
        return time.monotonic() - self._start

    def run(self, tell: Callable[[str], None]) -> None:
        """Look every second, read every few seconds, audit now and then."""
        seconds = self._watched.plan.seconds
        every = {self._read: POLL, self._audit: seconds / AUDITS, lambda: tell(self._progress()): max(seconds / 60, 5)}
        due = {work: pause * 0.9 for work, pause in every.items()}
        while self._now < seconds:
            self._watched.looks.append(look_at(self._site.pid, self._now))
            for work, when in due.items():
                if self._now >= when:
                    due[work] = when + every[work]
                    self._try(work)
            time.sleep(max(1 - self._now % 1, 0.01))
        self._watched.looks.append(look_at(self._site.pid, self._now))

    def _try(self, work: Callable[[], object]) -> None:
        """A reader that fails is a fault, and the others read on."""
        try:
            work()
        except Exception as error:
            self._watched.faults.append(f"after {self._now:.0f} s: {type(error).__name__}: {error}")

    def _progress(self) -> str:
        look, watched = self._watched.looks[-1], self._watched
        wrong = [one for some in (watched.totals.fallen, watched.audits.wrong, watched.faults) for one in some]
        return (
            f"{look.at / 60:5.1f} min  {look.rss / 1024:7.1f} MB  {look.descriptors:3d} descriptors"
            f"  {self._fed.sent:9,d} datagrams  {watched.totals.looked:12,d} totals compared"
            f"  {watched.audits.made:3d} audits  {len(wrong)} wrong" + (f", such as: {wrong[-1]}" if wrong else "")
        )

    # --- reading

    def _page(self) -> Page:
        """/metrics, in the two formats in turn."""
        self._formats += 1
        accept = OPENMETRICS if self._formats % 2 else "text/plain"
        page = read_page(self._site.collector.served.page(accept=accept).decode(), accept)
        self._watched.totals.look(page, self._now)
        return page

    def _read(self) -> None:
        """A round of all outputs."""
        collector = self._site.collector
        for _ in range(2):
            self._page()
        for document in (collector.served.xml(), read_all(collector.xml)):
            etree.fromstring(document)
        for request in ("/", "/web", "/?filter=summary", "/soak"):
            etree.fromstring(read_all(collector.interactive, request.encode() + b"\n"))
        for path in ("/", "/sd?by=host", "/metrics?level=pool", "/-/healthy"):
            collector.served.page(path)
        name = self._fed.fleet.agents[self._formats % self._watched.plan.hosts].name
        with contextlib.suppress(OSError):  # a host that has not been heard yet, or is down
            fetch(f"{collector.served.web}/probe?target={name}")

    # --- the ledger

    def _audit(self) -> None:
        """Hold the fleet still, let the collector hear all that was sent, and compare."""
        with self._lock:
            self._watched.audits.audit(self._heard_page(), self._fed.fleet.ledger)

    def _heard_page(self) -> Page:
        port = self._site.collector.served.sflow[1]
        wait_for("an empty receive queue", lambda: udp_queue(port)[0] == 0)

        def page() -> Page | None:
            found = self._page()
            return found if found.sum("sflow_collector_datagrams_total") >= self._fed.sent else None

        heard: Page = wait_for(f"a page after {self._fed.sent} datagrams", page)
        return heard

    # --- the end

    def end(self) -> None:
        """What there is to ask when all has been sent: the others must have seen the same."""
        with self._lock:
            page = self._heard_page()
            self._watched.audits.audit(page, self._fed.fleet.ledger)
            self._try(lambda: self._ask_store(page))
            self._try(lambda: self._ask_others(page))
        self._watched.descriptors = dict(descriptors_of(self._site.pid))
        counts = self._watched.counts
        counts["datagrams"] = self._fed.sent
        counts["breaks of series"] = sum(one.breaks for one in self._fed.fleet.ledger.accounts.values())
        counts["names of services"] = len({service for _, service in self._fed.fleet.ledger.accounts})
        counts["hosts heard"] = sum(agents for agents in self._fed.fleet.numbers.values())
        for reason in ("wrap", "restart", "decrease", "gap", "invalid"):
            counts[f"resets: {reason}"] = page.sum("sflow_collector_series_resets_total", reason=reason)

    def _ask_store(self, page: Page) -> None:
        """The store that was written to has the pools' totals as the page has them."""
        name = "sflow_pool_service_cpu_seconds_total"
        here = {(one["pool"], one["service"], one["kind"]): value for one, value in page.of(name)}

        def there() -> dict[tuple[str, str, str], float]:
            found = ((dict(labels), value) for labels, value in self._site.store.query(name).items())
            return {(one["pool"], one["service"], one["kind"]): value for one, value in found}

        wait_for("the same totals in the store", lambda: there() == here, 30, 1.0)

    def _ask_others(self, page: Page) -> None:
        """Prometheus has seen no total fall, gmetad has our pools, and nothing was lost."""
        faults = self._watched.faults
        seconds = max(int(self._now), 60)
        ask = self._site.prometheus.number
        lasting = sorted(name for name in page.totals if name.startswith(("sflow_pool_", "sflow_collector_")))
        resets = {name: ask(f"sum(resets({name}[{seconds}s]))") for name in lasting}
        scrapes = ask(f"sum(count_over_time(up[{seconds}s]))") or 0
        failed = ask(f"sum(count_over_time((up == 0)[{seconds}s:{POLL:g}s]))")
        self._watched.counts["scrapes of Prometheus"] = scrapes
        faults += [f"Prometheus saw {name} fall {times:g} times" for name, times in resets.items() if times]
        if failed or not any(times is not None for times in resets.values()):
            faults.append(f"of Prometheus' {scrapes:g} scrapes {failed or 0:g} failed")
        clusters = {one.get("NAME") for one in etree.fromstring(read_all(self._gmetad_xml)).iter("CLUSTER")}
        if missing := {agent.pool for agent in self._fed.fleet.agents} - clusters:
            faults.append(f"gmetad does not show {sorted(missing)}")
        for name, labels in ZERO:
            if (value := page.sum(name, **labels)) != 0:
                faults.append(f"{name} {json.dumps(labels)} is {value:g}")
        faults += [f"{name} is not 1" for name in ONE if page.sum(name) != 1]
        for what, said in (("Prometheus", self._site.prometheus), ("the store", self._site.store)):
            faults += [f"{what} says: {line}" for line in said.program.said().splitlines() if _complains(line)]

    @property
    def _gmetad_xml(self) -> tuple[str, int]:
        return "127.0.0.1", self._site.gmetad.xml_port


def _complains(line: str) -> bool:
    return any(word in line for word in ("level=error", "level=warn", "\terror\t", "\twarn\t"))
