"""The landing page: where everything is, and what the agents, pools and services are doing."""

from __future__ import annotations

from html import escape

from sflow_gmetrics import __version__
from sflow_gmetrics.snapshot import AgentStats, Snapshot

from .overview import PoolLines, ServiceLine, human_age, human_bytes, overview

AGENTS_SHOWN = 200
SERVICES_SHOWN = 100

_STYLE = """
:root { color-scheme: light dark; --line: #d8dee4; --bar: #2f7ed8; --soft: #57606a; --bad: #c0392b; --good: #2e8b57 }
@media (prefers-color-scheme: dark) { :root { --line: #30363d; --soft: #9aa4ae; --bar: #4c8fdc } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin: 2rem 0 .5rem } p.soft, small { color: var(--soft) }
nav a { display: inline-block; margin: .5rem .75rem .5rem 0; padding: .3rem .8rem; border: 1px solid var(--line);
  border-radius: 6px; text-decoration: none }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
td, th { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } td.b { width: 30% }
.bar { height: .7rem; border-radius: 3px; background: var(--bar); min-width: 1px }
.up { color: var(--good) } .down { color: var(--bad) } code { font-size: .92em }
"""


def render(snapshot: Snapshot, links: tuple[tuple[str, str], ...] = ()) -> bytes:
    """The page in HTML; `links` are more (text, address) pairs for its head."""
    pools = overview(snapshot)
    up = sum(agent.up for agent in snapshot.agents)
    every = (("Metrics", "/metrics"), ("Healthy?", "/-/healthy"), ("Ready?", "/-/ready"), *links)
    anchors = "".join(f'<a href="{escape(address)}">{escape(text)}</a>' for text, address in every)
    body = "".join(_pool(pool) for pool in pools) if pools else _nothing_yet(snapshot)
    page = (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8"><title>sflow_gmetrics</title>'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="10">'
        f"<style>{_STYLE}</style></head><body>"
        f"<h1>sflow_gmetrics</h1><p class=soft>Version {__version__}: {up} of {len(snapshot.agents)} agents up, "
        f"{sum(len(host.services) for host in snapshot.hosts())} services, "
        f"{snapshot.stats.datagrams:,} datagrams, {snapshot.stats.kernel_drops:,} dropped by the kernel</p>"
        f"<nav>{anchors}</nav>{body}{_agents(snapshot)}</body></html>\n"
    )
    return page.encode("utf-8")


def _nothing_yet(snapshot: Snapshot) -> str:
    listen = escape(", ".join(snapshot.config.sflow.listen))
    return (
        "<h2>No agent has been heard yet</h2><p>Point Host sFlow at this collector (it listens on UDP "
        f"<code>{listen}</code>). In <code>/etc/hsflowd.conf</code>:</p>"
        "<pre>sflow {\n  polling = 20\n  collector { ip = THIS-HOST udpport = 6343 }\n  systemd { }\n}</pre>"
    )


def _pool(pool: PoolLines) -> str:
    most = max((line.cpus for line in pool.services), default=0.0) or 1.0
    rows = "".join(_service(line, most) for line in pool.services[:SERVICES_SHOWN])
    left = len(pool.services) - SERVICES_SHOWN
    more = f"<p class=soft>and {left} more on <a href=/metrics>/metrics</a></p>" if left > 0 else ""
    down = f", <span class=down>{pool.down} down</span>" if pool.down else ""
    return (
        f"<h2>Pool {escape(pool.name)} <small>{pool.up} hosts up{down}</small></h2>"
        "<table><tr><th>Service<th>Kind<th class=n>Hosts<th class=n>CPUs used<th>"
        "<th class=n>Memory<th class=n>I/O per s</tr>"
        f"{rows}</table>{more}"
    )


def _service(line: ServiceLine, most: float) -> str:
    return (
        f"<tr><td>{escape(line.name)}<td>{escape(line.kind)}<td class=n>{line.hosts}<td class=n>{line.cpus:.3f}"
        f'<td class=b><div class=bar style="width:{100 * line.cpus / most:.1f}%"></div>'
        f"<td class=n>{human_bytes(line.memory)}<td class=n>{human_bytes(line.io)}</tr>"
    )


def _agents(snapshot: Snapshot) -> str:
    if not snapshot.agents:
        return ""
    agents = sorted(snapshot.agents, key=lambda agent: (agent.up, agent.host, agent.address))
    rows = "".join(_agent(agent, snapshot.time) for agent in agents[:AGENTS_SHOWN])
    left = len(agents) - AGENTS_SHOWN
    more = f"<p class=soft>and {left} more</p>" if left > 0 else ""
    return (
        "<h2>Agents</h2><table><tr><th>Address<th>Host<th>Pool<th>State<th class=n>Heard<th class=n>Datagrams"
        f"<th class=n>Lost<th class=n>Late<th class=n>Restarts</tr>{rows}</table>{more}"
    )


def _agent(agent: AgentStats, now: float) -> str:
    state = "up" if agent.up else "down"
    return (
        f"<tr><td>{escape(agent.address)}<td>{escape(agent.host)}<td>{escape(agent.pool)}<td class={state}>{state}"
        f"<td class=n>{human_age(now - agent.last_heard)} ago<td class=n>{agent.datagrams:,}<td class=n>{agent.lost:,}"
        f"<td class=n>{agent.reordered:,}<td class=n>{agent.restarts:,}</tr>"
    )
