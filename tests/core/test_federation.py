"""Polling of sources that answer, and of sources that do what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from sflow_gmetrics.config import SourceConfig
from sflow_gmetrics.inputs.federation import Federation, Patience
from sflow_gmetrics.inputs.ganglia_tree import GangliaTree
from sflow_gmetrics.remote import Remote
from tests.recordings import CAPTURES

SAMPLE = (CAPTURES / "gmond-sample.xml").read_bytes()
PLAIN = (CAPTURES / "gmond-plain.xml").read_bytes()
QUICK = Patience(connect=0.4, silence=0.4, whole=1.2, largest=4 << 20)
INTERVAL = 0.15

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A collector of which `talk` says what it does when somebody connects."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.connections = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.heard = b""
        self.address = ""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        with contextlib.suppress(ConnectionError):
            await self.talk(reader, writer)
        writer.close()


def says(data: bytes) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return talk


def says_forever(data: bytes, pause: float = 0.0, first: bytes = b"") -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.transport.is_closing():
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(SAMPLE[:9000])
    await writer.drain()
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@contextlib.asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[Peer]:
    one = Peer(talk)
    server = await asyncio.start_server(one.accept, "127.0.0.1", 0)
    one.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
        for writer in one.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


class Watcher:
    """A running federation and what it has published."""

    def __init__(self, sources: tuple[SourceConfig, ...], patience: Patience = QUICK) -> None:
        self.published: list[tuple[Remote, ...]] = []
        self.federation = Federation(sources, self._publish, lambda: 5e8, patience)
        self._news = asyncio.Event()

    def _publish(self, remotes: tuple[Remote, ...]) -> None:
        self.published.append(remotes)
        self._news.set()

    async def until(self, condition: Callable[[Remote], object], index: int = 0) -> Remote:
        """The first state of a source, from now on, that is as wanted."""
        async with asyncio.timeout(15):
            while True:
                self._news.clear()
                await self._news.wait()
                if condition(self.published[-1][index]):
                    return self.published[-1][index]


@contextlib.asynccontextmanager
async def watching(*addresses: str, interval: float = INTERVAL, patience: Patience = QUICK) -> AsyncIterator[Watcher]:
    watcher = Watcher((SourceConfig("far", addresses, interval),), patience)
    task = asyncio.create_task(watcher.federation.run())
    try:
        yield watcher
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def good(remote: Remote) -> bool:
    return bool(remote.clusters) and not remote.error


def bad(remote: Remote) -> bool:
    return bool(remote.error)


async def closed_address() -> str:
    async with peer(silent) as one:
        return one.address


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test in a loop of its own, of which nothing may be left over."""

    async def whole() -> None:
        await test()
        for _ in range(100):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not [one for one in others if one.get_name().startswith("poll")]:
                return
            await asyncio.sleep(0.01)
        pytest.fail("a task goes on")

    def inner() -> None:
        asyncio.run(whole())

    inner.__name__, inner.__doc__ = test.__name__, test.__doc__
    return inner


@run
async def test_a_document_and_its_age() -> None:
    async with peer(says(SAMPLE)) as one, watching(one.address) as watcher:
        remote = await watcher.until(good)
        assert (remote.name, remote.fetched, remote.address) == ("far", 5e8, one.address)
        assert 0 < remote.duration < 5
        assert [len(host.metrics) for host in remote.clusters[0].hosts] == [93]
        assert watcher.published[0] == (Remote("far"),), "the sources are known before they have answered"
        assert watcher.federation.remotes == watcher.published[-1]
        assert not watcher.federation.take_notes()


@run
async def test_the_thread_that_read_a_document_ends_with_it() -> None:
    """And with it what libxml2 keeps: every name that stood in the document."""
    async with peer(says(PLAIN)) as one, watching(one.address, interval=60) as watcher:
        await watcher.until(good)
        async with asyncio.timeout(15):
            while any(thread.name.startswith("federation") for thread in threading.enumerate()):
                await asyncio.sleep(0.01)


