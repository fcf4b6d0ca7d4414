"""The dashboard of one service over the hosts of its pool."""

from __future__ import annotations

from .panels import GOOD_BAD, RATE, Column, Dashboard, Graph, Label, Query, Row, Stat, Table, Variable, link_to

_IT = 'pool="$pool", service="$service"'


def _pool(name: str) -> str:
    """The increase of a counter of the service over its pool."""
    return f"sum(rate(sflow_pool_service_{name}_total{{{_IT}}}{RATE}))"


def _host(name: str, by: str = "host") -> str:
    """The increase of a counter of the service on each host."""
    return f"sum by ({by}) (rate(sflow_{name}_total{{{_IT}}}{RATE}))"


def _gauge(name: str, by: str = "host") -> str:
    return f"sum by ({by}) (sflow_{name}{{{_IT}}})"


_UP = 'sum(sflow_pool_hosts{pool="$pool", state="up"})'
_HOSTS = f"sum(sflow_pool_service_hosts{{{_IT}}})"
_POOL_CPU = f'sum(rate(sflow_pool_cpu_seconds_total{{pool="$pool"}}{RATE}))'

_NOW = Row(
    "Now",
    (
        Stat(title="Hosts", description="Hosts of the pool on which the service lives.", query=Query(_HOSTS)),
        Stat(
            title="Missing on",
            description="Hosts of the pool that are up and do not have the service.",
            query=Query(f"{_UP} - {_HOSTS}"),
            steps=GOOD_BAD,
        ),
        Stat(
            title="CPU",
            description="CPUs that it uses on all hosts together; 1 is one whole CPU.",
            query=Query(_pool("cpu_seconds")),
        ),
        Stat(
            title="Part of the pool's CPUs",
            description="What it uses, of all CPUs that the pool has.",
            unit="percentunit",
            query=Query(f"{_pool('cpu_seconds')} / {_POOL_CPU}"),
        ),
        Stat(
            title="Memory",
            description="On all hosts together; with the page cache where the agent reads a cgroup.",
            unit="bytes",
            query=Query(f"sum(sflow_pool_service_memory_bytes{{{_IT}}})"),
        ),
        Stat(
            title="Most on a host",
            description="Its memory on the host where it has most.",
            unit="bytes",
            query=Query(f"max(sflow_pool_service_memory_host_max_bytes{{{_IT}}})"),
        ),
    ),
)

_POOL = Row(
    "Over the pool",
    (
        Graph(
            title="CPU by host",
            description="CPUs that the service uses, stacked: the upper edge is the pool. 1 is one whole CPU.",
            queries=(Query(_host("service_cpu_seconds"), "{{host}}"),),
            stacked=True,
        ),
        Graph(
            title="Memory by host",
            description="Memory of the service, stacked: the upper edge is the pool.",
            unit="bytes",
            queries=(Query(_gauge("service_memory_bytes"), "{{host}}"),),
            stacked=True,
        ),
        Graph(
            title="CPU of the pool",
            description="The pool's own counter, which stays right when the service restarts or a host leaves.",
            queries=(Query(_pool("cpu_seconds"), "all hosts"),),
        ),
        Graph(
            title="Hosts",
            description="On how many hosts it lives, and how many hosts of the pool are up.",
            queries=(Query(_HOSTS, "with the service"), Query(_UP, "up")),
        ),
        Graph(
            title="Input and output",
            description="What its processes read and, below zero, wrote through system calls, sockets included.",
            unit="Bps",
            queries=(
                Query(_host("service_disk_read_bytes"), "{{host}} read"),
                Query(_host("service_disk_written_bytes"), "{{host}} written"),
            ),
            below="written",
        ),
        Graph(
            title="Network",
            description="What it receives and, below zero, sends: containers and virtual machines only.",
            unit="Bps",
            queries=(
                Query(_host("service_network_receive_bytes"), "{{host}} received"),
                Query(_host("service_network_transmit_bytes"), "{{host}} sent"),
            ),
            below="sent",
        ),
        Table(
            title="Hosts",
            description="The service on each host. A click on a name shows the host.",
            labels=(Label("host", "Host", link_to("sflow-host", pool="Pool", host="Host")), Label("pool", "Pool")),
            columns=(
                Column("CPU", _host("service_cpu_seconds", "pool, host")),
                Column("Memory", _gauge("service_memory_bytes", "pool, host"), "bytes"),
                Column(
                    "Of its limit",
                    f"{_gauge('service_memory_bytes', 'pool, host')}"
                    f" / ({_gauge('service_memory_limit_bytes', 'pool, host')} > 0)",
                    "percentunit",
                    gauge=True,
                ),
                Column("Read", _host("service_disk_read_bytes", "pool, host"), "Bps"),
                Column("Written", _host("service_disk_written_bytes", "pool, host"), "Bps"),
            ),
            sort="CPU",
            height=10,
        ),
    ),
)

