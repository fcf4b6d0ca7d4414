"""The physical host: sFlow counter records 0:2000 to 0:2006 and 0:2100.

Source: sFlow Host Structures, sections 3 and 4; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import EnumText, Gauge, NowMinus, Rate, RatioOfDeltas, ScaledGauge, Share, Text
from ..schema import Family, Metric, Role, Structure, counter, enum, gauge, ident
from ..xdr import F32, MAC, U32, U64, UUID, array, repeated, string

CPU_SECONDS = Family(
    "sflow_host_cpu_seconds_total",
    "CPU time by mode, summed over the CPUs.",
    pool=Family("sflow_pool_cpu_seconds_total", "CPU time by mode of all hosts of the pool."),
)
CPU_GUEST_SECONDS = Family("sflow_host_cpu_guest_seconds_total", "CPU time of guests (contained in user and nice).")
MACHINE_TYPES = (
    "unknown",
    "other",
    "x86",
    "x86_64",
    "ia64",
    "sparc",
    "alpha",
    "powerpc",
    "m68k",
    "mips",
    "arm",
    "hppa",
    "s390",
)
OS_NAMES = (
    "unknown",
    "other",
    "linux",
    "windows",
    "darwin",
    "hpux",
    "aix",
    "dragonfly",
    "freebsd",
    "netbsd",
    "openbsd",
    "osf",
    "solaris",
)
KB = ScaledGauge(1024, whole=True)
GB = ScaledGauge(1 << 30)

HOST_DESCR = Structure(
    "host_descr",
    0,
    2000,
    (
        ident("hostname", string()),
        ident(
            "uuid",
            UUID,
            ganglia=(Metric("uuid", "system", "System UUID", Text(), type="string", slope="zero", format="%s"),),
        ),
        enum(
            "machine_type",
            ganglia=(
                Metric(
                    "machine_type",
                    "system",
                    "Machine Type",
                    EnumText(MACHINE_TYPES),
                    type="string",
                    slope="zero",
                    format="%s",
                ),
            ),
        ),
        enum(
            "os_name",
            ganglia=(
                Metric(
                    "os_name",
                    "system",
                    "Operating System",
                    EnumText(OS_NAMES),
                    type="string",
                    slope="zero",
                    format="%s",
                ),
            ),
        ),
        ident(
            "os_release",
            string(),
            ganglia=(
                Metric(
                    "os_release", "system", "Operating System Release", Text(), type="string", slope="zero", format="%s"
                ),
            ),
        ),
    ),
    role=Role.HOST,
)

HOST_ADAPTERS = Structure(
    "host_adapters",
    0,
    2001,
    (ident("adapters", repeated("num_adapters", ("ifIndex", U32), ("mac", array(MAC, "num_macs")))),),
    role=Role.NONE,
)

HOST_PARENT = Structure(
    "host_parent",
    0,
    2002,
    (
        ident("dsClass"),
        ident("dsIndex"),
    ),
    role=Role.NONE,
)

HOST_CPU = Structure(
    "host_cpu",
    0,
    2003,
    (
        gauge(
            "load_one",
            F32,
            family=Family(
                "sflow_host_load1",
                "Load average over 1 minute.",
                pool=Family("sflow_pool_load1", "Sum of the 1-minute load averages of the pool's live hosts."),
            ),
            ganglia=(Metric("load_one", "load", "One minute load average", Gauge()),),
        ),
        gauge(
            "load_five",
            F32,
            family=Family("sflow_host_load5", "Load average over 5 minutes."),
            ganglia=(Metric("load_five", "load", "Five minute load average", Gauge()),),
        ),
        gauge(
            "load_fifteen",
            F32,
            family=Family("sflow_host_load15", "Load average over 15 minutes."),
            ganglia=(Metric("load_fifteen", "load", "Fifteen minute load average", Gauge()),),
        ),
        gauge(
            "proc_run",
            family=Family("sflow_host_procs_running", "Tasks that run or wait for a CPU."),
            ganglia=(Metric("proc_run", "process", "Total Running Processes", Gauge(), type="uint32", format="%u"),),
        ),
        gauge(
            "proc_total",
            family=Family("sflow_host_procs", "Tasks (threads on Linux)."),
            ganglia=(Metric("proc_total", "process", "Total Processes", Gauge(), type="uint32", format="%u"),),
        ),
        gauge(
            "cpu_num",
            family=Family("sflow_host_cpus", "CPUs.", pool=Family("sflow_pool_cpus", "CPUs of the pool's live hosts.")),
            ganglia=(
                Metric("cpu_num", "cpu", "CPU Count", Gauge(), type="uint16", units="CPUs", slope="zero", format="%u"),
            ),
            zero_unknown=True,
        ),
        gauge(
            "cpu_speed",
            U32,
            "MHz",
            family=Family("sflow_host_cpu_frequency_hertz", "Nominal CPU frequency."),
            ganglia=(
                Metric("cpu_speed", "cpu", "CPU Speed", Gauge(), type="uint32", units="MHz", slope="zero", format="%u"),
            ),
            zero_unknown=True,
        ),
        gauge(
            "uptime",
            U32,
            "s",
            family=Family("sflow_host_boot_time_seconds", "When the host booted, in seconds since the epoch."),
            ganglia=(
                Metric(
                    "boottime", "cpu", "Last Boot Time", NowMinus(), type="uint32", units="s", slope="zero", format="%u"
                ),
            ),
        ),
        counter(
            "cpu_user",
            U32,
            "ms",
            family=CPU_SECONDS(mode="user"),
            ganglia=(Metric("cpu_user", "cpu", "CPU User", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "cpu_nice",
            U32,
            "ms",
            family=CPU_SECONDS(mode="nice"),
            ganglia=(Metric("cpu_nice", "cpu", "CPU Nice", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "cpu_system",
            U32,
            "ms",
            family=CPU_SECONDS(mode="system"),
            ganglia=(Metric("cpu_system", "cpu", "CPU System", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "cpu_idle",
            U32,
            "ms",
            family=CPU_SECONDS(mode="idle"),
            ganglia=(Metric("cpu_idle", "cpu", "CPU Idle", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "cpu_wio",
            U32,
            "ms",
            family=CPU_SECONDS(mode="iowait"),
            ganglia=(Metric("cpu_wio", "cpu", "CPU I/O Wait", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "cpu_intr",
            U32,
            "ms",
            family=CPU_SECONDS(mode="irq"),
            ganglia=(Metric("cpu_intr", "cpu", "CPU Interrupts", Share("cpu")),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "cpu_sintr",
            U32,
            "ms",
            family=CPU_SECONDS(mode="softirq"),
            ganglia=(Metric("cpu_sintr", "cpu", "CPU Soft Interrupts", Share("cpu")),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "interrupts",
            family=Family("sflow_host_intr_total", "Interrupts served."),
            ganglia=(Metric("interrupts", "cpu", "Interrupts", Rate(), format="%.0f"),),
            bound=1e6,
            per_cpu=True,
        ),
        counter(
            "contexts",
            family=Family("sflow_host_context_switches_total", "Context switches."),
            ganglia=(Metric("contexts", "cpu", "Context Switches", Rate(), format="%.0f"),),
            bound=1e6,
            per_cpu=True,
        ),
        counter(
            "cpu_steal",
            U32,
            "ms",
            family=CPU_SECONDS(mode="steal"),
            ganglia=(Metric("cpu_steal", "cpu", "CPU Steal", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
            share="cpu",
        ),
        counter(
            "cpu_guest",
            U32,
            "ms",
            family=CPU_GUEST_SECONDS(mode="user"),
            ganglia=(Metric("cpu_guest", "cpu", "CPU Guest", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
        ),
        counter(
            "cpu_guest_nice",
            U32,
            "ms",
            family=CPU_GUEST_SECONDS(mode="nice"),
            ganglia=(Metric("cpu_gnice", "cpu", "CPU Guest Nice", Share("cpu"), units="%"),),
            bound=1000.0,
            per_cpu=True,
        ),
    ),
    role=Role.HOST,
    required=17,
)

HOST_MEMORY = Structure(
    "host_memory",
    0,
    2004,
    (
        gauge(
            "mem_total",
            U64,
            "bytes",
            family=Family(
                "sflow_host_memory_total_bytes",
                "Memory.",
                pool=Family("sflow_pool_memory_total_bytes", "Memory of the pool's live hosts."),
            ),
            ganglia=(Metric("mem_total", "memory", "Memory Total", KB, units="KB", slope="zero", format="%.0f"),),
        ),
        gauge(
            "mem_free",
            U64,
            "bytes",
            family=Family(
                "sflow_host_memory_free_bytes",
                "Memory not used at all.",
                pool=Family("sflow_pool_memory_free_bytes", "Free memory of the pool's live hosts."),
            ),
            ganglia=(Metric("mem_free", "memory", "Free Memory", KB, units="KB", format="%.0f"),),
        ),
        gauge(
            "mem_shared",
            U64,
            "bytes",
            family=Family("sflow_host_memory_shared_bytes", "Memory shared between processes."),
            ganglia=(Metric("mem_shared", "memory", "Shared Memory", KB, units="KB", format="%.0f"),),
        ),
        gauge(
            "mem_buffers",
            U64,
            "bytes",
            family=Family("sflow_host_memory_buffers_bytes", "Memory in block device buffers."),
            ganglia=(Metric("mem_buffers", "memory", "Memory Buffers", KB, units="KB", format="%.0f"),),
        ),
        gauge(
            "mem_cached",
            U64,
            "bytes",
            family=Family("sflow_host_memory_cached_bytes", "Memory in the page cache."),
            ganglia=(Metric("mem_cached", "memory", "Cached Memory", KB, units="KB", format="%.0f"),),
        ),
        gauge(
            "swap_total",
            U64,
            "bytes",
            family=Family("sflow_host_swap_total_bytes", "Swap space."),
            ganglia=(Metric("swap_total", "memory", "Swap Space Total", KB, units="KB", slope="zero", format="%.0f"),),
        ),
        gauge(
            "swap_free",
            U64,
            "bytes",
            family=Family("sflow_host_swap_free_bytes", "Free swap space."),
            ganglia=(Metric("swap_free", "memory", "Free Swap Space", KB, units="KB", format="%.0f"),),
        ),
        counter(
            "page_in",
            family=Family("sflow_host_page_ins_total", "Paged in from disk (KiB with Linux agents)."),
            ganglia=(Metric("page_in", "memory", "Pages In", Rate(), format="%.0f"),),
        ),
        counter(
            "page_out",
            family=Family("sflow_host_page_outs_total", "Paged out to disk (KiB with Linux agents)."),
            ganglia=(Metric("page_out", "memory", "Pages Out", Rate(), format="%.0f"),),
        ),
        counter(
            "swap_in",
            family=Family("sflow_host_swap_ins_total", "Pages swapped in."),
            ganglia=(Metric("swap_in", "memory", "Swap Pages In", Rate(), format="%.0f"),),
        ),
        counter(
            "swap_out",
            family=Family("sflow_host_swap_outs_total", "Pages swapped out."),
            ganglia=(Metric("swap_out", "memory", "Swap Pages Out", Rate(), format="%.0f"),),
        ),
    ),
    role=Role.HOST,
)

READS = counter(
    "reads",
    U32,
    "operations",
    family=Family("sflow_host_disk_reads_completed_total", "Reads completed."),
    ganglia=(Metric("reads", "disk", "Reads", Rate(), format="%.0f"),),
)
WRITES = counter(
    "writes",
    U32,
    "operations",
    family=Family("sflow_host_disk_writes_completed_total", "Writes completed."),
    ganglia=(Metric("writes", "disk", "Writes", Rate(), format="%.0f"),),
)

HOST_DISK_IO = Structure(
    "host_disk_io",
    0,
    2005,
    (
        gauge(
            "disk_total",
            U64,
            "bytes",
            family=Family("sflow_host_disk_size_bytes", "Size of all mounted file systems."),
            ganglia=(Metric("disk_total", "disk", "Total Disk Space", GB, type="double", units="GB", format="%.3f"),),
        ),
        gauge(
            "disk_free",
            U64,
            "bytes",
            family=Family("sflow_host_disk_free_bytes", "Free space on all mounted file systems."),
            ganglia=(Metric("disk_free", "disk", "Free Disk Space", GB, type="double", units="GB", format="%.3f"),),
        ),
        gauge(
            "part_max_used",
            U32,
            "1/100 %",
            family=Family("sflow_host_disk_partition_used_max_ratio", "How full the fullest partition is."),
            ganglia=(Metric("part_max_used", "disk", "Maximum Disk Space Used", ScaledGauge(100), units="%"),),
        ),
        READS,
        counter(
            "bytes_read",
            U64,
            "bytes",
            family=Family("sflow_host_disk_read_bytes_total", "Bytes read."),
            ganglia=(Metric("bytes_read", "disk", "Bytes Read", Rate(), format="%.0f"),),
        ),
        counter(
            "read_time",
            U32,
            "ms",
            family=Family("sflow_host_disk_read_time_seconds_total", "Time spent reading."),
            ganglia=(Metric("read_time", "disk", "Read Time", RatioOfDeltas(READS), units="mS"),),
        ),
        WRITES,
        counter(
            "bytes_written",
            U64,
            "bytes",
            family=Family("sflow_host_disk_written_bytes_total", "Bytes written."),
            ganglia=(Metric("bytes_written", "disk", "Bytes Written", Rate(), format="%.0f"),),
        ),
        counter(
            "write_time",
            U32,
            "ms",
            family=Family("sflow_host_disk_write_time_seconds_total", "Time spent writing."),
            ganglia=(Metric("write_time", "disk", "Write Time", RatioOfDeltas(WRITES), units="mS"),),
        ),
    ),
    role=Role.HOST,
)

HOST_NET_IO = Structure(
    "host_net_io",
    0,
    2006,
    (
        counter(
            "bytes_in",
            U64,
            "bytes",
            family=Family(
                "sflow_host_network_receive_bytes_total",
                "Bytes received by the host.",
                pool=Family("sflow_pool_network_receive_bytes_total", "Bytes received by the hosts of the pool."),
            ),
            ganglia=(Metric("bytes_in", "network", "Bytes Received", Rate(), units="bytes/sec"),),
        ),
        counter(
            "pkts_in",
            U32,
            "packets",
            family=Family("sflow_host_network_receive_packets_total", "Packets received by the host."),
            ganglia=(Metric("pkts_in", "network", "Packets Received", Rate(), units="packets/sec"),),
        ),
        counter(
            "errs_in",
            U32,
            "packets",
            family=Family("sflow_host_network_receive_errs_total", "Packets received with errors by the host."),
            ganglia=(Metric("errs_in", "network", "Input Errors", Rate(), units="errors/sec"),),
        ),
        counter(
            "drops_in",
            U32,
            "packets",
            family=Family("sflow_host_network_receive_drop_total", "Packets dropped while receiving by the host."),
            ganglia=(Metric("drops_in", "network", "Input Drops", Rate(), units="drops/sec"),),
        ),
        counter(
            "bytes_out",
            U64,
            "bytes",
            family=Family(
                "sflow_host_network_transmit_bytes_total",
                "Bytes sent by the host.",
                pool=Family("sflow_pool_network_transmit_bytes_total", "Bytes sent by the hosts of the pool."),
            ),
            ganglia=(Metric("bytes_out", "network", "Bytes Sent", Rate(), units="bytes/sec"),),
        ),
        counter(
            "pkts_out",
            U32,
            "packets",
            family=Family("sflow_host_network_transmit_packets_total", "Packets sent by the host."),
            ganglia=(Metric("pkts_out", "network", "Packets Sent", Rate(), units="packets/sec"),),
        ),
        counter(
            "errs_out",
            U32,
            "packets",
            family=Family("sflow_host_network_transmit_errs_total", "Errors while sending by the host."),
            ganglia=(Metric("errs_out", "network", "Output Errors", Rate(), units="errors/sec"),),
        ),
        counter(
            "drops_out",
            U32,
            "packets",
            family=Family("sflow_host_network_transmit_drop_total", "Packets dropped while sending by the host."),
            ganglia=(Metric("drops_out", "network", "Output Drops", Rate(), units="drops/sec"),),
        ),
    ),
    role=Role.HOST,
)

VIRT_NODE = Structure(
    "virt_node",
    0,
    2100,
    (
        gauge(
            "mhz",
            U32,
            "MHz",
            family=Family("sflow_vnode_cpu_frequency_hertz", "CPU frequency that the hypervisor reports."),
            ganglia=(
                Metric(
                    "vnode_cpu_speed",
                    "hypervisor",
                    "Hypervisor CPU Speed",
                    Gauge(),
                    type="uint32",
                    units="MHz",
                    slope="zero",
                    format="%u",
                ),
            ),
        ),
        gauge(
            "cpus",
            family=Family("sflow_vnode_cpus", "CPUs that the hypervisor reports."),
            ganglia=(
                Metric(
                    "vnode_cpu_num",
                    "hypervisor",
                    "Hypervisor CPU Count",
                    Gauge(),
                    type="uint32",
                    slope="zero",
                    format="%u",
                ),
            ),
        ),
        gauge(
            "memory",
            U64,
            "bytes",
            family=Family("sflow_vnode_memory_bytes", "Memory that the hypervisor reports."),
            ganglia=(
                Metric(
                    "vnode_mem_total",
                    "hypervisor",
                    "Hypervisor Memory Total",
                    KB,
                    units="KB",
                    slope="zero",
                    format="%.0f",
                ),
            ),
        ),
        gauge(
            "memory_free",
            U64,
            "bytes",
            family=Family("sflow_vnode_memory_free_bytes", "Free memory that the hypervisor reports."),
            ganglia=(Metric("vnode_mem_free", "hypervisor", "Hypervisor Free Memory", KB, units="KB", format="%.0f"),),
        ),
        gauge(
            "num_domains",
            family=Family("sflow_vnode_domains", "Services, containers and machines that the agent tracks."),
            ganglia=(
                Metric("vnode_domains", "hypervisor", "Hypervisor Domain Count", Gauge(), type="uint32", format="%u"),
            ),
        ),
    ),
    role=Role.HOST,
)

STRUCTURES = (
    HOST_DESCR,
    HOST_ADAPTERS,
    HOST_PARENT,
    HOST_CPU,
    HOST_MEMORY,
    HOST_DISK_IO,
    HOST_NET_IO,
    VIRT_NODE,
)
