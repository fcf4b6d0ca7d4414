"""Is a port free, and whom does it leave it to?"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator

from ..config import split_address


def port_or_free(address: str, *, udp: bool = False) -> str:
    """The address if its port can be bound, else the same host with port 0: any port that is free."""
    host, port = split_address(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as probe:
        if not udp:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return f"{host}:0"
    return address


@contextlib.contextmanager
def sharing(sockets: Iterable[socket.socket]) -> Iterator[None]:
    """Meanwhile these sockets leave room for others of ours that are shared too, also at an address that is theirs."""
    shared = [one for one in sockets if one.fileno() >= 0]
    for one in shared:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        for one in shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
