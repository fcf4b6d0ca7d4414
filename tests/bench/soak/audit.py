"""The pools' totals held against what the fleet says it has really done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sflow_gmetrics.simulation import Ledger, Work

from .readings import Page

FAMILIES = {
    "sflow_pool_service_cpu_seconds_total": 1000,
    "sflow_pool_service_disk_read_bytes_total": 1,
    "sflow_pool_service_disk_written_bytes_total": 1,
}
"""The families of a `Work`, in its order, and how many of its units are one of theirs."""
Key = tuple[str, str]


@dataclass
class Audits:
    """All comparisons up to now: `wrong` says what was out of bounds, `missed` which share of all work was missing."""

    wrong: list[str] = field(default_factory=list)
    made: int = 0
    compared: int = 0
    missed: list[float] = field(default_factory=lambda: [0.0] * len(FAMILIES))

    def audit(self, page: Page, ledger: Ledger) -> None:
        """Each service of each pool by its name, and the sum over all services of a pool.

        A truthful total lies between what is certain and what was done. A service that is not on
        the page any more is part of the sum under another name.
        """
        self.made += 1
        shown = shown_work(page)
        for key, work in shown.items():
            account = ledger.accounts.get(key)
            if account is not None:
                self._compare(" ".join(key), account.certain, work, account.done)
        done = Work()
        known = Work()
        for pool in {pool for pool, _ in ledger.accounts}:
            accounts = ledger.pool(pool).values()
            total = _sum(work for (of, _), work in shown.items() if of == pool)
            true = _sum(one.done for one in accounts)
            self._compare(f"pool {pool}", _sum(one.certain for one in accounts), total, true)
            done, known = done.plus(true), known.plus(total)
        self.missed = [1 - have / all_of_it if all_of_it else 0.0 for have, all_of_it in zip(known, done, strict=True)]

    def _compare(self, what: str, certain: Work, total: Work, done: Work) -> None:
        self.compared += 1
        if not all(least <= have <= most for least, have, most in zip(certain, total, done, strict=True)):
            self.wrong.append(f"{what} has {total}, not between {certain} and {done}")


def shown_work(page: Page) -> dict[Key, Work]:
    """What a page says that each service of each pool has done."""
    found: dict[Key, list[int]] = defaultdict(lambda: [0] * len(FAMILIES))
    for index, (name, units) in enumerate(FAMILIES.items()):
        for labels, value in page.of(name):
            found[labels["pool"], labels["service"]][index] += round(value * units)
    return {key: Work(*numbers) for key, numbers in found.items()}


def _sum(works: Iterable[Work]) -> Work:
    total = Work()
    for one in works:
        total = total.plus(one)
    return total
