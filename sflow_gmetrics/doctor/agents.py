"""What can be wrong between the agents and the collector: nobody heard, losses, clocks, services that are missing."""

from __future__ import annotations

from collections.abc import Iterable

from ..names import safe_name
from .page import PROBLEM, REMARK, Page, Rules, duration, names, share

AGENTS = Rules()

SETTLED = 180.0
"""Seconds after which a collector should have heard everything: hsflowd looks for services once a minute."""
CLOCKS_APART = 10.0
LOST_SHARE = 0.01
RESTARTS, DATAGRAMS_AN_HOUR = 3, 120
"""Restarts that are none too many, and datagrams of hsflowd in an hour, at least. Both are counted for years."""
TWICE_SHARE = 0.05
ERROR_SHARE = 0.001

Found = Iterable[tuple[str, ...]]

_SEND = "a line 'collector { ip = THIS_MACHINE udpport = 6343 }' in the section sflow { } of /etc/hsflowd.conf"
_REASONS = {
    "bad_version": "something that is not sFlow version 5 sends to this port",
    "bad_address": "an agent gives no address of a known kind",
}


@AGENTS.rule("no_agent", "sflow_collector_datagrams_total", "sflow_collector_start_time_seconds")
def _no_agent(page: Page) -> Found:
    if page.sum("sflow_collector_datagrams_total") == 0:
        yield (
            f"No datagram has come in the {duration(page.running)} since the collector started.",
            "See whether any reaches this machine: 'tcpdump -n udp port 6343'. If some do, a firewall of this machine "
            "or another port in [sflow] listen keeps them out ('ss -lun'). If none do, hsflowd on the hosts needs "
            f"{_SEND}, and the network between must let UDP 6343 through.",
        )


@AGENTS.rule(
    "no_agent_known",
    "sflow_collector_datagrams_total",
    "sflow_collector_agents",
    "sflow_collector_dropped_total",
    "sflow_collector_decode_errors_total",
)
def _no_agent_known(page: Page) -> Found:
    datagrams = page.sum("sflow_collector_datagrams_total")
    if datagrams and not page.sum("sflow_collector_agents"):
        refused = page.sum("sflow_collector_dropped_total", reason="not_allowed")
        broken = page.sum("sflow_collector_decode_errors_total")
        yield (
            f"{datagrams:,.0f} datagrams have come, but no agent is known by them: {refused:,.0f} are from agents that "
            f"[sflow] allow does not list, {broken:,.0f} are no good sFlow.",
            "Compare [sflow] allow with the addresses that the agents give themselves, which the log names; or find "
            "out "
            "who sends something else: 'tcpdump -n udp port 6343'.",
        )


@AGENTS.rule("hosts_down", "sflow_host_up")
def _hosts_down(page: Page) -> Found:
    everyone = list(page.each("sflow_host_up"))
    down = [labels["host"] for labels, up in everyone if not up]
    if down:
        yield (
            f"{len(down)} of {len(everyone)} hosts have fallen silent: {names(down)}.",
            "On them: 'systemctl status hsflowd'. All at once means the network or the firewall between. A host that "
            "was "
            "switched off is forgotten after [sflow] forget_after.",
        )


@AGENTS.rule("no_services", "sflow_host_up", "sflow_service_info", "sflow_collector_start_time_seconds")
def _no_services(page: Page) -> Found:
    if page.running < SETTLED:
        return
    having = {(labels["pool"], labels["host"]) for labels, _ in page.each("sflow_service_info")}
    hosts = {(labels["pool"], labels["host"]) for labels, up in page.each("sflow_host_up") if up}
    without = [host for _, host in hosts - having]
    if without:
        yield (
            f"{len(without)} of {len(hosts)} hosts send no services: {names(without)}.",
            "Put 'systemd { dropPriv = off }' (and 'docker { }' where there are containers) into the section sflow { } "
            "of their /etc/hsflowd.conf, then 'systemctl restart hsflowd'. If they do send some, [services] include "
            "and exclude leave out all of them.",
        )


