"""MIB-II groups of the host's network stack: sFlow counter records 0:2007 to 0:2010.

Agents up to hsflowd 2.1.25 shift the ICMP group from its third field on where the kernel counts
InCsumErrors; the numbers are passed on as sent.
Source: sFlow Host TCP/IP Counters.
"""

from __future__ import annotations

import re

from ..operators import Rate
from ..schema import Family, Field, Metric, Role, Structure, counter, gauge, ident
from ..xdr import U32

_BOUNDARY = re.compile("(?<=[a-z])(?=[A-Z])")


def _mib(name: str) -> Field:
    """A MIB-II counter: its family and metric are its name in snake case."""
    snake = _BOUNDARY.sub("_", name).lower()
    family = Family(f"sflow_host_netstat_{snake}_total", f"MIB-II {name}.", group="netstat")
    metric = Metric(snake, snake.partition("_")[0], name, Rate(), units="per sec", switch="netstat")
    return counter(name, family=family, ganglia=(metric,))


MIB2_IP_GROUP = Structure(
    "mib2_ip_group",
    0,
    2007,
    (
        ident(
            "ipForwarding",
            family=Family(
                "sflow_host_netstat_ip_forwarding", "Whether the host forwards IP: 1 yes, 2 no.", group="netstat"
            ),
        ),
        ident(
            "ipDefaultTTL", family=Family("sflow_host_netstat_ip_default_ttl", "Default time to live.", group="netstat")
        ),
        _mib("ipInReceives"),
        _mib("ipInHdrErrors"),
        _mib("ipInAddrErrors"),
        _mib("ipForwDatagrams"),
        _mib("ipInUnknownProtos"),
        _mib("ipInDiscards"),
        _mib("ipInDelivers"),
        _mib("ipOutRequests"),
        _mib("ipOutDiscards"),
        _mib("ipOutNoRoutes"),
        ident(
            "ipReasmTimeout",
            U32,
            "s",
            family=Family("sflow_host_netstat_ip_reasm_timeout_seconds", "Reassembly timeout.", group="netstat"),
        ),
        _mib("ipReasmReqds"),
        _mib("ipReasmOKs"),
        _mib("ipReasmFails"),
        _mib("ipFragOKs"),
        _mib("ipFragFails"),
        _mib("ipFragCreates"),
    ),
    role=Role.HOST,
)

MIB2_ICMP_GROUP = Structure(
    "mib2_icmp_group",
    0,
    2008,
    (
        _mib("icmpInMsgs"),
        _mib("icmpInErrors"),
        _mib("icmpInDestUnreachs"),
        _mib("icmpInTimeExcds"),
        _mib("icmpInParamProbs"),
        _mib("icmpInSrcQuenchs"),
        _mib("icmpInRedirects"),
        _mib("icmpInEchos"),
        _mib("icmpInEchoReps"),
        _mib("icmpInTimestamps"),
        _mib("icmpInAddrMasks"),
        _mib("icmpInAddrMaskReps"),
        _mib("icmpOutMsgs"),
        _mib("icmpOutErrors"),
        _mib("icmpOutDestUnreachs"),
        _mib("icmpOutTimeExcds"),
        _mib("icmpOutParamProbs"),
        _mib("icmpOutSrcQuenchs"),
        _mib("icmpOutRedirects"),
        _mib("icmpOutEchos"),
        _mib("icmpOutEchoReps"),
        _mib("icmpOutTimestamps"),
        _mib("icmpOutTimestampReps"),
        _mib("icmpOutAddrMasks"),
        _mib("icmpOutAddrMaskReps"),
    ),
    role=Role.HOST,
)

MIB2_TCP_GROUP = Structure(
    "mib2_tcp_group",
    0,
    2009,
    (
        ident("tcpRtoAlgorithm"),
        ident("tcpRtoMin"),
        ident("tcpRtoMax"),
        ident("tcpMaxConn"),
        _mib("tcpActiveOpens"),
        _mib("tcpPassiveOpens"),
        _mib("tcpAttemptFails"),
        _mib("tcpEstabResets"),
        gauge(
            "tcpCurrEstab",
            U32,
            "connections",
            family=Family("sflow_host_netstat_tcp_curr_estab", "Established TCP connections.", group="netstat"),
        ),
        _mib("tcpInSegs"),
        _mib("tcpOutSegs"),
        _mib("tcpRetransSegs"),
        _mib("tcpInErrs"),
        _mib("tcpOutRsts"),
        _mib("tcpInCsumErrors"),
    ),
    role=Role.HOST,
)

MIB2_UDP_GROUP = Structure(
    "mib2_udp_group",
    0,
    2010,
    (
        _mib("udpInDatagrams"),
        _mib("udpNoPorts"),
        _mib("udpInErrors"),
        _mib("udpOutDatagrams"),
        _mib("udpRcvbufErrors"),
        _mib("udpSndbufErrors"),
        _mib("udpInCsumErrors"),
    ),
    role=Role.HOST,
)

STRUCTURES = (
    MIB2_IP_GROUP,
    MIB2_ICMP_GROUP,
    MIB2_TCP_GROUP,
    MIB2_UDP_GROUP,
)
