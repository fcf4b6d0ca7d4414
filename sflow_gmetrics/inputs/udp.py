"""The UDP port: a thread that takes all datagrams that wait, works on them and rests; and what the kernel dropped.

An asyncio protocol would cost as much for each datagram as everything that is done with it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from .ports import sharing
from .recvmmsg import MOST, Waiting

DATAGRAM = 65_535
OVERHEAD = 4
"""The kernel charges a datagram with about twice its bytes, a short one with four times: so much room is asked for."""
ROOM = 1 << 25
"""How many bytes of datagrams are taken from the kernel before they are worked on."""
_OBJECT = 100
"""What each of them takes besides, in bytes: a datagram may be empty."""
REST = 2.4e-9
"""How long a rest is, in seconds for each byte of the buffer: with 16 MiB 40 ms.

In that time a burst at the full speed of a loopback fills half of it. With a small buffer it is as long as the thread
must be able to wait for its turn anyway.
"""
RESTS = 10
REST_IN_ALL = 0.2
"""How often and for how many seconds the thread rests after it has worked on all: to wake up costs far more than
a datagram. A buffer that fills up ends it.
"""
_PAUSE = 0.1
"""Seconds after which a receive that has failed is tried again."""
_MEMINFO, _MEMINFO_SIZE = 55, 36
"""SO_MEMINFO: nine numbers, the first is how many bytes of the buffer are taken."""
_HALF_SECOND = struct.pack("ll", 0, 500_000)
"""How long a receive can block, so that the thread sees that it is to end (struct timeval)."""


class UdpInput:
    """A bound UDP socket whose datagrams go to `receive(payloads)`, from a thread of its own.

    With `only_v6`, [::] leaves IPv4 alone; with `shared`, so do other sockets of ours that are shared at the
    moment. A socket that is `passed` is bound already; others may hold it too, and it outlives us. Raises
    InputError where the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        receive_buffer: int,
        receive: Callable[[list[bytes]], None],
        passed: socket.socket | None = None,
        *,
        only_v6: bool = False,
        shared: bool = False,
    ) -> None:
        self._receive = receive
        self._ending = threading.Event()
        self._passed = passed is not None
        self.socket = _adopt(passed, receive_buffer) if passed else _bind(host, port, receive_buffer, only_v6, shared)
        self._dropped = 0
        self.host, self.port = self.socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._loop, name=f"udp-{self.port}", daemon=True)
        self._round = time.monotonic()

    @property
    def name(self) -> str:
        """What its thread is called."""
        return self._thread.name

    def works(self, within: float) -> bool:
        """Whether the thread lives and has waited for a datagram in the last `within` seconds."""
        return self._thread.is_alive() and time.monotonic() - self._round < within

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()

    def resize(self, receive_buffer: int) -> None:
        """Ask for another size of the buffer."""
        (_adopt if self._passed else _prepare)(self.socket, receive_buffer)

    def stop(self) -> None:
        """Take what has come, end the thread and close the socket."""
        self._ending.set()
        if not self._passed:
            with contextlib.suppress(OSError):  # it is not connected, but the thread wakes up
                self.socket.shutdown(socket.SHUT_RD)
        if self._thread.is_alive():
            self._thread.join(2.0)
        self.kernel_drops()
        self.socket.close()

    def _loop(self) -> None:
        """Work on what has come, a few datagrams at a time, and between them take more: the kernel has less room.

        After the last few it rests, so that those that come meanwhile are taken together.
        """
        waiting = Waiting(self.socket)
        queue: deque[list[bytes]] = deque()
        held = 0
        while not self._ending.is_set():
            self._round = time.monotonic()
            while held < ROOM and (more := waiting.take()):
                queue.append(more)
                held += _size(more)
            batch = queue.popleft() if queue else self._wait()
            held = max(held - _size(batch), 0)
            self._receive(batch)
            if not queue and 0 < len(batch) < MOST:
                self._rest()
        left = self.receive_buffer
        while left > 0 and (more := waiting.take()):
            queue.append(more)
            left -= _size(more)
        for batch in queue:
            self._receive(batch)

    def _wait(self) -> list[bytes]:
        """The next datagram, or nothing if none comes for a while, the socket has an error to tell, or it is closed."""
        try:
            datagram = self.socket.recv(DATAGRAM)
        except (BlockingIOError, InterruptedError, ConnectionError):
            return []
        except OSError:  # no memory, or a network that is down: it passes
            self._ending.wait(_PAUSE)
            return []
        return [datagram] if datagram or not self._ending.is_set() else []

    def _rest(self) -> None:
        """Let datagrams come together, but no more than a quarter of the buffer holds."""
        size = self.receive_buffer
        rest = min(max(REST * size, sys.getswitchinterval()), REST_IN_ALL)
        for _ in range(min(RESTS, int(REST_IN_ALL / rest))):
            time.sleep(rest)
            if self._waiting() > size // 4 or self._ending.is_set():
                return

    def _waiting(self) -> int:
        """How many bytes of the buffer are taken; a system that does not say so gets no second rest."""
        try:
            return int.from_bytes(self.socket.getsockopt(socket.SOL_SOCKET, _MEMINFO, _MEMINFO_SIZE)[:4], sys.byteorder)
        except OSError:
            return sys.maxsize

    @property
    def receive_buffer(self) -> int:
        """The size of the buffer in bytes, without the half that the kernel uses for itself."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2

    def kernel_drops(self) -> int:
        """How many datagrams the kernel has dropped because the buffer was full; as before where it does not say."""
        try:
            inode = os.fstat(self.socket.fileno()).st_ino
            table = "udp6" if self.socket.family == socket.AF_INET6 else "udp"
            lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        except (OSError, ValueError):  # without a file descriptor for it too
            return self._dropped
        for line in lines:
            words = line.split()
            if len(words) > 12 and words[9] == str(inode):
                self._dropped = int(words[12])
        return self._dropped


def _size(datagrams: list[bytes]) -> int:
    return sum(map(len, datagrams)) + _OBJECT * len(datagrams)


def _bind(host: str, port: int, receive_buffer: int, only_v6: bool, shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # the second for a name that DNS cannot have
        raise InputError(f"[sflow] listen: {host}:{port}: {getattr(error, 'strerror', None) or error}") from None
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" and not only_v6 else 1)
        with sharing([bound] if shared else []):
            _prepare(bound, receive_buffer).bind(address)
    except OSError as error:
        bound.close()
        raise InputError(f"[sflow] listen: UDP {host}:{port}: {error.strerror}; {_cure(error, port)}") from None
    return bound


def _adopt(passed: socket.socket, receive_buffer: int) -> socket.socket:
    """A socket that was bound by somebody else; a buffer that is larger than ours is left as it is."""
    there = passed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // (2 * OVERHEAD)
    return _prepare(passed, max(receive_buffer, there))


def _prepare(bound: socket.socket, receive_buffer: int) -> socket.socket:
    """The socket with its buffer and a receive that ends by itself."""
    bound.setblocking(True)
    force = getattr(socket, "SO_RCVBUFFORCE", 33)
    try:
        bound.setsockopt(socket.SOL_SOCKET, force, OVERHEAD * receive_buffer)
    except OSError:  # without CAP_NET_ADMIN rmem_max is the most, and systemd may have given more
        granted = min(OVERHEAD * receive_buffer, _rmem_max())
        if 2 * granted > bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, granted)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _HALF_SECOND)
    return bound


def _rmem_max() -> int:
    """The largest buffer in bytes that the kernel grants to everybody."""
    try:
        return int(Path("/proc/sys/net/core/rmem_max").read_text("ascii"))
    except (OSError, ValueError):
        return 1 << 30


def _cure(error: OSError, port: int) -> str:
    if error.errno == 98:
        return f"another program listens there: find it with 'ss -lunp sport = :{port}', or set another port"
    if error.errno == 13:
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE"
    return "set an address of this machine, or 0.0.0.0 for all"
