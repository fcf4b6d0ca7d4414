"""The true work of a simulated fleet, to hold a collector's totals against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Work(NamedTuple):
    """CPU time in ms and bytes read and written."""

    cpu_ms: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    def plus(self, other: Work) -> Work:
        """Both together."""
        return Work(self[0] + other[0], self[1] + other[1], self[2] + other[2])

    def minus(self, other: Work) -> Work:
        """What this one has more."""
        return Work(self[0] - other[0], self[1] - other[1], self[2] - other[2])


NOTHING = Work()


@dataclass(slots=True)
class Account:
    """The work of one service name in one pool.

    `done` is all that was done from the first sample of each service to its newest sample or
    its end. `certain` is the part between two valid samples of one unbroken series: without
    restarts the two are equal, and with them a truthful total lies between `certain` and `done`.
    Each of `breaks` is an end or a new beginning of a series. It takes from `certain` the work of
    at most one interval, and of reading and writing that of one more, where the agent sends a
    sample below zero.
    """

    done: Work = NOTHING
    certain: Work = NOTHING
    breaks: int = 0


@dataclass(slots=True)
class Ledger:
    """Accounts by pool and service name."""

    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)

    def account(self, pool: str, service: str) -> Account:
        """The account of a service in a pool, opened when it is not there yet."""
        return self.accounts.setdefault((pool, service), Account())

    def pool(self, pool: str) -> Mapping[str, Account]:
        """The accounts of one pool by service name."""
        return {service: account for (name, service), account in self.accounts.items() if name == pool}

    def service(self, service: str) -> Account:
        """What all pools together did under this service name."""
        total = Account()
        for (_, name), account in self.accounts.items():
            if name == service:
                total.done = total.done.plus(account.done)
                total.certain = total.certain.plus(account.certain)
                total.breaks += account.breaks
        return total
