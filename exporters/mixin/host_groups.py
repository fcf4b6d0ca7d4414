"""The rows of a host's dashboard that only some hosts fill, and how all its rows speak of the host."""

from __future__ import annotations

from .panels import RATE, Graph, Query, Row

THIS = 'pool="$pool", host="$host"'


def rate_of(name: str, by: str = "", more: str = "") -> str:
    """How fast a counter of the host grows."""
    return f"sum{by} (rate(sflow_{name}_total{{{THIS}{more}}}{RATE}))"


def greatest(name: str) -> str:
    """A gauge of the host, once, even where two collectors know it."""
    return f"max(sflow_host_{name}{{{THIS}}})"


INTERFACES = Row(
    "Interfaces ([web] groups: interface)",
    (
        Graph(
            title="Bytes by interface",
            description="Received, and below zero sent.",
            unit="Bps",
            queries=(
                Query(rate_of("interface_receive_bytes", " by (interface)"), "{{interface}} received"),
                Query(rate_of("interface_transmit_bytes", " by (interface)"), "{{interface}} sent"),
            ),
            below="sent",
        ),
        Graph(
            title="Packets lost by interface",
            description="Errors and drops; should be 0.",
            unit="pps",
            queries=tuple(
                Query(rate_of(f"interface_{way}_{what}", " by (interface)"), f"{{{{interface}}}} {way} {what}")
                for way in ("receive", "transmit")
                for what in ("errs", "drop")
            ),
        ),
    ),
    closed=True,
)

NETSTAT = Row(
    "TCP and UDP ([web] groups: netstat)",
    (
        Graph(
            title="TCP connections",
            description="TCP connections that are established.",
            width=8,
            queries=(Query(greatest("netstat_tcp_curr_estab"), "established"),),
        ),
        Graph(
            title="TCP segments",
            description="Received, sent, and sent again.",
            width=8,
            unit="pps",
            queries=tuple(
                Query(rate_of(f"host_netstat_tcp_{name}"), what)
                for name, what in (("in_segs", "received"), ("out_segs", "sent"), ("retrans_segs", "sent again"))
            ),
        ),
        Graph(
            title="UDP datagrams",
            description="Received, sent, and lost for want of a buffer.",
            width=8,
            unit="pps",
            queries=tuple(
                Query(rate_of(f"host_netstat_udp_{name}"), what)
                for name, what in (("in_datagrams", "received"), ("out_datagrams", "sent"), ("rcvbuf_errors", "lost"))
            ),
        ),
    ),
    closed=True,
)

GPUS = Row(
    "GPUs",
    (
        Graph(
            title="GPUs busy",
            description="The part of the time in which the GPUs, and their memory, were busy.",
            unit="percentunit",
            queries=(
                Query(f"{rate_of('gpu_busy_seconds')} / sum(sflow_gpu_devices{{{THIS}}})", "GPU"),
                Query(f"{rate_of('gpu_memory_busy_seconds')} / sum(sflow_gpu_devices{{{THIS}}})", "memory"),
            ),
        ),
        Graph(
            title="GPU memory",
            description="Memory of all GPUs together.",
            unit="bytes",
            queries=(
                Query(f"sum(sflow_gpu_memory_total_bytes{{{THIS}}} - sflow_gpu_memory_free_bytes{{{THIS}}})", "used"),
                Query(f"sum(sflow_gpu_memory_total_bytes{{{THIS}}})", "size"),
            ),
        ),
        Graph(
            title="GPU power",
            description="Power of all GPUs together.",
            unit="watt",
            queries=(Query(rate_of("gpu_energy_joules"), "power"),),
        ),
        Graph(
            title="GPU temperature",
            description="Temperature of the hottest GPU.",
            unit="celsius",
            queries=(Query(f"max(sflow_gpu_temperature_celsius{{{THIS}}})", "hottest"),),
        ),
    ),
    closed=True,
)
