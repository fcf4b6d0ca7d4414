"""The dashboard of pools: how they are, and which of their services work most."""

from __future__ import annotations

from .panels import GOOD_BAD, RATE, RATIO, Column, Dashboard, Graph, Label, Query, Row, Stat, Table, Variable, link_to

_POOLS = 'pool=~"$pool"'
_FREE = " + ".join(f"sflow_host_memory_{part}_bytes{{{_POOLS}}}" for part in ("free", "buffers", "cached"))
_CPU = f"rate(sflow_pool_cpu_seconds_total{{{_POOLS}}}{RATE})"
_IDLE = f'rate(sflow_pool_cpu_seconds_total{{{_POOLS}, mode="idle"}}{RATE})'
_NOT_IDLE = f'rate(sflow_pool_cpu_seconds_total{{{_POOLS}, mode!="idle"}}{RATE})'
_BY_SERVICE = "sum by (pool, service, kind)"


def _busy(by: str) -> str:
    return f"1 - sum{by} ({_IDLE}) / sum{by} ({_CPU})"


def _used(by: str) -> str:
    return f"1 - sum{by} ({_FREE}) / sum{by} (sflow_host_memory_total_bytes{{{_POOLS}}})"


def _hosts(state: str, by: str = "") -> str:
    return f'sum{by} (sflow_pool_hosts{{{_POOLS}, state="{state}"}})'


def _rate(name: str, by: str) -> str:
    return f"sum by ({by}) (rate({name}{{{_POOLS}}}{RATE}))"


def _top(name: str, legend: str = "") -> Query:
    """The ten services for which a counter grows fastest."""
    return Query(f"topk(10, {_rate(name, 'pool, service')})", "{{pool}} {{service}}" + legend)


_NOW = Row(
    "Now",
    (
        Stat(title="Hosts up", description="Hosts whose samples come.", query=Query(_hosts("up"))),
        Stat(
            title="Hosts down",
            description="Hosts that have been silent for three of their intervals, and are not forgotten yet.",
            query=Query(_hosts("down")),
            steps=GOOD_BAD,
        ),
        Stat(
            title="Services",
            description="Services that live on at least one host, counted once in each pool.",
            query=Query(f"count(sum by (pool, service) (sflow_pool_service_hosts{{{_POOLS}}}) > 0)"),
        ),
        Stat(
            title="CPU busy",
            description="The part of all CPUs that is not idle.",
            unit="percentunit",
            query=Query(_busy("")),
            steps=RATIO,
        ),
        Stat(
            title="Memory used",
            description="Memory that is neither free nor buffers nor page cache.",
            unit="percentunit",
            query=Query(_used("")),
            steps=RATIO,
        ),
        Stat(
            title="Alerts",
            description="Alerts of the mixin that fire now; 0 as well where its rules are not installed.",
            query=Query('count(ALERTS{alertname=~"Sflow.+", alertstate="firing"}) or vector(0)'),
            steps=GOOD_BAD,
        ),
        Table(
            title="Pools",
            description="Each pool now. A click on its name shows its hosts one by one.",
            labels=(Label("pool", "Pool", link_to("sflow-host", pool="Pool")),),
            columns=(
                Column("Hosts up", _hosts("up", " by (pool)")),
                Column("Hosts down", _hosts("down", " by (pool)")),
                Column("CPUs", f"sum by (pool) (sflow_pool_cpus{{{_POOLS}}})"),
                Column("CPU busy", _busy(" by (pool)"), "percentunit", gauge=True),
                Column(
                    "Load per CPU",
                    f"sum by (pool) (sflow_pool_load1{{{_POOLS}}}) / sum by (pool) (sflow_pool_cpus{{{_POOLS}}})",
                ),
                Column("Memory", f"sum by (pool) (sflow_pool_memory_total_bytes{{{_POOLS}}})", "bytes"),
                Column("Memory used", _used(" by (pool)"), "percentunit", gauge=True),
                Column("Received", _rate("sflow_pool_network_receive_bytes_total", "pool"), "Bps"),
                Column("Sent", _rate("sflow_pool_network_transmit_bytes_total", "pool"), "Bps"),
            ),
            sort="CPU busy",
            height=7,
        ),
    ),
)

