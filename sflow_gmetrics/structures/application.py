"""Applications: sFlow counter records 0:2201 to 0:2203 and 0:2205 to 0:2207.

Source: sFlow HTTP, Application and VDI Structures; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import Gauge, Rate
from ..schema import Family, Metric, Role, Structure, counter, gauge, ident
from ..xdr import U32, U64, string

HTTP_REQUESTS = Family("sflow_http_requests_total", "Requests by method.")
HTTP_RESPONSES = Family("sflow_http_responses_total", "Responses by status (the same events as the requests).")
APP_OPERATIONS = Family("sflow_app_operations_total", "Operations by status.")
APP_CPU_SECONDS = Family("sflow_app_cpu_seconds_total", "CPU time by mode.")
APP_WORKERS = Family("sflow_app_workers", "Workers by state.")
VDI_BYTES = Family("sflow_vdi_bytes_total", "Bytes by direction.", group="vdi")
VDI_PACKETS = Family("sflow_vdi_packets_total", "Packets by direction.", group="vdi")
VDI_PACKETS_LOST = Family("sflow_vdi_packets_lost_total", "Packets lost by direction.", group="vdi")
VDI_RTT = Family("sflow_vdi_rtt_seconds", "Round-trip time.", group="vdi")
VDI_CHANNEL_BYTES = Family("sflow_vdi_channel_bytes_total", "Bytes by channel and direction.", group="vdi")

HTTP_COUNTERS = Structure(
    "http_counters",
    0,
    2201,
    (
        counter(
            "method_option_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="options"),
            ganglia=(Metric("http_meth_option", "httpd", "HTTP Method OPTION", Rate()),),
        ),
        counter(
            "method_get_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="get"),
            ganglia=(Metric("http_meth_get", "httpd", "HTTP Method GET", Rate()),),
        ),
        counter(
            "method_head_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="head"),
            ganglia=(Metric("http_meth_head", "httpd", "HTTP Method HEAD", Rate()),),
        ),
        counter(
            "method_post_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="post"),
            ganglia=(Metric("http_meth_post", "httpd", "HTTP Method POST", Rate()),),
        ),
        counter(
            "method_put_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="put"),
            ganglia=(Metric("http_meth_put", "httpd", "HTTP Method PUT", Rate()),),
        ),
        counter(
            "method_delete_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="delete"),
            ganglia=(Metric("http_meth_delete", "httpd", "HTTP Method DELETE", Rate()),),
        ),
        counter(
            "method_trace_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="trace"),
            ganglia=(Metric("http_meth_trace", "httpd", "HTTP Method TRACE", Rate()),),
        ),
        counter(
            "method_connect_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="connect"),
            ganglia=(Metric("http_meth_connect", "httpd", "HTTP Method CONNECT", Rate()),),
        ),
        counter(
            "method_other_count",
            U32,
            "requests",
            family=HTTP_REQUESTS(method="other"),
            ganglia=(Metric("http_meth_other", "httpd", "HTTP Method other", Rate()),),
        ),
        counter(
            "status_1XX_count",
            U32,
            "requests",
            family=HTTP_RESPONSES(code="1xx"),
            ganglia=(Metric("http_status_1XX", "httpd", "HTTP Status 1XX", Rate()),),
        ),
        counter(
            "status_2XX_count",
            U32,
            "requests",
            family=HTTP_RESPONSES(code="2xx"),
            ganglia=(Metric("http_status_2XX", "httpd", "HTTP Status 2XX", Rate()),),
        ),
        counter(
            "status_3XX_count",
            U32,
            "requests",
            family=HTTP_RESPONSES(code="3xx"),
            ganglia=(Metric("http_status_3XX", "httpd", "HTTP Status 3XX", Rate()),),
        ),
        counter(
            "status_4XX_count",
            U32,
            "requests",
            family=HTTP_RESPONSES(code="4xx"),
            ganglia=(Metric("http_status_4XX", "httpd", "HTTP Status 4XX", Rate()),),
        ),
        counter(
            "status_5XX_count",
            U32,
            "requests",
            family=HTTP_RESPONSES(code="5xx"),
            ganglia=(Metric("http_status_5XX", "httpd", "HTTP Status 5XX", Rate()),),
        ),
        counter(
            "status_other_count",
            U32,
            "requests",
            family=HTTP_RESPONSES(code="other"),
            ganglia=(Metric("http_status_other", "httpd", "HTTP Status other", Rate()),),
        ),
    ),
    role=Role.SERVICE,
)

APP_OPERATIONS = Structure(
    "app_operations",
    0,
    2202,
    (
        ident("application", string()),
        counter("status_OK", U32, "operations", family=APP_OPERATIONS(status="ok")),
        counter("errors_OTHER", U32, "operations", family=APP_OPERATIONS(status="other")),
        counter("errors_TIMEOUT", U32, "operations", family=APP_OPERATIONS(status="timeout")),
        counter("errors_INTERNAL_ERROR", U32, "operations", family=APP_OPERATIONS(status="internal_error")),
        counter("errors_BAD_REQUEST", U32, "operations", family=APP_OPERATIONS(status="bad_request")),
        counter("errors_FORBIDDEN", U32, "operations", family=APP_OPERATIONS(status="forbidden")),
        counter("errors_TOO_LARGE", U32, "operations", family=APP_OPERATIONS(status="too_large")),
        counter("errors_NOT_IMPLEMENTED", U32, "operations", family=APP_OPERATIONS(status="not_implemented")),
        counter("errors_NOT_FOUND", U32, "operations", family=APP_OPERATIONS(status="not_found")),
        counter("errors_UNAVAILABLE", U32, "operations", family=APP_OPERATIONS(status="unavailable")),
        counter("errors_UNAUTHORIZED", U32, "operations", family=APP_OPERATIONS(status="unauthorized")),
    ),
    role=Role.SERVICE,
)

APP_RESOURCES = Structure(
    "app_resources",
    0,
    2203,
    (
        counter("user_time", U32, "ms", family=APP_CPU_SECONDS(mode="user"), bound=1000.0, per_cpu=True),
        counter("system_time", U32, "ms", family=APP_CPU_SECONDS(mode="system"), bound=1000.0, per_cpu=True),
        gauge("mem_used", U64, "bytes", family=Family("sflow_app_memory_bytes", "Memory used.")),
        gauge("mem_max", U64, "bytes", family=Family("sflow_app_memory_limit_bytes", "Memory limit.")),
        gauge("fd_open", family=Family("sflow_app_open_fds", "Open file descriptors.")),
        gauge("fd_max", family=Family("sflow_app_max_fds", "Greatest number of file descriptors.")),
        gauge("conn_open", family=Family("sflow_app_connections", "Open connections.")),
        gauge("conn_max", family=Family("sflow_app_connections_limit", "Greatest number of connections.")),
    ),
    role=Role.SERVICE,
)

VDI_COUNTERS = Structure(
    "vdi_counters",
    0,
    2205,
    (
        gauge("sessions_current", family=Family("sflow_vdi_sessions", "Sessions now.", group="vdi")),
        counter("sessions_total", family=Family("sflow_vdi_sessions_started_total", "Sessions started.", group="vdi")),
        counter(
            "sessions_duration",
            U32,
            "s",
            family=Family("sflow_vdi_sessions_duration_seconds_total", "Time that sessions lasted.", group="vdi"),
        ),
        counter("rx_bytes", U32, "bytes", family=VDI_BYTES(direction="rx")),
        counter("tx_bytes", U32, "bytes", family=VDI_BYTES(direction="tx")),
        counter("rx_packets", family=VDI_PACKETS(direction="rx")),
        counter("tx_packets", family=VDI_PACKETS(direction="tx")),
        counter("rx_packets_lost", family=VDI_PACKETS_LOST(direction="rx")),
        counter("tx_packets_lost", family=VDI_PACKETS_LOST(direction="tx")),
        gauge("rtt_min_ms", U32, "ms", family=VDI_RTT(stat="min")),
        gauge("rtt_max_ms", U32, "ms", family=VDI_RTT(stat="max")),
        gauge("rtt_avg_ms", U32, "ms", family=VDI_RTT(stat="avg")),
        counter("audio_rx_bytes", U32, "bytes", family=VDI_CHANNEL_BYTES(channel="audio", direction="rx")),
        counter("audio_tx_bytes", U32, "bytes", family=VDI_CHANNEL_BYTES(channel="audio", direction="tx")),
        gauge("audio_tx_limit", U32, "bit/s"),
        counter("img_rx_bytes", U32, "bytes", family=VDI_CHANNEL_BYTES(channel="img", direction="rx")),
        counter("img_tx_bytes", U32, "bytes", family=VDI_CHANNEL_BYTES(channel="img", direction="tx")),
        counter("img_frames"),
        gauge("img_qual_min"),
        gauge("img_qual_max"),
        gauge("img_qual_avg"),
        counter("usb_rx_bytes", U32, "bytes", family=VDI_CHANNEL_BYTES(channel="usb", direction="rx")),
        counter("usb_tx_bytes", U32, "bytes", family=VDI_CHANNEL_BYTES(channel="usb", direction="tx")),
    ),
    role=Role.SERVICE,
)

APP_WORKERS = Structure(
    "app_workers",
    0,
    2206,
    (
        gauge(
            "workers_active",
            family=APP_WORKERS(state="active"),
            ganglia=(
                Metric("http_workers_active", "httpd", "HTTP Workers Active", Gauge(), type="uint32", format="%u"),
            ),
        ),
        gauge(
            "workers_idle",
            family=APP_WORKERS(state="idle"),
            ganglia=(Metric("http_workers_idle", "httpd", "HTTP Workers Idle", Gauge(), type="uint32", format="%u"),),
        ),
        gauge(
            "workers_max",
            family=Family("sflow_app_workers_limit", "Greatest number of workers."),
            ganglia=(
                Metric(
                    "http_workers_max", "httpd", "HTTP Workers Max", Gauge(), type="uint32", slope="zero", format="%u"
                ),
            ),
        ),
        counter(
            "req_delayed",
            family=Family("sflow_app_requests_delayed_total", "Requests that had to wait."),
            ganglia=(Metric("http_workers_req_delayed", "httpd", "HTTP Requests Delayed", Rate()),),
        ),
        counter(
            "req_dropped",
            family=Family("sflow_app_requests_dropped_total", "Requests that were dropped."),
            ganglia=(Metric("http_workers_req_dropped", "httpd", "HTTP Requests Dropped", Rate()),),
        ),
    ),
    role=Role.SERVICE,
)

OVS_DP_STATS = Structure(
    "ovs_dp_stats",
    0,
    2207,
    (
        counter("n_hit"),
        counter("n_missed"),
        counter("n_lost"),
        counter("n_mask_hit"),
        gauge("n_flows"),
        gauge("n_masks"),
    ),
    role=Role.NONE,
)

STRUCTURES = (
    HTTP_COUNTERS,
    APP_OPERATIONS,
    APP_RESOURCES,
    VDI_COUNTERS,
    APP_WORKERS,
    OVS_DP_STATS,
)
