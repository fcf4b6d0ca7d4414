"""Virtual nodes (services, containers, machines, JVM processes): sFlow counter records 0:2101 to 0:2103.

Source: sFlow Host Structures, section 5; metric names of Ganglia gmond, and vmem_used, which gmond drops.
"""

from __future__ import annotations

from dataclasses import replace

from ..operators import PercentOfTime, RatioOfGauges
from ..schema import Family, Field, Metric, Role, Structure, counter, gauge
from ..xdr import U32, U64
from .vocabulary import CPU_MS, HSFLOWD, KB, SERVICE, Group

VM_CPU = Group("vm cpu", "vcpu_", "VM CPU ")
VM_MEMORY = Group("vm memory", "vmem_", "VM Memory ")
VM_DISK = Group("vm disk", "vdisk_")

OPERATIONS = 1e6
"""Disk requests of one virtual node: a fast NVMe disk of its own."""
DISK_ERRORS = 1e5
"""More of them than that is no disk any more."""

DOMAIN_STATES = ("No State", "Running", "Blocked", "Paused", "Shutdown", "Shutoff", "Crashed")


def _or_jvm(metric: Metric, slope: str = "") -> tuple[Metric, Metric]:
    """The metric, and what it becomes where the sample carries JVM records too: vcpu_util, jvm_vcpu_util."""
    jvm = replace(metric, name=f"jvm_{metric.name}", group="jvm", title=f"J{metric.title}", jvm=True)
    return metric, replace(jvm, slope=slope or metric.slope)


def _space(name: str, title: str, family: Family, metric: str, *, constant: bool = False) -> Field:
    """Disk space; systemd services send 0, for they have no disks of their own."""
    return VM_DISK.gigabytes(name, title, family, metric=metric, constant=constant, zero_unknown=True)


def _requests(name: str, title: str, family: Family, metric: str) -> Field:
    """Requests to the virtual disks."""
    form = {"metric": metric, "format": "%.0f"}
    return VM_DISK.rate(name, title, family, U32, "operations", bound=OPERATIONS, **form)


def _bytes(name: str, title: str, family: Family, metric: str) -> Field:
    """Bytes read or written."""
    return VM_DISK.rate(name, title, family, U64, "bytes", metric=metric, format="%.0f")


# hsflowd for systemd: state is always 1 and nrVirtCpu 0. cpuTime wraps after 49.7 days of CPU time.
VIRT_CPU = Structure(
    "virt_cpu",
    0,
    2101,
    (
        VM_CPU.enum("state", "State", DOMAIN_STATES),
        counter(
            "cpuTime",
            U32,
            "ms",
            family=SERVICE(
                "cpu_seconds_total", "CPU time used.", "CPU time used by the service on all hosts of the pool."
            ),
            ganglia=_or_jvm(VM_CPU.metric("util", "Utilization", PercentOfTime(), units="%")),
            bound=CPU_MS,
            per_cpu=True,
        ),
        VM_CPU.whole(
            "nrVirtCpu", "Count", SERVICE("cpus", "Virtual CPUs."), metric="num", constant=True, zero_unknown=True
        ),
    ),
    role=Role.SERVICE,
    source=HSFLOWD,
)

# Docker sends 0 for "no limit", KVM all ones for "not known".
MAX_MEMORY = gauge(
    "maxMemory",
    U64,
    "bytes",
    family=SERVICE("memory_limit_bytes", "Memory limit; the memory of the host where none is set."),
    ganglia=_or_jvm(VM_MEMORY.metric("total", "Total", KB, units="KB", slope="zero", format="%.0f")),
    zero_unknown=True,
)

# hsflowd for systemd: memory.current of the cgroup, else the sum of its processes' resident sets.
VIRT_MEMORY = Structure(
    "virt_memory",
    0,
    2102,
    (
        gauge(
            "memory",
            U64,
            "bytes",
            family=SERVICE(
                "memory_bytes",
                "Memory used (page cache included where the agent reads a cgroup).",
                "Memory used by the service on all live hosts of the pool.",
            ),
            ganglia=(
                *_or_jvm(VM_MEMORY.metric("used", "Used", KB, units="KB", format="%.0f")),
                *_or_jvm(VM_MEMORY.metric("util", "Utilization", RatioOfGauges(MAX_MEMORY), units="%"), slope="zero"),
            ),
        ),
        MAX_MEMORY,
    ),
    role=Role.SERVICE,
    source=HSFLOWD,
)

# hsflowd for systemd without blkio accounting: only the bytes, which are those of read and write
# calls and of the disk added up, of the processes alive: they fall when one of these ends.
VIRT_DISK_IO = Structure(
    "virt_disk_io",
    0,
    2103,
    (
        _space(
            "capacity",
            "VDisk Capacity",
            SERVICE("disk_capacity_bytes", "Logical size of the virtual disks."),
            "capacity",
            constant=True,
        ),
        _space(
            "allocation",
            "Total VDisk Space",
            SERVICE("disk_allocation_bytes", "Space allocated for the virtual disks."),
            "total",
        ),
        _space(
            "available",
            "Free VDisk Space",
            SERVICE("disk_available_bytes", "Space left for the virtual disks."),
            "free",
        ),
        _requests("rd_req", "VM Reads", SERVICE("disk_reads_completed_total", "Reads completed."), "reads"),
        _bytes(
            "rd_bytes",
            "VM Bytes Read",
            SERVICE(
                "disk_read_bytes_total",
                "Bytes read (system calls of live processes under systemd).",
                "Bytes read by the service on all hosts of the pool.",
            ),
            "bytes_read",
        ),
        _requests("wr_req", "VM Writes", SERVICE("disk_writes_completed_total", "Writes completed."), "writes"),
        _bytes(
            "wr_bytes",
            "VM Bytes Written",
            SERVICE(
                "disk_written_bytes_total",
                "Bytes written (system calls of live processes under systemd).",
                "Bytes written by the service on all hosts of the pool.",
            ),
            "bytes_written",
        ),
        VM_DISK.rate(
            "errs",
            "VM Disk Errors",
            SERVICE("disk_errs_total", "Disk errors."),
            units="errors/sec",
            bound=DISK_ERRORS,
        ),
    ),
    role=Role.SERVICE,
    source=HSFLOWD,
)

STRUCTURES = (VIRT_CPU, VIRT_MEMORY, VIRT_DISK_IO)
