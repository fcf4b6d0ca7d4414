"""Is a port free?"""

from __future__ import annotations

import socket

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
