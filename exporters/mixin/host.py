"""The dashboard of one host and the services on it."""

from __future__ import annotations

from .host_groups import GPUS, INTERFACES, NETSTAT, THIS, greatest, rate_of
from .panels import RATE, RATIO, Column, Dashboard, Graph, Label, Query, Row, Stat, Table, Variable, link_to

_AGENT = f"on (agent) group_left () max by (agent) (sflow_agent_info{{{THIS}}})"
_FREE = " + ".join(greatest(f"memory_{part}_bytes") for part in ("free", "buffers", "cached"))
_USED = f"{greatest('memory_total_bytes')} - ({_FREE})"
_SERVICE = " by (service)"

_NOW = Row(
    "Now",
    (
        Stat(
            title="State",
            description="Whether its samples come; down after three silent intervals.",
            query=Query(greatest("up")),
            words=((0, "down", "red"), (1, "up", "green")),
            width=3,
        ),
        Stat(
            title="Up for",
            description="Time since the host booted.",
            unit="s",
            query=Query(f"time() - {greatest('boot_time_seconds')}"),
            width=3,
        ),
        Stat(title="CPUs", description="CPUs that it has.", query=Query(greatest("cpus")), width=3),
        Stat(
            title="CPU busy",
            description="The part of its CPUs that is not idle.",
            unit="percentunit",
            query=Query(f"""1 - {rate_of("host_cpu_seconds", more=', mode="idle"')} / {rate_of("host_cpu_seconds")}"""),
            steps=RATIO,
            width=3,
        ),
        Stat(
            title="Memory used",
            description="Memory that is neither free nor buffers nor page cache.",
            unit="percentunit",
            query=Query(f"({_USED}) / {greatest('memory_total_bytes')}"),
            steps=RATIO,
            width=3,
        ),
        Stat(
            title="Fullest partition",
            description="How full the fullest of its file systems is.",
            unit="percentunit",
            query=Query(greatest("disk_partition_used_max_ratio")),
            steps=RATIO,
            width=3,
        ),
        Stat(
            title="Load per CPU",
            description="The one-minute load average divided by the CPUs.",
            query=Query(f"{greatest('load1')} / {greatest('cpus')}"),
            width=3,
        ),
        Stat(
            title="Services",
            description="Services that live on it.",
            query=Query(f"count(sflow_service_up{{{THIS}}} == 1)"),
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
                    f"sflow_host_info{{{THIS}}}"
                    f" * on (pool, host) group_left () sflow_host_boot_time_seconds{{{THIS}}})",
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
            queries=(Query(rate_of("host_cpu_seconds", " by (mode)", ', mode!="idle"'), "{{mode}}"),),
            stacked=True,
        ),
        Graph(
            title="Load",
            description="Load averages, and the CPUs beside them.",
            queries=(
                Query(greatest("load1"), "1 minute"),
                Query(greatest("load5"), "5 minutes"),
                Query(greatest("load15"), "15 minutes"),
                Query(greatest("cpus"), "CPUs"),
            ),
        ),
        Graph(
            title="Memory",
            description="What the host's memory is used for.",
            unit="bytes",
            queries=(
                Query(_USED, "used"),
                Query(greatest("memory_buffers_bytes"), "buffers"),
                Query(greatest("memory_cached_bytes"), "page cache"),
                Query(greatest("memory_free_bytes"), "free"),
            ),
            stacked=True,
        ),
        Graph(
            title="Swap",
            description="Pages swapped in and, below zero, out.",
            unit="ops",
            queries=(Query(rate_of("host_swap_ins"), "in"), Query(rate_of("host_swap_outs"), "out")),
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
                Query(rate_of("host_network_receive_bytes"), "received"),
                Query(rate_of("host_network_transmit_bytes"), "sent"),
            ),
            below="sent",
        ),
        Graph(
            title="Packets",
            description="Received, and below zero sent.",
            unit="pps",
            queries=(
                Query(rate_of("host_network_receive_packets"), "received"),
                Query(rate_of("host_network_transmit_packets"), "sent"),
            ),
            below="sent",
        ),
        Graph(
            title="Packets lost",
            description="Errors and drops; should be 0.",
            unit="pps",
            queries=tuple(
                Query(rate_of(f"host_network_{way}_{what}"), f"{way} {what}")
                for way in ("receive", "transmit")
                for what in ("errs", "drop")
            ),
        ),
        Graph(
            title="Disk bytes",
            description="Read from all disks, and below zero written.",
            unit="Bps",
            queries=(
                Query(rate_of("host_disk_read_bytes"), "read"),
                Query(rate_of("host_disk_written_bytes"), "written"),
            ),
            below="written",
        ),
        Graph(
            title="Disk requests",
            description="Reads completed, and below zero writes.",
            unit="iops",
            queries=(
                Query(rate_of("host_disk_reads_completed"), "reads"),
                Query(rate_of("host_disk_writes_completed"), "writes"),
            ),
            below="writes",
        ),
        Graph(
            title="Time of a request",
            description="How long a request took on the average.",
            unit="s",
            queries=tuple(
                Query(
                    f"{rate_of(f'host_disk_{one}_time_seconds')} / ({rate_of(f'host_disk_{one}s_completed')} > 0)",
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
                Query(f"{greatest('disk_size_bytes')} - {greatest('disk_free_bytes')}", "used"),
                Query(greatest("disk_size_bytes"), "size"),
            ),
        ),
        Graph(
            title="Tasks",
            description="Tasks that there are, and those that run or wait for a CPU.",
            queries=(Query(greatest("procs"), "all"), Query(greatest("procs_running"), "running")),
        ),
        Graph(
            title="Switches and interrupts",
            description="Context switches and interrupts in a second.",
            unit="ops",
            queries=(
                Query(rate_of("host_context_switches"), "context switches"),
                Query(rate_of("host_intr"), "interrupts"),
            ),
        ),
        Graph(
            title="Its agent",
            description="Datagrams that came, were lost on the way, or came late or twice.",
            unit="pps",
            queries=tuple(
                Query(f"sum(rate(sflow_agent_datagrams_{one}total{RATE}) * {_AGENT})", what)
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
            queries=(Query(f"topk(15, {rate_of('service_cpu_seconds', _SERVICE)})", "{{service}}"),),
            stacked=True,
        ),
        Graph(
            title="Memory by service",
            description="The fifteen services that have most.",
            unit="bytes",
            queries=(Query(f"topk(15, sum by (service) (sflow_service_memory_bytes{{{THIS}}}))", "{{service}}"),),
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
                Column("CPU", rate_of("service_cpu_seconds", " by (pool, service, kind)")),
                Column("Memory", f"sum by (pool, service, kind) (sflow_service_memory_bytes{{{THIS}}})", "bytes"),
                Column("Read", rate_of("service_disk_read_bytes", " by (pool, service, kind)"), "Bps"),
                Column("Written", rate_of("service_disk_written_bytes", " by (pool, service, kind)"), "Bps"),
            ),
            sort="CPU",
            height=12,
        ),
    ),
)

HOST = Dashboard(
    "sflow-host",
    "sFlow / Host",
    "One host and the services on it, from sflow_gmetrics.",
    (
        Variable("pool", "Pool", "label_values(sflow_pool_hosts, pool)"),
        Variable("host", "Host", 'label_values(sflow_host_up{pool="$pool"}, host)'),
    ),
    (_NOW, _WORK, _TRAFFIC, _SERVICES, INTERFACES, NETSTAT, GPUS),
)
