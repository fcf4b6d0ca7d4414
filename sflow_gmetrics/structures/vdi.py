"""Virtual desktops: sFlow counter record 0:2205. The families are off unless they are asked for.

Source: sFlow VDI Structures.
"""

from __future__ import annotations

from ..schema import Family, Field, Role, Structure, counter, gauge
from ..xdr import U32
from .vocabulary import SFLOWTOOL, Families, counters, gauges

VDI = Families("sflow_vdi_", group="vdi")

BYTES = VDI("bytes_total", "Bytes by direction.")
PACKETS = VDI("packets_total", "Packets by direction.")
PACKETS_LOST = VDI("packets_lost_total", "Packets lost by direction.")
RTT = VDI("rtt_seconds", "Round-trip time.")
CHANNEL_BYTES = VDI("channel_bytes_total", "Bytes by channel and direction.")

OCTETS = 2.5e7
"""200 Mb/s, a hundred desktops at work. 32 bits of bytes wrap in three minutes then."""
DATAGRAMS = 1e5
"""Packets of such traffic, or frames of its pictures."""
LOGINS = 1e3
"""Sessions started."""
AT_ONCE = 1e4
"""Sessions at one time, each of which lasts a second longer each second."""


def _both(what: str, family: Family, unit: str, bound: float, **labels: str) -> tuple[Field, Field]:
    """Received and sent: `what` holds the place of rx and tx."""

    def one(direction: str) -> Field:
        shown = family(**labels, direction=direction)
        return counter(what.format(direction), U32, unit, family=shown, bound=bound)

    return one("rx"), one("tx")


def _rtt(stat: str) -> Field:
    return gauge(f"rtt_{stat}_ms", U32, "ms", family=RTT(stat=stat))


VDI_COUNTERS = Structure(
    "vdi_counters",
    0,
    2205,
    (
        gauge("sessions_current", family=VDI("sessions", "Sessions now.")),
        counter("sessions_total", family=VDI("sessions_started_total", "Sessions started."), bound=LOGINS),
        counter(
            "sessions_duration",
            U32,
            "s",
            family=VDI("sessions_duration_seconds_total", "Time that sessions lasted."),
            bound=AT_ONCE,
        ),
        *_both("{}_bytes", BYTES, "bytes", OCTETS),
        *_both("{}_packets", PACKETS, "", DATAGRAMS),
        *_both("{}_packets_lost", PACKETS_LOST, "", DATAGRAMS),
        _rtt("min"),
        _rtt("max"),
        _rtt("avg"),
        *_both("audio_{}_bytes", CHANNEL_BYTES, "bytes", OCTETS, channel="audio"),
        gauge("audio_tx_limit", U32, "bit/s"),
        *_both("img_{}_bytes", CHANNEL_BYTES, "bytes", OCTETS, channel="img"),
        *counters("img_frames", bound=DATAGRAMS),
        *gauges("img_qual_min img_qual_max img_qual_avg"),
        *_both("usb_{}_bytes", CHANNEL_BYTES, "bytes", OCTETS, channel="usb"),
    ),
    role=Role.SERVICE,
    source=SFLOWTOOL,
)

STRUCTURES = (VDI_COUNTERS,)
