"""Interfaces: sFlow counter records 0:1, 0:2, 0:1004 and 0:1005. The families are off unless they are asked for.

Source: sFlow version 5, section 5 (counter formats); sFlow OpenFlow and port name structures.
"""

from __future__ import annotations

from dataclasses import replace

from ..schema import Family, Field, Metric, Role, Structure, counter, enum, ident
from ..xdr import U32, U64, string
from .network import HOST_NET_IO
from .vocabulary import ERRORS, HSFLOWD, SFLOWTOOL, Families, snake

INTERFACE = Families("sflow_interface_", group="interface")

RECEIVE_PACKETS = INTERFACE("receive_packets_total", "Packets received.")
TRANSMIT_PACKETS = INTERFACE("transmit_packets_total", "Packets sent.")
ETHERNET_ERRORS = INTERFACE("ethernet_errs_total", "Ethernet errors (dot3Stats).")

PORT_PACKETS = 4e7
"""A 100 Gb/s port full of packets of 300 bytes; with the smallest ones 32 bits wrap in 29 s and no bound can tell."""
PORT_DISCARDS = 1e7
"""What a 100 Gb/s port cannot pass on to one of 10 Gb/s."""

BYTES_IN, PKTS_IN, ERRS_IN, DROPS_IN, BYTES_OUT, PKTS_OUT, ERRS_OUT, DROPS_OUT = (
    field.ganglia[0] for field in HOST_NET_IO.fields
)


def _like(host: Metric) -> tuple[Metric, ...]:
    """For one interface what the host has for all of them, where it is switched on."""
    return (replace(host, group="interface", switch="interfaces"),)


def _packets(name: str, family: Family, host: Metric, cast: str) -> Field:
    """Packets to one, many or all stations: pkts_in, mcast_in, bcast_in. All ones where the driver does not tell."""
    shown = host
    if cast != "unicast":
        cast_name = host.name.replace("pkts", f"{cast[0]}cast")
        shown = replace(host, name=cast_name, title=f"{cast.title()} {host.title}")
    return counter(name, U32, "packets", family=family(cast=cast), ganglia=_like(shown), bound=PORT_PACKETS)


def _lost(name: str, host: Metric, family: Family, bound: float) -> Field:
    """Packets that did not arrive."""
    return counter(name, U32, "packets", family=family, ganglia=_like(host), bound=bound)


def _octets(name: str, host: Metric, family: Family) -> Field:
    """Bytes of all packets."""
    return counter(name, U64, "bytes", family=family, ganglia=_like(host))


def _ethernet(what: str) -> Field:
    """dot3StatsFCSErrors, with the label error="fcs"."""
    error = snake(what.removesuffix("Errors").removesuffix("Frames"))
    return counter(f"dot3Stats{what}", family=ETHERNET_ERRORS(error=error), bound=ERRORS)


# hsflowd: only with a module that samples packets; ifType is always 6, counting starts with the
# agent, ifPromiscuousMode is 0 or 1 (the specification says 1 for on, 2 for off).
IF_COUNTERS = Structure(
    "if_counters",
    0,
    1,
    (
        ident("ifIndex"),
        enum("ifType"),
        ident(
            "ifSpeed", U64, "bit/s", family=INTERFACE("speed_bytes", "Speed in bytes per second."), zero_unknown=True
        ),
        enum("ifDirection"),
        enum("ifStatus"),
        _octets("ifInOctets", BYTES_IN, INTERFACE("receive_bytes_total", "Bytes received.")),
        _packets("ifInUcastPkts", RECEIVE_PACKETS, PKTS_IN, "unicast"),
        _packets("ifInMulticastPkts", RECEIVE_PACKETS, PKTS_IN, "multicast"),
        _packets("ifInBroadcastPkts", RECEIVE_PACKETS, PKTS_IN, "broadcast"),
        _lost(
            "ifInDiscards",
            DROPS_IN,
            INTERFACE("receive_drop_total", "Packets dropped while receiving."),
            PORT_DISCARDS,
        ),
        _lost("ifInErrors", ERRS_IN, INTERFACE("receive_errs_total", "Packets received with errors."), ERRORS),
        counter(
            "ifInUnknownProtos",
            U32,
            "packets",
            family=INTERFACE("receive_unknown_protos_total", "Packets received for unknown protocols."),
            bound=ERRORS,
        ),
        _octets("ifOutOctets", BYTES_OUT, INTERFACE("transmit_bytes_total", "Bytes sent.")),
        _packets("ifOutUcastPkts", TRANSMIT_PACKETS, PKTS_OUT, "unicast"),
        _packets("ifOutMulticastPkts", TRANSMIT_PACKETS, PKTS_OUT, "multicast"),
        _packets("ifOutBroadcastPkts", TRANSMIT_PACKETS, PKTS_OUT, "broadcast"),
        _lost(
            "ifOutDiscards",
            DROPS_OUT,
            INTERFACE("transmit_drop_total", "Packets dropped while sending."),
            PORT_DISCARDS,
        ),
        _lost("ifOutErrors", ERRS_OUT, INTERFACE("transmit_errs_total", "Errors while sending."), ERRORS),
        enum("ifPromiscuousMode", family=INTERFACE("promiscuous", "Promiscuous mode: 1 on, 2 off (hsflowd: 0 off).")),
    ),
    role=Role.INTERFACE,
    source=HSFLOWD,
)

ETHERNET_COUNTERS = Structure(
    "ethernet_counters",
    0,
    2,
    (
        _ethernet("AlignmentErrors"),
        _ethernet("FCSErrors"),
        _ethernet("SingleCollisionFrames"),
        _ethernet("MultipleCollisionFrames"),
        _ethernet("SQETestErrors"),
        _ethernet("DeferredTransmissions"),
        _ethernet("LateCollisions"),
        _ethernet("ExcessiveCollisions"),
        _ethernet("InternalMacTransmitErrors"),
        _ethernet("CarrierSenseErrors"),
        _ethernet("FrameTooLongs"),
        _ethernet("InternalMacReceiveErrors"),
        _ethernet("SymbolErrors"),
    ),
    role=Role.INTERFACE,
    source=HSFLOWD,
)

OF_PORT = Structure("of_port", 0, 1004, (ident("datapath_id", U64), ident("port_no")), source=SFLOWTOOL)

# hsflowd sends it with each 0:1.
PORT_NAME = Structure("port_name", 0, 1005, (ident("name", string()),), source=HSFLOWD)

STRUCTURES = (IF_COUNTERS, ETHERNET_COUNTERS, OF_PORT, PORT_NAME)
