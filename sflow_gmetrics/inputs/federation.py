"""Polls gmonds, gmetads and other collectors, and keeps the newest good document of each.

Nothing is sent: gmond's port and gmetad's xml_port write as soon as somebody connects. One
thread parses for all sources, because Python runs one at a time anyway, while the loop goes
on reading.
Source: the data_source of gmetad 3.7.2 and its fail-over. Unlike there, a slow trickle has an
end, and a document counts only when all of it is good.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

from aiohappyeyeballs import start_connection

from ..config import SourceConfig, split_address
from ..errors import InputError, SflowGmetricsError
from ..lookup import Lookup
from ..remote import Remote
from .ganglia_xml import LARGEST, GangliaXmlReader

CHUNK = 262_144
"""Bytes that are given to the parser at once."""
NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried beside the one before, which may be behind a firewall."""
FIRST_PHASE = 2.0
"""Seconds within which all sources have begun, each at a random moment."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a source is waited for: to connect, in silence, and for the whole document (or its interval).

    In seconds; `largest` is the size of a document in bytes.
    """

    connect: float = 5.0
    silence: float = 10.0
    whole: float = 30.0
    largest: int = LARGEST


Notes = dict[tuple[str, str], tuple[int, str]]
"""(Source, event) to how many times and the newest text; events: failed, back, moved, skipped."""


class Federation:
    """Polls `sources`, each in its interval, and gives `publish` what is known of all of them after every poll.

    `clock` gives seconds since the epoch. A source that fails keeps its last good document, and
    its `error` says what is wrong. `fetched` is when the document was begun: what it says about
    ages (TN) is to be read as of then. What another one knows of the same sources is `known` here too.
    """

    def __init__(
        self,
        sources: tuple[SourceConfig, ...],
        publish: Callable[[tuple[Remote, ...]], None],
        clock: Callable[[], float] = time.time,
        patience: Patience | None = None,
        known: Federation | None = None,
    ) -> None:
        self._sources = sources
        self._publish = publish
        self._clock = clock
        self._patience = patience or Patience()
        kept = {source: known._remotes[source.name] for source in known._sources} if known is not None else {}
        self._remotes: dict[str, Remote] = {source.name: kept.get(source) or Remote(source.name) for source in sources}
        self._notes: Notes = {}
        self._lookup = Lookup()

    @property
    def remotes(self) -> tuple[Remote, ...]:
        """What is known of each source, in the order of the configuration."""
        return tuple(self._remotes.values())

    def take_notes(self) -> Notes:
        """What is worth a line in the log since the last call."""
        notes, self._notes = self._notes, {}
        return notes

    async def run(self) -> None:
        """Poll until cancelled; returns at once where there are no sources."""
        self._publish(self.remotes)
        async with asyncio.TaskGroup() as group:
            for source in self._sources:
                group.create_task(self._follow(source), name=f"poll {source.name}")

    async def _follow(self, source: SourceConfig) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + random.random() * min(FIRST_PHASE, source.interval)
        while True:
            await asyncio.sleep(due - loop.time())
            await self._poll(source)
            self._publish(self.remotes)
            missed = max(math.ceil((loop.time() - due) / source.interval), 1)
            due += missed * source.interval

    async def _poll(self, source: SourceConfig) -> None:
        """Ask the addresses, the one that was good last time first, until one gives a whole document."""
        before = self._remotes[source.name]
        problems: list[str] = []
        began = time.monotonic()
        for address in _in_order(source.addresses, before.address):
            try:
                remote = await self._fetch(source, address)
            except (SflowGmetricsError, OSError, ValueError) as error:  # ValueError: a name that DNS cannot have
                problems.append(f"{address}: {_reason(error)}")
                continue
            self._keep(remote, before, problems)
            return
        text = "; ".join(problems)
        self._remotes[source.name] = replace(before, error=text, duration=time.monotonic() - began)
        self._note(source.name, "failed", text)

    def _keep(self, remote: Remote, before: Remote, problems: Iterable[str]) -> None:
        self._remotes[remote.name] = remote
        if before.error:
            self._note(remote.name, "back", f"answers again at {remote.address}")
        elif before.address and before.address != remote.address:
            self._note(remote.name, "moved", f"now polled at {remote.address}: {'; '.join(problems)}")

    async def _fetch(self, source: SourceConfig, address: str) -> Remote:
        """The document of one address. Raises InputError, OSError.

        It is read in a thread of its own: libxml2 keeps every name that stands in a document,
        for as long as the thread lives.
        """
        loop = asyncio.get_running_loop()
        reader = GangliaXmlReader(self._patience.largest)
        began = time.monotonic()
        whole = max(self._patience.whole, source.interval)
        async with self._connected(address) as stream, _thread() as thread:
            fetched = self._clock()
            try:
                async with _within(whole, f"sends for longer than {whole:g} s: poll it less often, or its clusters"):
                    while data := await self._read(stream):
                        await loop.run_in_executor(thread, reader.feed, data)
                    clusters, grids = await loop.run_in_executor(thread, reader.close)
            finally:
                thread.submit(reader.forget)
        if reader.skipped:
            worst, count = reader.skipped.most_common(1)[0]
            self._note(source.name, "skipped", f"{reader.skipped.total()} elements left out, {count} of them: {worst}")
        duration = time.monotonic() - began
        return Remote(source.name, fetched, duration, "", address, clusters, grids)

    @contextlib.asynccontextmanager
    async def _connected(self, address: str) -> AsyncIterator[asyncio.StreamReader]:
        seconds = self._patience.connect
        host, port = split_address(address)
        problem = f"does not answer within {seconds:g} s: is the host up, does a firewall drop packets?"
        async with _within(seconds, problem):
            addresses = await self._lookup.find(host, port)
            connected = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS)
            stream, writer = await asyncio.open_connection(sock=connected, limit=CHUNK)
        try:
            yield stream
        finally:
            writer.transport.abort()

    async def _read(self, stream: asyncio.StreamReader) -> bytes:
        seconds = self._patience.silence
        async with _within(seconds, f"is silent for {seconds:g} s: is it a gmond's port or the xml_port of a gmetad?"):
            return await stream.read(CHUNK)

    def _note(self, name: str, event: str, text: str) -> None:
        count = self._notes.get((name, event), (0, ""))[0]
        self._notes[name, event] = (count + 1, text)


@contextlib.asynccontextmanager
async def _thread() -> AsyncIterator[Executor]:
    """A thread that nobody waits for at the end."""
    thread = ThreadPoolExecutor(1, "federation")
    try:
        yield thread
    finally:
        thread.shutdown(wait=False)


@contextlib.asynccontextmanager
async def _within(seconds: float, problem: str) -> AsyncIterator[None]:
    """Raises InputError with this text when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise InputError(problem) from None


def _in_order(addresses: tuple[str, ...], last: str) -> list[str]:
    """The addresses, with the one that was good last time first."""
    return sorted(addresses, key=lambda address: address != last)


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection: is it running, and on this port?"
    if isinstance(error, ConnectionResetError):
        return "broke off the connection: is this machine allowed there?"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
