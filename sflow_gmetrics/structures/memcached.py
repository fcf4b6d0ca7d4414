"""memcached: sFlow counter records 0:2200 (deprecated) and 0:2204.

Source: sFlow memcached Structures; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import Gauge, NowMinus, Rate
from ..schema import Family, Metric, Role, Structure, counter, enum, gauge
from ..xdr import U32, U64

MEMCACHED_COMMANDS = Family("sflow_memcached_commands_total", "Commands by outcome.")
MEMCACHED_CPU_SECONDS = Family("sflow_memcached_cpu_seconds_total", "CPU time by mode.")
MEMCACHED_BOOT_TIME = Family("sflow_memcached_boot_time_seconds", "When memcached started, in seconds since the epoch.")
CURR_CONNECTIONS = Family("sflow_memcached_current_connections", "Open connections.")
TOTAL_CONNECTIONS = Family("sflow_memcached_connections_total", "Connections accepted.")
REJECTED_CONNECTIONS = Family("sflow_memcached_connections_rejected_total", "Connections rejected.")
CONN_YIELDS = Family("sflow_memcached_connections_yielded_total", "Times a connection had to yield.")
LISTEN_DISABLED_NUM = Family("sflow_memcached_listener_disabled_total", "Times the listener was switched off.")
CONNECTION_STRUCTURES = Family("sflow_memcached_connection_structures", "Connection structures allocated.")
THREADS = Family("sflow_memcached_threads", "Worker threads.")
BYTES_READ = Family("sflow_memcached_read_bytes_total", "Bytes received.")
BYTES_WRITTEN = Family("sflow_memcached_written_bytes_total", "Bytes sent.")
BYTES = Family("sflow_memcached_current_bytes", "Bytes stored.")
LIMIT_MAXBYTES = Family("sflow_memcached_limit_bytes", "Bytes that may be stored.")
CURR_ITEMS = Family("sflow_memcached_current_items", "Items stored.")
TOTAL_ITEMS = Family("sflow_memcached_items_total", "Items ever stored.")
EVICTIONS = Family("sflow_memcached_items_evicted_total", "Items evicted.")
RECLAIMED = Family("sflow_memcached_items_reclaimed_total", "Items reclaimed.")

MEMCACHED = Structure(
    "memcached",
    0,
    2200,
    (
        gauge(
            "uptime",
            U32,
            "s",
            family=MEMCACHED_BOOT_TIME,
            ganglia=(
                Metric(
                    "mc_boottime",
                    "memcache",
                    "Memcache Start Time",
                    NowMinus(),
                    type="uint32",
                    units="s",
                    slope="zero",
                    format="%u",
                ),
            ),
        ),
        counter(
            "rusage_user",
            U32,
            "ms",
            family=MEMCACHED_CPU_SECONDS(mode="user"),
            ganglia=(Metric("mc_rusage_user", "memcache", "Memcache rusage_user", Rate(), units="mS"),),
            bound=1000.0,
            per_cpu=True,
        ),
        counter(
            "rusage_system",
            U32,
            "ms",
            family=MEMCACHED_CPU_SECONDS(mode="system"),
            ganglia=(Metric("mc_rusage_system", "memcache", "Memcache rusage_system", Rate(), units="mS"),),
            bound=1000.0,
            per_cpu=True,
        ),
        gauge(
            "curr_connections",
            family=CURR_CONNECTIONS,
            ganglia=(
                Metric(
                    "mc_curr_conns", "memcache", "Memcache Current Connections", Gauge(), type="uint32", format="%u"
                ),
            ),
        ),
        counter(
            "total_connections",
            family=TOTAL_CONNECTIONS,
            ganglia=(Metric("mc_total_conns", "memcache", "Memcache Total Connections", Rate()),),
        ),
        gauge(
            "connection_structures",
            family=CONNECTION_STRUCTURES,
            ganglia=(
                Metric(
                    "mc_conn_structs", "memcache", "Memcache Connection Structs", Gauge(), type="uint32", format="%u"
                ),
            ),
        ),
        counter("cmd_get", ganglia=(Metric("mc_cmd_get", "memcache", "Memcache Command GET", Rate()),)),
        counter(
            "cmd_set",
            family=MEMCACHED_COMMANDS(command="set", status="ok"),
            ganglia=(Metric("mc_cmd_set", "memcache", "Memcache Command SET", Rate()),),
        ),
        counter(
            "cmd_flush",
            family=MEMCACHED_COMMANDS(command="flush", status="ok"),
            ganglia=(Metric("mc_cmd_flush", "memcache", "Memcache Command FLUSH", Rate()),),
        ),
        counter(
            "get_hits",
            family=MEMCACHED_COMMANDS(command="get", status="hit"),
            ganglia=(Metric("mc_get_hits", "memcache", "Memcache GET Hits", Rate()),),
        ),
        counter(
            "get_misses",
            family=MEMCACHED_COMMANDS(command="get", status="miss"),
            ganglia=(Metric("mc_get_misses", "memcache", "Memcache GET Misses", Rate()),),
        ),
        counter(
            "delete_misses",
            family=MEMCACHED_COMMANDS(command="delete", status="miss"),
            ganglia=(Metric("mc_delete_misses", "memcache", "Memcache DELETE Misses", Rate()),),
        ),
        counter(
            "delete_hits",
            family=MEMCACHED_COMMANDS(command="delete", status="hit"),
            ganglia=(Metric("mc_delete_hits", "memcache", "Memcache DELETE Hits", Rate()),),
        ),
        counter(
            "incr_misses",
            family=MEMCACHED_COMMANDS(command="incr", status="miss"),
            ganglia=(Metric("mc_incr_misses", "memcache", "Memcache INCR Misses", Rate()),),
        ),
        counter(
            "incr_hits",
            family=MEMCACHED_COMMANDS(command="incr", status="hit"),
            ganglia=(Metric("mc_incr_hits", "memcache", "Memcache INCR Hits", Rate()),),
        ),
        counter(
            "decr_misses",
            family=MEMCACHED_COMMANDS(command="decr", status="miss"),
            ganglia=(Metric("mc_decr_misses", "memcache", "Memcache DECR Misses", Rate()),),
        ),
        counter(
            "decr_hits",
            family=MEMCACHED_COMMANDS(command="decr", status="hit"),
            ganglia=(Metric("mc_decr_hits", "memcache", "Memcache DECR Hits", Rate()),),
        ),
        counter(
            "cas_misses",
            family=MEMCACHED_COMMANDS(command="cas", status="miss"),
            ganglia=(Metric("mc_cas_misses", "memcache", "Memcache CAS Misses", Rate()),),
        ),
        counter(
            "cas_hits",
            family=MEMCACHED_COMMANDS(command="cas", status="hit"),
            ganglia=(Metric("mc_cas_hits", "memcache", "Memcache CAS Hits", Rate()),),
        ),
        counter(
            "cas_badval",
            family=MEMCACHED_COMMANDS(command="cas", status="badval"),
            ganglia=(Metric("mc_cas_badval", "memcache", "Memcache CAS Badval", Rate()),),
        ),
        counter(
            "auth_cmds",
            family=MEMCACHED_COMMANDS(command="auth", status="ok"),
            ganglia=(Metric("mc_auth_cmds", "memcache", "Memcache AUTH Cmds", Rate()),),
        ),
        counter(
            "auth_errors",
            family=MEMCACHED_COMMANDS(command="auth", status="error"),
            ganglia=(Metric("mc_auth_errors", "memcache", "Memcache AUTH Errors", Rate()),),
        ),
        counter(
            "bytes_read",
            U64,
            "bytes",
            family=BYTES_READ,
            ganglia=(Metric("mc_bytes_read", "memcache", "Memcache Bytes Read", Rate()),),
        ),
        counter(
            "bytes_written",
            U64,
            "bytes",
            family=BYTES_WRITTEN,
            ganglia=(Metric("mc_bytes_written", "memcache", "Memcache Bytes Written", Rate()),),
        ),
        gauge(
            "limit_maxbytes",
            U32,
            "bytes",
            family=LIMIT_MAXBYTES,
            ganglia=(
                Metric(
                    "mc_limit_maxbytes",
                    "memcache",
                    "Memcache Limit MaxBytes",
                    Gauge(),
                    type="double",
                    slope="zero",
                    format="%.0f",
                ),
            ),
        ),
        enum(
            "accepting_conns",
            ganglia=(
                Metric(
                    "mc_accepting_conns",
                    "memcache",
                    "Memcache Accepting Connections",
                    Gauge(),
                    type="uint32",
                    slope="zero",
                    format="%u",
                ),
            ),
        ),
        counter(
            "listen_disabled_num",
            family=LISTEN_DISABLED_NUM,
            ganglia=(
                Metric(
                    "mc_listen_disabled_num",
                    "memcache",
                    "Memcache Listen Disabled",
                    Gauge(),
                    type="uint32",
                    slope="zero",
                    format="%u",
                ),
            ),
        ),
        gauge(
            "threads",
            family=THREADS,
            ganglia=(
                Metric("mc_threads", "memcache", "Memcache Threads", Gauge(), type="uint32", slope="zero", format="%u"),
            ),
        ),
        counter(
            "conn_yields",
            family=CONN_YIELDS,
            ganglia=(Metric("mc_conn_yields", "memcache", "Memcache Connection Yields", Rate()),),
        ),
        gauge(
            "bytes",
            U64,
            "bytes",
            family=BYTES,
            ganglia=(Metric("mc_bytes", "memcache", "Memcache Bytes", Gauge(), type="double"),),
        ),
        gauge(
            "curr_items",
            family=CURR_ITEMS,
            ganglia=(
                Metric("mc_curr_items", "memcache", "Memcache Current Items", Gauge(), type="uint32", format="%u"),
            ),
        ),
        counter(
            "total_items",
            family=TOTAL_ITEMS,
            ganglia=(Metric("mc_total_items", "memcache", "Memcache Total Items", Rate()),),
        ),
        counter(
            "evictions", family=EVICTIONS, ganglia=(Metric("mc_evictions", "memcache", "Memcache Evictions", Rate()),)
        ),
    ),
    role=Role.SERVICE,
)

MEMCACHE_COUNTERS = Structure(
    "memcache_counters",
    0,
    2204,
    (
        counter(
            "cmd_set",
            family=MEMCACHED_COMMANDS(command="set", status="ok"),
            ganglia=(Metric("mc_cmd_set", "memcache", "Memcache Command SET", Rate()),),
        ),
        counter(
            "cmd_touch",
            family=MEMCACHED_COMMANDS(command="touch", status="ok"),
            ganglia=(Metric("mc_cmd_touch", "memcache", "Memcache CMD Touch", Rate()),),
        ),
        counter(
            "cmd_flush",
            family=MEMCACHED_COMMANDS(command="flush", status="ok"),
            ganglia=(Metric("mc_cmd_flush", "memcache", "Memcache Command FLUSH", Rate()),),
        ),
        counter(
            "get_hits",
            family=MEMCACHED_COMMANDS(command="get", status="hit"),
            ganglia=(Metric("mc_get_hits", "memcache", "Memcache GET Hits", Rate()),),
        ),
        counter(
            "get_misses",
            family=MEMCACHED_COMMANDS(command="get", status="miss"),
            ganglia=(Metric("mc_get_misses", "memcache", "Memcache GET Misses", Rate()),),
        ),
        counter(
            "delete_hits",
            family=MEMCACHED_COMMANDS(command="delete", status="hit"),
            ganglia=(Metric("mc_delete_hits", "memcache", "Memcache DELETE Hits", Rate()),),
        ),
        counter(
            "delete_misses",
            family=MEMCACHED_COMMANDS(command="delete", status="miss"),
            ganglia=(Metric("mc_delete_misses", "memcache", "Memcache DELETE Misses", Rate()),),
        ),
        counter(
            "incr_hits",
            family=MEMCACHED_COMMANDS(command="incr", status="hit"),
            ganglia=(Metric("mc_incr_hits", "memcache", "Memcache INCR Hits", Rate()),),
        ),
        counter(
            "incr_misses",
            family=MEMCACHED_COMMANDS(command="incr", status="miss"),
            ganglia=(Metric("mc_incr_misses", "memcache", "Memcache INCR Misses", Rate()),),
        ),
        counter(
            "decr_hits",
            family=MEMCACHED_COMMANDS(command="decr", status="hit"),
            ganglia=(Metric("mc_decr_hits", "memcache", "Memcache DECR Hits", Rate()),),
        ),
        counter(
            "decr_misses",
            family=MEMCACHED_COMMANDS(command="decr", status="miss"),
            ganglia=(Metric("mc_decr_misses", "memcache", "Memcache DECR Misses", Rate()),),
        ),
        counter(
            "cas_hits",
            family=MEMCACHED_COMMANDS(command="cas", status="hit"),
            ganglia=(Metric("mc_cas_hits", "memcache", "Memcache CAS Hits", Rate()),),
        ),
        counter(
            "cas_misses",
            family=MEMCACHED_COMMANDS(command="cas", status="miss"),
            ganglia=(Metric("mc_cas_misses", "memcache", "Memcache CAS Misses", Rate()),),
        ),
        counter(
            "cas_badval",
            family=MEMCACHED_COMMANDS(command="cas", status="badval"),
            ganglia=(Metric("mc_cas_badval", "memcache", "Memcache CAS Badval", Rate()),),
        ),
        counter(
            "auth_cmds",
            family=MEMCACHED_COMMANDS(command="auth", status="ok"),
            ganglia=(Metric("mc_auth_cmds", "memcache", "Memcache AUTH Cmds", Rate()),),
        ),
        counter(
            "auth_errors",
            family=MEMCACHED_COMMANDS(command="auth", status="error"),
            ganglia=(Metric("mc_auth_errors", "memcache", "Memcache AUTH Errors", Rate()),),
        ),
        gauge(
            "threads",
            family=THREADS,
            ganglia=(
                Metric("mc_threads", "memcache", "Memcache Threads", Gauge(), type="uint32", slope="zero", format="%u"),
            ),
        ),
        counter(
            "conn_yields",
            family=CONN_YIELDS,
            ganglia=(Metric("mc_conn_yields", "memcache", "Memcache Connection Yields", Rate()),),
        ),
        counter(
            "listen_disabled_num",
            family=LISTEN_DISABLED_NUM,
            ganglia=(
                Metric(
                    "mc_listen_disabled_num",
                    "memcache",
                    "Memcache Listen Disabled",
                    Gauge(),
                    type="uint32",
                    slope="zero",
                    format="%u",
                ),
            ),
        ),
        gauge(
            "curr_connections",
            family=CURR_CONNECTIONS,
            ganglia=(
                Metric(
                    "mc_curr_conns", "memcache", "Memcache Current Connections", Gauge(), type="uint32", format="%u"
                ),
            ),
        ),
        counter(
            "rejected_connections",
            family=REJECTED_CONNECTIONS,
            ganglia=(Metric("mc_rejected_conns", "memcache", "Memcache Rejected Connections", Rate()),),
        ),
        counter(
            "total_connections",
            family=TOTAL_CONNECTIONS,
            ganglia=(Metric("mc_total_conns", "memcache", "Memcache Total Connections", Rate()),),
        ),
        gauge(
            "connection_structures",
            family=CONNECTION_STRUCTURES,
            ganglia=(
                Metric(
                    "mc_conn_structs", "memcache", "Memcache Connection Structs", Gauge(), type="uint32", format="%u"
                ),
            ),
        ),
        counter(
            "evictions", family=EVICTIONS, ganglia=(Metric("mc_evictions", "memcache", "Memcache Evictions", Rate()),)
        ),
        counter(
            "reclaimed", family=RECLAIMED, ganglia=(Metric("mc_reclaimed", "memcache", "Memcache Reclaimed", Rate()),)
        ),
        gauge(
            "curr_items",
            family=CURR_ITEMS,
            ganglia=(
                Metric("mc_curr_items", "memcache", "Memcache Current Items", Gauge(), type="uint32", format="%u"),
            ),
        ),
        counter(
            "total_items",
            family=TOTAL_ITEMS,
            ganglia=(Metric("mc_total_items", "memcache", "Memcache Total Items", Rate()),),
        ),
        counter(
            "bytes_read",
            U64,
            "bytes",
            family=BYTES_READ,
            ganglia=(Metric("mc_bytes_read", "memcache", "Memcache Bytes Read", Rate()),),
        ),
        counter(
            "bytes_written",
            U64,
            "bytes",
            family=BYTES_WRITTEN,
            ganglia=(Metric("mc_bytes_written", "memcache", "Memcache Bytes Written", Rate()),),
        ),
        gauge(
            "bytes",
            U64,
            "bytes",
            family=BYTES,
            ganglia=(Metric("mc_bytes", "memcache", "Memcache Bytes", Gauge(), type="double"),),
        ),
        gauge(
            "limit_maxbytes",
            U64,
            "bytes",
            family=LIMIT_MAXBYTES,
            ganglia=(
                Metric(
                    "mc_limit_maxbytes",
                    "memcache",
                    "Memcache Limit MaxBytes",
                    Gauge(),
                    type="double",
                    slope="zero",
                    format="%.0f",
                ),
            ),
        ),
    ),
    role=Role.SERVICE,
)

STRUCTURES = (
    MEMCACHED,
    MEMCACHE_COUNTERS,
)
