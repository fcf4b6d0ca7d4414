"""The dashboard of the collectors themselves: what comes in, what is lost, what goes out."""

from __future__ import annotations

from .panels import GOOD_BAD, Column, Dashboard, Graph, Label, Query, Row, Stat, Table, Variable

_THESE = 'instance=~"$instance"'
_RATE = "[$__rate_interval]"
_UP, _DOWN = ', state="up"', ', state="down"'


def _rate(name: str, by: str = "") -> str:
    return f"sum{by} (rate(sflow_{name}_total{{{_THESE}}}{_RATE}))"


def _sum(name: str, by: str = "", more: str = "") -> str:
    return f"sum{by} (sflow_collector_{name}{{{_THESE}{more}}})"


def _by(label: str) -> str:
    return f" by ({label})"


def _lost(by: str = "") -> str:
    """The part of the datagrams that never came."""
    lost, came = _rate("agent_datagrams_lost", by), _rate("agent_datagrams", by)
    return f"{lost} / ({lost} + {came})"


def _agent(expression: str) -> str:
    """What an expression says of each agent, with the host that it is."""
    return (
        f"max by (agent, pool, host) (({expression}) * on (agent) group_right ()"
        f" max by (agent, pool, host) (sflow_agent_info{{{_THESE}}}))"
    )


def _process(before: str, behind: str = "") -> str:
    """A metric of the collectors' processes, and of no other."""
    return (
        f"max by (instance) ({before}{{{_THESE}}}{behind}"
        f" and on (job, instance) sflow_collector_build_info{{{_THESE}}})"
    )


_NOW = Row(
    "Now",
    (
        Stat(
            title="Collectors",
            description="Collectors that Prometheus scrapes.",
            query=Query(f"count(sflow_collector_build_info{{{_THESE}}})"),
            width=3,
        ),
        Stat(
            title="Agents up",
            description="Agents that are heard.",
            query=Query(_sum("agents", more=_UP)),
            width=3,
        ),
        Stat(
            title="Agents down",
            description="Agents that have fallen silent and are not forgotten yet.",
            query=Query(_sum("agents", more=_DOWN)),
            steps=GOOD_BAD,
            width=3,
        ),
        Stat(title="Services", description="Live services of all hosts.", query=Query(_sum("services")), width=3),
        Stat(
            title="Datagrams",
            description="Datagrams that come in a second.",
            unit="pps",
            query=Query(_rate("collector_datagrams")),
            width=3,
        ),
        Stat(
            title="Kernel drops",
            description="Datagrams in the time shown for which the receive buffer had no room; must be 0.",
            query=Query(f"sum(increase(sflow_collector_kernel_drops_total{{{_THESE}}}[$__range]))"),
            steps=GOOD_BAD,
            width=3,
        ),
        Stat(
            title="Lost on the way",
            description="The part of the datagrams that is missing in the agents' sequence numbers.",
            unit="percentunit",
            query=Query(_lost()),
            steps=(("green", 0), ("red", 0.02)),
            width=3,
        ),
        Stat(
            title="CPU",
            description="CPUs that the collectors use. One can use about one.",
            query=Query(f"sum({_process('rate(process_cpu_seconds_total', _RATE + ')')})"),
            width=3,
        ),
        Table(
            title="Collectors",
            description="What runs, and since when.",
            labels=(Label("instance", "Instance"), Label("version", "Version"), Label("python", "Python")),
            columns=(
                Column(
                    "Started",
                    "1000 * max by (instance, version, python) ("
                    f"sflow_collector_build_info{{{_THESE}}} * on (job, instance) group_left ()"
                    f" sflow_collector_start_time_seconds{{{_THESE}}})",
                    "dateTimeAsIso",
                ),
            ),
            sort="Started",
            height=5,
        ),
    ),
)