@AGENTS.rule(
    "no_io",
    "sflow_service_cpu_seconds_total",
    "sflow_service_disk_read_bytes_total",
    "sflow_service_disk_written_bytes_total",
    "sflow_collector_start_time_seconds",
)
def _no_io(page: Page) -> Found:
    if page.running < SETTLED:
        return
    busy: dict[str, float] = page.by("host", "sflow_service_cpu_seconds_total", kind="systemd")
    moved = page.by("host", "sflow_service_disk_read_bytes_total", kind="systemd")
    for host, written in page.by("host", "sflow_service_disk_written_bytes_total", kind="systemd").items():
        moved[host] = moved.get(host, 0.0) + written
    without = [host for host, seconds in busy.items() if seconds > 0 and not moved.get(host)]
    if without:
        yield (
            f"On {len(without)} of {len(busy)} hosts the services use CPU but show no I/O: {names(without)}.",
            "hsflowd has given up root there and may not read other users' /proc/PID/io: write "
            "'systemd { dropPriv = off }' in /etc/hsflowd.conf, then 'systemctl restart hsflowd'.",
        )


@AGENTS.rule("clocks", "sflow_agent_clock_agrees", "sflow_agent_last_seen_timestamp_seconds")
def _clocks(page: Page) -> Found:
    off = page.now - page.here
    if abs(off) > CLOCKS_APART:
        yield (
            f"The collector's clock is {duration(abs(off))} {'ahead of' if off > 0 else 'behind'} that of this "
            "machine.",
            "See on both which of them is wrong: 'timedatectl'. Let chrony or systemd-timesyncd keep them.",
        )
    future = [
        labels["agent"]
        for labels, seen in page.each("sflow_agent_last_seen_timestamp_seconds")
        if seen > page.now + CLOCKS_APART
    ]
    if future:
        yield (
            f"Agents were heard in the future: {names(future)}. The collector's clock has been set back.",
            "Nothing is lost, but hosts that fall silent are noticed late until that time has passed. Let chrony or "
            "systemd-timesyncd keep the clock.",
        )
    drifting = [labels["agent"] for labels, agrees in page.each("sflow_agent_clock_agrees") if not agrees]
    if drifting:
        yield (
            f"The clock of {len(drifting)} agents does not run as fast as the collector's: {names(drifting)}.",
            "Their rates follow the time of arrival instead, and so are less even. A virtual machine that was "
            "suspended "
            "does this, or a host that is overloaded: see 'timedatectl' and 'dmesg' there, then restart hsflowd.",
        )


@AGENTS.rule("loss", "sflow_agent_datagrams_lost_total", "sflow_agent_datagrams_total")
def _loss(page: Page) -> Found:
    losses = page.losses(lambda one: _datagrams(one, "sflow_agent_datagrams_lost_total"), LOST_SHARE).seldom
    lossy = losses.still or losses.past
    if lossy:
        are = "are lost" if losses.still else f"were lost, hardly any in the last {page.between}"
        yield (
            f"Datagrams of {len(lossy)} agents {are}: "
            f"{names(f'{agent} ({share(part, 1)})' for agent, part in lossy.items())}.",
            "If the kernel drops some here, mend that first. If many agents of one site lose some, look at the network "
            "between; if one does, at its host's interface ('ip -s link'). Totals stay right, rates are of longer "
            "times.",
            losses.severity,
        )


def _datagrams(page: Page, name: str) -> dict[str, tuple[float, float]]:
    """Datagrams of each agent that are counted under this name, and those that came and were used."""
    came = page.by("agent", "sflow_agent_datagrams_total")
    return {agent: (count, came.get(agent, 0.0)) for agent, count in page.by("agent", name).items()}


@AGENTS.rule("restarts", "sflow_agent_restarts_total", "sflow_agent_datagrams_total")
def _restarts(page: Page) -> Found:
    came = page.by("agent", "sflow_agent_datagrams_total")
    often = [
        agent
        for agent, count in page.by("agent", "sflow_agent_restarts_total").items()
        if count > max(RESTARTS, came.get(agent, 0.0) / DATAGRAMS_AN_HOUR)
    ]
    if often:
        yield (
            f"{len(often)} agents restart again and again: {names(often)}.",
            "'journalctl -u hsflowd' says why hsflowd ends.",
        )