_LOAD = Row(
    "Load",
    (
        Graph(
            title="CPU busy",
            description="The part of each pool's CPUs that is not idle.",
            unit="percentunit",
            queries=(Query(_busy(" by (pool)"), "{{pool}}"),),
            highest=1,
        ),
        Graph(
            title="CPU by mode",
            description="CPUs in use in the chosen pools together; 1 is one whole CPU.",
            queries=(Query(f"sum by (mode) ({_NOT_IDLE})", "{{mode}}"),),
            stacked=True,
        ),
        Graph(
            title="Load per CPU",
            description="The one-minute load averages of a pool's hosts, divided by its CPUs.",
            queries=(
                Query(
                    f"sum by (pool) (sflow_pool_load1{{{_POOLS}}}) / sum by (pool) (sflow_pool_cpus{{{_POOLS}}})",
                    "{{pool}}",
                ),
            ),
        ),
        Graph(
            title="Memory used",
            description="Memory of each pool that is neither free nor buffers nor page cache.",
            unit="percentunit",
            queries=(Query(_used(" by (pool)"), "{{pool}}"),),
            highest=1,
        ),
        Graph(
            title="Network",
            description="What the hosts of each pool receive, and below zero what they send.",
            unit="Bps",
            queries=(
                Query(_rate("sflow_pool_network_receive_bytes_total", "pool"), "{{pool}} received"),
                Query(_rate("sflow_pool_network_transmit_bytes_total", "pool"), "{{pool}} sent"),
            ),
            below="sent",
        ),
        Graph(
            title="Hosts",
            description="Hosts that are up, and below zero those that are down.",
            queries=(
                Query(_hosts("up", " by (pool)"), "{{pool}} up"),
                Query(_hosts("down", " by (pool)"), "{{pool}} down"),
            ),
            below="down",
        ),
    ),
)

_SERVICES = Row(
    "Services",
    (
        Graph(
            title="CPU, the first ten",
            description="CPUs that a service uses on all hosts of its pool; 1 is one whole CPU.",
            queries=(_top("sflow_pool_service_cpu_seconds_total"),),
        ),
        Graph(
            title="Memory, the first ten",
            description="Memory of a service on all hosts of its pool.",
            unit="bytes",
            queries=(
                Query(
                    f"topk(10, sum by (pool, service) (sflow_pool_service_memory_bytes{{{_POOLS}}}))",
                    "{{pool}} {{service}}",
                ),
            ),
        ),
        Graph(
            title="Input and output, the first ten",
            description="What the processes of a service read and, below zero, wrote through system calls.",
            unit="Bps",
            queries=(
                _top("sflow_pool_service_disk_read_bytes_total", " read"),
                _top("sflow_pool_service_disk_written_bytes_total", " written"),
            ),
            below="written",
        ),
        Graph(
            title="Network, the first ten",
            description="What containers and virtual machines receive and, below zero, send. systemd counts none.",
            unit="Bps",
            queries=(
                _top("sflow_pool_service_network_receive_bytes_total", " received"),
                _top("sflow_pool_service_network_transmit_bytes_total", " sent"),
            ),
            below="sent",
        ),
        Table(
            title="All services",
            description="Each service over the hosts of its pool. A click on its name shows it host by host.",
            labels=(
                Label("service", "Service", link_to("sflow-service", pool="Pool", service="Service")),
                Label("pool", "Pool"),
                Label("kind", "Kind"),
            ),
            columns=(
                Column("Hosts", f"{_BY_SERVICE} (sflow_pool_service_hosts{{{_POOLS}}})"),
                Column(
                    "Missing on",
                    f"{_hosts('up', ' by (pool)')} - on (pool) group_right ()"
                    f" {_BY_SERVICE} (sflow_pool_service_hosts{{{_POOLS}}})",
                ),
                Column("CPU", _rate("sflow_pool_service_cpu_seconds_total", "pool, service, kind")),
                Column("Memory", f"{_BY_SERVICE} (sflow_pool_service_memory_bytes{{{_POOLS}}})", "bytes"),
                Column(
                    "Most on a host",
                    f"max by (pool, service, kind) (sflow_pool_service_memory_host_max_bytes{{{_POOLS}}})",
                    "bytes",
                ),
                Column("Read", _rate("sflow_pool_service_disk_read_bytes_total", "pool, service, kind"), "Bps"),
                Column("Written", _rate("sflow_pool_service_disk_written_bytes_total", "pool, service, kind"), "Bps"),
            ),
            sort="CPU",
            height=14,
        ),
    ),
)

POOLS = Dashboard(
    "sflow-pools",
    "sFlow / Pools",
    "Pools of hosts and the services on them, from sflow_gmetrics.",
    (Variable("pool", "Pool", "label_values(sflow_pool_hosts, pool)", several=True),),
    (_NOW, _LOAD, _SERVICES),
)
