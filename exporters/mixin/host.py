"""The dashboard of one host and the services on it."""

from __future__ import annotations

from .panels import RATIO, Column, Dashboard, Graph, Label, Query, Row, Stat, Table, Variable, link_to

_IT = 'pool="$pool", host="$host"'
_RATE = "[$__rate_interval]"


def _rate(name: str, by: str = "", more: str = "") -> str:
    return f"sum{by} (rate(sflow_{name}_total{{{_IT}{more}}}{_RATE}))"


def _max(name: str) -> str:
    return f"max(sflow_host_{name}{{{_IT}}})"


_AGENT = f"on (agent) group_left () max by (agent) (sflow_agent_info{{{_IT}}})"
_FREE = " + ".join(_max(f"memory_{part}_bytes") for part in ("free", "buffers", "cached"))
_USED = f"{_max('memory_total_bytes')} - ({_FREE})"
_SERVICE = " by (service)"

_NOW = Row(
    "Now",
    (
        Stat(
            title="State",
            description="Whether its samples come; down after three silent intervals.",
            query=Query(_max("up")),
            words=((0, "down", "red"), (1, "up", "green")),
            width=3,
        ),
        Stat(
            title="Up for",
            description="Time since the host booted.",
            unit="s",
            query=Query(f"time() - {_max('boot_time_seconds')}"),
            width=3,
        ),
        Stat(title="CPUs", description="CPUs that it has.", query=Query(_max("cpus")), width=3),
        Stat(
            title="CPU busy",
            description="The part of its CPUs that is not idle.",
            unit="percentunit",
            query=Query(f"""1 - {_rate("host_cpu_seconds", more=', mode="idle"')} / {_rate("host_cpu_seconds")}"""),
            steps=RATIO,
            width=3,
        ),
        Stat(
            title="Memory used",
            description="Memory that is neither free nor buffers nor page cache.",
            unit="percentunit",
            query=Query(f"({_USED}) / {_max('memory_total_bytes')}"),
            steps=RATIO,
            width=3,
        ),
        Stat(
            title="Fullest partition",
            description="How full the fullest of its file systems is.",
            unit="percentunit",
            query=Query(_max("disk_partition_used_max_ratio")),
            steps=RATIO,
            width=3,
        ),
        Stat(
            title="Load per CPU",
            description="The one-minute load average divided by the CPUs.",
            query=Query(f"{_max('load1')} / {_max('cpus')}"),
            width=3,
        ),
        Stat(
            title="Services",
            description="Services that live on it.",
            query=Query(f"count(sflow_service_up{{{_IT}}} == 1)"),
            width=3,
        ),
        Table(
            title="What it is",
            description="What the agent says of the host.",
            unit="dateTimeAsIso",
            labels=(
                Label("host", "Host"),
                Label("agent", "Agent"),
                Label("os", "System"),
                Label("os_release", "Release"),
                Label("machine", "Machine"),
                Label("uuid", "UUID"),
            ),
            columns=(
                Column(
                    "Booted",
                    "1000 * max by (host, agent, os, os_release, machine, uuid) ("
                    f"sflow_host_info{{{_IT}}} * on (pool, host) group_left () sflow_host_boot_time_seconds{{{_IT}}})",
                    "dateTimeAsIso",
                ),
            ),
            sort="Booted",
            height=4,
        ),
    ),
)

_WORK = Row(
    "CPU and memory",
    (
        Graph(
            title="CPU by mode",
            description="CPUs in use; 1 is one whole CPU.",
            queries=(Query(_rate("host_cpu_seconds", " by (mode)", ', mode!="idle"'), "{{mode}}"),),
            stacked=True,
        ),
        Graph(
            title="Load",
            description="Load averages, and the CPUs beside them.",
            queries=(
                Query(_max("load1"), "1 minute"),
                Query(_max("load5"), "5 minutes"),
                Query(_max("load15"), "15 minutes"),
                Query(_max("cpus"), "CPUs"),
            ),
        ),
        Graph(
            title="Memory",
            description="What the host's memory is used for.",
            unit="bytes",
            queries=(
                Query(_USED, "used"),
                Query(_max("memory_buffers_bytes"), "buffers"),
                Query(_max("memory_cached_bytes"), "page cache"),
                Query(_max("memory_free_bytes"), "free"),
            ),
            stacked=True,
        ),
        Graph(
            title="Swap",
            description="Pages swapped in and, below zero, out.",
            unit="ops",
            queries=(Query(_rate("host_swap_ins"), "in"), Query(_rate("host_swap_outs"), "out")),
            below="out",
        ),
    ),
)

