"""What survives the program: its state is written again and again, and found by the next one that starts.

    0000000007.state.gz   the newest state, and the one before it
    0000000007.journal    the datagrams that have come since that state was begun

The next program takes the newest state that is whole, and then the datagrams of its journal and of those after it:
it knows all that this one has shown, however this one ended.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

from .agent import Agent
from .collector import Collector
from .config import Config
from .datagram import decode_header
from .errors import ConfigError, DecodeError, InputError, StateError
from .journal import CONFIGURED, DROPS, LIMIT, NUMBER, START, Journal, new_journal, read_journal
from .reconfigure import reconfigure
from .restore import finish, restore, take_counts
from .state import VERSION, Written, agent_state, collector_state
from .state_file import StateFile, StateWriter
from .sweeper import Sweeper

log = logging.getLogger("sflow_gmetrics")

AT_ONCE = 250
"""How many sources are copied before others may have the lock."""
END = 1.5
"""How long the last state may take, in seconds; without it there are the one before and the journal."""
KEPT = 2
"""How many states are kept: the newest, and one more in case that it is damaged."""
ALL_JOURNALS = 4 * LIMIT
"""How many bytes of journals there can be while no state can be written."""
_NAME = re.compile(r"(\d{10})\.(state\.gz|journal)")


def check_state(config: Config, before: Config) -> None:
    """Raises ConfigError where the directory is another one than before: states belong to one run of the program."""
    if config.state.directory != before.state.directory:
        raise ConfigError("[state] directory cannot change while the program runs: restart it")


class _LateError(Exception):
    """The program ends, and the state is not yet written."""


class Persistence:
    """Keeps the state of the collector that `collector()` gives in a directory, every `interval` seconds.

    `lock` is what holds the collector still. It is held for short turns only.
    """

    def __init__(
        self,
        config: Config,
        collector: Callable[[], Collector],
        lock: AbstractContextManager[bool],
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._folder = Path(config.state.directory)
        self._collector, self._lock, self._clock = collector, lock, clock
        self._journal = Journal(lock, self._due, self._note_trouble)
        self._generation = 0
        self._wanted = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._notes: dict[str, tuple[int, str]] = {}
        self._trouble = False
        self._directory = -1
        self.written = Written(interval=config.state.interval)

    # --- for the program

    @property
    def name(self) -> str:
        """What its thread is called."""
        return self._thread.name

    def works(self, _within: float) -> bool:
        """Whether its threads live. They may wait long for a slow disk."""
        return self._thread.is_alive() and self._journal.works()

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What is to be said since the last call."""
        notes, self._notes = self._notes, {}
        return notes

    def keep(self, now: float, payload: bytes) -> None:
        """A datagram has been taken; who calls holds the lock."""
        self._journal.add(now, payload)

    def keep_drops(self, drops: int) -> None:
        """The kernel has dropped so many datagrams by now; who calls holds the lock."""
        self._journal.add_drops(drops)

    def settle(self) -> None:
        """Wait a moment until what has come cannot be lost by a crash any more."""
        self._journal.settle()

    def use(self, config: Config) -> None:
        """Another configuration is in force: what has come by that of before is written by it."""
        self._config = config
        self.written.interval = config.state.interval
        with self._lock:
            self._journal.add_configured(self._clock())
        self._wanted.set()

    def start(self) -> None:
        """Begin to write: a state at once, because today's configuration may be another one than that of the newest."""
        try:
            self._begin_journal(starting=True)
        except OSError as error:
            self._note_trouble(error)
        self._journal.start()
        self._wanted.set()
        self._thread.start()

    def stop(self) -> None:
        """Write the last state, if it is done soon, and end. Nothing comes any more."""
        self._deadline = time.monotonic() + END
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(END + 0.5)
        self._journal.stop()
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _due(self) -> None:
        self._wanted.set()

    def _note_trouble(self, error: OSError) -> None:
        """Something could not be written. It is said once, until it has been well again."""
        self.written.errors += 1
        if not self._trouble:
            self._trouble = True
            reason = f"{self._folder}: {error.strerror or error}"
            self._notes["trouble"] = (1, f"{reason}; a restart now would lose what has come since the last state")

    # --- the files

    def _path(self, generation: int, kind: str) -> Path:
        return self._folder / f"{generation:010d}.{kind}"

    def _found(self) -> dict[str, list[int]]:
        """The generations of which there are states and journals, in their order."""
        found: dict[str, list[int]] = {"state.gz": [], "journal": []}
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                name = _NAME.match(path.name)
                if name is None:
                    continue
                self._generation = max(self._generation, int(name[1]))  # also of one that has been set aside
                if name[0] == path.name:
                    found[name[2]].append(int(name[1]))
        return {kind: sorted(numbers) for kind, numbers in found.items()}

    def _set_aside(self, path: Path, error: StateError) -> None:
        other = path.with_name(f"{path.name}.refused")
        try:
            path.replace(other)
        except OSError as reason:
            log.warning("state: %s: %s. It cannot be set aside: %s", path, error, reason.strerror)
        else:
            log.warning("state: %s: %s. It is kept as %s and not used", path, error, other.name)

    def _set_all_aside(self, kind: str, why: str) -> None:
        for generation in self._found()[kind]:
            self._set_aside(self._path(generation, kind), StateError(why))

    # --- beginning

    def recover(self) -> Collector:
        """The collector as the program before left it, or an empty one. Raises InputError where that still runs."""
        self._claim()
        found = self._found()
        now = self._clock()
        for generation in reversed(found["state.gz"]):
            path = self._path(generation, "state.gz")
            try:
                file = StateFile(path, VERSION)
                collector = restore(self._config, file.own, file.agents(), max(now, file.time))
            except StateError as error:
                self._set_aside(path, error)
                continue
            self.written.time = path.stat().st_mtime
            count = self._replay(collector, generation, found["journal"], file)
            log.info("state: %d agents of %s, and %d datagrams since", len(collector.agents), path, count)
            finish(collector, now)
            return collector
        collector = Collector(self._config)
        journals = found["journal"]
        if journals and not found["state.gz"] and _is_first(self._path(journals[0], "journal")):
            self._replay(collector, journals[0], journals, None)  # nothing was shown that is not in it
        else:
            self._set_all_aside("journal", "the state to which it belongs is not there or could not be used")
        finish(collector, now)
        return collector

    def _claim(self) -> None:
        """Two programs would overwrite each other's files."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o750, exist_ok=True)
        try:
            self._directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._directory)
            self._directory = -1
            raise InputError(f"[state] directory: {self._folder} is used by another program that runs") from None
        except OSError as error:
            self._note_trouble(error)

    def _claim_late(self) -> None:
        """The directory was not there at the start; what it holds is of a program before. Raises OSError."""
        try:
            self._claim()
        except InputError:
            raise BlockingIOError(errno.EBUSY, "it is used by another program that runs") from None
        if self._directory >= 0:
            for kind in ("state.gz", "journal"):
                self._set_all_aside(kind, "the directory came after the start, when everything had begun anew")

    def _replay(self, collector: Collector, first: int, journals: Iterable[int], file: StateFile | None) -> int:
        """Take the datagrams that came after the state was begun; some agents were written later than others."""
        count = 0
        counted = file is None
        sweeper = Sweeper(file.time if file is not None else None)
        for generation in journals:
            if generation < first:
                continue
            path = self._path(generation, "journal")
            try:
                for number, then, payload in read_journal(path):
                    drops, start, configured = number & DROPS, number & START, number & CONFIGURED
                    number &= NUMBER
                    if file is not None and generation == first and number < file.mark:
                        if drops or start or configured or number < file.marks.get(_agent_of(payload), file.mark):
                            sweeper.now = then or sweeper.now
                            continue
                    elif not counted:
                        counted = True
                        _recount(collector, file)
                    if drops:
                        collector.kernel_drops = max(collector.kernel_drops, int.from_bytes(payload))
                        continue
                    if start:
                        sweeper = Sweeper(then)
                        finish(collector, then)
                        continue
                    sweeper.sweep(collector, then)
                    if configured:
                        reconfigure(collector, self._config)
                    else:
                        collector.receive(payload, then)
                        count += 1
            except StateError as error:
                self._set_aside(path, error)
        if not counted:
            _recount(collector, file)
        return count

    # --- writing

    def _run(self) -> None:
        ending = False
        while not ending:
            self._wanted.wait(self._config.state.interval)
            self._wanted.clear()
            ending = self._deadline > 0
            try:
                self._write()
            except _LateError:
                log.warning("state: there was no time to write all of it; the journal has the rest")
            except OSError as error:
                self._note_trouble(error)
            except Exception:
                log.exception("the state thread has met a fault that should not be; it goes on")
        self._journal.stop()

    def _begin_journal(self, *, starting: bool = False) -> None:
        """From here on datagrams belong to the next generation."""
        if self._directory < 0 and not starting:
            self._claim_late()
        self._folder.mkdir(mode=0o750, exist_ok=True)
        journals = [self._path(one, "journal") for one in self._found()["journal"]]
        generation = self._generation + 1
        room = sum(path.stat().st_size for path in journals) < ALL_JOURNALS
        file = new_journal(self._path(generation, "journal")) if room else None
        with self._lock:
            self._journal.begin(file)
            if starting:
                self._journal.add_start(self._clock())
        self._generation = generation

    def _write(self) -> None:
        begin = time.monotonic()
        now = self._clock()
        self._begin_journal()
        with StateWriter(self._path(self._generation, "state.gz"), VERSION, now) as file:
            self._write_all(file)
        self.written.time, self.written.seconds, self.written.size = now, time.monotonic() - begin, file.size
        if self._trouble:
            self._trouble = False
            self._notes["back"] = (1, f"{self._folder}: the state is written again")
        self._tidy()

    def _write_all(self, file: StateWriter) -> None:
        collector = self._collector()
        done: dict[str, tuple[Agent, int, int]] = {}
        for agents in _in_turns(collector):
            if self._deadline and time.monotonic() > self._deadline:
                raise _LateError
            with self._lock:
                mark, version = self._journal.count, collector.ledger.version
                states = [agent_state(agent) for agent in agents]
            for agent, state in zip(agents, states, strict=True):
                done[agent.address] = (agent, version, file.lines)
                file.add({"mark": mark, "agent": state})
        with self._lock:
            passed_over = []
            for address, (agent, version, line) in done.items():
                if agent.moved > version or collector.agents.get(address) is not agent:
                    passed_over.append(line)
            over = set(passed_over)
            last = [
                agent_state(agent)
                for address, agent in collector.agents.items()
                if address not in done or done[address][2] in over
            ]
            mark, own = self._journal.count, collector_state(collector)
        for state in last:
            file.add({"mark": mark, "agent": state})
        file.add({"mark": mark, "collector": own})
        file.finish(passed_over)

    def _tidy(self) -> None:
        """Remove what nobody needs any more."""
        found = self._found()
        for old in found["state.gz"][:-KEPT]:
            self._path(old, "state.gz").unlink(missing_ok=True)
        for draft in self._folder.glob(f"{'[0-9]' * 10}.state.gz.new"):  # of a program that was killed
            draft.unlink(missing_ok=True)
        first = found["state.gz"][-KEPT:][0]
        for old in found["journal"]:
            if old < first:
                self._path(old, "journal").unlink(missing_ok=True)


def _recount(collector: Collector, file: StateFile | None) -> None:
    """What the collector had counted itself when the state was complete."""
    if file is not None:
        take_counts(collector, file.own)


def _is_first(journal: Path) -> bool:
    """Whether a journal is that of a program which began with nothing."""
    try:
        return any(number & START for number, _, _ in islice(read_journal(journal), 1))
    except StateError:
        return False


def _agent_of(payload: bytes) -> str:
    try:
        return decode_header(payload).agent
    except DecodeError:
        return ""


def _in_turns(collector: Collector) -> Iterator[list[Agent]]:
    """The agents, a few at a time."""
    turn: list[Agent] = []
    sources = 0
    for agent in list(collector.agents.values()):
        turn.append(agent)
        sources += len(agent.sources) + 1
        if sources >= AT_ONCE:
            yield turn
            turn, sources = [], 0
    if turn:
        yield turn
