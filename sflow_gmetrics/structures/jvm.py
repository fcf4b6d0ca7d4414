"""Java virtual machines: sFlow counter records 0:2105 and 0:2106.

Source: sFlow Java Virtual Machine Structures; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import Gauge, PercentOfTime, Rate, Text
from ..schema import Family, Metric, Role, Structure, counter, gauge, ident
from ..xdr import U32, U64, string

JVM_MEMORY_INIT = Family("sflow_jvm_memory_init_bytes", "Memory that the JVM asked for first.")
JVM_MEMORY_USED = Family("sflow_jvm_memory_used_bytes", "Memory used.")
JVM_MEMORY_COMMITTED = Family("sflow_jvm_memory_committed_bytes", "Memory committed.")
JVM_MEMORY_MAX = Family("sflow_jvm_memory_max_bytes", "Greatest size of the memory.")

JMX_RUNTIME = Structure(
    "jmx_runtime",
    0,
    2105,
    (
        ident("vm_name", string()),
        ident("vm_vendor", string()),
        ident(
            "vm_version",
            string(),
            ganglia=(Metric("jvm_release", "jvm", "JVM Release", Text(), type="string", slope="zero", format="%s"),),
        ),
    ),
    role=Role.SERVICE,
)

JMX_STATISTICS = Structure(
    "jmx_statistics",
    0,
    2106,
    (
        gauge(
            "hmem_initial",
            U64,
            "bytes",
            family=JVM_MEMORY_INIT(area="heap"),
            ganglia=(Metric("jvm_hmem_initial", "jvm", "JVM Heap Initial", Gauge(), type="double"),),
        ),
        gauge(
            "hmem_used",
            U64,
            "bytes",
            family=JVM_MEMORY_USED(area="heap"),
            ganglia=(Metric("jvm_hmem_used", "jvm", "JVM Heap Used", Gauge(), type="double"),),
        ),
        gauge(
            "hmem_committed",
            U64,
            "bytes",
            family=JVM_MEMORY_COMMITTED(area="heap"),
            ganglia=(Metric("jvm_hmem_committed", "jvm", "JVM Heap Committed", Gauge(), type="double"),),
        ),
        gauge(
            "hmem_max",
            U64,
            "bytes",
            family=JVM_MEMORY_MAX(area="heap"),
            ganglia=(Metric("jvm_hmem_max", "jvm", "JVM Heap Max", Gauge(), type="double"),),
        ),
        gauge(
            "nhmem_initial",
            U64,
            "bytes",
            family=JVM_MEMORY_INIT(area="nonheap"),
            ganglia=(Metric("jvm_nhmem_initial", "jvm", "JVM Non-Heap Initial", Gauge(), type="double"),),
        ),
        gauge(
            "nhmem_used",
            U64,
            "bytes",
            family=JVM_MEMORY_USED(area="nonheap"),
            ganglia=(Metric("jvm_nhmem_used", "jvm", "JVM Non-Heap Used", Gauge(), type="double"),),
        ),
        gauge(
            "nhmem_committed",
            U64,
            "bytes",
            family=JVM_MEMORY_COMMITTED(area="nonheap"),
            ganglia=(Metric("jvm_nhmem_committed", "jvm", "JVM Non-Heap Committed", Gauge(), type="double"),),
        ),
        gauge(
            "nhmem_max",
            U64,
            "bytes",
            family=JVM_MEMORY_MAX(area="nonheap"),
            ganglia=(Metric("jvm_nhmem_max", "jvm", "JVM Non-Heap Max", Gauge(), type="double"),),
        ),
        counter(
            "gc_count",
            family=Family("sflow_jvm_gc_collections_total", "Garbage collections."),
            ganglia=(Metric("jvm_gc_count", "jvm", "JVM GC count", Rate()),),
        ),
        counter(
            "gc_ms",
            U32,
            "ms",
            family=Family("sflow_jvm_gc_collection_seconds_total", "Time spent collecting garbage."),
            ganglia=(Metric("jvm_gc_cpu", "jvm", "JVM GC CPU", PercentOfTime(), units="%"),),
            bound=1000.0,
            per_cpu=True,
        ),
        gauge(
            "cls_loaded",
            family=Family("sflow_jvm_classes_currently_loaded", "Classes loaded now."),
            ganglia=(Metric("jvm_cls_loaded", "jvm", "JVM Classes Loaded", Gauge(), type="double"),),
        ),
        counter(
            "cls_total",
            family=Family("sflow_jvm_classes_loaded_total", "Classes loaded since the start."),
            ganglia=(Metric("jvm_cls_total", "jvm", "JVM Classes Total", Gauge(), type="double"),),
        ),
        counter(
            "cls_unloaded",
            family=Family("sflow_jvm_classes_unloaded_total", "Classes unloaded since the start."),
            ganglia=(Metric("jvm_cls_unloaded", "jvm", "JVM Classes Unloaded", Gauge(), type="double"),),
        ),
        counter(
            "comp_ms",
            U32,
            "ms",
            family=Family("sflow_jvm_compilation_time_seconds_total", "Time spent compiling."),
            ganglia=(Metric("jvm_comp_cpu", "jvm", "JVM Compilation CPU", PercentOfTime(), units="%"),),
            bound=1000.0,
            per_cpu=True,
        ),
        gauge(
            "thread_live",
            family=Family("sflow_jvm_threads_current", "Threads."),
            ganglia=(Metric("jvm_thread_live", "jvm", "JVM Threads Live", Gauge(), type="double"),),
        ),
        gauge(
            "thread_daemon",
            family=Family("sflow_jvm_threads_daemon", "Daemon threads."),
            ganglia=(Metric("jvm_thread_daemon", "jvm", "JVM Threads Daemon", Gauge(), type="double"),),
        ),
        counter(
            "thread_started",
            family=Family("sflow_jvm_threads_started_total", "Threads started."),
            ganglia=(Metric("jvm_thread_started", "jvm", "JVM Threads Started", Rate()),),
        ),
        gauge(
            "fds_open",
            family=Family("sflow_jvm_open_fds", "Open file descriptors."),
            ganglia=(Metric("jvm_fds_open", "jvm", "JVM FDs Open", Gauge(), type="double"),),
        ),
        gauge(
            "fds_max",
            family=Family("sflow_jvm_max_fds", "Greatest number of file descriptors."),
            ganglia=(Metric("jvm_fds_max", "jvm", "JVM FDs Max", Gauge(), type="double"),),
        ),
    ),
    role=Role.SERVICE,
    required=17,
)

STRUCTURES = (
    JMX_RUNTIME,
    JMX_STATISTICS,
)