_TRAFFIC = Row(
    "Network and disks",
    (
        Graph(
            title="Network",
            description="Received, and below zero sent, by all interfaces together.",
            unit="Bps",
            queries=(
                Query(_rate("host_network_receive_bytes"), "received"),
                Query(_rate("host_network_transmit_bytes"), "sent"),
            ),
            below="sent",
        ),
        Graph(
            title="Packets",
            description="Received, and below zero sent.",
            unit="pps",
            queries=(
                Query(_rate("host_network_receive_packets"), "received"),
                Query(_rate("host_network_transmit_packets"), "sent"),
            ),
            below="sent",
        ),
        Graph(
            title="Packets lost",
            description="Errors and drops; should be 0.",
            unit="pps",
            queries=tuple(
                Query(_rate(f"host_network_{way}_{what}"), f"{way} {what}")
                for way in ("receive", "transmit")
                for what in ("errs", "drop")
            ),
        ),
        Graph(
            title="Disk bytes",
            description="Read from all disks, and below zero written.",
            unit="Bps",
            queries=(
                Query(_rate("host_disk_read_bytes"), "read"),
                Query(_rate("host_disk_written_bytes"), "written"),
            ),
            below="written",
        ),
        Graph(
            title="Disk requests",
            description="Reads completed, and below zero writes.",
            unit="iops",
            queries=(
                Query(_rate("host_disk_reads_completed"), "reads"),
                Query(_rate("host_disk_writes_completed"), "writes"),
            ),
            below="writes",
        ),
        Graph(
            title="Time of a request",
            description="How long a request took on the average.",
            unit="s",
            queries=tuple(
                Query(
                    f"{_rate(f'host_disk_{one}_time_seconds')} / ({_rate(f'host_disk_{one}s_completed')} > 0)",
                    f"{one}s",
                )
                for one in ("read", "write")
            ),
        ),
        Graph(
            title="Space on file systems",
            description="All mounted file systems together.",
            unit="bytes",
            queries=(
                Query(f"{_max('disk_size_bytes')} - {_max('disk_free_bytes')}", "used"),
                Query(_max("disk_size_bytes"), "size"),
            ),
        ),
        Graph(
            title="Tasks",
            description="Tasks that there are, and those that run or wait for a CPU.",
            queries=(Query(_max("procs"), "all"), Query(_max("procs_running"), "running")),
        ),
        Graph(
            title="Switches and interrupts",
            description="Context switches and interrupts in a second.",
            unit="ops",
            queries=(
                Query(_rate("host_context_switches"), "context switches"),
                Query(_rate("host_intr"), "interrupts"),
            ),
        ),
        Graph(
            title="Its agent",
            description="Datagrams that came, were lost on the way, or came late or twice.",
            unit="pps",
            queries=tuple(
                Query(f"sum(rate(sflow_agent_datagrams_{one}total{_RATE}) * {_AGENT})", what)
                for one, what in (("", "received"), ("lost_", "lost"), ("reordered_", "late or twice"))
            ),
        ),
    ),
)

_SERVICES = Row(
    "Services",
    (
        Graph(
            title="CPU by service",
            description="The fifteen services that use most; 1 is one whole CPU.",
            queries=(Query(f"topk(15, {_rate('service_cpu_seconds', _SERVICE)})", "{{service}}"),),
            stacked=True,
        ),
        Graph(
            title="Memory by service",
            description="The fifteen services that have most.",
            unit="bytes",
            queries=(Query(f"topk(15, sum by (service) (sflow_service_memory_bytes{{{_IT}}}))", "{{service}}"),),
            stacked=True,
        ),
        Table(
            title="All services",
            description="A click on a name shows the service over its pool.",
            labels=(
                Label("service", "Service", link_to("sflow-service", pool="Pool", service="Service")),
                Label("pool", "Pool"),
                Label("kind", "Kind"),
            ),
            columns=(
                Column("CPU", _rate("service_cpu_seconds", " by (pool, service, kind)")),
                Column("Memory", f"sum by (pool, service, kind) (sflow_service_memory_bytes{{{_IT}}})", "bytes"),
                Column("Read", _rate("service_disk_read_bytes", " by (pool, service, kind)"), "Bps"),
                Column("Written", _rate("service_disk_written_bytes", " by (pool, service, kind)"), "Bps"),
            ),
            sort="CPU",
            height=12,
        ),
    ),
)

