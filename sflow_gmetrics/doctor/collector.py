"""What can be wrong in the collector and behind it: buffers, limits, storage, other collectors, its configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from exporters.rrd_queue import TROUBLED_VALUES

from ..inputs.udp import OVERHEAD
from ..limits import AGENT_MEMORY, FOLDED, OTHER_SOURCES, STREAMS_PER_AGENT
from ..pools import OVERFLOW
from .page import PROBLEM, REMARK, Page, Rules, duration, names, share

COLLECTOR = Rules()

DROP_SHARE = 0.0001
NEAR = 0.9
BEHIND = 300.0
"""Seconds after which a store that gets nothing is behind."""
LOST_SHARE = 0.001

Found = Iterable[tuple[str, ...]]

_THE_AGENT = "Look in the log for the agent that sends so much, and stop or mend it"
_REFUSED = {
    "not_allowed": "They are not in [sflow] allow. Add their network if they are yours; else keep them out with a "
    "firewall.",
    "agents": "Raise [sflow] agents, if they are yours; limit who is heard with [sflow] allow, if not.",
    "memory": "Raise [sflow] memory, if the machine has it, or let fewer agents be heard with [sflow] allow.",
    "memory_of_agent": f"{_THE_AGENT}: what is kept of one may take {AGENT_MEMORY >> 20} MiB.",
    "sub_agents": f"{_THE_AGENT}: it has more than {STREAMS_PER_AGENT} sub-agents, or their numbers change often.",
    "sources_per_agent": f"{_THE_AGENT}: {OTHER_SOURCES} interfaces and the like are kept of one. If they are "
    "services, raise [services] services_per_host.",
    "services": "Exclude or rewrite in [services] names that come in great numbers, or raise '[services] "
    f"services_per_host' and 'series': of services that have no names of their own {FOLDED:,} are kept.",
    "forms": f"{_THE_AGENT}: its samples differ in what they consist of, more than those of a fleet do.",
    "fault": "That is a fault of the collector. The log has the traceback and the bytes: report both, please.",
}
"""What to do, by the reason."""

_LIMITS = {
    "sflow.agents": ("agents", "Keep out with [sflow] allow who is none of yours."),
    "sflow.memory": (
        "bytes kept of agents",
        "Keep out with [sflow] allow who is none of yours; the log names an agent that sends too much.",
    ),
    "services.services_per_host": (
        "services on one host",
        "Exclude or rewrite in [services] names that come in great numbers.",
    ),
    "services.series": ("series of services", "Exclude or rewrite in [services] names that come in great numbers."),
    "rrd.queue": ("values that wait for the RRD engine", "Mend the engine, which is away or slow."),
}


def _sysctl(buffer: float) -> str:
    return f"'sysctl -w net.core.rmem_max={OVERHEAD * buffer:.0f}' (and in /etc/sysctl.d/, so that it stays)"


@COLLECTOR.rule(
    "kernel_drops",
    "sflow_collector_kernel_drops_total",
    "sflow_collector_datagrams_total",
    "sflow_collector_limit",
)
def _kernel_drops(page: Page) -> Found:
    ((drops, datagrams),) = _drops(page).values()
    if drops:
        wanted = 2 * page.limit("sflow.receive_buffer")
        yield (
            f"The kernel has dropped {drops:,.0f} datagrams ({share(drops, drops + datagrams)})"
            f"{page.lately('sflow_collector_kernel_drops_total')}: the receive buffer was full.",
            f"Give it more room: {_sysctl(wanted)}, '[sflow] receive_buffer = {wanted:.0f}' in the configuration, then "
            "restart. If the collector's CPU is always full, give a part of the agents to a second collector.",
            page.losses(_drops, DROP_SHARE, many=1).severity,
        )


def _drops(page: Page) -> dict[str, tuple[float, float]]:
    """The datagrams that the kernel has dropped, and those that came."""
    return {"": (page.sum("sflow_collector_kernel_drops_total"), page.sum("sflow_collector_datagrams_total"))}


@COLLECTOR.rule("small_buffer", "sflow_collector_receive_buffer_bytes", "sflow_collector_limit")
def _small_buffer(page: Page) -> Found:
    has, wanted = page.sum("sflow_collector_receive_buffer_bytes"), page.limit("sflow.receive_buffer")
    if 0 < has < wanted:
        yield (
            f"The receive buffer has {has:,.0f} bytes, not the {wanted:,.0f} of [sflow] receive_buffer: the kernel "
            "grants no more.",
            f"{_sysctl(wanted)}, then restart; or enable sflow-gmetrics-sflow.socket, whose buffer systemd sets.",
        )


@COLLECTOR.rule("refused", "sflow_collector_dropped_total")
def _refused(page: Page) -> Found:
    counter = "sflow_collector_dropped_total"
    for reason, count in sorted(page.by("reason", counter).items()):
        if count:
            harmless = reason == "not_allowed" or not page.newly(counter, reason=reason)
            yield (
                f"{count:,.0f} datagrams or samples were passed over ({reason}){page.lately(counter, reason=reason)}.",
                _REFUSED.get(reason, f"{_THE_AGENT}."),
                REMARK if harmless else PROBLEM,
            )


@COLLECTOR.rule("near_limit", "sflow_collector_limit", "sflow_collector_limit_used", "sflow_collector_rrd_queue_length")
def _near_limit(page: Page) -> Found:
    used = page.by("key", "sflow_collector_limit_used")
    used["rrd.queue"] = page.sum("sflow_collector_rrd_queue_length")
    for key, (what, cure) in _LIMITS.items():
        limit = page.limit(key)
        if limit and used.get(key, 0.0) >= NEAR * limit:
            section, _, name = key.partition(".")
            yield (
                f"There are {used[key]:,.0f} {what}; [{section}] {name} = {limit:.0f} is the limit.",
                f"{cure} Else raise '[{section}] {name}'.",
            )


@COLLECTOR.rule("folded", "sflow_pool_service_hosts", "sflow_collector_series_dropped_total")
def _folded(page: Page) -> Found:
    hosts = page.sum("sflow_pool_service_hosts", service=OVERFLOW)
    if hosts:
        dropped = page.by("reason", "sflow_collector_series_dropped_total")
        yield (
            f"On {hosts:,.0f} hosts there are more services than have room. They are {OVERFLOW} in their pool. "
            f"Until now {dropped.get('limit_host', 0.0):,.0f} series were too many for their host, "
            f"{dropped.get('limit_total', 0.0):,.0f} over all hosts.",
            "The log names the hosts. Exclude or rewrite in [services] names that come in great numbers, or raise "
            "'[services] services_per_host' and 'series'.",
        )


@COLLECTOR.rule("rrd_away", "sflow_collector_rrd_up", "sflow_collector_rrd_queue_length")
def _rrd_away(page: Page) -> Found:
    if any(not up for _, up in page.each("sflow_collector_rrd_up")):
        yield (
            f"The RRD engine does not answer; {page.sum('sflow_collector_rrd_queue_length'):,.0f} values wait.",
            "Start it again ('systemctl status rrdcached') and see whether [rrd] rrdcached names its address, whether "
            "the user sflow-gmetrics may open its socket, and whether its disk is full ('df'). What waits is then "
            "stored.",
        )


@COLLECTOR.rule(
    "rrd_behind",
    "sflow_collector_rrd_last_write_timestamp_seconds",
    "sflow_collector_agents",
    "sflow_collector_start_time_seconds",
)
def _rrd_behind(page: Page) -> Found:
    if page.running <= BEHIND or not page.sum("sflow_collector_agents", state="up"):
        return
    for _, written in page.each("sflow_collector_rrd_last_write_timestamp_seconds"):
        if page.now - written > BEHIND:
            since = f"for {duration(page.now - written)}" if written else "at all"
            yield (
                f"Agents are heard, but no RRD value has been stored {since}.",
                "If the engine does not answer, mend that. Else its disk is full or too slow ('df', 'iostat -x 5'): "
                "write less often with [rrd] write_every, or less with [rrd] levels and exclude.",
            )


@COLLECTOR.rule("rrd_refused", "sflow_collector_rrd_files_refused")
def _rrd_refused(page: Page) -> Found:
    refused = page.sum("sflow_collector_rrd_files_refused")
    if refused:
        yield (
            f"{refused:,.0f} RRD files are refused. Their values wait, the newest {TROUBLED_VALUES} of each.",
            "The log says which and why. See whether the user sflow-gmetrics (with rrdcached: its user) may write "
            "below [rrd] root, and whether the disk is full ('df'). A file of another step than [rrd] step has to be "
            "moved away. What waits is then stored.",
        )


@COLLECTOR.rule("rrd_lost", "sflow_collector_rrd_updates_total")
def _rrd_lost(page: Page) -> Found:
    losses = page.losses(_values, LOST_SHARE)
    if losses.still or losses.past:
        ((lost, stored),) = _values(page).values()
        yield (
            f"{lost:,.0f} RRD values ({share(lost, stored + lost)}) are lost"
            f"{page.lately('sflow_collector_rrd_updates_total', outcome='dropped')}: there was no room in the queue, "
            "their file was refused for too long, or they came too late for it.",
            "The log says which. A queue that is full needs an engine that is not away, or a greater [rrd] queue; a "
            "file that is refused has to be mended or moved away. Values that come too late mean a clock that was "
            "set back.",
            losses.severity,
        )


def _values(page: Page) -> dict[str, tuple[float, float]]:
    """The RRD values that are lost, and those that were stored."""
    lost, stored = (page.sum("sflow_collector_rrd_updates_total", outcome=one) for one in ("dropped", "ok"))
    return {"": (lost, stored)}


@COLLECTOR.rule(
    "state_behind",
    "sflow_collector_state_last_write_timestamp_seconds",
    "sflow_collector_state_interval_seconds",
    "sflow_collector_state_write_errors_total",
    "sflow_collector_start_time_seconds",
)
def _state_behind(page: Page) -> Found:
    errors = page.sum("sflow_collector_state_write_errors_total")
    patience = BEHIND + 3 * page.sum("sflow_collector_state_interval_seconds")
    for _, written in page.each("sflow_collector_state_last_write_timestamp_seconds"):
        if page.running > patience and page.now - written > patience:
            since = f"for {duration(page.now - written)}" if written else "at all"
            yield (
                f"The state has not been written {since} ({errors:,.0f} errors): a restart would lose what has come.",
                "The log says why. See whether the disk of [state] directory is full ('df'), and whether the user "
                "sflow-gmetrics may write there. Without that, counters begin anew at the next start.",
            )


@COLLECTOR.rule("source_down", "sflow_collector_source_up")
def _source_down(page: Page) -> Found:
    down = [labels["source"] for labels, up in page.each("sflow_collector_source_up") if not up]
    if down:
        yield (
            f"{len(down)} of the collectors that are polled do not answer: {names(down)}.",
            "Ask one yourself: 'nc HOST PORT' with its addresses in [[gmetad.sources]]. It may not trust this machine "
            "(trusted_hosts there). The log says what is wrong.",
        )


_REMOTE_WRITE = "sflow_collector_remote_write_"


@COLLECTOR.rule(
    "store_behind",
    f"{_REMOTE_WRITE}pending_samples",
    f"{_REMOTE_WRITE}highest_timestamp_seconds",
    "sflow_collector_start_time_seconds",
)
def _store_behind(page: Page) -> Found:
    for store, newest in page.by("endpoint", f"{_REMOTE_WRITE}highest_timestamp_seconds").items():
        waiting = page.sum(f"{_REMOTE_WRITE}pending_samples", endpoint=store)
        if waiting and min(page.now - newest, page.running) > BEHIND:
            since = f"for {duration(page.now - newest)}" if newest else "at all"
            yield (
                f"The store {store} has taken nothing {since}; {waiting:,.0f} samples wait.",
                "See whether it runs, and what the log says of it. What waits is sent when it answers, as far as "
                "[[remote_write]] queue holds it.",
            )


@COLLECTOR.rule("store_lost", f"{_REMOTE_WRITE}samples_total")
def _store_lost(page: Page) -> Found:
    for store, severity in page.losses(_samples, LOST_SHARE).each():
        refused, dropped = (_outcome(page, one)[store] for one in ("failed", "dropped"))
        past = "" if severity == PROBLEM else f", hardly any in the last {page.between}"
        yield (
            f"{refused + dropped:,.0f} samples for the store {store} are lost{past}: {refused:,.0f} were refused, "
            f"{dropped:,.0f} found no room in the queue.",
            "The log has the store's own words. Refused ones mean a wrong address, no right to write, or series "
            "that it does not take; no room means that it was away for too long.",
            severity,
        )


def _samples(page: Page) -> dict[str, tuple[float, float]]:
    """The samples of each store that are lost, and those that it has taken."""
    sent, refused, dropped = (_outcome(page, one) for one in ("sent", "failed", "dropped"))
    return {store: (refused[store] + dropped[store], count) for store, count in sent.items()}


def _outcome(page: Page, outcome: str) -> dict[str, float]:
    return defaultdict(float, page.by("endpoint", f"{_REMOTE_WRITE}samples_total", outcome=outcome))


@COLLECTOR.rule(
    "config",
    "sflow_collector_config_last_reload_successful",
    "sflow_collector_config_last_reload_success_timestamp_seconds",
)
def _config(page: Page) -> Found:
    if any(not good for _, good in page.each("sflow_collector_config_last_reload_successful")):
        since = page.now - page.sum("sflow_collector_config_last_reload_success_timestamp_seconds")
        yield (
            f"The newest configuration file could not be used; that of {duration(since)} ago is in use.",
            "The landing page and the log say what is wrong, and so does 'sflow-gmetrics check-config "
            "/etc/sflow-gmetrics.toml'. Mend it, then 'systemctl reload sflow-gmetrics'. A restart would fail.",
        )


@COLLECTOR.rule("web_config", "sflow_collector_web_config_last_reload_successful")
def _web_config(page: Page) -> Found:
    if any(not good for _, good in page.each("sflow_collector_web_config_last_reload_successful")):
        yield (
            "The newest web configuration file could not be taken; the one before is in force.",
            "The log says what is wrong, and so does 'sflow-gmetrics check-config /etc/sflow-gmetrics.toml'. It is "
            "read again as soon as it has changed.",
        )


@COLLECTOR.rule("http_full", "sflow_collector_http_connections", "sflow_collector_http_connections_limit")
def _http_full(page: Page) -> Found:
    open_now = page.sum("sflow_collector_http_connections")
    limit = page.sum("sflow_collector_http_connections_limit")
    if limit and open_now >= NEAR * limit:
        yield (
            f"{open_now:,.0f} HTTP connections are open; {limit:,.0f} are the most.",
            "'ss -tnp sport = :9343' shows whose they are. Close the port to strangers with a firewall.",
        )
