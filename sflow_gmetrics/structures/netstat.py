"""MIB-II groups of the host's network stack: sFlow counter records 0:2007 to 0:2010. Off unless they are asked for.

Agents up to hsflowd 2.1.25 shift the ICMP group from its third field on where the kernel counts
InCsumErrors; the numbers are passed on as sent.
Source: sFlow Host TCP/IP Counters.
"""

from __future__ import annotations

from collections.abc import Callable

from ..operators import Rate
from ..schema import Field, Metric, Role, Structure, counter, gauge, ident
from .vocabulary import EVENTS, HSFLOWD, Families, snake

NETSTAT = Families("sflow_host_netstat_", group="netstat")

DATAGRAMS = 1e7
"""IP packets, TCP segments or datagrams of one host."""


def _mib(name: str, bound: float = EVENTS) -> Field:
    """A counter of MIB-II: its family and metric are its name in snake case."""
    words = snake(name)
    shown = Metric(words, words.partition("_")[0], name, Rate(), units="per sec", switch="netstat")
    return counter(name, family=NETSTAT(f"{words}_total", f"MIB-II {name}."), ganglia=(shown,), bound=bound)


def _all(names: str) -> tuple[Field, ...]:
    """Errors and other events that are rare beside the traffic."""
    return tuple(_mib(name) for name in names.split())


def _state(kind: Callable[..., Field], name: str, help: str, unit: str = "", suffix: str = "") -> Field:
    """A setting of the stack, or how many there are of something now."""
    return kind(name, unit=unit, family=NETSTAT(snake(name) + suffix, help))


MIB2_IP_GROUP = Structure(
    "mib2_ip_group",
    0,
    2007,
    (
        _state(ident, "ipForwarding", "Whether the host forwards IP: 1 yes, 2 no."),
        _state(ident, "ipDefaultTTL", "Default time to live."),
        _mib("ipInReceives", DATAGRAMS),
        *_all("ipInHdrErrors ipInAddrErrors"),
        _mib("ipForwDatagrams", DATAGRAMS),
        *_all("ipInUnknownProtos ipInDiscards"),
        _mib("ipInDelivers", DATAGRAMS),
        _mib("ipOutRequests", DATAGRAMS),
        *_all("ipOutDiscards ipOutNoRoutes"),
        _state(ident, "ipReasmTimeout", "Reassembly timeout.", "s", "_seconds"),
        *_all("ipReasmReqds ipReasmOKs ipReasmFails ipFragOKs ipFragFails ipFragCreates"),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

MIB2_ICMP_GROUP = Structure(
    "mib2_icmp_group",
    0,
    2008,
    _all(
        "icmpInMsgs icmpInErrors icmpInDestUnreachs icmpInTimeExcds icmpInParamProbs icmpInSrcQuenchs icmpInRedirects"
        " icmpInEchos icmpInEchoReps icmpInTimestamps icmpInAddrMasks icmpInAddrMaskReps"
        " icmpOutMsgs icmpOutErrors icmpOutDestUnreachs icmpOutTimeExcds icmpOutParamProbs icmpOutSrcQuenchs"
        " icmpOutRedirects icmpOutEchos icmpOutEchoReps icmpOutTimestamps icmpOutTimestampReps icmpOutAddrMasks"
        " icmpOutAddrMaskReps"
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

# Linux: tcpMaxConn is all ones, for it sets no limit.
MIB2_TCP_GROUP = Structure(
    "mib2_tcp_group",
    0,
    2009,
    (
        ident("tcpRtoAlgorithm"),
        ident("tcpRtoMin"),
        ident("tcpRtoMax"),
        ident("tcpMaxConn"),
        *_all("tcpActiveOpens tcpPassiveOpens tcpAttemptFails tcpEstabResets"),
        _state(gauge, "tcpCurrEstab", "Established TCP connections.", "connections"),
        _mib("tcpInSegs", DATAGRAMS),
        _mib("tcpOutSegs", DATAGRAMS),
        *_all("tcpRetransSegs tcpInErrs tcpOutRsts tcpInCsumErrors"),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

# A flood fills udpNoPorts, udpInErrors and udpRcvbufErrors as fast as datagrams arrive.
MIB2_UDP_GROUP = Structure(
    "mib2_udp_group",
    0,
    2010,
    (
        _mib("udpInDatagrams", DATAGRAMS),
        _mib("udpNoPorts", DATAGRAMS),
        _mib("udpInErrors", DATAGRAMS),
        _mib("udpOutDatagrams", DATAGRAMS),
        _mib("udpRcvbufErrors", DATAGRAMS),
        *_all("udpSndbufErrors udpInCsumErrors"),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

STRUCTURES = (MIB2_IP_GROUP, MIB2_ICMP_GROUP, MIB2_TCP_GROUP, MIB2_UDP_GROUP)