_INTERFACES = Row(
    "Interfaces ([web] groups: interface)",
    (
        Graph(
            title="Bytes by interface",
            description="Received, and below zero sent.",
            unit="Bps",
            queries=(
                Query(_rate("interface_receive_bytes", " by (interface)"), "{{interface}} received"),
                Query(_rate("interface_transmit_bytes", " by (interface)"), "{{interface}} sent"),
            ),
            below="sent",
        ),
        Graph(
            title="Packets lost by interface",
            description="Errors and drops; should be 0.",
            unit="pps",
            queries=tuple(
                Query(_rate(f"interface_{way}_{what}", " by (interface)"), f"{{{{interface}}}} {way} {what}")
                for way in ("receive", "transmit")
                for what in ("errs", "drop")
            ),
        ),
    ),
    closed=True,
)

_NETSTAT = Row(
    "TCP and UDP ([web] groups: netstat)",
    (
        Graph(
            title="TCP connections",
            description="TCP connections that are established.",
            queries=(Query(_max("netstat_tcp_curr_estab"), "established"),),
        ),
        Graph(
            title="TCP segments",
            description="Received, sent, and sent again.",
            unit="pps",
            queries=tuple(
                Query(_rate(f"host_netstat_tcp_{name}"), what)
                for name, what in (("in_segs", "received"), ("out_segs", "sent"), ("retrans_segs", "sent again"))
            ),
        ),
        Graph(
            title="UDP datagrams",
            description="Received, sent, and lost for want of a buffer.",
            unit="pps",
            queries=tuple(
                Query(_rate(f"host_netstat_udp_{name}"), what)
                for name, what in (("in_datagrams", "received"), ("out_datagrams", "sent"), ("rcvbuf_errors", "lost"))
            ),
        ),
    ),
    closed=True,
)

_GPUS = Row(
    "GPUs",
    (
        Graph(
            title="GPUs busy",
            description="The part of the time in which the GPUs, and their memory, were busy.",
            unit="percentunit",
            queries=(
                Query(f"{_rate('gpu_busy_seconds')} / sum(sflow_gpu_devices{{{_IT}}})", "GPU"),
                Query(f"{_rate('gpu_memory_busy_seconds')} / sum(sflow_gpu_devices{{{_IT}}})", "memory"),
            ),
        ),
        Graph(
            title="GPU memory",
            description="Memory of all GPUs together.",
            unit="bytes",
            queries=(
                Query(f"sum(sflow_gpu_memory_total_bytes{{{_IT}}} - sflow_gpu_memory_free_bytes{{{_IT}}})", "used"),
                Query(f"sum(sflow_gpu_memory_total_bytes{{{_IT}}})", "size"),
            ),
        ),
        Graph(
            title="GPU power",
            description="Power of all GPUs together.",
            unit="watt",
            queries=(Query(_rate("gpu_energy_joules"), "power"),),
        ),
        Graph(
            title="GPU temperature",
            description="Temperature of the hottest GPU.",
            unit="celsius",
            queries=(Query(f"max(sflow_gpu_temperature_celsius{{{_IT}}})", "hottest"),),
        ),
    ),
    closed=True,
)

HOST = Dashboard(
    "sflow-host",
    "sFlow / Host",
    "One host and the services on it, from sflow_gmetrics.",
    (
        Variable("pool", "Pool", "label_values(sflow_pool_hosts, pool)"),
        Variable("host", "Host", 'label_values(sflow_host_up{pool="$pool"}, host)'),
    ),
    (_NOW, _WORK, _TRAFFIC, _SERVICES, _INTERFACES, _NETSTAT, _GPUS),
)
