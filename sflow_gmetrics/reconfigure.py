"""Another configuration for a collector that is at work: who is heard, in which pool, and under which name.

Nothing that is shown falls. A host that moves leaves what it has done to its old pool, and a
service that gets another name to its old name; it counts for the new one from then on. What was
excluded comes back with its own totals, and has done nothing for its pool meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from .agent import Agent
from .collector import Collector
from .config import Config
from .derive import in_turns
from .pools import OTHER, OVERFLOW, AllowList, PoolMap, ServiceMap
from .schema import Role
from .source import Source

AT_ONCE = 200
"""How many sources are looked at before others may have a turn."""


def reconfigure(collector: Collector, config: Config, pause: Callable[[], None] | None = None) -> None:
    """Let the collector go on with this configuration.

    `pause` is called again and again, between two agents, and the collector may take datagrams
    meanwhile. Nobody makes a snapshot until this returns, for it would show some agents as they were.
    """
    collector.config = config
    collector.pools = PoolMap(config.pools, config.gmond.cluster)
    collector.service_map = ServiceMap(config.services)
    collector.allow = AllowList(config.sflow.allow)
    collector.limits.config, collector.limits.most_memory = config.services, config.sflow.memory
    collector.ledger.set_limit(config.services.series)
    collector.next_sweep = 0.0
    for agent in in_turns(list(collector.agents.values()), pause, AT_ONCE):
        if collector.agents.get(agent.address) is not agent:
            continue
        if collector.allow.allows(agent.address):
            agent.settle()
            collector.move(agent, collector.pools.pool_of(agent.name or agent.address, agent.address))
            _rename(collector, agent)
        else:
            collector.forget_sources(agent, inf)
            collector.forget_agent(agent, "it is no longer in [sflow] allow")
    for agent in in_turns(list(collector.agents.values()), pause, AT_ONCE):
        agent.settle()
        collector.limits.fold(agent, lambda source: collector.ledger.rename(source, source.name, OVERFLOW, OTHER))
        if agent.folded:
            collector.limits.unfold(agent, lambda source: collector.name_source(source, source.values))
        _include(collector, agent)


def _rename(collector: Collector, agent: Agent) -> None:
    """Give the services that are shown the names that they have now, or none."""
    for source in agent.sources.values():
        if source.role is Role.SERVICE:
            collector.limits.release(source)
            collector.name_source(source, source.values)
            collector.limits.hold(source)


def _include(collector: Collector, agent: Agent) -> None:
    """Show services that were excluded and are no longer."""
    for source in agent.sources.values():
        if _is_excluded(source) and collector.service_map.service_of(source.name):
            collector.limits.release(source)
            source.role = Role.SERVICE
            collector.name_source(source, source.values)
            collector.limits.hold(source)


def _is_excluded(source: Source) -> bool:
    return source.role is Role.NONE and source.form.role(source.ds_class) is Role.SERVICE
