"""rrdtool as an engine: commands and answers through the pipes of one child that is started again when it ends.

Source: rrdtool(1) and rrdupdate(1) of RRDtool 1.7.2, and how it was seen to behave.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence

from sflow_gmetrics.errors import EngineError

from .rrd_file import NewFile, explain

TIMEOUT = 10.0
"""Seconds to wait for the next piece of an answer."""
FAULTS = (signal.SIGFPE, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL)
"""What ends it when it stumbles over a damaged file; whoever wants it to end takes other signals."""


class RrdtoolPipe:
    """One `rrdtool -` that lives on; 1.5 or newer. Files are on this machine."""

    name = "rrdtool"
    BATCH = 200
    """How many commands go out before their answers are read."""
    PAUSE = 0.001
    """Seconds to let answers come together: it writes each one by itself, and waking up for each costs 10 us."""
    ANSWER = 1 << 22
    """The longest answer in bytes."""
    _MARK = re.compile(rb"(?:\A|\n)/\nOK [^\n]*\n\Z")
    """What ends a chunk: the answer to `pwd`, for it runs in the root directory."""

    def __init__(self, program: str = "rrdtool", timeout: float = TIMEOUT) -> None:
        self.program = program
        self._timeout = timeout
        self._child: subprocess.Popen[bytes] | None = None

    def update(self, batch: Sequence[tuple[str, str]]) -> list[str]:
        """See Engine."""
        return self._run([(path, f"update -s {_quote(path)} {values}\n") for path, values in batch])

    def create(self, files: Sequence[NewFile]) -> list[str]:
        """See Engine."""
        places = {place: _make(place) for place in {os.path.dirname(file.path) for file in files} if place}
        errors = self._run(
            [
                (file.path, f"create {_quote(file.path)} -b {file.start} -s {file.step} -O {file.definitions}\n")
                for file in files
            ]
        )
        for number, file in enumerate(files):
            if file.path.isprintable() and (errors[number] or not os.path.exists(file.path)):
                errors[number] = places[os.path.dirname(file.path)] or explain(errors[number], file)
        return errors

    def _run(self, commands: Sequence[tuple[str, str]]) -> list[str]:
        good = [text for path, text in commands if path.isprintable()]
        answers: list[str] = []
        try:
            while len(answers) < len(good):
                answers += self._ask(good[len(answers) : len(answers) + self.BATCH])
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            self.close()
            raise EngineError(f"{self.program}: {error}") from None
        if len(good) == len(commands):
            return answers
        given = iter(answers)
        return [next(given) if path.isprintable() else "not a path for rrdtool" for path, _ in commands]

    def _ask(self, chunk: Sequence[str]) -> list[str]:
        """The error text of each of these commands, up to the first one over which it fell. Raises OSError, ValueError.

        It falls over damaged files: that is no reason to keep all others waiting, if it can be started again.
        """
        said, code = self._exchange(f"{''.join(chunk)}pwd\n".encode())
        if code is None:
            return _answers(said.splitlines()[:-2], len(chunk))
        self.close()
        if -code not in FAULTS or self._exchange(b"pwd\n")[1] is not None:
            raise BrokenPipeError(errno.EPIPE, f"it has ended with {code}")
        errors = _answers(said.splitlines())
        return [*errors, f"rrdtool ended with {signal.Signals(-code).name}; the file may be damaged"][: len(chunk)]

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if key != "RRDCACHED_ADDRESS"}
        child = subprocess.Popen(
            [self.program, "-"],
            cwd="/",
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "LC_ALL": "C"},  # error texts are read
            start_new_session=True,  # Ctrl-C is for us: it must still take our last values
        )
        assert child.stdin is not None
        os.set_blocking(child.stdin.fileno(), False)
        return child

    def _exchange(self, request: bytes) -> tuple[str, int | None]:
        """All that it says to these commands, read while they are written, and its exit code if it has ended.

        Raises OSError, TimeoutExpired.
        """
        if self._child is None:
            self._child = self._start()
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        left, said = memoryview(request), bytearray()
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            selector.register(child.stdin, selectors.EVENT_WRITE)
            while left or not self._MARK.search(said, max(0, len(said) - 200)):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError(f"no answer in {self._timeout:g} s")
                if not left:
                    time.sleep(self.PAUSE)
                for key, _ in ready:
                    if key.fileobj is child.stdin:
                        try:
                            left = left[os.write(key.fd, left) :]
                        except BrokenPipeError:  # what it has said is there to be read
                            left = left[:0]
                        if not left:
                            selector.unregister(child.stdin)
                    elif piece := os.read(key.fd, 1 << 16):
                        said += piece
                        if len(said) > self.ANSWER:
                            raise ValueError("it does not stop talking")
                        deadline = time.monotonic() + self._timeout
                    else:
                        return said.decode("utf-8", "replace"), child.wait(self._timeout)
        return said.decode("utf-8", "replace"), None

    def close(self) -> None:
        """See Engine. It has what was acknowledged, so it is simply ended."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()


def _answers(lines: Sequence[str], count: int | None = None) -> list[str]:
    """The error text of each command. Raises ValueError when there are more or fewer than `count`."""
    errors: list[str] = []
    for line in lines:
        if line.startswith("OK "):
            errors.append("")
        elif line.startswith("ERROR: "):
            errors.append(line[7:])
        elif errors and errors[-1]:
            errors[-1] += f" {line}"
        else:
            raise ValueError(f"an answer that makes no sense: {line[:100]}")
    if count is not None and len(errors) != count:
        raise ValueError(f"{len(errors)} answers to {count} commands")
    return errors


def _make(place: str) -> str:
    """Make a directory; an error text, "" when it is there."""
    try:
        os.makedirs(place, exist_ok=True)
    except OSError as error:
        return f"{place}: {error.strerror}"
    return ""


def _quote(path: str) -> str:
    """A path in a command of `rrdtool -`, which knows quotes but no backslashes."""
    return shlex.quote(path) if "'" in path else f"'{path}'"
