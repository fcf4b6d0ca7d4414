"""Java virtual machines: sFlow counter records 0:2105 and 0:2106.

Source: sFlow Java Virtual Machine Structures; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import Gauge
from ..schema import Family, Field, Role, Structure, counter, ident
from ..xdr import U64, string
from .vocabulary import SFLOWTOOL, Families, Group

JVM_METRICS = Group("jvm", "jvm_", "JVM ")
JVM = Families("sflow_jvm_", group="jvm")

COLLECTIONS = 1e4
"""Ten a millisecond."""
CLASSES = 1e5
"""Classes or threads that come and go."""

MEMORY_OF_AREA = {
    "initial": JVM("memory_init_bytes", "Memory that the JVM asked for first."),
    "used": JVM("memory_used_bytes", "Memory used."),
    "committed": JVM("memory_committed_bytes", "Memory committed."),
    "max": JVM("memory_max_bytes", "Greatest size of the memory."),
}


def _area(prefix: str, title: str, area: str) -> tuple[Field, ...]:
    """The four sizes of the heap (hmem_initial ...) or of what is not heap (nhmem_initial ...)."""
    return tuple(
        JVM_METRICS.double(f"{prefix}_{size}", f"{title} {size.title()}", family(area=area), U64, "bytes")
        for size, family in MEMORY_OF_AREA.items()
    )


def _since_start(name: str, title: str, family: Family) -> Field:
    """A counter that gmond shows as it comes."""
    shown = JVM_METRICS.metric(name, title, Gauge(), type="double")
    return counter(name, family=family, ganglia=(shown,), bound=CLASSES)


JMX_RUNTIME = Structure(
    "jmx_runtime",
    0,
    2105,
    (
        ident("vm_name", string()),
        ident("vm_vendor", string()),
        JVM_METRICS.text("vm_version", "Release", metric="release"),
    ),
    role=Role.SERVICE,
    source=SFLOWTOOL,
)

# Older agents send 17 fields (100 bytes), without the file descriptors.
JMX_STATISTICS = Structure(
    "jmx_statistics",
    0,
    2106,
    (
        *_area("hmem", "Heap", "heap"),
        *_area("nhmem", "Non-Heap", "nonheap"),
        JVM_METRICS.rate(
            "gc_count", "GC count", JVM("gc_collections_total", "Garbage collections."), bound=COLLECTIONS
        ),
        JVM_METRICS.busy(
            "gc_ms", "GC CPU", JVM("gc_collection_seconds_total", "Time spent collecting garbage."), metric="gc_cpu"
        ),
        JVM_METRICS.double("cls_loaded", "Classes Loaded", JVM("classes_currently_loaded", "Classes loaded now.")),
        _since_start("cls_total", "Classes Total", JVM("classes_loaded_total", "Classes loaded since the start.")),
        _since_start(
            "cls_unloaded", "Classes Unloaded", JVM("classes_unloaded_total", "Classes unloaded since the start.")
        ),
        JVM_METRICS.busy(
            "comp_ms",
            "Compilation CPU",
            JVM("compilation_time_seconds_total", "Time spent compiling."),
            metric="comp_cpu",
        ),
        JVM_METRICS.double("thread_live", "Threads Live", JVM("threads_current", "Threads.")),
        JVM_METRICS.double("thread_daemon", "Threads Daemon", JVM("threads_daemon", "Daemon threads.")),
        JVM_METRICS.rate(
            "thread_started", "Threads Started", JVM("threads_started_total", "Threads started."), bound=CLASSES
        ),
        JVM_METRICS.double("fds_open", "FDs Open", JVM("open_fds", "Open file descriptors.")),
        JVM_METRICS.double("fds_max", "FDs Max", JVM("max_fds", "Greatest number of file descriptors.")),
    ),
    role=Role.SERVICE,
    required=17,
    source=SFLOWTOOL,
)

STRUCTURES = (JMX_RUNTIME, JMX_STATISTICS)
