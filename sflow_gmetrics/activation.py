"""Sockets that systemd has opened for us, and which of our ports each is.

Source: sd_listen_fds_with_names(3): `$LISTEN_FDS` sockets from descriptor 3 on are for the process
`$LISTEN_PID`; `$LISTEN_FDNAMES` has the FileDescriptorName= of each.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, MutableMapping

from .config import OFF, Config, split_address
from .errors import InputError

FIRST = 3
"""The descriptor of the first socket."""
PORTS = {"sflow": 6343, "gmond": 8649, "gmetad-xml": 8651, "gmetad-interactive": 8652, "web": 9343}
"""The names of our ports, and where each is by habit."""

Passed = dict[str, list[socket.socket]]


def passed_sockets(config: Config, environment: MutableMapping[str, str] = os.environ) -> Passed:
    """The sockets that were passed, by port. Raises InputError for one that is for none of them.

    The name says which port it is; without one of our names it is told by its own port number.
    The variables are taken out of the environment: a program that we start is not meant.
    """
    pid, count, names = (environment.pop(f"LISTEN_{one}", "") for one in ("PID", "FDS", "FDNAMES"))
    found: Passed = {port: [] for port in PORTS}
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit():
        return found
    told = names.split(":") if names else []
    for index in range(int(count)):
        name = told[index] if index < len(told) else ""
        one = _socket(FIRST + index, name)
        found[_port_of(one, name, config)].append(one)
    return found


def _socket(descriptor: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise InputError(f"systemd: descriptor {descriptor} ({name or 'no name'}): {error.strerror}") from None


def _port_of(one: socket.socket, name: str, config: Config) -> str:
    at = one.getsockname()
    place = f"systemd: the socket {name or 'without a name'!r} ({at})"
    if one.family not in (socket.AF_INET, socket.AF_INET6):
        raise InputError(f"{place} is none of IPv4 or IPv6: set ListenDatagram= or ListenStream= to a port")
    datagrams = one.type == socket.SOCK_DGRAM
    if not datagrams and not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise InputError(f"{place} does not listen: set Accept=no in its unit")
    if name in PORTS:
        if datagrams != (name == "sflow"):
            raise InputError(f"{place} has the wrong type: sflow needs ListenDatagram=, all others ListenStream=")
        return name
    if datagrams:
        return "sflow"
    for port, number in _numbers(config):
        if number == at[1] != 0:
            return port
    raise InputError(f"{place} is none of our ports: set FileDescriptorName= in its unit to one of {', '.join(PORTS)}")


def _numbers(config: Config) -> Iterator[tuple[str, int]]:
    """(port, number) of those for TCP: as configured, then as by habit."""
    configured = {
        "gmond": (config.gmond.listen,),
        "gmetad-xml": (config.gmetad.xml_listen,),
        "gmetad-interactive": (config.gmetad.interactive_listen,),
        "web": config.web.listen,
    }
    for port, addresses in configured.items():
        for address in addresses:
            if address not in OFF:
                yield port, split_address(address)[1]
    yield from ((port, number) for port, number in PORTS.items() if port != "sflow")