_INPUT = Row(
    "What comes in",
    (
        Graph(
            title="Datagrams",
            description="Datagrams that come in a second.",
            unit="pps",
            queries=(Query(_rate("collector_datagrams", _by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Bytes",
            description="Bytes of datagrams.",
            unit="Bps",
            queries=(Query(_rate("collector_datagram_bytes", _by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Samples by type",
            description="All but counters are passed over.",
            unit="ops",
            queries=(Query(_rate("collector_samples", _by("type")), "{{type}}"),),
        ),
        Graph(
            title="Records by structure, the first fifteen",
            description="Records taken, by structure.",
            unit="ops",
            queries=(Query(f"topk(15, {_rate('collector_records', _by('structure'))})", "{{structure}}"),),
        ),
    ),
)

_TROUBLE = Row(
    "What is lost or odd",
    (
        Graph(
            title="Kernel drops",
            description="Datagrams for which the receive buffer had no room: raise it.",
            unit="pps",
            queries=(Query(_rate("collector_kernel_drops", _by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Lost on the way, the first ten agents",
            description="The part of an agent's datagrams that is missing in its sequence numbers.",
            unit="percentunit",
            queries=(Query(f"topk(10, {_lost(_by('agent'))})", "{{agent}}"),),
        ),
        Graph(
            title="Late or twice, the first ten agents",
            description="Datagrams that came late or twice and were not used.",
            unit="pps",
            queries=(Query(f"topk(10, {_rate('agent_datagrams_reordered', _by('agent'))})", "{{agent}}"),),
        ),
        Graph(
            title="Malformed",
            description="Datagrams and samples that are no good sFlow, by reason; the log names the agents.",
            unit="ops",
            queries=(Query(_rate("collector_decode_errors", _by("reason")), "{{reason}}"),),
        ),
        Graph(
            title="Refused by a limit or rule",
            description="What came on top of a limit, or from agents that are not allowed, by reason.",
            unit="ops",
            queries=(Query(_rate("collector_dropped", _by("reason")), "{{reason}}"),),
        ),
        Graph(
            title="Unknown structures",
            description="Records of structures that are not declared, by enterprise and format.",
            unit="ops",
            queries=(
                Query(_rate("collector_unknown_records", _by("enterprise, format")), "{{enterprise}}:{{format}}"),
            ),
        ),
        Graph(
            title="Steps of counters",
            description="Counters that did not plainly grow, by what was made of it.",
            unit="ops",
            queries=(Query(_rate("collector_series_resets", _by("reason")), "{{reason}}"),),
        ),
        Graph(
            title="Agents",
            description="Agents that are heard, and below zero those that are not.",
            queries=(
                Query(_sum("agents", _by("instance"), _UP), "{{instance}} up"),
                Query(_sum("agents", _by("instance"), _DOWN), "{{instance}} down"),
            ),
            below="down",
        ),
        Table(
            title="Agents",
            description="Each agent by its address, and which host it is.",
            labels=(Label("agent", "Agent"), Label("host", "Host"), Label("pool", "Pool")),
            columns=(
                Column(
                    "Silent for",
                    _agent(f"time() - max by (agent) (sflow_agent_last_seen_timestamp_seconds{{{_THESE}}})"),
                    "s",
                ),
                Column("Datagrams", _agent(_rate("agent_datagrams", _by("agent"))), "pps"),
                Column("Lost", _agent(_lost(_by("agent"))), "percentunit"),
                Column("Samples lost", _agent(_rate("agent_samples_lost", _by("agent"))), "ops"),
                Column("Restarts", _agent(f"sum by (agent) (sflow_agent_restarts_total{{{_THESE}}})")),
            ),
            sort="Lost",
            height=12,
        ),
    ),
)

_OUTPUT = Row(
    "What goes out",
    (
        Graph(
            title="HTTP answers",
            description="Answers of the web port by endpoint and status.",
            unit="reqps",
            queries=(Query(_rate("collector_scrapes", _by("endpoint, code")), "{{endpoint}} {{code}}"),),
        ),
        Graph(
            title="Time to make a page",
            description="How long the newest page of each kind took.",
            unit="s",
            queries=(
                Query(
                    f"max by (instance, endpoint) (sflow_collector_render_duration_seconds{{{_THESE}}})",
                    "{{instance}} {{endpoint}}",
                ),
            ),
        ),
        Graph(
            title="XML documents",
            description="Documents given to gmetad and other readers of Ganglia's XML, by port.",
            unit="reqps",
            queries=(Query(_rate("collector_xml_requests", _by("port")), "{{port}}"),),
        ),
        Graph(
            title="Other collectors",
            description="Whether the newest poll of each source succeeded.",
            queries=(Query(f"min by (source) (sflow_collector_source_up{{{_THESE}}})", "{{source}}"),),
            highest=1,
        ),
    ),
)

_RRD = Row(
    "RRD files",
    (
        Graph(
            title="Values",
            description="Values for RRD files by outcome.",
            unit="ops",
            queries=(Query(_rate("collector_rrd_updates", _by("outcome")), "{{outcome}}"),),
        ),
        Graph(
            title="Queue",
            description="Values that wait for the engine.",
            queries=(Query(_sum("rrd_queue_length", _by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Behind",
            description="Time since values were stored last.",
            unit="s",
            queries=(
                Query(
                    f"time() - max by (instance) (sflow_collector_rrd_last_write_timestamp_seconds{{{_THESE}}} > 0)",
                    "{{instance}}",
                ),
            ),
        ),
        Graph(
            title="Files",
            description="RRD files that are written.",
            queries=(Query(_sum("rrd_files", _by("instance")), "{{instance}}"),),
        ),
    ),
)

_PROCESS = Row(
    "Process",
    (
        Graph(
            title="CPU",
            description="CPUs that the process uses.",
            queries=(Query(_process("rate(process_cpu_seconds_total", _RATE + ")"), "{{instance}}"),),
        ),
        Graph(
            title="Memory",
            description="Resident memory of the process.",
            unit="bytes",
            queries=(Query(_process("process_resident_memory_bytes"), "{{instance}}"),),
        ),
        Graph(
            title="File descriptors",
            description="Open file descriptors, and how many there may be.",
            queries=(
                Query(_process("process_open_fds"), "{{instance}} open"),
                Query(_process("process_max_fds"), "{{instance}} limit"),
            ),
        ),
        Graph(
            title="Receive buffer",
            description="Size of the buffer for datagrams that wait.",
            unit="bytes",
            queries=(Query(_sum("receive_buffer_bytes", _by("instance")), "{{instance}}"),),
        ),
    ),
)

COLLECTOR = Dashboard(
    "sflow-collector",
    "sFlow / Collector",
    "The collectors themselves: what comes in, what is lost, what goes out.",
    (Variable("instance", "Instance", "label_values(sflow_collector_build_info, instance)", several=True),),
    (_NOW, _INPUT, _TROUBLE, _OUTPUT, _RRD, _PROCESS),
)
