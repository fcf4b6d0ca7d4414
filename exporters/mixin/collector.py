"""The dashboard of the collectors themselves: what comes in, what is lost, what goes out."""

from __future__ import annotations

from .collector_outputs import OUTPUT, PROCESS, RRD, SOURCES, STORES, THESE, by, of_process, rate_of, sum_of
from .panels import GOOD_BAD, RATE, Column, Dashboard, Graph, Label, Query, Row, Stat, Table, Variable

_UP, _DOWN = ', state="up"', ', state="down"'


def _lost(by: str = "") -> str:
    """The part of the datagrams that never came."""
    lost, came = rate_of("agent_datagrams_lost", by), rate_of("agent_datagrams", by)
    return f"{lost} / ({lost} + {came})"


def _agent(expression: str) -> str:
    """What an expression says of each agent, with the host that it is."""
    return (
        f"max by (agent, pool, host) (({expression}) * on (agent) group_right ()"
        f" max by (agent, pool, host) (sflow_agent_info{{{THESE}}}))"
    )


_NOW = Row(
    "Now",
    (
        Stat(
            title="Collectors",
            description="Collectors that Prometheus scrapes.",
            query=Query(f"count(sflow_collector_build_info{{{THESE}}})"),
            width=3,
        ),
        Stat(
            title="Agents up",
            description="Agents that are heard.",
            query=Query(sum_of("agents", more=_UP)),
            width=3,
        ),
        Stat(
            title="Agents down",
            description="Agents that have fallen silent and are not forgotten yet.",
            query=Query(sum_of("agents", more=_DOWN)),
            steps=GOOD_BAD,
            width=3,
        ),
        Stat(title="Services", description="Live services of all hosts.", query=Query(sum_of("services")), width=3),
        Stat(
            title="Datagrams",
            description="Datagrams that come in a second.",
            unit="pps",
            query=Query(rate_of("collector_datagrams")),
            width=3,
        ),
        Stat(
            title="Kernel drops",
            description="Datagrams in the time shown for which the receive buffer had no room; must be 0.",
            query=Query(f"sum(increase(sflow_collector_kernel_drops_total{{{THESE}}}[$__range]))"),
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
            query=Query(f"sum({of_process('rate(process_cpu_seconds_total', RATE + ')')})"),
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
                    f"sflow_collector_build_info{{{THESE}}} * on (job, instance) group_left ()"
                    f" sflow_collector_start_time_seconds{{{THESE}}})",
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
            queries=(Query(rate_of("collector_datagrams", by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Bytes",
            description="Bytes of datagrams.",
            unit="Bps",
            queries=(Query(rate_of("collector_datagram_bytes", by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Agents",
            description="Agents that are heard, and below zero those that are not.",
            queries=(
                Query(sum_of("agents", by("instance"), _UP), "{{instance}} up"),
                Query(sum_of("agents", by("instance"), _DOWN), "{{instance}} down"),
            ),
            below="down",
        ),
        Graph(
            title="Services",
            description="Live services of all hosts, by pool.",
            queries=(Query(sum_of("services", by("pool")), "{{pool}}"),),
        ),
        Graph(
            title="Samples by type",
            description="All but counters are passed over.",
            unit="ops",
            queries=(Query(rate_of("collector_samples", by("type")), "{{type}}"),),
        ),
        Graph(
            title="Records by structure, the first fifteen",
            description="Records taken, by structure.",
            unit="ops",
            queries=(Query(f"topk(15, {rate_of('collector_records', by('structure'))})", "{{structure}}"),),
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
            queries=(Query(rate_of("collector_kernel_drops", by("instance")), "{{instance}}"),),
        ),
        Graph(
            title="Lost on the way, the first ten agents",
            description="The part of an agent's datagrams that is missing in its sequence numbers.",
            unit="percentunit",
            queries=(Query(f"topk(10, {_lost(by('agent'))})", "{{agent}}"),),
        ),
        Graph(
            title="Late or twice, the first ten agents",
            description="Datagrams that came late or twice and were not used.",
            unit="pps",
            queries=(Query(f"topk(10, {rate_of('agent_datagrams_reordered', by('agent'))})", "{{agent}}"),),
        ),
        Graph(
            title="Malformed",
            description="Datagrams and samples that are no good sFlow, by reason; the log names the agents.",
            unit="ops",
            queries=(Query(rate_of("collector_decode_errors", by("reason")), "{{reason}}"),),
        ),
        Graph(
            title="Refused by a limit or rule",
            description="What came on top of a limit, or from agents that are not allowed, by reason.",
            unit="ops",
            queries=(Query(rate_of("collector_dropped", by("reason")), "{{reason}}"),),
        ),
        Graph(
            title="Services without a name of their own",
            description="Series of services that are excluded, or folded into _other_ because a limit is reached.",
            unit="ops",
            queries=(Query(rate_of("collector_series_dropped", by("reason")), "{{reason}}"),),
        ),
        Graph(
            title="Unknown structures",
            description="Records of structures that are not declared, by enterprise and format.",
            unit="ops",
            queries=(
                Query(rate_of("collector_unknown_records", by("enterprise, format")), "{{enterprise}}:{{format}}"),
            ),
        ),
        Graph(
            title="Steps of counters",
            description="Counters that did not plainly grow, by what was made of it.",
            unit="ops",
            queries=(Query(rate_of("collector_series_resets", by("reason")), "{{reason}}"),),
        ),
        Table(
            title="Agents",
            description="Each agent by its address, and which host it is.",
            labels=(Label("agent", "Agent"), Label("host", "Host"), Label("pool", "Pool")),
            columns=(
                Column(
                    "Silent for",
                    _agent(f"time() - max by (agent) (sflow_agent_last_seen_timestamp_seconds{{{THESE}}})"),
                    "s",
                ),
                Column("Datagrams", _agent(rate_of("agent_datagrams", by("agent"))), "pps"),
                Column("Lost", _agent(_lost(by("agent"))), "percentunit"),
                Column("Samples lost", _agent(rate_of("agent_samples_lost", by("agent"))), "ops"),
                Column("Restarts", _agent(f"sum by (agent) (sflow_agent_restarts_total{{{THESE}}})")),
            ),
            sort="Lost",
            height=12,
        ),
    ),
)

COLLECTOR = Dashboard(
    "sflow-collector",
    "sFlow / Collector",
    "The collectors themselves: what comes in, what is lost, what goes out.",
    (Variable("instance", "Instance", "label_values(sflow_collector_build_info, instance)", several=True),),
    (_NOW, _INPUT, _TROUBLE, OUTPUT, PROCESS, RRD, SOURCES, STORES),
)
