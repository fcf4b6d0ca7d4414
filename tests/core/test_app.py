"""The running program in a thread: its ports, its pages, its log, and readers and senders that misbehave."""

from __future__ import annotations

import contextlib
import html
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sflow_gmetrics import pages
from sflow_gmetrics.app import App, serve
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.errors import InputError
from sflow_gmetrics.inputs import udp
from sflow_gmetrics.inputs.udp import UdpInput
from sflow_gmetrics.ports import Listening
from sflow_gmetrics.simulation import Fleet
from sflow_gmetrics.snapshot import Snapshot
from tests.e2e.servers import CONFIG, HOME, Address, fetch, free_port, is_listening, read_all, wait_for
from tests.recordings import payloads

DATAGRAMS = "sflow_collector_datagrams_total"


def config(old: str = "", new: str = "") -> Config:
    """All outputs on free ports, with one piece of the text replaced."""
    assert old in CONFIG
    return parse_config(CONFIG.replace(old, new, 1) if old else CONFIG)


@contextlib.contextmanager
def running(settings: Config) -> Iterator[tuple[App, Listening]]:
    """An App in a thread of its own, and where it listens."""
    app = App(settings)
    listening: list[Listening] = []
    thread = threading.Thread(target=app.run, args=(listening.append,))
    thread.start()
    try:
        wait_for("the ports", lambda: listening or not thread.is_alive())
        yield app, listening[0]
    finally:
        app.stop()
        thread.join(10)
        assert not thread.is_alive()


def send(target: Address, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, target)


def page(listening: Listening) -> str:
    assert listening.web is not None
    return fetch(f"http://{HOME}:{listening.web[1]}/metrics").decode()


def number(listening: Listening, name: str) -> float:
    """The value of a family without labels."""
    found = re.search(rf"^{name} (\S+)$", page(listening), re.MULTILINE)
    assert found, name
    return float(found[1])


# --- ports and pages


def test_what_comes_in_by_udp_goes_out_by_tcp_and_http() -> None:
    with running(config()) as (app, listening):
        assert listening == app.listening
        assert listening.gmond is not None
        send(listening.sflow[0], *payloads("hsflowd-host"))
        wait_for("all", lambda: number(listening, DATAGRAMS) == len(payloads("hsflowd-host")))
        assert re.search(r'^sflow_host_up\{pool="e2e",host="[^"]+"\} 1$', page(listening), re.MULTILINE)
        assert b'<METRIC NAME="load_one"' in read_all(listening.gmond)


def test_every_link_of_the_landing_page_leads_somewhere() -> None:
    authority = "http://ganglia.example/"
    settings = parse_config(f'{CONFIG}[gmetad]\nauthority = "{authority}"\n')
    with running(settings) as (_, listening):
        assert listening.web is not None
        send(listening.sflow[0], *payloads("hsflowd-systemd")[:20])
        wait_for("all", lambda: number(listening, DATAGRAMS) == 20)
        place = f"http://{HOME}:{listening.web[1]}"
        links = set(re.findall('<a href="(.*?)">', fetch(f"{place}/").decode()))
        assert {authority, "/metrics", "/metrics?pool=e2e", "/probe?target=web-host-01", "/sd?by=host"} <= links
        for link in links - {authority}:
            assert fetch(place + html.unescape(link))


def test_several_inputs_are_one_collector() -> None:
    two = '["127.0.0.1:0"]', '["127.0.0.1:0", "127.0.0.1:0"]'
    with running(config(*two)) as (_, listening):
        first, second = listening.sflow
        assert first != second
        send(first, payloads("hsflowd-host")[0])
        send(second, payloads("hsflowd-host")[1])
        wait_for("both", lambda: number(listening, DATAGRAMS) == 2)


def test_all_addresses_of_both_kinds_may_have_one_port() -> None:
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port()
    both = f'[sflow]\nlisten = ["0.0.0.0:{udp}", "[::]:{udp}"]\n[web]\nlisten = ["0.0.0.0:{tcp}", "[::]:{tcp}"]\n'
    with running(parse_config(both + '[gmond]\nlisten = "off"\n')) as (_, listening):
        assert listening.sflow == (("0.0.0.0", udp), ("::", udp))
        assert listening.webs == (("0.0.0.0", tcp), ("::", tcp))
        send((HOME, udp), payloads("hsflowd-host")[0])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(payloads("hsflowd-host")[1], ("::1", udp))
        wait_for("both", lambda: number(listening, DATAGRAMS) == 2)
        assert b"is healthy" in fetch(f"http://[::1]:{tcp}/-/healthy")
    alone = f'[sflow]\nlisten = "[::]:{udp}"\n[web]\nlisten = "[::]:{tcp}"\n[gmond]\nlisten = "off"\n'
    with running(parse_config(alone)) as (_, listening):
        send((HOME, udp), payloads("hsflowd-host")[0])
        wait_for("one over IPv4", lambda: number(listening, DATAGRAMS) == 1)


