"""What systemd is told: ready, reloading, ending, a line of status, and that the program still works.

Source: sd_notify(3), sd_watchdog_enabled(3). The protocol is one datagram of `NAME=value` lines to
the Unix socket that `$NOTIFY_SOCKET` names.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

log = logging.getLogger("sflow_gmetrics")

STATUS_INTERVAL = 10.0
"""How often the line of status is renewed where no watchdog asks for more, in seconds."""
IDLE = 2.0
"""A thread that waits for nothing in particular shows within this many seconds that it lives."""


class Part(Protocol):
    """Something that the program cannot do without."""

    @property
    def name(self) -> str:
        """What it is called in the log."""

    def works(self, within: float) -> bool:
        """Whether it has done its round in the last `within` seconds."""


class Notifier:
    """Tells systemd how the program is; without `$NOTIFY_SOCKET` it tells nobody. Never raises."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environment) if self._address else 0.0
        self._failed = False

    def ready(self, status: str) -> None:
        """Every port is open, or a reload is over."""
        self._tell("READY=1", f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """The configuration is about to be read again; `ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading the configuration")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1", "STATUS=ending")

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows."""
        self._tell(f"STATUS={_line(text)}")

    def alive(self, status: str) -> None:
        """Everything works: the watchdog waits anew."""
        self._tell("WATCHDOG=1", f"STATUS={_line(status)}")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(1.0)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:
                log.warning("systemd cannot be told how this program is: NOTIFY_SOCKET: %s", error.strerror or error)
            self._failed = True
        else:
            self._failed = False


class Watchdog:
    """Says WATCHDOG=1 at half of the time that systemd gives, from the event loop, while every part works.

    So silence means that the loop hangs, or a part; systemd then ends and restarts the program.
    """

    def __init__(self, notifier: Notifier, parts: Callable[[], Iterable[Part]], status: Callable[[], str]) -> None:
        self._notifier = notifier
        self._parts = parts
        self._status = status
        self._missed: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look after the parts until cancelled."""
        period = self._notifier.watchdog
        while True:
            await asyncio.sleep(period / 2 or STATUS_INTERVAL)
            self._look(period)

    def _look(self, period: float) -> None:
        within = max(period, IDLE)
        missed = frozenset(one.name for one in self._parts() if not one.works(within)) if period else frozenset()
        if not missed:
            if period:
                self._notifier.alive(self._status())
            else:
                self._notifier.status(self._status())
        elif missed != self._missed:
            names = ", ".join(sorted(missed))
            log.error("these threads do not work any more: %s; the watchdog will end the program", names)
            self._notifier.status(f"stuck: {names}")
        self._missed = missed


def _address(text: str) -> str:
    """The address for sendto: a path, or @NAME for a socket without one. Others are not Unix sockets."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


def _watchdog(environment: Mapping[str, str]) -> float:
    """The watchdog's time in seconds; 0 where there is none, or it is meant for another process."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not (usec.isascii() and usec.isdigit()) or (pid and pid != str(os.getpid())):
        return 0.0
    return int(usec) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())
