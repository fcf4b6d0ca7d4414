"""The simulated fleet on a real network: sockets and sleep around Fleet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..replay import open_sender
from .fleet import Churn, Fleet


def run(
    host: str,
    port: int,
    *,
    hosts: int,
    services: int,
    interval: float = 20.0,
    seed: int = 1,
    churn: Churn | None = None,
    duration: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Fleet:
    """Send a fleet's datagrams to a collector for `duration` seconds; the fleet, with its ledger, is the result.

    Raises InputError when the name of the target is not known.
    """
    start = clock()
    fleet = Fleet(hosts, services, interval, seed=seed, start=start, churn=churn)
    with open_sender(host, port) as sender:
        while (now := clock()) - start < duration:
            for _, payload in fleet.datagrams(now):
                sender.send(payload)
            pause = min(fleet.next_due, start + duration) - clock()
            if pause > 0:
                sleep(pause)
    return fleet
