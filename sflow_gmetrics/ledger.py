"""What the pools have done in all: the work of members that moved, changed or left.

A pool's total is the sum of its members' increases. Those of present members stand in their
rows (total minus base); the ledger keeps those of the others, so that no pool total falls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .pools import OTHER, OVERFLOW
from .schema import Role
from .source import Source

if TYPE_CHECKING:
    from .agent import Agent

Key = tuple[str, str, str]
"""(pool, service, kind); the service is "" for the hosts' own counters."""
Sums = dict[tuple[str, tuple[tuple[str, str], ...]], int]
"""Raw increases by family name and constant labels."""

LIMIT = 100_000
"""How many services that no host of the pool has any more are kept apart at the most: those that went last."""
SERIES = 20
"""That many series of the limit over all hosts make room for one more of them."""
SPARE = 10
"""Where there is no room, it is made for one in so many of them."""
KEPT_MEMORY = 300
"""About how many bytes each number takes that a merged service keeps of members that have gone."""


class Ledger:
    """Sums of increases of what is no longer there, by pool, service and family.

    What was added to last stands last in `sums`. `agents` are those who have the members, and
    `take_memory` is told how many bytes more one of them takes.
    """

    def __init__(self, series: int, agents: Mapping[str, Agent], take_memory: Callable[[Agent, int], None]) -> None:
        self.sums: dict[Key, Sums] = {}
        self._agents = agents
        self._take_memory = take_memory
        self.version = 0
        """Another one each time that work goes from a member to the ledger."""
        self.set_limit(series)

    def set_limit(self, series: int) -> None:
        """`series` are those of services that there may be."""
        self._limit = self._full = min(LIMIT, max(series // SERIES, 1))

    def retire(self, source: Source) -> None:
        """Keep what the source has done for its pool, and let it begin from here. What is not shown does nothing."""
        if source.role is not Role.HOST and source.role is not Role.SERVICE:
            return
        if source.role is Role.SERVICE and not source.service:
            source.base = list(source.totals)
            return
        sums: Sums | None = None
        for index, key in source.form.pool_counters:
            total, base = source.totals[index], source.base[index]
            if total is None or base is None or total == base:
                continue
            if sums is None:
                sums = self._open(source.agent.pool, source.service, source.kind)
                self.version += 1
                source.agent.moved = self.version
            sums[key] = sums.get(key, 0) + total - base
        source.base = list(source.totals)

    def _open(self, pool: str, service: str, kind: str) -> Sums:
        key = pool, service, kind
        sums = self.sums.pop(key, None)
        if sums is None and len(self.sums) >= self._full:
            self._make_room()
        return self.sums.setdefault(key, sums or {})

    def _make_room(self) -> None:
        """Those that have gone longest ago are kept under one name of their pool. Who has a member stays."""
        present = {
            (agent.pool, source.service, source.kind)
            for agent in self._agents.values()
            for source in agent.sources.values()
            if source.role is Role.SERVICE
        }
        gone = [key for key in self.sums if key[1] not in ("", OVERFLOW) and key not in present]
        spare = max(self._limit // SPARE, 1)
        for key in gone[: max(len(gone) - self._limit + spare, 0)]:
            others = self.sums.setdefault((key[0], OVERFLOW, OTHER), {})
            for name, count in self.sums.pop(key).items():
                others[name] = others.get(name, 0) + count
        self._full = len(self.sums) + spare

    def rename(self, source: Source, name: str, service: str, kind: str) -> None:
        """A source has another name, or kind, from now on: what it has done so far stays with the old one."""
        kind = OTHER if service == OVERFLOW else kind
        before = source.service
        if (service, kind) != (before, source.kind):
            self.retire(source)
        if service != before:
            self.depart(source)
        source.name, source.service, source.kind = name, service, kind
        if service != before:
            self.join(source)

    def depart(self, source: Source) -> None:
        """A member of a merged service (several units under one name) goes: its host keeps its totals."""
        self._keep(source, 1)

    def join(self, source: Source) -> None:
        """A source becomes such a member: what it has done before is not the merged service's."""
        self._keep(source, -1)

    def begin(self, source: Source) -> None:
        """A source has been heard for the first time. The same holds for it, unless it is the first of its service."""
        agent, service = source.agent, source.service
        if service in ("", OVERFLOW):
            return
        others = (one.service == service and one is not source for one in agent.sources.values())
        is_first = service not in agent.departed and (service == source.name or not any(others))
        if service != source.name:
            agent.departed.setdefault(service, {})
        if not is_first:
            self.join(source)
        if len(agent.departed) > 2 * len(agent.sources) + SPARE:
            self.release(agent)

    def release(self, agent: Agent) -> None:
        """Merged services that no source of the agent has any more are on no page: they keep nothing."""
        if agent.departed:
            present = {source.service for source in agent.sources.values()}
            for service in agent.departed.keys() - present:
                self._take_memory(agent, -KEPT_MEMORY * len(agent.departed.pop(service)))

    def _keep(self, source: Source, sign: int) -> None:
        """Who bears the service's own name is a member like others where there are others, or have been."""
        departed, totals = source.agent.departed, source.totals
        if source.service in ("", OVERFLOW) or totals.count(None) == len(totals):
            return
        if source.service == source.name and source.service not in departed:
            return
        kept = departed.setdefault(source.service, {})
        before = len(kept)
        for one, total in zip(source.form.counters, totals, strict=True):
            if total and one.family is not None:
                key = (one.family.name, one.name)
                kept[key] = kept.get(key, 0) + sign * total
        self._take_memory(source.agent, KEPT_MEMORY * (len(kept) - before))

    def of(self, pool: str, service: str, kind: str) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], int]:
        """What has been kept for a service of a pool."""
        return self.sums.get((pool, service, kind), {})
