"""The landing page: where everything is, and what the pools, hosts, services and agents are doing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from sflow_gmetrics import __version__
from sflow_gmetrics.operators import unavailable_value
from sflow_gmetrics.schema import Field
from sflow_gmetrics.snapshot import AgentStats, Host, Pool, Row, Snapshot
from sflow_gmetrics.structures import counter_field

from .overview import PoolLines, ServiceLine, human_age, human_bytes, overview

AGENTS_SHOWN = 200
SERVICES_SHOWN = 100
HOSTS_SHOWN = 48
BUSY = 0.8
"""The share of a host's CPUs or memory from which its bar is a warning."""
REFRESH = 10
"""Seconds after which a browser loads the page again."""

_STYLE = """
:root { color-scheme: light dark; --page: #f4f6f9; --card: #fff; --line: #e3e8ee; --text: #1c2733; --soft: #5e6b7a;
  --link: #1f66c1; --track: #e9edf2; --cpu: #3b82d6; --memory: #8a6fd1; --bad: #cf3a2e; --good: #279a5b }
@media (prefers-color-scheme: dark) { :root { --page: #0f141a; --card: #171e26; --line: #29323d; --text: #e2e8ee;
  --soft: #93a1b0; --link: #77b1f5; --track: #262f3a; --cpu: #5a9be8; --memory: #a58ee6; --bad: #f0695d;
  --good: #45bf7c } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; max-width: 78rem; margin: 0 auto; padding: 1.5rem;
  background: var(--page); color: var(--text) }
a { color: var(--link) } h2 a, .tile a { color: inherit; text-decoration: none } h1, h2, p { margin: 0 }
h2 { font-size: 1.15rem; margin-bottom: .8rem }
.soft, small, th { color: var(--soft) } small { font-size: .85rem; font-weight: 400; margin-left: .4rem }
header { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: center; gap: .5rem 2rem }
nav a { display: inline-block; margin-left: .5rem; padding: .3rem .9rem; border: 1px solid var(--line);
  border-radius: 2rem; background: var(--card); text-decoration: none }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1.3rem 0 }
.figures div, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px }
.figures div { padding: .7rem 1rem } .figures b { display: block; font-size: 1.55rem; line-height: 1.3 }
.card { padding: 1.1rem 1.3rem; margin-bottom: 1.1rem; overflow-x: auto }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: .7rem; margin-bottom: .8rem }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; overflow-wrap: anywhere }
.tile .meter { display: grid; grid-template-columns: 4.2rem 1fr 3rem; align-items: center; font-size: .83rem }
.dot { display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .5rem }
.dot.up { background: var(--good) } .dot.down { background: var(--bad) } .down { color: var(--bad) }
table { border-collapse: collapse; width: 100% } tr > * { padding: .38rem .9rem .38rem 0; text-align: left }
th { font-size: .8rem; font-weight: 600; white-space: nowrap } tr > :last-child { padding-right: 0 }
td { border-top: 1px solid var(--line); overflow-wrap: anywhere }
tr > .n { text-align: right; white-space: nowrap; overflow-wrap: normal } .n { text-align: right }
.services { table-layout: fixed; min-width: 50rem }
.services th { width: 11% } .services th:first-child { width: 25% } .services .b { width: 14% }
.services th:nth-child(2), .services th:nth-child(3) { width: 8% }
.n, .figures b { font-variant-numeric: tabular-nums }
.bar { height: .5rem; border-radius: 1rem; background: var(--track); overflow: hidden; min-width: 3rem }
.bar i { display: block; height: 100%; min-width: 2px; border-radius: 1rem; background: var(--cpu) }
.bar.memory i { background: var(--memory) } .bar.busy i { background: var(--bad) }
.kind { font-size: .78rem; padding: .08rem .55rem; border-radius: 1rem; background: var(--track); color: var(--soft) }
code, pre { font-family: ui-monospace, monospace; font-size: .92em } pre { margin: .6rem 0 0 }
footer { text-align: center } .notice { margin-top: 1rem; padding: .7rem 1rem; border: 1px solid var(--bad);
  border-left-width: 5px; border-radius: 8px; background: var(--card); overflow-wrap: anywhere }
"""

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M1 9h3v6H1zM6 5h3v10H6zM11 1h3v14h-3z' fill='%233b82d6'/%3E%3C/svg%3E"
)


