"""Applications: sFlow counter records 0:2201 to 0:2203, 0:2206 and 0:2207.

Source: sFlow HTTP and Application Structures; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..schema import Family, Field, Role, Structure, counter, gauge, ident
from ..xdr import U32, U64, string
from .vocabulary import CPU_MS, EVENTS, HSFLOWD, REQUESTS, SFLOWTOOL, Families, Group, counters, gauges

HTTPD = Group("httpd", "http_", "HTTP ")
APP = Families("sflow_app_", group="app")

HTTP_REQUESTS = Family("sflow_http_requests_total", "Requests by method.", group="http")
HTTP_RESPONSES = Family(
    "sflow_http_responses_total", "Responses by status (the same events as the requests).", group="http"
)
OPERATIONS = APP("operations_total", "Operations by status.")
CPU_SECONDS = APP("cpu_seconds_total", "CPU time by mode.")
WORKERS = APP("workers", "Workers by state.")


def _requests(name: str, title: str, metric: str, family: Family) -> Field:
    """Requests of one kind."""
    return HTTPD.rate(name, title, family, unit="requests", metric=metric, bound=REQUESTS)


def _method(word: str, label: str = "") -> Field:
    """Requests by method: method_get_count, titled "HTTP Method GET"."""
    title = word if word == "other" else word.upper()
    return _requests(f"method_{word}_count", f"Method {title}", f"meth_{word}", HTTP_REQUESTS(method=label or word))


def _status(code: str) -> Field:
    """Responses by the class of their status."""
    return _requests(f"status_{code}_count", f"Status {code}", f"status_{code}", HTTP_RESPONSES(code=code.lower()))


def _operations(name: str, status: str = "") -> Field:
    """Operations by status: errors_TIMEOUT is status "timeout"."""
    word = status or name.removeprefix("errors_").lower()
    return counter(name, U32, "operations", family=OPERATIONS(status=word), bound=REQUESTS)


def _time(name: str, mode: str) -> Field:
    """CPU time of the application."""
    return counter(name, U32, "ms", family=CPU_SECONDS(mode=mode), bound=CPU_MS, per_cpu=True)


HTTP_COUNTERS = Structure(
    "http_counters",
    0,
    2201,
    (
        _method("option", "options"),
        *(_method(word) for word in ("get", "head", "post", "put", "delete", "trace", "connect", "other")),
        *(_status(code) for code in ("1XX", "2XX", "3XX", "4XX", "5XX", "other")),
    ),
    role=Role.SERVICE,
    source=SFLOWTOOL,
)

# JSON applications have no host_descr: `application` is all the name they have.
APP_OPERATIONS = Structure(
    "app_operations",
    0,
    2202,
    (
        ident("application", string()),
        _operations("status_OK", "ok"),
        _operations("errors_OTHER"),
        _operations("errors_TIMEOUT"),
        _operations("errors_INTERNAL_ERROR"),
        _operations("errors_BAD_REQUEST"),
        _operations("errors_FORBIDDEN"),
        _operations("errors_TOO_LARGE"),
        _operations("errors_NOT_IMPLEMENTED"),
        _operations("errors_NOT_FOUND"),
        _operations("errors_UNAVAILABLE"),
        _operations("errors_UNAUTHORIZED"),
    ),
    role=Role.SERVICE,
    source=HSFLOWD,
)

APP_RESOURCES = Structure(
    "app_resources",
    0,
    2203,
    (
        _time("user_time", "user"),
        _time("system_time", "system"),
        gauge("mem_used", U64, "bytes", family=APP("memory_bytes", "Memory used.")),
        gauge("mem_max", U64, "bytes", family=APP("memory_limit_bytes", "Memory limit.")),
        gauge("fd_open", family=APP("open_fds", "Open file descriptors.")),
        gauge("fd_max", family=APP("max_fds", "Greatest number of file descriptors.")),
        gauge("conn_open", family=APP("connections", "Open connections.")),
        gauge("conn_max", family=APP("connections_limit", "Greatest number of connections.")),
    ),
    role=Role.SERVICE,
    source=HSFLOWD,
)

APP_WORKERS = Structure(
    "app_workers",
    0,
    2206,
    (
        HTTPD.whole("workers_active", "Workers Active", WORKERS(state="active")),
        HTTPD.whole("workers_idle", "Workers Idle", WORKERS(state="idle")),
        HTTPD.whole("workers_max", "Workers Max", APP("workers_limit", "Greatest number of workers."), constant=True),
        HTTPD.rate(
            "req_delayed",
            "Requests Delayed",
            APP("requests_delayed_total", "Requests that had to wait."),
            metric="workers_req_delayed",
            bound=EVENTS,
        ),
        HTTPD.rate(
            "req_dropped",
            "Requests Dropped",
            APP("requests_dropped_total", "Requests that were dropped."),
            metric="workers_req_dropped",
            bound=EVENTS,
        ),
    ),
    role=Role.SERVICE,
    source=HSFLOWD,
)

OVS_DP_STATS = Structure(
    "ovs_dp_stats",
    0,
    2207,
    (*counters("n_hit n_missed n_lost n_mask_hit"), *gauges("n_flows n_masks")),
    source=SFLOWTOOL,
)

STRUCTURES = (HTTP_COUNTERS, APP_OPERATIONS, APP_RESOURCES, APP_WORKERS, OVS_DP_STATS)
