"""The rows of the collectors' dashboard about what goes out, and how all its rows speak of them."""

from __future__ import annotations

from .panels import RATE, Graph, Query, Row

THESE = 'instance=~"$instance"'


def rate_of(name: str, by: str = "") -> str:
    """How fast a counter grows."""
    return f"sum{by} (rate(sflow_{name}_total{{{THESE}}}{RATE}))"


def sum_of(name: str, by: str = "", more: str = "") -> str:
    """The sum of one of the collectors' own gauges."""
    return f"sum{by} (sflow_collector_{name}{{{THESE}{more}}})"


def by(label: str) -> str:
    """The words that keep a label in a sum."""
    return f" by ({label})"


def of_process(before: str, behind: str = "") -> str:
    """A metric of the collectors' processes, and of no other."""
    return (
        f"max by (instance) ({before}{{{THESE}}}{behind} and on (job, instance) sflow_collector_build_info{{{THESE}}})"
    )


OUTPUT = Row(
    "What goes out",
    (
        Graph(
            title="HTTP answers",
            description="Answers of the web port by endpoint and status.",
            unit="reqps",
            queries=(Query(rate_of("collector_scrapes", by("endpoint, code")), "{{endpoint}} {{code}}"),),
        ),
        Graph(
            title="Time to make a page",
            description="How long the newest page of each kind took.",
            unit="s",
            queries=(
                Query(
                    f"max by (instance, endpoint) (sflow_collector_render_duration_seconds{{{THESE}}})",
                    "{{instance}} {{endpoint}}",
                ),
            ),
        ),
        Graph(
            title="XML documents",
            description="Documents given to gmetad and other readers of Ganglia's XML, by port.",
            unit="reqps",
            queries=(Query(rate_of("collector_xml_requests", by("port")), "{{port}}"),),
        ),
        Graph(
            title="HTTP connections",
            description="Connections of the web port that are open, and how many there can be.",
            queries=(
                Query(sum_of("http_connections", by("instance")), "{{instance}} open"),
                Query(sum_of("http_connections_limit", by("instance")), "{{instance}} limit"),
            ),
        ),
        Graph(
            title="Series",
            description="Series on the Prometheus page by level.",
            queries=(Query(sum_of("series", by("level")), "{{level}}"),),
            stacked=True,
        ),
        Graph(
            title="Limits",
            description="How much of each limit is used.",
            unit="percentunit",
            queries=(
                Query(
                    "max by (instance, key) ("
                    f"sflow_collector_limit_used{{{THESE}}} / sflow_collector_limit{{{THESE}}})",
                    "{{instance}} {{key}}",
                ),
            ),
        ),
    ),
)

SOURCES = Row(
    "Other collectors ([[gmetad.sources]])",
    (
        Graph(
            title="Other collectors",
            description="Whether the newest poll of each source succeeded.",
            queries=(Query(f"min by (source) (sflow_collector_source_up{{{THESE}}})", "{{source}}"),),
            highest=1,
        ),
        Graph(
            title="Time of a poll",
            description="How long the newest poll of each source took.",
            unit="s",
            queries=(
                Query(f"max by (source) (sflow_collector_source_poll_duration_seconds{{{THESE}}})", "{{source}}"),
            ),
        ),
    ),
    closed=True,
)

RRD = Row(
    "RRD files ([rrd] root)",
    (
        Graph(
            title="Values",
            description="Values that are stored (ok) or lost (dropped), and requests that failed: their values wait.",
            unit="ops",
            queries=(Query(rate_of("collector_rrd_updates", by("outcome")), "{{outcome}}"),),
        ),
        Graph(
            title="Queue",
            description="Values that wait for the engine.",
            queries=(Query(sum_of("rrd_queue_length", by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Behind",
            description="Time since values were stored last.",
            unit="s",
            queries=(
                Query(
                    f"time() - max by (instance) (sflow_collector_rrd_last_write_timestamp_seconds{{{THESE}}} > 0)",
                    "{{instance}}",
                ),
            ),
        ),
        Graph(
            title="Files",
            description="RRD files that are written, and those that are refused now.",
            queries=(
                Query(sum_of("rrd_files", by("instance")), "{{instance}}"),
                Query(sum_of("rrd_files_refused", by("instance")), "{{instance}} refused"),
            ),
        ),
    ),
    closed=True,
)

STORES = Row(
    "Remote write ([[remote_write]])",
    (
        Graph(
            title="Samples",
            description="Samples for each store by outcome; failed and dropped ones are lost.",
            unit="ops",
            queries=(
                Query(rate_of("collector_remote_write_samples", by("endpoint, outcome")), "{{endpoint}} {{outcome}}"),
            ),
            width=8,
        ),
        Graph(
            title="Samples that wait",
            description="Samples that a store has not taken yet.",
            queries=(Query(sum_of("remote_write_pending_samples", by("endpoint")), "{{endpoint}}"),),
            width=8,
        ),
        Graph(
            title="Stores behind",
            description="Age of the newest samples that a store has taken.",
            unit="s",
            queries=(
                Query(
                    "time() - min by (endpoint) (sflow_collector_remote_write_highest_timestamp_seconds"
                    f"{{{THESE}}} > 0)",
                    "{{endpoint}}",
                ),
            ),
            width=8,
        ),
    ),
    closed=True,
)

PROCESS = Row(
    "Process",
    (
        Graph(
            title="CPU",
            description="CPUs that the process uses.",
            queries=(Query(of_process("rate(process_cpu_seconds_total", RATE + ")"), "{{instance}}"),),
        ),
        Graph(
            title="Memory",
            description="Resident memory of the process.",
            unit="bytes",
            queries=(Query(of_process("process_resident_memory_bytes"), "{{instance}}"),),
        ),
        Graph(
            title="File descriptors",
            description="Open file descriptors, and how many there may be.",
            queries=(
                Query(of_process("process_open_fds"), "{{instance}} open"),
                Query(of_process("process_max_fds"), "{{instance}} limit"),
            ),
        ),
        Graph(
            title="Receive buffer",
            description="Size of the buffer for datagrams that wait.",
            unit="bytes",
            queries=(Query(sum_of("receive_buffer_bytes", by("instance")), "{{instance}}"),),
        ),
    ),
)
