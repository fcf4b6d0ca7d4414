"""The configuration of a running program is another one: what goes on undisturbed, what is swapped, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporters.tcp import XmlPort
from sflow_gmetrics.app import App
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.errors import ConfigError, InputError
from sflow_gmetrics.ports import Listening
from tests.e2e.servers import CONFIG, HOME, fetch, free_port, is_listening, read_all, wait_for
from tests.recordings import payloads


class Running:
    """An App in a thread, and the configuration that it reads next: a text, or an error."""

    def __init__(self, text: str) -> None:
        self.text: str | Exception = text
        self.app = App(parse_config(text), read=self._read)
        self._listening: list[Listening] = []
        self.thread = threading.Thread(target=self.app.run, args=(self._listening.append,))

    def _read(self) -> Config:
        if isinstance(self.text, Exception):
            raise self.text
        return parse_config(self.text)

    @property
    def listening(self) -> Listening:
        found = self.app.ports.listening
        assert found is not None
        return found

    def reload(self, text: str | Exception) -> str:
        """Read this; what is said of it."""
        self.text = text
        assert self.app._loop is not None

        async def begin() -> str:
            return await self.app.begin_reload()

        return asyncio.run_coroutine_threadsafe(begin(), self.app._loop).result(30)

    def page(self, path: str = "/metrics") -> str:
        assert self.listening.web is not None
        return fetch(f"http://{HOME}:{self.listening.web[1]}{path}").decode()

    def number(self, name: str) -> float:
        """The sum of the samples of a name."""
        lines = [line.rpartition(" ") for line in self.page().splitlines()]
        found = [float(value) for series, _, value in lines if re.split(r"[{ ]", series)[0] == name]
        assert found, f"there is no {name}"
        return sum(found)

    def send(self, *datagrams: bytes, place: int = 0) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for one in datagrams:
                sender.sendto(one, self.listening.sflow[place])


@contextlib.contextmanager
def running(text: str = CONFIG) -> Iterator[Running]:
    one = Running(text)
    one.thread.start()
    try:
        wait_for("the ports", lambda: one._listening or not one.thread.is_alive())
        yield one
    finally:
        one.app.stop()
        one.thread.join(15)
        assert not one.thread.is_alive()


def with_sflow(*ports: int, host: str = HOME, more: str = "") -> str:
    places = ", ".join(f'"{host}:{port}"' for port in ports)
    return CONFIG.replace('["127.0.0.1:0"]', f"[{places}]") + more


RECORDING = payloads("hsflowd-systemd")[:20]


def test_what_stays_is_not_touched() -> None:
    with running() as one:
        before = one.listening
        sockets = [id(found) for found in one.app.ports.inputs]
        one.send(*RECORDING)
        wait_for("the datagrams", lambda: one.app.collector.datagrams == len(RECORDING))
        assert one.reload(CONFIG + "\n[[pools]]\nname = 'all'\nhosts = '.*'\n") == ""
        assert one.listening == before
        assert [id(found) for found in one.app.ports.inputs] == sockets
        assert 'pool="all"' in one.page()


def test_ports_come_and_go() -> None:
    first, second = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    gmond, tree, asked, web = (free_port() for _ in range(4))
    with running(with_sflow(first)) as one:
        old_gmond, old_web = one.listening.gmond, one.listening.web
        assert old_gmond is not None
        assert old_web is not None
        more = f'[gmetad]\nxml_listen = "{HOME}:{tree}"\ninteractive_listen = "{HOME}:{asked}"\n'
        text = with_sflow(first, second, more=more)
        text = text.replace(f'"{HOME}:0"', f'"{HOME}:{gmond}"', 1).replace(f'"{HOME}:0"', f'"{HOME}:{web}"', 1)
        assert one.reload(text) == ""
        here = one.listening
        assert here.sflow == ((HOME, first), (HOME, second))
        assert (here.gmond, here.gmetad, here.interactive, here.web) == tuple(
            (HOME, port) for port in (gmond, tree, asked, web)
        )
        assert b"<GRID" in read_all((HOME, tree))
        assert b"<GRID" in read_all((HOME, asked), b"/\n")
        wait_for("closed ports", lambda: not is_listening(old_gmond[1]) and not is_listening(old_web[1]))
        for place in (0, 1):
            one.send(*RECORDING[:5], place=place)
        one.send(RECORDING[5])
        assert one.reload(with_sflow(second) + "[log]\n") == ""
        assert one.listening.sflow == ((HOME, second),)
        wait_for("what had come", lambda: one.app.collector.datagrams == 11)
        assert not is_listening(tree)
        assert sum(one.app.collector.decode_errors.values()) == 0


def test_an_address_that_overlaps_with_one_that_is_closed() -> None:
    """127.0.1 is 127.0.0.1 in other words, so that both are the same address while one takes over from the other."""
    sflow, gmond = free_port(socket.SOCK_DGRAM), free_port()
    text = with_sflow(sflow).replace(f'"{HOME}:0"', f'"{HOME}:{gmond}"', 1)
    with running(text) as one:
        one.send(*RECORDING)
        wait_for("the datagrams", lambda: one.app.collector.datagrams == len(RECORDING))
        assert (
            one.reload(
                text.replace(f"{HOME}:{sflow}", f"127.0.1:{sflow}").replace(f"{HOME}:{gmond}", f"127.0.1:{gmond}")
            )
            == ""
        )
        assert one.listening.sflow == ((HOME, sflow),)
        one.send(*RECORDING)
        wait_for("more", lambda: one.app.collector.datagrams == 2 * len(RECORDING))
        assert b"<CLUSTER" in read_all((HOME, gmond))
        twice = with_sflow(sflow, sflow)
        assert "another program listens there" in one.reload(twice), "two of ours may not share a port"
        with pytest.raises(InputError):
            App(parse_config(twice)).run()


def test_what_is_refused_leaves_all_as_it_was(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    pools = "\n[[pools]]\nname = 'all'\nhosts = '.*'\n"
    bad_store = "[[remote_write]]\nurl = 'https://127.0.0.1:1/'\nca_file = '/dev/null'\n"
    with running() as one, socket.socket() as taken:
        taken.bind((HOME, 0))
        taken.listen()
        before = one.listening
        free = free_port(socket.SOCK_DGRAM)
        for text, said in (
            (ConfigError("it is no good"), "it is no good"),
            (CONFIG + "[services]\ninclude = '('", "services.include"),
            (CONFIG.replace('["127.0.0.1:0"]', '["off"]') + pools, "nothing would ever be heard"),
            (with_sflow(free).replace(f"{HOME}:0", f"{HOME}:{taken.getsockname()[1]}", 1) + pools, "already in use"),
            (CONFIG + f"config_file = '{tmp_path}/none.yml'\n" + pools, "none.yml"),
            (CONFIG + pools + f"[state]\ndirectory = '{tmp_path}/state'\n", "[state] directory cannot change"),
            (CONFIG + pools + bad_store, "remote_write (127.0.0.1:1)"),
        ):
            assert said in one.reload(text)
            assert one.listening == before
            assert not one.app.collector.config.pools
            assert "is not in use, that of" in one.page("/")
            assert one.number("sflow_collector_config_last_reload_successful") == 0
        assert caplog.text.count("all stays as it was") == 7

        loaded = one.number("sflow_collector_config_last_reload_success_timestamp_seconds")
        assert one.reload(CONFIG + pools) == ""
        assert one.number("sflow_collector_config_last_reload_success_timestamp_seconds") > loaded
        assert one.number("sflow_collector_config_last_reload_successful") == 1
        assert "is not in use" not in one.page("/")


def test_a_fault_leaves_no_new_port_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> socket.socket:
        raise MemoryError

    text = with_sflow(free_port(socket.SOCK_DGRAM)).replace(f"{HOME}:0", f"{HOME}:{free_port()}", 1)
    with running() as one:
        with monkeypatch.context() as patch:
            patch.setattr("sflow_gmetrics.ports.listen_tcp", fail)
            assert "a fault in sflow_gmetrics" in one.reload(text)
        assert one.reload(text) == ""


def test_a_port_that_is_not_wanted_after_a_fault_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise MemoryError

    with running() as one:
        gmond = one.listening.gmond
        assert gmond is not None
        assert one.app._loop is not None
        monkeypatch.setattr(one.app._loop, "sock_accept", fail)
        assert b"<CLUSTER" in read_all(gmond)
        left = next(found for found in one.app.ports._opened.values() if isinstance(found, XmlPort))
        assert one.reload(CONFIG.replace(f'[gmond]\nlisten = "{HOME}:0"', '[gmond]\nlisten = "off"')) == ""
        assert one.listening.gmond is None
        assert left.listener.fileno() < 0


def test_without_a_file_there_is_nothing_to_read() -> None:
    with running() as one:
        one.app._reload._read = None
        assert "started without --config FILE" in one.reload("")


def test_the_buffer_the_log_and_pages_are_swapped() -> None:
    level = logging.getLogger().level
    try:
        with running() as one:
            small = one.app.ports.receive_buffer
            text = CONFIG.replace("receive_buffer = 1048576", "receive_buffer = 65536") + 'levels = ["collector"]\n'
            one.send(*RECORDING)
            wait_for("a host", lambda: "sflow_host_up" in one.page())
            assert one.reload(text + '[log]\nlevel = "error"\n') == ""
            assert one.app.ports.receive_buffer < small
            assert one.number("sflow_collector_receive_buffer_bytes") == one.app.ports.receive_buffer
            assert "sflow_host_up" not in one.page()
            assert logging.getLogger().level == logging.ERROR
    finally:
        logging.getLogger().setLevel(level)


def test_rrd_files_of_other_settings_and_their_counts(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    require_program("rrdtool")
    updates = "sflow_collector_rrd_updates_total"
    with running(CONFIG + f"[rrd]\nroot = '{tmp_path}/one'\nstep = 1\nwrite_every = 1\n") as one:
        one.send(*RECORDING)
        wait_for("stored values", lambda: one.number(updates) > 0, 20)
        assert one.reload(CONFIG + f"[rrd]\nroot = '{tmp_path}/two'\nstep = 1\nwrite_every = 1\n") == ""
        stored = one.number(updates)
        assert stored > 0
        wait_for("files", lambda: list((tmp_path / "two").rglob("*.rrd")), 20)
        wait_for("more values", lambda: one.number(updates) > stored, 20)
        assert one.reload(CONFIG) == ""
        assert updates not in one.page()


def test_sources_that_stay_keep_what_is_known_of_them() -> None:
    with running() as source, running() as one:
        source.send(*RECORDING)
        wait_for("a host", lambda: "sflow_host_up" in source.page())
        assert source.listening.gmond is not None
        kept = (
            f"[[gmetad.sources]]\nname = 'kept'\naddresses = ['{HOME}:{source.listening.gmond[1]}']\ninterval = 300\n"
        )
        assert one.reload(CONFIG + kept) == ""
        wait_for("the source", lambda: [found for found in one.app.collector.remotes if found.clusters], 20)
        (known,) = one.app.collector.remotes
        other = f"[[gmetad.sources]]\nname = 'other'\naddresses = ['{HOME}:1']\n"
        assert one.reload(CONFIG + kept + other) == ""
        wait_for("two sources", lambda: len(one.app.collector.remotes) == 2)
        assert one.app.collector.remotes[0].clusters == known.clusters
        assert one.reload(CONFIG) == ""
        wait_for("no source", lambda: not one.app.collector.remotes)


def test_a_connection_to_a_closed_port_ends_after_its_answer() -> None:
    web = free_port()
    with running() as one, socket.socket() as client:
        assert one.listening.web is not None
        client.settimeout(15)
        client.connect(one.listening.web)
        request = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
        client.sendall(request)
        assert b"is healthy" in client.recv(4096)
        assert (
            one.reload(
                CONFIG.replace(f'"{HOME}:0"\n', f'"{HOME}:{web}"\n').replace(f'"{HOME}:{web}"', f'"{HOME}:0"', 1)
            )
            == ""
        )
        assert one.listening.web == (HOME, web)
        assert client.recv(4096) == b"", "it is idle"


def test_reloads_at_once_come_one_after_the_other() -> None:
    with running() as one:
        texts = iter([CONFIG + f"\n[[pools]]\nname = 'p{n}'\nhosts = '.*'\n" for n in range(5)])

        def read() -> Config:
            time.sleep(0.01)
            return parse_config(next(texts))

        one.app._reload._read = read
        assert one.app._loop is not None

        async def begin() -> list[str]:
            return list(await asyncio.gather(*[one.app.begin_reload() for _ in range(5)]))

        assert asyncio.run_coroutine_threadsafe(begin(), one.app._loop).result(30) == [""] * 5
        assert [pool.name for pool in one.app.collector.config.pools] == ["p4"]
