"""Network traffic of hosts and of virtual nodes: sFlow counter records 0:2006 and 0:2104, the same eight counters.

Source: sFlow Host Structures, sections 4 and 5; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..schema import Field, Role, Structure
from ..xdr import U64
from .vocabulary import DROPS, ERRORS, HOST, HSFLOWD, PACKETS, SERVICE, Families, Group


def _traffic(families: Families, group: Group, by: str, by_all: str) -> tuple[Field, ...]:
    """The eight counters, for helps that say by whom the traffic is."""

    def octets(name: str, title: str, family: str, what: str) -> Field:
        shown = families(f"network_{family}_total", f"{what} by {by}.", f"{what} by {by_all}.")
        return group.rate(name, title, shown, U64, "bytes", units="bytes/sec")

    def packets(name: str, title: str, units: str, family: str, what: str, bound: float) -> Field:
        shown = families(f"network_{family}_total", f"{what} by {by}.")
        return group.rate(name, title, shown, unit="packets", units=units, bound=bound)

    return (
        octets("bytes_in", "Bytes Received", "receive_bytes", "Bytes received"),
        packets("pkts_in", "Packets Received", "packets/sec", "receive_packets", "Packets received", PACKETS),
        packets("errs_in", "Input Errors", "errors/sec", "receive_errs", "Packets received with errors", ERRORS),
        packets("drops_in", "Input Drops", "drops/sec", "receive_drop", "Packets dropped while receiving", DROPS),
        octets("bytes_out", "Bytes Sent", "transmit_bytes", "Bytes sent"),
        packets("pkts_out", "Packets Sent", "packets/sec", "transmit_packets", "Packets sent", PACKETS),
        packets("errs_out", "Output Errors", "errors/sec", "transmit_errs", "Errors while sending", ERRORS),
        packets("drops_out", "Output Drops", "drops/sec", "transmit_drop", "Packets dropped while sending", DROPS),
    )


# hsflowd: the sum over interfaces that are up, without loopback, VLANs and bond masters. It
# starts at 0 with the agent, whereas CPU and disks count from boot.
HOST_NET_IO = Structure(
    "host_net_io",
    0,
    2006,
    _traffic(HOST, Group("network"), "the host", "the hosts of the pool"),
    role=Role.HOST,
    source=HSFLOWD,
)

# hsflowd sends it for containers, pods and virtual machines, not for systemd services.
VIRT_NET_IO = Structure(
    "virt_net_io",
    0,
    2104,
    _traffic(SERVICE, Group("vm network", "v", "VM "), "the service", "the service on all hosts of the pool"),
    role=Role.SERVICE,
    source=HSFLOWD,
)

STRUCTURES = (HOST_NET_IO, VIRT_NET_IO)
