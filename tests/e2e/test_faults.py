"""What the README's operations part promises for faults: a real `serve` goes through them and serves on."""

from __future__ import annotations

import contextlib
import itertools
import re
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.app import App
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.simulation import Fleet
from tests.core.builders import START, Sender, host, pool_cpu, service
from tests.e2e.servers import CONFIG, Address, Served, command, environment, running, served, serving, wait_for

pytestmark = pytest.mark.e2e


class Counting:
    """A sender that knows how many datagrams it has sent."""

    def __init__(self, target: Address) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(target)
        self._fleet = Fleet(hosts=20, services=5, interval=5.0, start=time.time() - 1000)
        self._datagrams = self._fleet.datagrams(time.time())
        self.sent = 0

    def __del__(self) -> None:
        self._socket.close()

    def send(self, number: int) -> None:
        for _, payload in itertools.islice(self._datagrams, number):
            self._socket.send(payload)
            self.sent += 1


def value(served: Served, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", served.page().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def all_came(served: Served, sender: Counting) -> None:
    wait_for("all datagrams", lambda: value(served, "sflow_collector_datagrams_total") == sender.sent, 30)
    assert value(served, "sflow_collector_kernel_drops_total") == 0


@contextlib.contextmanager
def connected(target: Address, number: int, say: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many clients that say something and then do nothing."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(number):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(10)
            client.connect(target)
            if say:
                client.send(say)
            clients.append(client)
        yield clients


def web(served: Served) -> Address:
    name, _, port = served.web.rpartition("/")[2].partition(":")
    return name, int(port)


def test_readers_that_flood_the_ports_or_never_read_hold_up_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        sender = Counting(served.sflow)
        sender.send(100)
        with connected(web(served), 300, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), connected(served.gmond, 100):
            sender.send(100)
            all_came(served, sender)
            assert b"</GANGLIA_XML>" in served.xml()
        wait_for("a log line", lambda: served.program.search("HTTP connections are taken"))
        assert value(served, 'sflow_collector_http_hangups_total{reason="limit"}') > 0


def test_without_file_descriptors_datagrams_are_taken_and_readers_come_again(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(CONFIG, "utf-8")

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    arguments = command("serve", "--config", str(file))
    with running(arguments, tmp_path / "log", env=environment(), cwd=tmp_path, preexec_fn=few) as program:
        here = served(program)
        sender = Counting(here.sflow)
        sender.send(50)
        all_came(here, sender)
        with connected(web(here), 60, b"GET /metr"):
            wait_for("a log line", lambda: program.search("no file descriptor"), 20)
            sender.send(50)
        wait_for("a page", lambda: here.page())
        all_came(here, sender)
        assert b"</GANGLIA_XML>" in here.xml()
        assert "Traceback" not in program.said()


def test_a_program_that_was_stopped_goes_on_with_all_that_came_meanwhile(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        sender = Counting(served.sflow)
        sender.send(100)
        all_came(served, sender)
        served.program.process.send_signal(signal.SIGSTOP)
        sender.send(100)
        time.sleep(2)
        served.program.process.send_signal(signal.SIGCONT)
        all_came(served, sender)
        page = served.page().decode()
        assert not re.search(r"^sflow_agent_(restarts|address_conflicts)_total\S* [^0]", page, re.MULTILINE)
        assert not re.search(r"^sflow_host_up\S* 0$", page, re.MULTILINE)


def test_a_burst_during_a_scrape_is_taken_whole(tmp_path: Path) -> None:
    """The smaller sibling of the benchmark `burst`."""
    with serving(tmp_path, config=CONFIG.replace("1048576", "4194304")) as served:
        sender = Counting(served.sflow)
        sender.send(100)
        all_came(served, sender)
        scraper = threading.Thread(target=lambda: [served.page() for _ in range(5)])
        scraper.start()
        for _ in range(10):
            sender.send(50)
            time.sleep(0.005)
        scraper.join()
        all_came(served, sender)


@pytest.mark.parametrize("leap", [-3600.0, 3600.0, 7200.0])
def test_our_clock_leaps_and_nothing_falls_or_is_forgotten(leap: float) -> None:
    now = [START]
    app = App(parse_config(CONFIG), lambda: now[0])
    sender = Sender(app.collector)
    shown = []
    for number in range(1, 12):
        if number == 6:
            sender.now += leap
            now[0] = sender.now
            app.snapshot()
        now[0] = sender.now
        sender.send(host(number), service(number, cpuTime=100 * number))
        snapshot = app.snapshot()
        shown.append(pool_cpu(snapshot, pool="e2e"))
        assert [one.up for one in snapshot.hosts()] == [True]
        assert [one.name for one in snapshot.pools[0].services] == ["nginx.service"]
        sender.tick(20)
    assert shown == [100 * number for number in range(11)]
    assert sum(app.snapshot().agents[0].resets.values()) == 0
    for _ in range(90 + int(abs(leap)) // 50):  # the leap is in its interval for a while
        sender.tick(50)
        now[0] = sender.now
        app.snapshot()
    assert app.snapshot().agents == (), "who is gone is forgotten in the end"


def test_ten_thousand_agents_that_start_at_once_are_all_there() -> None:
    collector = Collector()
    sender = Sender(Collector(), uptime=1.0)
    payload = sender.payload(host(1, "h00000"), service(1))
    for number in range(10_000):
        address = (10 << 24 | number).to_bytes(4, "big")
        collector.receive(payload[:8] + address + payload[12:].replace(b"h00000", b"h%05d" % number), sender.now)
    snapshot = collector.snapshot(sender.now)
    assert len(list(snapshot.hosts())) == len(snapshot.agents) == 10_000
    assert sum(snapshot.stats.dropped.values()) == 0
    assert snapshot.stats.memory < snapshot.config.sflow.memory / 10
