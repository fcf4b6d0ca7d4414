"""Virtual nodes (services, containers, machines, JVM processes): sFlow counter records 0:2101 to 0:2104.

Source: sFlow Host Structures, section 5; metric names of Ganglia gmond, and vmem_used, which gmond drops.
"""

from __future__ import annotations

from ..operators import EnumText, Gauge, PercentOfTime, Rate, RatioOfGauges, ScaledGauge
from ..schema import Family, Metric, Role, Structure, counter, enum, gauge
from ..xdr import U32, U64

DOMAIN_STATES = ("No State", "Running", "Blocked", "Paused", "Shutdown", "Shutoff", "Crashed")
KB = ScaledGauge(1024, whole=True)
GB = ScaledGauge(1 << 30)

VIRT_CPU = Structure(
    "virt_cpu",
    0,
    2101,
    (
        enum(
            "state",
            ganglia=(
                Metric(
                    "vcpu_state",
                    "vm cpu",
                    "VM CPU State",
                    EnumText(DOMAIN_STATES),
                    type="string",
                    slope="zero",
                    format="%s",
                ),
            ),
        ),
        counter(
            "cpuTime",
            U32,
            "ms",
            family=Family(
                "sflow_service_cpu_seconds_total",
                "CPU time used.",
                pool=Family(
                    "sflow_pool_service_cpu_seconds_total", "CPU time used by the service on all hosts of the pool."
                ),
            ),
            ganglia=(
                Metric("vcpu_util", "vm cpu", "VM CPU Utilization", PercentOfTime(), units="%"),
                Metric("jvm_vcpu_util", "jvm", "JVM CPU Utilization", PercentOfTime(), units="%", jvm=True),
            ),
            bound=1000.0,
            per_cpu=True,
        ),
        gauge(
            "nrVirtCpu",
            family=Family("sflow_service_cpus", "Virtual CPUs."),
            ganglia=(Metric("vcpu_num", "vm cpu", "VM CPU Count", Gauge(), type="uint32", slope="zero", format="%u"),),
            zero_unknown=True,
        ),
    ),
    role=Role.SERVICE,
)

MAX_MEMORY = gauge(
    "maxMemory",
    U64,
    "bytes",
    family=Family("sflow_service_memory_limit_bytes", "Memory limit; the memory of the host where none is set."),
    ganglia=(
        Metric("vmem_total", "vm memory", "VM Memory Total", KB, units="KB", slope="zero", format="%.0f"),
        Metric("jvm_vmem_total", "jvm", "JVM Memory Total", KB, units="KB", slope="zero", format="%.0f", jvm=True),
    ),
    zero_unknown=True,
)

VIRT_MEMORY = Structure(
    "virt_memory",
    0,
    2102,
    (
        gauge(
            "memory",
            U64,
            "bytes",
            family=Family(
                "sflow_service_memory_bytes",
                "Memory used (page cache included where the agent reads a cgroup).",
                pool=Family(
                    "sflow_pool_service_memory_bytes", "Memory used by the service on all live hosts of the pool."
                ),
            ),
            ganglia=(
                Metric("vmem_used", "vm memory", "VM Memory Used", KB, units="KB", format="%.0f"),
                Metric("jvm_vmem_used", "jvm", "JVM Memory Used", KB, units="KB", format="%.0f", jvm=True),
                Metric("vmem_util", "vm memory", "VM Memory Utilization", RatioOfGauges(MAX_MEMORY), units="%"),
                Metric(
                    "jvm_vmem_util",
                    "jvm",
                    "JVM Memory Utilization",
                    RatioOfGauges(MAX_MEMORY),
                    units="%",
                    slope="zero",
                    jvm=True,
                ),
            ),
        ),
        MAX_MEMORY,
    ),
    role=Role.SERVICE,
)