def test_an_output_that_is_off_has_no_port() -> None:
    off = 'listen = "127.0.0.1:0"', 'listen = "off"'
    with running(config(*off)) as (_, listening):
        assert listening.gmond is None
        assert number(listening, DATAGRAMS) == 0
    with running(parse_config(CONFIG.replace(*off))) as (_, listening):
        assert (listening.gmond, listening.web) == (None, None)


def test_the_end_closes_every_port() -> None:
    with running(config()) as (_, listening):
        assert listening.gmond is not None
        assert listening.web is not None
        ports = listening.gmond[1], listening.web[1]
        assert read_all(listening.gmond)
        assert page(listening)
    assert not any(map(is_listening, ports))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(listening.sflow[0])


@pytest.mark.parametrize("section", ["gmond", "web"])
def test_a_port_that_cannot_be_had_leaves_none_open(section: str) -> None:
    with socket.create_server((HOME, 0)) as taken:
        port = taken.getsockname()[1]
        before, header, after = CONFIG.partition(f"[{section}]\n")
        app = App(parse_config(before + header + after.replace(f"{HOME}:0", f"{HOME}:{port}", 1)))
        with pytest.raises(InputError, match=rf"\[{section}\] listen: TCP {HOME}:{port}: Address already in use"):
            app.run()
    assert app.listening is None


def test_a_name_that_dns_cannot_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[sflow\] listen: no\.\.such:0: "):
        UdpInput("no..such", 0, 4096, lambda _payloads: None)


def test_nothing_to_hear_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[sflow\] listen"):
        serve(config('["127.0.0.1:0"]', '"off"'))


def test_readers_who_come_together_share_a_page_and_later_ones_get_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    snapshot = App.snapshot

    def counted(app: App) -> Snapshot:
        nonlocal made
        made += 1
        return snapshot(app)

    monkeypatch.setattr(App, "snapshot", counted)
    monkeypatch.setattr(pages, "FRESH", 1.0)
    with running(config()) as (_, listening), ThreadPoolExecutor(20) as readers:
        assert listening.gmond is not None
        begun = time.monotonic()
        assert len(set(readers.map(read_all, [listening.gmond] * 20))) == 1
        assert made <= 1 + (time.monotonic() - begun)
        together = made
        time.sleep(1.0)
        read_all(listening.gmond)
        assert made == together + 1


# --- the log


def test_events_are_logged_once_a_minute_for_each_agent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with running(config()) as (_, listening):
        send(listening.sflow[0], *payloads("hsflowd-systemd")[:20])
        for _ in range(3):
            send(listening.sflow[0], b"GET / HTTP/1.0", b"\0\0\0\5")
            time.sleep(1.1)  # events are looked at once a second
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    agents = [text for _, text in lines if text.startswith("agent ")]
    assert ("INFO", "agent 10.9.0.2: heard for the first time") in lines
    assert ("INFO", "agent 10.9.0.2: is host 'web-host-01'") in lines
    strangers = [(level, text) for level, text in lines if "no sFlow v5" in text]
    assert {level for level, _ in strangers} == {"WARNING"}
    assert len(strangers) == 2, "an event for each of the two reasons"
    assert len(agents) == len(set(agents))


def test_a_receive_buffer_that_the_kernel_refuses_is_told_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(UdpInput, "receive_buffer", 212_992)
    with running(config()) as (_, listening):
        assert number(listening, "sflow_collector_receive_buffer_bytes") == 212_992
    assert "the receive buffer is 212992 bytes, not 1048576: raise it with 'sysctl -w net.core.rmem_max=4194304'" in (
        caplog.messages
    )


# --- misbehaviour


def test_a_buffer_that_somebody_has_made_larger_than_we_may_is_not_made_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
        passed.bind((HOME, 0))
        try:
            passed.setsockopt(socket.SOL_SOCKET, 33, 8_000_000)  # SO_RCVBUFFORCE, as systemd does
        except PermissionError:
            pytest.skip("it takes CAP_NET_ADMIN to do what systemd does")
        before = passed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        monkeypatch.setattr(socket, "SO_RCVBUFFORCE", 9999, raising=False)  # no such option: as without the right
        for wanted in (4096, 1_000_000, 100_000_000):
            one = UdpInput(HOME, 0, wanted, lambda _: None, passed)
            assert passed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == before == 2 * one.receive_buffer


def test_what_the_kernel_drops_is_counted() -> None:
    busy, entered = threading.Event(), threading.Event()

    def take(_payloads: list[bytes]) -> None:
        entered.set()
        busy.wait(10)

    one = UdpInput(HOME, 0, 4096, take)
    try:
        assert one.kernel_drops() == 0
        one.start()
        send((HOME, one.port), b"x")
        assert entered.wait(5)
        send((HOME, one.port), *[bytes(1400)] * 50)
        drops = one.kernel_drops()
        assert 30 < drops < 50
    finally:
        busy.set()
        one.stop()
    assert one.kernel_drops() == drops, "what a closed socket has lost stays counted"