_WEB = Row(
    "HTTP and workers",
    (
        Graph(
            title="Requests by method",
            description="HTTP requests, from web servers that send sFlow themselves.",
            unit="reqps",
            queries=(Query(_host("http_requests", "method"), "{{method}}"),),
            stacked=True,
        ),
        Graph(
            title="Responses by status",
            description="The same requests by the status of their answers.",
            unit="reqps",
            queries=(Query(_host("http_responses", "code"), "{{code}}"),),
            stacked=True,
        ),
        Graph(
            title="Workers",
            description="Workers by state, and how many there may be.",
            queries=(
                Query(_gauge("app_workers", "state"), "{{state}}"),
                Query(f"sum(sflow_app_workers_limit{{{_IT}}})", "limit"),
            ),
        ),
        Graph(
            title="Operations by status",
            description="Operations of an application that sends sFlow itself.",
            unit="ops",
            queries=(Query(_host("app_operations", "status"), "{{status}}"),),
            stacked=True,
        ),
    ),
    closed=True,
)

_JVM = Row(
    "Java",
    (
        Graph(
            title="Heap by host",
            description="Heap that is in use.",
            unit="bytes",
            queries=(Query(f'sum by (host) (sflow_jvm_memory_used_bytes{{{_IT}, area="heap"}})', "{{host}}"),),
        ),
        Graph(
            title="Garbage collection",
            description="The part of the time in which garbage is collected.",
            unit="percentunit",
            queries=(Query(_host("jvm_gc_collection_seconds"), "{{host}}"),),
        ),
        Graph(
            title="Threads",
            description="Threads of the virtual machine.",
            queries=(Query(_gauge("jvm_threads_current"), "{{host}}"),),
        ),
        Graph(
            title="File descriptors",
            description="File descriptors that are open.",
            queries=(Query(_gauge("jvm_open_fds"), "{{host}}"),),
        ),
    ),
    closed=True,
)

_MEMCACHED = Row(
    "memcached",
    (
        Graph(
            title="Commands",
            description="Commands by outcome.",
            unit="ops",
            queries=(Query(_host("memcached_commands", "command, status"), "{{command}} {{status}}"),),
        ),
        Graph(
            title="Bytes stored",
            description="Bytes of all items, and how many there may be.",
            unit="bytes",
            queries=(
                Query(f"sum(sflow_memcached_current_bytes{{{_IT}}})", "stored"),
                Query(f"sum(sflow_memcached_limit_bytes{{{_IT}}})", "limit"),
            ),
        ),
        Graph(
            title="Items evicted",
            description="Items thrown out for want of room.",
            unit="ops",
            queries=(Query(_host("memcached_items_evicted"), "{{host}}"),),
        ),
        Graph(
            title="Connections",
            description="Connections that are open.",
            queries=(Query(_gauge("memcached_current_connections"), "{{host}}"),),
        ),
    ),
    closed=True,
)

SERVICE = Dashboard(
    "sflow-service",
    "sFlow / Service",
    "One service over the hosts of its pool, from sflow_gmetrics.",
    (
        Variable("pool", "Pool", "label_values(sflow_pool_hosts, pool)"),
        Variable("service", "Service", 'label_values(sflow_pool_service_hosts{pool="$pool"}, service)'),
    ),
    (_NOW, _POOL, _WEB, _JVM, _MEMCACHED),
)