def render(snapshot: Snapshot, notice: str = "") -> bytes:
    """The page in HTML; a `notice` is something that its readers must know."""
    anchors = "".join(f'<a href="{escape(address)}">{escape(text)}</a>' for text, address in _links(snapshot))
    hosts = {pool.name: pool for pool in snapshot.pools}
    pools = overview(snapshot)
    body = "".join(_pool(pool, hosts[pool.name]) for pool in pools) if pools else _nothing_yet(snapshot)
    page = (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8"><title>sflow_gmetrics</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="{_ICON}">'
        f'<meta http-equiv="refresh" content="{REFRESH}"><style>{_STYLE}</style></head><body>'
        "<header><div><h1>sflow_gmetrics</h1>"
        f'<p class="soft">Host sFlow in, Ganglia and Prometheus out &middot; version {escape(__version__)}</p></div>'
        f"<nav>{anchors}</nav></header>{_notice(notice)}{_figures(snapshot)}{body}{_agents(snapshot)}{_foot(snapshot)}</body></html>\n"
    )
    return page.encode("utf-8")


# --- the head


def _links(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """(text, address) of what else there is."""
    yield from (("Metrics", "/metrics"), ("Targets", "/sd?by=host"), ("Healthy?", "/-/healthy"), ("Ready?", "/-/ready"))
    if snapshot.config.gmetad.authority.startswith(("http://", "https://")):
        yield "Ganglia", snapshot.config.gmetad.authority


def _notice(text: str) -> str:
    return f'<p class="notice">{escape(text)}</p>' if text else ""


def _figures(snapshot: Snapshot) -> str:
    """The few numbers that say whether all is well."""
    up = sum(agent.up for agent in snapshot.agents)
    lost = sum(agent.lost for agent in snapshot.agents)
    stats = snapshot.stats
    figures = (
        ("agents up", f"{up:,} of {len(snapshot.agents):,}", up < len(snapshot.agents)),
        ("services", f"{sum(len(host.services) for host in snapshot.hosts()):,}", False),
        ("datagrams", f"{stats.datagrams:,}", False),
        ("lost on the way", f"{lost:,}", lost > 0),
        ("dropped by the kernel", f"{stats.kernel_drops:,}", stats.kernel_drops > 0),
    )
    cells = "".join(
        f'<div{" class=down" if alarming else ""}><b>{value}</b><span class="soft">{text}</span></div>'
        for text, value, alarming in figures
    )
    return f'<section class="figures">{cells}</section>'


def _nothing_yet(snapshot: Snapshot) -> str:
    listen = escape(", ".join(snapshot.config.sflow.listen))
    return (
        '<section class="card"><h2>No agent has been heard yet</h2><p>Point Host sFlow at this collector (it listens '
        f"on UDP <code>{listen}</code>). In <code>/etc/hsflowd.conf</code>:</p>"
        "<pre>sflow {\n  polling = 20\n  collector { ip = THIS-HOST udpport = 6343 }\n  systemd { }\n}</pre></section>"
    )


# --- a pool


def _pool(lines: PoolLines, pool: Pool) -> str:
    most_cpus = max((line.cpus for line in lines.services), default=0.0)
    most_memory = max((line.memory for line in lines.services), default=0)
    rows = "".join(_service(line, most_cpus, most_memory) for line in lines.services[:SERVICES_SHOWN])
    down = f', <span class="down">{lines.down} down</span>' if lines.down else ""
    table = (
        '<table class="services"><thead><tr><th>Service</th><th>Kind</th><th class=n>Hosts</th>'
        "<th class=n>CPUs used</th><th class=b></th><th class=n>Memory</th><th class=b></th>"
        "<th class=n>I/O per s</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{_more(len(lines.services) - SERVICES_SHOWN, 'services')}"
    )
    return (
        f'<section class="card"><h2>{_link("/metrics?pool=", lines.name, "Pool ")} '
        f"<small>{_count(lines.up, 'host')} up{down}</small></h2>"
        f"{_tiles(pool)}{table if rows else ''}</section>"
    )


def _link(address: str, name: str, before: str = "") -> str:
    """A name that leads to its own part of the page for Prometheus."""
    return f'<a href="{address}{quote(name, safe="")}">{before}{escape(name)}</a>'


def _service(line: ServiceLine, most_cpus: float, most_memory: int) -> str:
    return (
        f'<tr><td>{escape(line.name)}</td><td><span class="kind {escape(line.kind)}">{escape(line.kind)}</span></td>'
        f"<td class=n>{line.hosts}</td><td class=n>{line.cpus:.3f}</td><td class=b>{_bar(line.cpus, most_cpus)}</td>"
        f"<td class=n>{human_bytes(line.memory)}</td><td class=b>{_bar(line.memory, most_memory, 'memory')}</td>"
        f"<td class=n>{human_bytes(line.io)}</td></tr>"
    )


def _bar(value: float, most: float, look: str = "") -> str:
    filled = f'<i style="width:{min(100 * value / most, 100):.1f}%"></i>' if value > 0 and most > 0 else ""
    return f'<div class="bar {look}">{filled}</div>'


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _more(left: int, what: str) -> str:
    return f'<p class="soft">and {left} more {what} on <a href="/metrics">/metrics</a></p>' if left > 0 else ""


# --- its hosts


def _tiles(pool: Pool) -> str:
    """A tile for each host: those that are down first, then the busiest."""
    known = [(host, _busy(host.row), _memory_used(host.row)) for host in pool.hosts]
    known.sort(key=lambda one: (one[0].up, -(one[1] or 0), one[0].name))
    tiles = "".join(_tile(*one) for one in known[:HOSTS_SHOWN])
    return f'<div class="tiles">{tiles}</div>{_more(len(known) - HOSTS_SHOWN, "hosts")}'


def _tile(host: Host, busy: float | None, memory: float | None) -> str:
    state = "up" if host.up else "down"
    meters = _meter("CPU", busy, "") + _meter("memory", memory, "memory")
    return (
        f'<div class="tile"><span class="dot {state}" title="{state}"></span>{_link("/probe?target=", host.name)}'
        f"<small>{_count(len(host.services), 'service')}</small>{meters if host.up else ''}</div>"
    )


def _meter(text: str, share: float | None, look: str) -> str:
    if share is None:
        return ""
    return (
        f'<div class="meter"><span class="soft">{text}</span>{_bar(share, 1.0, "busy" if share >= BUSY else look)}'
        f"<span class=n>{share:.0%}</span></div>"
    )


_IDLE, _TOTAL = counter_field(2003, "cpu_idle"), counter_field(2004, "mem_total")
_UNUSED = tuple(counter_field(2004, name) for name in ("mem_free", "mem_buffers", "mem_cached"))


def _busy(row: Row | None) -> float | None:
    """The share of a host's CPU time that is not idle."""
    operator = _IDLE.ganglia[0].operator.bind(_IDLE, row.form) if row is not None else None
    idle = operator(row) if operator is not None and row is not None else None
    return None if idle is None else min(max(1 - float(idle) / 100, 0.0), 1.0)


def _memory_used(row: Row | None) -> float | None:
    """The share of a host's memory that is neither free nor a cache."""
    total = _gauge(row, _TOTAL)
    return min(max(1 - sum(_gauge(row, one) for one in _UNUSED) / total, 0.0), 1.0) if total else None


def _gauge(row: Row | None, one: Field) -> float:
    """The value; 0 where it is not known."""
    index = row.form.value_index(one) if row is not None else None
    if row is None or index is None or row.values[index] == unavailable_value(one):
        return 0.0
    return float(row.values[index])


# --- the agents


def _agents(snapshot: Snapshot) -> str:
    if not snapshot.agents:
        return ""
    agents = sorted(snapshot.agents, key=lambda agent: (agent.up, agent.host, agent.address))
    rows = "".join(_agent(agent, snapshot.time) for agent in agents[:AGENTS_SHOWN])
    return (
        '<section class="card"><h2>Agents</h2><table><thead><tr><th>Address</th><th>Host</th><th>Pool</th>'
        "<th>State</th><th class=n>Heard</th><th class=n>Datagrams</th><th class=n>Lost</th><th class=n>Late</th>"
        f"<th class=n>Restarts</th></tr></thead><tbody>{rows}</tbody></table>"
        f"{_more(len(agents) - AGENTS_SHOWN, 'agents')}</section>"
    )


def _agent(agent: AgentStats, now: float) -> str:
    state = "up" if agent.up else "down"
    return (
        f"<tr><td><code>{escape(agent.address)}</code></td><td>{escape(agent.host)}</td><td>{escape(agent.pool)}</td>"
        f'<td><span class="dot {state}"></span>{state}</td><td class=n>{human_age(now - agent.last_heard)} ago</td>'
        f"<td class=n>{agent.datagrams:,}</td><td class=n>{agent.lost:,}</td><td class=n>{agent.reordered:,}</td>"
        f"<td class=n>{agent.restarts:,}</td></tr>"
    )


def _foot(snapshot: Snapshot) -> str:
    moment = datetime.fromtimestamp(snapshot.time, UTC)
    return f'<footer class="soft">{moment:%Y-%m-%d %H:%M:%S} UTC, loads itself again every {REFRESH} s</footer>'