@run
async def test_nothing_is_sent() -> None:
    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                one.heard += await reader.read(100)
                one.heard += b"<end of file>"
        writer.write(SAMPLE)

    async with peer(listens) as one, watching(one.address) as watcher:
        await watcher.until(good)
        assert one.heard == b""


@run
async def test_it_is_polled_in_its_interval() -> None:
    async with peer(says(PLAIN)) as one, watching(one.address, interval=0.2) as watcher:
        await watcher.until(good)
        first, start = one.connections, time.monotonic()
        await watcher.until(lambda _: one.connections == first + 5)
        assert 0.7 < time.monotonic() - start < 2.5


@run
async def test_gzipped() -> None:
    async with peer(says(gzip.compress(SAMPLE))) as one, watching(one.address) as watcher:
        assert (await watcher.until(good)).clusters[0].name == "sflow cluster"


@run
async def test_a_trickle_is_waited_for() -> None:
    async def drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(PLAIN), 400):
            writer.write(PLAIN[start : start + 400])
            await asyncio.sleep(0.05)

    async with peer(drips) as one, watching(one.address) as watcher:
        assert (await watcher.until(good)).duration > QUICK.silence


FAILURES: dict[str, tuple[Talk, str]] = {
    "silence": (silent, r"is silent for 0\.4 s: is it a gmond's port"),
    "silence in the middle": (says_forever(b"", 0.05, SAMPLE[:9000]), r"is silent for 0\.4 s"),
    "trickle without end": (says_forever(b" ", 0.1), r"sends for longer than 1\.2 s"),
    "cut": (says(SAMPLE[:20_000]), "no well-formed XML"),
    "cut in gzip": (says(gzip.compress(SAMPLE)[:1000]), "breaks off after 1000 bytes"),
    "nothing": (says(b""), r"the answer is empty: let this machine in there"),
    "reset": (resets, "broke off the connection: is this machine allowed there"),
    "garbage without end": (says_forever(b"garbage " * 9999), "not Ganglia's XML"),
    "document without end": (
        says_forever(b"<GRID NAME='g'/>" * 9999, 0.0, SAMPLE[:3300]),
        "document is|no well-formed",
    ),
    "spaces without end": (says_forever(b" " * 99_999, 0.0, b"<GANGLIA_XML VERSION='3'>"), "more than 4194304 bytes"),
    "bomb": (says_forever(gzip.compress(b"<GANGLIA_XML VERSION='3'>" + b" " * 9_999_999)), "more than 4194304 bytes"),
    "a web server": (says(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "not Ganglia's XML"),
}


@pytest.mark.parametrize("failure", [*FAILURES, "none"])
def test_nothing_of_a_document_stays_behind(failure: str) -> None:
    """Else it would wait until somebody looks for garbage."""

    async def test() -> None:
        talk = FAILURES[failure][0] if failure in FAILURES else says(SAMPLE)
        gc.collect()
        gc.disable()
        try:
            async with peer(talk) as one, watching(one.address) as watcher:
                await watcher.until(bad if failure in FAILURES else good)
            trees = [one for one in gc.get_objects() if isinstance(one, GangliaTree)]
            async with asyncio.timeout(10):
                while any(tree._open or tree._extras or any(tree.result()) for tree in trees):
                    await asyncio.sleep(0.05)
        finally:
            gc.enable()

    run(test)()


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_says_what_is_wrong_and_the_last_good_document_stays(failure: str) -> None:
    talk, reason = FAILURES[failure]

    async def test() -> None:
        async with peer(says(SAMPLE)) as one, watching(one.address) as watcher:
            before = await watcher.until(good)
            one.talk = talk
            failed = await watcher.until(bad)
            assert re.search(reason, failed.error), failed.error
            assert failed.error.startswith(f"{one.address}: ")
            assert (failed.clusters, failed.fetched, failed.address) == (before.clusters, 5e8, one.address)
            one.talk = says(PLAIN)
            assert (await watcher.until(good)).clusters[0].name == "plain gmond"
            notes = watcher.federation.take_notes()
            assert notes["far", "failed"][0] >= 1
            assert re.search(reason, notes["far", "failed"][1])
            assert notes["far", "back"] == (1, f"answers again at {one.address}")
            assert not watcher.federation.take_notes()

    run(test)()


@run
async def test_fail_over() -> None:
    closed = await closed_address()
    async with (
        peer(says(SAMPLE)) as first,
        peer(says(PLAIN)) as second,
        watching(closed, first.address, second.address) as watcher,
    ):
        assert (await watcher.until(good)).address == first.address
        first.talk = silent
        assert (await watcher.until(lambda one: one.address == second.address)).error == ""
        notes = watcher.federation.take_notes()
        assert notes.keys() == {("far", "moved")}
        text = notes["far", "moved"][1]
        assert text.startswith(f"now polled at {second.address}: {first.address}: is silent")
        assert f"{closed}: refuses the connection" in text
        first.talk = says(SAMPLE)
        asked = first.connections
        await watcher.until(good)
        assert (await watcher.until(good)).address == second.address, "the one that worked last is asked first"
        assert first.connections == asked


@run
async def test_all_addresses_fail() -> None:
    closed = await closed_address()
    async with peer(silent) as one, watching(closed, one.address, "no..name:1", "[::1]:1") as watcher:
        remote = await watcher.until(bad)
        assert remote.fetched == 0
        problems = dict(problem.split(": ", 1) for problem in remote.error.split("; "))
        assert list(problems) == [closed, one.address, "no..name:1", "[::1]:1"]
        assert problems[closed].startswith("refuses the connection")
        assert problems[one.address].startswith("is silent")
        assert all(problems.values())


@run
async def test_a_network_that_swallows_connections() -> None:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # the kernel answers no further ones
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        async with watching(f"127.0.0.1:{listening.getsockname()[1]}") as watcher:
            assert "does not answer within 0.4 s" in (await watcher.until(bad)).error


@run
async def test_sources_do_not_wait_for_each_other() -> None:
    async with peer(silent) as slow, peer(says(PLAIN)) as quick:
        sources = (SourceConfig("slow", (slow.address,), 0.1), SourceConfig("quick", (quick.address,), 0.1))
        watcher = Watcher(sources, Patience(silence=60, whole=60))
        task = asyncio.create_task(watcher.federation.run())
        await watcher.until(lambda _: quick.connections > 3, 1)
        assert [one.name for one in watcher.published[-1]] == ["slow", "quick"]
        assert (slow.connections, watcher.published[-1][0]) == (1, Remote("slow"))
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 1


@run
async def test_elements_that_are_left_out_are_told() -> None:
    broken = SAMPLE.replace(b'TYPE="uint32"', b'TYPE="uint64"')
    async with peer(says(broken)) as one, watching(one.address) as watcher:
        remote = await watcher.until(good)
        count = broken.count(b'TYPE="uint64"')
        assert len(remote.clusters[0].hosts[0].metrics) == 93 - count
        notes = watcher.federation.take_notes()
        assert notes["far", "skipped"][1] == f"{count} elements left out, {count} of them: METRIC: TYPE is unknown"


@run
async def test_the_loop_goes_on_while_a_large_document_is_parsed() -> None:
    start, end = SAMPLE.index(b"<HOST "), SAMPLE.index(b"</HOST>") + 7
    hosts = b"".join(SAMPLE[start:end].replace(b'"sflowhost1"', b'"h%d"' % number) for number in range(300))
    large = SAMPLE[:start] + hosts + SAMPLE[end:]
    patience = Patience()
    async with peer(says(large)) as one, watching(one.address, interval=5, patience=patience) as watcher:
        longest, before = 0.0, time.monotonic()
        waiting = asyncio.create_task(watcher.until(good))
        while not waiting.done():
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
        assert len(waiting.result().clusters[0].hosts) == 300
        assert longest < 0.5 * waiting.result().duration


@run
async def test_without_sources_there_is_nothing_to_do() -> None:
    watcher = Watcher(())
    await watcher.federation.run()
    assert watcher.published == [()]