VIRT_DISK_IO = Structure(
    "virt_disk_io",
    0,
    2103,
    (
        gauge(
            "capacity",
            U64,
            "bytes",
            family=Family("sflow_service_disk_capacity_bytes", "Logical size of the virtual disks."),
            ganglia=(
                Metric(
                    "vdisk_capacity",
                    "vm disk",
                    "VDisk Capacity",
                    GB,
                    type="double",
                    units="GB",
                    slope="zero",
                    format="%.3f",
                ),
            ),
            zero_unknown=True,
        ),
        gauge(
            "allocation",
            U64,
            "bytes",
            family=Family("sflow_service_disk_allocation_bytes", "Space allocated for the virtual disks."),
            ganglia=(
                Metric("vdisk_total", "vm disk", "Total VDisk Space", GB, type="double", units="GB", format="%.3f"),
            ),
            zero_unknown=True,
        ),
        gauge(
            "available",
            U64,
            "bytes",
            family=Family("sflow_service_disk_available_bytes", "Space left for the virtual disks."),
            ganglia=(
                Metric("vdisk_free", "vm disk", "Free VDisk Space", GB, type="double", units="GB", format="%.3f"),
            ),
            zero_unknown=True,
        ),
        counter(
            "rd_req",
            U32,
            "operations",
            family=Family("sflow_service_disk_reads_completed_total", "Reads completed."),
            ganglia=(Metric("vdisk_reads", "vm disk", "VM Reads", Rate(), format="%.0f"),),
            bound=1e6,
        ),
        counter(
            "rd_bytes",
            U64,
            "bytes",
            family=Family(
                "sflow_service_disk_read_bytes_total",
                "Bytes read (system calls of live processes under systemd).",
                pool=Family(
                    "sflow_pool_service_disk_read_bytes_total", "Bytes read by the service on all hosts of the pool."
                ),
            ),
            ganglia=(Metric("vdisk_bytes_read", "vm disk", "VM Bytes Read", Rate(), format="%.0f"),),
        ),
        counter(
            "wr_req",
            U32,
            "operations",
            family=Family("sflow_service_disk_writes_completed_total", "Writes completed."),
            ganglia=(Metric("vdisk_writes", "vm disk", "VM Writes", Rate(), format="%.0f"),),
            bound=1e6,
        ),
        counter(
            "wr_bytes",
            U64,
            "bytes",
            family=Family(
                "sflow_service_disk_written_bytes_total",
                "Bytes written (system calls of live processes under systemd).",
                pool=Family(
                    "sflow_pool_service_disk_written_bytes_total",
                    "Bytes written by the service on all hosts of the pool.",
                ),
            ),
            ganglia=(Metric("vdisk_bytes_written", "vm disk", "VM Bytes Written", Rate(), format="%.0f"),),
        ),
        counter(
            "errs",
            family=Family("sflow_service_disk_errs_total", "Disk errors."),
            ganglia=(Metric("vdisk_errs", "vm disk", "VM Disk Errors", Rate(), units="errors/sec"),),
            bound=1e5,
        ),
    ),
    role=Role.SERVICE,
)

VIRT_NET_IO = Structure(
    "virt_net_io",
    0,
    2104,
    (
        counter(
            "bytes_in",
            U64,
            "bytes",
            family=Family(
                "sflow_service_network_receive_bytes_total",
                "Bytes received by the service.",
                pool=Family(
                    "sflow_pool_service_network_receive_bytes_total",
                    "Bytes received by the service on all hosts of the pool.",
                ),
            ),
            ganglia=(Metric("vbytes_in", "vm network", "VM Bytes Received", Rate(), units="bytes/sec"),),
        ),
        counter(
            "pkts_in",
            U32,
            "packets",
            family=Family("sflow_service_network_receive_packets_total", "Packets received by the service."),
            ganglia=(Metric("vpkts_in", "vm network", "VM Packets Received", Rate(), units="packets/sec"),),
        ),
        counter(
            "errs_in",
            U32,
            "packets",
            family=Family("sflow_service_network_receive_errs_total", "Packets received with errors by the service."),
            ganglia=(Metric("verrs_in", "vm network", "VM Input Errors", Rate(), units="errors/sec"),),
        ),
        counter(
            "drops_in",
            U32,
            "packets",
            family=Family(
                "sflow_service_network_receive_drop_total", "Packets dropped while receiving by the service."
            ),
            ganglia=(Metric("vdrops_in", "vm network", "VM Input Drops", Rate(), units="drops/sec"),),
        ),
        counter(
            "bytes_out",
            U64,
            "bytes",
            family=Family(
                "sflow_service_network_transmit_bytes_total",
                "Bytes sent by the service.",
                pool=Family(
                    "sflow_pool_service_network_transmit_bytes_total",
                    "Bytes sent by the service on all hosts of the pool.",
                ),
            ),
            ganglia=(Metric("vbytes_out", "vm network", "VM Bytes Sent", Rate(), units="bytes/sec"),),
        ),
        counter(
            "pkts_out",
            U32,
            "packets",
            family=Family("sflow_service_network_transmit_packets_total", "Packets sent by the service."),
            ganglia=(Metric("vpkts_out", "vm network", "VM Packets Sent", Rate(), units="packets/sec"),),
        ),
        counter(
            "errs_out",
            U32,
            "packets",
            family=Family("sflow_service_network_transmit_errs_total", "Errors while sending by the service."),
            ganglia=(Metric("verrs_out", "vm network", "VM Output Errors", Rate(), units="errors/sec"),),
        ),
        counter(
            "drops_out",
            U32,
            "packets",
            family=Family("sflow_service_network_transmit_drop_total", "Packets dropped while sending by the service."),
            ganglia=(Metric("vdrops_out", "vm network", "VM Output Drops", Rate(), units="drops/sec"),),
        ),
    ),
    role=Role.SERVICE,
)

STRUCTURES = (
    VIRT_CPU,
    VIRT_MEMORY,
    VIRT_DISK_IO,
    VIRT_NET_IO,
)