def test_any_bytes_may_come() -> None:
    with running(config()) as (_, listening):
        good = payloads("hsflowd-host")[0]
        mutants = [good[:length] for length in range(len(good))]
        mutants += [good[:place] + b"\xff\xff\xff\xff" + good[place + 4 :] for place in range(0, len(good), 4)]
        for begin in range(0, len(mutants), 50):
            send(listening.sflow[0], *mutants[begin : begin + 50])
        wait_for("all of them", lambda: number(listening, DATAGRAMS) == len(mutants))
        send(listening.sflow[0], good)
        wait_for("one more", lambda: number(listening, DATAGRAMS) == len(mutants) + 1)


@pytest.fixture(scope="module")
def large() -> list[bytes]:
    """The datagrams of a fleet that makes large documents."""
    return [payload for _, payload in Fleet(60, 30, 5.0).datagrams(12.0)]


def stuck(address: Address, request: bytes) -> socket.socket:
    """A reader that asks for everything and takes nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(address)
    client.sendall(request)
    return client


def test_stuck_readers_stop_neither_ingest_nor_others_nor_the_end(large: list[bytes]) -> None:
    with contextlib.ExitStack() as stack, running(config()) as (_, listening):
        assert listening.gmond is not None
        assert listening.web is not None
        send_slowly(listening.sflow[0], large)
        wait_for("the fleet", lambda: number(listening, DATAGRAMS) == len(large), 20)
        for _ in range(30):
            stack.enter_context(stuck(listening.gmond, b""))
            stack.enter_context(stuck((HOME, listening.web[1]), b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
        begun = time.monotonic()
        document = read_all(listening.gmond)
        assert len(document) > 2_000_000
        assert document.endswith(b"</GANGLIA_XML>\n")
        send(listening.sflow[0], *payloads("hsflowd-systemd")[:10])
        wait_for("ingest", lambda: number(listening, DATAGRAMS) == len(large) + 10)
        assert time.monotonic() - begun < 10
        begun = time.monotonic()
    assert time.monotonic() - begun < 4, "the end is not held up"


def send_slowly(target: Address, datagrams: list[bytes]) -> None:
    """With pauses, so that the kernel drops none."""
    for begin in range(0, len(datagrams), 50):
        send(target, *datagrams[begin : begin + 50])
        time.sleep(0.02)


def test_stop_may_be_called_at_any_time() -> None:
    app = App(config())
    app.stop()
    done: list[Callable[[], None]] = []
    app.run(lambda _: done.append(app.stop) or app.stop())  # type: ignore[func-returns-value]
    assert done
    app.stop()


def test_a_datagram_that_meets_a_fault_of_ours_costs_itself_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good = payloads("hsflowd-host")[:20]
    with running(config()) as (app, listening):
        take = app.collector.receive

        def faulty(payload: bytes, now: float) -> None:
            if payload == b"boom":
                raise KeyError("a fault")
            take(payload, now)

        monkeypatch.setattr(app.collector, "receive", faulty)
        for one in good:
            send(listening.sflow[0], b"boom", one)
        wait_for("all datagrams", lambda: number(listening, DATAGRAMS) == len(good))
        assert f'sflow_collector_dropped_total{{reason="fault"}} {len(good)}\n' in page(listening)
        assert all(one.works(5.0) for one in app.ports.inputs)
    assert caplog.text.count("a fault that should not be") == 1
    assert "Traceback" in caplog.text
    assert b"boom".hex() in caplog.text


def test_a_flood_of_empty_datagrams_fills_no_memory_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no bytes that count; the queue has a bound all the same."""
    monkeypatch.setattr(udp, "ROOM", 2000)
    taken: list[int] = []
    slow = threading.Event()

    def receive(batch: list[bytes]) -> None:
        taken.append(len(batch))
        slow.wait(0.001)

    class Endless:
        def __init__(self, _bound: socket.socket) -> None:
            self.calls = 0

        def take(self) -> list[bytes]:
            return [b""] * 10

    monkeypatch.setattr(udp, "Waiting", Endless)
    one = UdpInput(HOME, 0, 65_536, receive)
    one.start()
    wait_for("work", lambda: sum(taken) > 100)
    assert one.works(1.0)
    one.stop()
    assert not one.works(60.0)


def test_kernel_drops_never_fall_because_they_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    one = UdpInput(HOME, 0, 4096, lambda _payloads: None)
    for _ in range(200):
        send((one.host, one.port), bytes(1000))
    drops = one.kernel_drops()
    assert drops > 0

    def refuse(*_: object, **__: object) -> str:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert one.kernel_drops() == drops
    one.stop()