@AGENTS.rule("twice", "sflow_agent_datagrams_reordered_total", "sflow_agent_datagrams_total")
def _twice(page: Page) -> Found:
    late = page.losses(lambda one: _datagrams(one, "sflow_agent_datagrams_reordered_total"), TWICE_SHARE).seldom
    double = late.still or late.past
    if double:
        come = "come late or twice and are" if late.still else "came late or twice and were"
        yield (
            f"Many datagrams of {len(double)} agents {come} not used"
            f"{'' if late.still else f', hardly any in the last {page.between}'}: {names(double)}.",
            "Two ways lead here: two 'collector' lines for one collector, or a relay that copies. "
            "'tcpdump -n udp port 6343' shows from where they come.",
            late.severity,
        )


@AGENTS.rule("address_shared", "sflow_agent_address_conflicts_total")
def _address_shared(page: Page) -> Found:
    counter = "sflow_agent_address_conflicts_total"
    still = [agent for agent, count in page.newly_by("agent", counter).items() if count]
    shared = still or [agent for agent, count in page.by("agent", counter).items() if count]
    if shared:
        when = "are announced by two machines each" if still else f"had two machines, not in the last {page.between}"
        yield (
            f"{len(shared)} agent addresses {when}: {names(shared)}. The first to be heard is shown, the other one is "
            "not.",
            "The log names both hosts. Give each its own address with 'agent = eth0' or 'agent.cidr = 10.0.0.0/8' in "
            "/etc/hsflowd.conf; cloned machines often share one.",
            PROBLEM if still else REMARK,
        )


@AGENTS.rule("same_name", "sflow_host_info")
def _same_name(page: Page) -> Found:
    hosts = {(labels["pool"], labels["host"]) for labels, _ in page.each("sflow_host_info")}
    twins = set()
    for labels, _ in page.each("sflow_host_info"):
        name = labels["host"].rstrip("_").removesuffix(f"-{safe_name(labels['agent'])}")
        if name != labels["host"] and (labels["pool"], name) in hosts:
            twins.add(name)
    if twins:
        yield (
            f"Several hosts have the same name: {names(twins)}. All but the first have their agent address behind it.",
            "Give each its own name ('hostnamectl set-hostname'). If it is one host, its agent address has changed: "
            "choose it with 'agent = eth0' or 'agent.cidr' in /etc/hsflowd.conf; the old one is then forgotten.",
        )


@AGENTS.rule("decode_errors", "sflow_collector_decode_errors_total", "sflow_collector_datagrams_total")
def _decode_errors(page: Page) -> Found:
    counter = "sflow_collector_decode_errors_total"
    for reason, severity in page.losses(_errors, ERROR_SHARE, many=1).each():
        meaning = _REASONS.get(reason, "an agent is broken, or somebody tries what happens")
        yield (
            f"{page.sum(counter, reason=reason):,.0f} datagrams or samples are no good sFlow ({reason})"
            f"{page.lately(counter, reason=reason)}: {meaning}.",
            "The log names the agents. Record some with 'tcpdump -w odd.pcap -U udp port 6343' and look with "
            "'sflow-gmetrics decode odd.pcap'. Keep strangers out with a firewall or [sflow] allow.",
            severity,
        )


def _errors(page: Page) -> dict[str, tuple[float, float]]:
    datagrams = page.sum("sflow_collector_datagrams_total")
    return {why: (count, datagrams) for why, count in page.by("reason", "sflow_collector_decode_errors_total").items()}


@AGENTS.rule("unknown_records", "sflow_collector_unknown_records_total")
def _unknown_records(page: Page) -> Found:
    tags = {
        f"{labels['enterprise']}:{labels['format']}"
        for labels, count in page.each("sflow_collector_unknown_records_total")
        if count
    }
    if tags:
        yield (
            f"Agents send structures that are not known here: {names(tags)}.",
            "They are passed over and harm nothing. 'sflow-gmetrics metrics' lists what is known.",
            REMARK,
        )
