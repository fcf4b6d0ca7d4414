"""Memory and disks of the physical host: sFlow counter records 0:2004 and 0:2005.

Source: sFlow Host Structures, section 4; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import RatioOfDeltas, ScaledGauge
from ..schema import Family, Field, Role, Structure, counter
from ..xdr import U32, U64
from .vocabulary import HOST, HSFLOWD, Group

MEMORY, DISK = Group("memory"), Group("disk")

PAGED = 1e7
"""KiB: 10 GB/s between memory and disks."""
SWAPPED = 2e6
"""Pages of 4 KiB: 8 GB/s, faster than compressed swap in memory."""
DISK_OPERATIONS = 5e6
"""A handful of NVMe disks, counted twice where they have partitions."""
DISK_MS = 1e6
"""A thousand requests waiting all the time."""


def _moved(name: str, title: str, family: Family, bound: float) -> Field:
    """Memory moved to or from disk."""
    return MEMORY.rate(name, title, family, format="%.0f", bound=bound)


def _operations(name: str, title: str, family: Family) -> Field:
    """Requests to disks that are done."""
    return DISK.rate(name, title, family, unit="operations", format="%.0f", bound=DISK_OPERATIONS)


def _bytes(name: str, title: str, family: Family) -> Field:
    """Bytes read or written."""
    return DISK.rate(name, title, family, U64, "bytes", format="%.0f")


def _time(name: str, title: str, family: Family, by: Field) -> Field:
    """Time that requests took, summed over them; shown as ms per request."""
    shown = DISK.metric(name, title, RatioOfDeltas(by), units="mS")
    return counter(name, U32, "ms", family=family, ganglia=(shown,), bound=DISK_MS)


# Linux: mem_shared is always 0, mem_cached contains reclaimable slabs, page_in and page_out
# count KiB, swap_in and swap_out pages.
HOST_MEMORY = Structure(
    "host_memory",
    0,
    2004,
    (
        MEMORY.kilobytes(
            "mem_total",
            "Memory Total",
            HOST("memory_total_bytes", "Memory.", "Memory of the pool's live hosts."),
            constant=True,
        ),
        MEMORY.kilobytes(
            "mem_free",
            "Free Memory",
            HOST("memory_free_bytes", "Memory not used at all.", "Free memory of the pool's live hosts."),
        ),
        MEMORY.kilobytes(
            "mem_shared", "Shared Memory", HOST("memory_shared_bytes", "Memory shared between processes.")
        ),
        MEMORY.kilobytes(
            "mem_buffers", "Memory Buffers", HOST("memory_buffers_bytes", "Memory in block device buffers.")
        ),
        MEMORY.kilobytes("mem_cached", "Cached Memory", HOST("memory_cached_bytes", "Memory in the page cache.")),
        MEMORY.kilobytes("swap_total", "Swap Space Total", HOST("swap_total_bytes", "Swap space."), constant=True),
        MEMORY.kilobytes("swap_free", "Free Swap Space", HOST("swap_free_bytes", "Free swap space.")),
        _moved("page_in", "Pages In", HOST("page_ins_total", "Paged in from disk (KiB with Linux agents)."), PAGED),
        _moved("page_out", "Pages Out", HOST("page_outs_total", "Paged out to disk (KiB with Linux agents)."), PAGED),
        _moved("swap_in", "Swap Pages In", HOST("swap_ins_total", "Pages swapped in."), SWAPPED),
        _moved("swap_out", "Swap Pages Out", HOST("swap_outs_total", "Pages swapped out."), SWAPPED),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

READS = _operations("reads", "Reads", HOST("disk_reads_completed_total", "Reads completed."))
WRITES = _operations("writes", "Writes", HOST("disk_writes_completed_total", "Writes completed."))

# hsflowd: all lines of /proc/diskstats but md and dm, hence a disk and its partitions count
# twice; sizes are those of /dev file systems mounted for writing.
HOST_DISK_IO = Structure(
    "host_disk_io",
    0,
    2005,
    (
        DISK.gigabytes("disk_total", "Total Disk Space", HOST("disk_size_bytes", "Size of all mounted file systems.")),
        DISK.gigabytes(
            "disk_free", "Free Disk Space", HOST("disk_free_bytes", "Free space on all mounted file systems.")
        ),
        DISK.gauge(
            "part_max_used",
            "Maximum Disk Space Used",
            ScaledGauge(100),
            HOST("disk_partition_used_max_ratio", "How full the fullest partition is."),
            unit="1/100 %",
            units="%",
        ),
        READS,
        _bytes("bytes_read", "Bytes Read", HOST("disk_read_bytes_total", "Bytes read.")),
        _time("read_time", "Read Time", HOST("disk_read_time_seconds_total", "Time spent reading."), READS),
        WRITES,
        _bytes("bytes_written", "Bytes Written", HOST("disk_written_bytes_total", "Bytes written.")),
        _time("write_time", "Write Time", HOST("disk_write_time_seconds_total", "Time spent writing."), WRITES),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

STRUCTURES = (HOST_MEMORY, HOST_DISK_IO)
