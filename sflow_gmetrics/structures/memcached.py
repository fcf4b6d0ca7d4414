"""memcached: sFlow counter records 0:2200 (deprecated) and 0:2204, which share most of their fields.

Source: sFlow memcached Structures; metric names of Ganglia gmond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..operators import Gauge
from ..schema import Family, Field, Role, Structure, counter, enum, gauge
from ..xdr import U32, U64, XdrType
from .vocabulary import CPU_MS, EVENTS, SFLOWTOOL, Families, Group

MEMCACHE = Group("memcache", "mc_", "Memcache ")
MEMCACHED = Families("sflow_memcached_", group="memcached")

COMMANDS = MEMCACHED("commands_total", "Commands by outcome.")
CPU_SECONDS = MEMCACHED("cpu_seconds_total", "CPU time by mode.")

COMMANDS_A_SECOND = 5e6
"""Of one server, with several keys a request."""
FLUSHES = 1e4
"""Commands that an operator gives, or a script."""


def _command(name: str, title: str, command: str, bound: float = COMMANDS_A_SECOND) -> Field:
    """A command that cannot miss."""
    return MEMCACHE.rate(name, title, COMMANDS(command=command, status="ok"), bound=bound)


def _outcome(name: str, status: str, bound: float = COMMANDS_A_SECOND) -> Field:
    """A command by its outcome: get_hits, titled "GET Hits"."""
    command, _, outcome = name.partition("_")
    family = COMMANDS(command=command, status=status)
    return MEMCACHE.rate(name, f"{command.upper()} {outcome.title()}", family, bound=bound)


def _looked_up(command: str) -> tuple[Field, Field]:
    """A command that finds its key or not: hits and misses."""
    return _outcome(f"{command}_hits", "hit"), _outcome(f"{command}_misses", "miss")


def _event(name: str, title: str, family: Family, *, metric: str = "", bound: float = EVENTS) -> Field:
    """Something that happens now and then."""
    return MEMCACHE.rate(name, title, family, metric=metric, bound=bound)


def _cpu(name: str, mode: str) -> Field:
    """CPU time, shown in ms per second."""
    family = CPU_SECONDS(mode=mode)
    return MEMCACHE.rate(name, name, family, U32, "ms", units="mS", bound=CPU_MS, per_cpu=True)


def _octets(name: str, title: str, family: Family) -> Field:
    """Bytes over the network."""
    return MEMCACHE.rate(name, title, family, U64, "bytes")


def _as_sent(kind: Callable[..., Field], name: str, title: str, family: Family | None = None, **options: Any) -> Field:
    """What gmond shows as it comes and holds for constant: a setting, a flag, even a counter."""
    shown = MEMCACHE.metric(name, title, Gauge(), type="uint32", slope="zero", format="%u")
    return kind(name, family=family, ganglia=(shown,), **options)


def _limit(xdr: XdrType) -> Field:
    """The memory that may be used: 32 bits in the old structure, 64 in the new one."""
    name = "limit_maxbytes"
    shown = MEMCACHE.metric(name, "Limit MaxBytes", Gauge(), type="double", slope="zero", format="%.0f")
    return gauge(name, xdr, "bytes", family=MEMCACHED("limit_bytes", "Bytes that may be stored."), ganglia=(shown,))


CMD_SET = _command("cmd_set", "Command SET", "set")
CMD_FLUSH = _command("cmd_flush", "Command FLUSH", "flush", FLUSHES)
GET, DELETE, INCR, DECR, CAS = (_looked_up(command) for command in ("get", "delete", "incr", "decr", "cas"))
CAS_BADVAL = _outcome("cas_badval", "badval")
AUTH = _outcome("auth_cmds", "ok", EVENTS), _outcome("auth_errors", "error", EVENTS)

CURR_CONNECTIONS = MEMCACHE.whole(
    "curr_connections",
    "Current Connections",
    MEMCACHED("current_connections", "Open connections."),
    metric="curr_conns",
)
TOTAL_CONNECTIONS = _event(
    "total_connections",
    "Total Connections",
    MEMCACHED("connections_total", "Connections accepted."),
    metric="total_conns",
)
CONNECTION_STRUCTURES = MEMCACHE.whole(
    "connection_structures",
    "Connection Structs",
    MEMCACHED("connection_structures", "Connection structures allocated."),
    metric="conn_structs",
)
CONN_YIELDS = _event(
    "conn_yields", "Connection Yields", MEMCACHED("connections_yielded_total", "Times a connection had to yield.")
)
LISTEN_DISABLED_NUM = _as_sent(
    counter,
    "listen_disabled_num",
    "Listen Disabled",
    MEMCACHED("listener_disabled_total", "Times the listener was switched off."),
    bound=EVENTS,
)
THREADS = _as_sent(gauge, "threads", "Threads", MEMCACHED("threads", "Worker threads."))
BYTES_READ = _octets("bytes_read", "Bytes Read", MEMCACHED("read_bytes_total", "Bytes received."))
BYTES_WRITTEN = _octets("bytes_written", "Bytes Written", MEMCACHED("written_bytes_total", "Bytes sent."))
BYTES = MEMCACHE.double("bytes", "Bytes", MEMCACHED("current_bytes", "Bytes stored."), U64, "bytes")
CURR_ITEMS = MEMCACHE.whole("curr_items", "Current Items", MEMCACHED("current_items", "Items stored."))
TOTAL_ITEMS = _event(
    "total_items", "Total Items", MEMCACHED("items_total", "Items ever stored."), bound=COMMANDS_A_SECOND
)
EVICTIONS = _event("evictions", "Evictions", MEMCACHED("items_evicted_total", "Items evicted."))

MEMCACHED_2200 = Structure(
    "memcached",
    0,
    2200,
    (
        MEMCACHE.start(
            "uptime",
            "Start Time",
            MEMCACHED("boot_time_seconds", "When memcached started, in seconds since the epoch."),
            metric="boottime",
        ),
        _cpu("rusage_user", "user"),
        _cpu("rusage_system", "system"),
        CURR_CONNECTIONS,
        TOTAL_CONNECTIONS,
        CONNECTION_STRUCTURES,
        MEMCACHE.rate("cmd_get", "Command GET", bound=COMMANDS_A_SECOND),  # no family: its hits and misses add up to it
        CMD_SET,
        CMD_FLUSH,
        *GET,
        *reversed(DELETE),
        *reversed(INCR),
        *reversed(DECR),
        *reversed(CAS),
        CAS_BADVAL,
        *AUTH,
        BYTES_READ,
        BYTES_WRITTEN,
        _limit(U32),
        _as_sent(enum, "accepting_conns", "Accepting Connections"),
        LISTEN_DISABLED_NUM,
        THREADS,
        CONN_YIELDS,
        BYTES,
        CURR_ITEMS,
        TOTAL_ITEMS,
        EVICTIONS,
    ),
    role=Role.SERVICE,
    source=SFLOWTOOL,
)

MEMCACHE_COUNTERS = Structure(
    "memcache_counters",
    0,
    2204,
    (
        CMD_SET,
        _command("cmd_touch", "CMD Touch", "touch"),
        CMD_FLUSH,
        *GET,
        *DELETE,
        *INCR,
        *DECR,
        *CAS,
        CAS_BADVAL,
        *AUTH,
        THREADS,
        CONN_YIELDS,
        LISTEN_DISABLED_NUM,
        CURR_CONNECTIONS,
        _event(
            "rejected_connections",
            "Rejected Connections",
            MEMCACHED("connections_rejected_total", "Connections rejected."),
            metric="rejected_conns",
        ),
        TOTAL_CONNECTIONS,
        CONNECTION_STRUCTURES,
        EVICTIONS,
        _event("reclaimed", "Reclaimed", MEMCACHED("items_reclaimed_total", "Items reclaimed.")),
        CURR_ITEMS,
        TOTAL_ITEMS,
        BYTES_READ,
        BYTES_WRITTEN,
        BYTES,
        _limit(U64),
    ),
    role=Role.SERVICE,
    source=SFLOWTOOL,
)

STRUCTURES = (MEMCACHED_2200, MEMCACHE_COUNTERS)
