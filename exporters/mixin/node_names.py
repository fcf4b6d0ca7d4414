"""A rule file that gives hosts the names of node_exporter, so that dashboards made for it work.

`instance` is the host, `job` is "node". An agent sums over devices, CPUs and file systems. Devices
and file systems are therefore one, "all". CPUs are as many as the host has, each with its even
share: what dashboards compute from them (the mean, the sum, the number of CPUs) is then right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

JOB = "node"
CPUS = 64
"""A host with more of them shows so many: means are right then, sums are not."""

_HEADING = f"""\
# node_exporter's names for hosts that hsflowd watches, so that dashboards made for node_exporter work. Optional.
#
# instance is the host's name and job is "{JOB}"; pool and host are kept. What an agent sums up is one device, "all".
# CPUs are as many as the host has, each with its even share.
# Made by `make docs` from node_names.py.
"""

_SAME = (
    "load1",
    "load5",
    "load15",
    "procs_running",
    "boot_time_seconds",
    "intr_total",
    "context_switches_total",
)
_DEVICES = (
    *(
        f"network_{way}_{what}_total"
        for way in ("receive", "transmit")
        for what in ("bytes", "packets", "errs", "drop")
    ),
    "disk_reads_completed_total",
    "disk_read_bytes_total",
    "disk_read_time_seconds_total",
    "disk_writes_completed_total",
    "disk_written_bytes_total",
    "disk_write_time_seconds_total",
)
_OTHERS: Mapping[str, str] = {
    "node_time_seconds": "last_sample_timestamp_seconds",
    "node_processes_threads": "procs",
    "node_cpu_frequency_max_hertz": "cpu_frequency_hertz",
    "node_memory_MemTotal_bytes": "memory_total_bytes",
    "node_memory_MemFree_bytes": "memory_free_bytes",
    "node_memory_Buffers_bytes": "memory_buffers_bytes",
    "node_memory_Cached_bytes": "memory_cached_bytes",
    "node_memory_Shmem_bytes": "memory_shared_bytes",
    "node_memory_SwapTotal_bytes": "swap_total_bytes",
    "node_memory_SwapFree_bytes": "swap_free_bytes",
    "node_vmstat_pgpgin": "page_ins_total",
    "node_vmstat_pgpgout": "page_outs_total",
    "node_vmstat_pswpin": "swap_ins_total",
    "node_vmstat_pswpout": "swap_outs_total",
    "node_netstat_Tcp_CurrEstab": "netstat_tcp_curr_estab",
    "node_netstat_Tcp_ActiveOpens": "netstat_tcp_active_opens_total",
    "node_netstat_Tcp_PassiveOpens": "netstat_tcp_passive_opens_total",
    "node_netstat_Tcp_InSegs": "netstat_tcp_in_segs_total",
    "node_netstat_Tcp_OutSegs": "netstat_tcp_out_segs_total",
    "node_netstat_Tcp_RetransSegs": "netstat_tcp_retrans_segs_total",
    "node_netstat_Tcp_InErrs": "netstat_tcp_in_errs_total",
    "node_netstat_Tcp_OutRsts": "netstat_tcp_out_rsts_total",
    "node_netstat_Udp_InDatagrams": "netstat_udp_in_datagrams_total",
    "node_netstat_Udp_OutDatagrams": "netstat_udp_out_datagrams_total",
    "node_netstat_Udp_InErrors": "netstat_udp_in_errors_total",
    "node_netstat_Udp_NoPorts": "netstat_udp_no_ports_total",
    "node_netstat_Udp_RcvbufErrors": "netstat_udp_rcvbuf_errors_total",
    "node_netstat_Udp_SndbufErrors": "netstat_udp_sndbuf_errors_total",
    "node_netstat_Icmp_InMsgs": "netstat_icmp_in_msgs_total",
    "node_netstat_Icmp_OutMsgs": "netstat_icmp_out_msgs_total",
    "node_netstat_Ip_Forwarding": "netstat_ip_forwarding",
}
_FILE_SYSTEMS = {
    "node_filesystem_size_bytes": "disk_size_bytes",
    "node_filesystem_free_bytes": "disk_free_bytes",
    "node_filesystem_avail_bytes": "disk_free_bytes",
}


def render_node_rules() -> str:
    """The rule file."""
    groups = (("sflow_node_names", _plain_rules()), ("sflow_node_cpus", _cpu_rules()))
    return _HEADING + "groups:\n" + "".join(_group(name, rules) for name, rules in groups)


def _group(name: str, rules: Iterable[str]) -> str:
    return f"  - name: {name}\n    rules:\n" + "".join(rules)


def _rule(record: str, expr: str, **labels: str) -> str:
    lines = [f"      - record: {record}", f"        expr: {expr}", "        labels:"]
    lines += [f'          {name}: "{value}"' for name, value in {"job": JOB, **labels}.items()]
    return "\n".join(lines) + "\n"


def _host(name: str) -> str:
    """A family of hosts. While an agent changes from one collector to another, two collectors know it."""
    return f"max by (pool, host) (sflow_host_{name})"


def _named(expr: str, target: str = "instance", source: str = "host") -> str:
    return f'label_replace({expr}, "{target}", "$1", "{source}", "(.*)")'


def _plain_rules() -> Iterator[str]:
    for name in _SAME:
        yield _rule(f"node_{name}", _named(_host(name)))
    for record, name in _OTHERS.items():
        yield _rule(record, _named(_host(name)))
    parts = " + ".join(_host(f"memory_{part}_bytes") for part in ("free", "buffers", "cached"))
    yield _rule("node_memory_MemAvailable_bytes", _named(parts))
    for name in _DEVICES:
        yield _rule(f"node_{name}", _named(_host(name)), device="all")
    for record, name in _FILE_SYSTEMS.items():
        yield _rule(record, _named(_host(name)), device="all", fstype="all", mountpoint="all")
    expr = "max by (pool, host, os, os_release, machine) (sflow_host_info)"
    for target, source in (("release", "os_release"), ("sysname", "os"), ("nodename", "host"), ("instance", "host")):
        expr = _named(expr, target, source)
    yield _rule("node_uname_info", expr)


def _cpu_rules() -> Iterator[str]:
    """The first CPU of each host, and each further one from the one before it: as much work as there are CPUs."""
    times = "max by (pool, host, mode) (sflow_host_cpu_seconds_total)"
    yield _rule("node_cpu_seconds_total", _named(f"{times} / on (pool, host) group_left () {_host('cpus')}"), cpu="0")
    for number in range(1, CPUS):
        before = f'node_cpu_seconds_total{{cpu="{number - 1}", job="{JOB}"}}'
        expr = f"{before} and on (pool, host) sflow_host_cpus > {number}"
        yield _rule("node_cpu_seconds_total", expr, cpu=str(number))
