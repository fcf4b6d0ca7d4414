"""What the pools have done in all: the work of members that moved, changed or left.

A pool's total is the sum of its members' increases. Those of present members stand in their
rows (total minus base); the ledger keeps those of the others, so that no pool total falls.
"""

from __future__ import annotations

from collections.abc import Mapping

from .pools import OTHER, OVERFLOW
from .schema import Role
from .source import Source

Key = tuple[str, str, str]
"""(pool, service, kind); the service is "" for the hosts' own counters."""
Sums = dict[tuple[str, tuple[tuple[str, str], ...]], int]
"""Raw increases by family name and constant labels."""

LIMIT = 100_000
"""How many services of pools are kept apart at the most; what comes after them is kept under one name."""
SERIES = 20
"""That many series of the limit over all hosts make room for one more of them."""
DEPARTED = 1_000
"""How many merged services of a host keep what members did that have gone."""


class Ledger:
    """Sums of increases of what is no longer there, by pool, service and family."""

    def __init__(self, series: int) -> None:
        self.sums: dict[Key, Sums] = {}
        self.version = 0
        """Another one each time that work goes from a member to the ledger."""
        self.set_limit(series)

    def set_limit(self, series: int) -> None:
        """`series` are those of services that there may be. What is kept apart already stays so."""
        self._limit = min(LIMIT, max(series // SERIES, 1))

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
        if service and (pool, service, kind) not in self.sums and len(self.sums) >= self._limit:
            service, kind = OVERFLOW, OTHER
        return self.sums.setdefault((pool, service, kind), {})

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

    def _keep(self, source: Source, sign: int) -> None:
        departed = source.agent.departed
        if source.service in ("", source.name, OVERFLOW):
            return
        if source.service not in departed and len(departed) >= DEPARTED:
            return
        for one, total in zip(source.form.counters, source.totals, strict=True):
            if total and one.family is not None:
                kept = departed.setdefault(source.service, {})
                key = (one.family.name, one.name)
                kept[key] = kept.get(key, 0) + sign * total

    def of(self, pool: str, service: str, kind: str) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], int]:
        """What has been kept for a service of a pool."""
        return self.sums.get((pool, service, kind), {})
