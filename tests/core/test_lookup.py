"""Names are looked up beside all else: a DNS server that does not answer holds up nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from exporters.remote_write_client import StoreClient
from sflow_gmetrics.config import RemoteWriteConfig
from sflow_gmetrics.lookup import Lookup
from tests.core.test_federation import INTERVAL, bad, good, peer, says, watching
from tests.recordings import CAPTURES

PLAIN = (CAPTURES / "gmond-plain.xml").read_bytes()


def lookups() -> int:
    return sum(thread.name == "lookup" for thread in threading.enumerate())


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A resolver that answers for names in .invalid only when the event is set."""
    answer, real = threading.Event(), socket.getaddrinfo

    def find(host: str, *rest: int) -> object:
        if host.endswith(".invalid"):
            answer.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", find)
    yield answer
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "lookup":
            thread.join(10)


async def ended(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_name_has_the_addresses_that_the_system_knows() -> None:
    found = asyncio.run(Lookup().find("127.0.0.1", 8649))
    assert found == socket.getaddrinfo("127.0.0.1", 8649, type=socket.SOCK_STREAM)


def test_who_asks_for_the_same_name_waits_with_the_others(hanging: threading.Event) -> None:
    async def test() -> None:
        lookup = Lookup()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(lookup.find("far.invalid", 1), 0.02)
        others = [asyncio.create_task(lookup.find("far.invalid", 1)) for _ in range(20)]
        await asyncio.sleep(0.02)
        assert lookups() == 1
        hanging.set()
        for one in others:
            with pytest.raises(socket.gaierror):
                await one
        await ended(lambda: not lookups())
        with pytest.raises(socket.gaierror):
            await lookup.find("far.invalid", 1)

    asyncio.run(test())


def test_the_threads_of_the_loop_are_free_while_sources_and_stores_are_looked_up(hanging: threading.Event) -> None:
    async def test() -> None:
        names = [f"host-{n}.invalid:8649" for n in range(3)]
        stores = [StoreClient(RemoteWriteConfig(f"http://store-{n}.invalid/", timeout=0.3)) for n in range(20)]
        async with watching(*names) as watcher:
            posts = [asyncio.create_task(store.post(b"")) for store in stores]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                await asyncio.gather(*(asyncio.to_thread(int) for _ in range(100)))
            assert "host-0.invalid:8649: does not answer within" in (await watcher.until(bad)).error
            await asyncio.sleep(4 * INTERVAL)
            assert lookups() <= len(names) + len(stores)
            for answer in await asyncio.gather(*posts):
                assert answer.retry
            for store in stores:
                await store.close()

    asyncio.run(test())


def test_an_address_that_swallows_packets_does_not_hide_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with (
            socket.create_server(("127.0.0.1", 0), backlog=0) as silent,
            socket.socket() as one,
            socket.socket() as two,
        ):
            for waiting in (one, two):  # the kernel answers no further ones
                waiting.setblocking(False)
                waiting.connect_ex(silent.getsockname())
            async with peer(says(PLAIN)) as other:
                places = [silent.getsockname(), ("127.0.0.1", int(other.address.rpartition(":")[2]))]
                found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
                monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
                async with watching("both.example.net:8649") as watcher:
                    assert (await watcher.until(lambda remote: good(remote) or bad(remote))).error == ""

    asyncio.run(test())
