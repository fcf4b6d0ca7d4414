"""The table in the terminal: services by pool, as they are now."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporters.overview import PoolLines, human_bytes, overview

from .snapshot import Snapshot

REFRESH = 1.0
"""Seconds between two drawings."""
_CHROME = 6
"""Lines that a pool's table needs besides its services."""


class LiveTable:
    """Draws `snapshot()` once a second, from a thread of its own, below `head`."""

    def __init__(self, snapshot: Callable[[], Snapshot], head: str, console: Console) -> None:
        self._snapshot = snapshot
        self._head = head
        self._console = console
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="live-table", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def stop(self) -> None:
        """Draw no more; what was drawn last stays on the terminal."""
        self._ending.set()
        self._thread.join(2.0)

    def _draw(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            while not self._ending.is_set():
                live.update(self._screen(), refresh=True)
                self._ending.wait(REFRESH)

    def _screen(self) -> RenderableType:
        snapshot = self._snapshot()
        pools = overview(snapshot)
        room = max(self._console.size.height - self._head.count("\n") - 4, 10)
        parts: list[RenderableType] = [Text(self._head)]
        if not pools:
            parts.append(Text("Waiting for the first agent ...", style="dim"))
        for pool in pools:
            shown = max(room // len(pools) - _CHROME, 3)
            parts.append(pool_table(pool, shown))
        stats = snapshot.stats
        line = f"{stats.datagrams:,} datagrams, {stats.kernel_drops:,} dropped by the kernel. Ctrl-C ends."
        return Group(*parts, Text(line, style="dim"))


def pool_table(pool: PoolLines, shown: int) -> Table:
    """One pool's services, `shown` of them at the most."""
    down = f", {pool.down} down" if pool.down else ""
    table = Table(title=f"pool {pool.name}: {pool.up} hosts up{down}", title_justify="left", expand=False)
    table.add_column("service")
    table.add_column("kind", style="dim")
    for column in ("hosts", "CPUs used", "memory", "I/O per s"):
        table.add_column(column, justify="right")
    for line in pool.services[:shown]:
        table.add_row(
            Text(line.name),
            line.kind,
            str(line.hosts),
            f"{line.cpus:.3f}",
            human_bytes(line.memory),
            human_bytes(line.io),
        )
    if len(pool.services) > shown:
        table.caption = f"and {len(pool.services) - shown} more"
    return table
