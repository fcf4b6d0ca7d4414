"""The table in the terminal: services by pool, as they are now."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporters.overview import PoolLines, human_bytes, overview

from .snapshot import Snapshot

REFRESH = 1.0
"""Seconds between two drawings."""
_CHROME = 5
"""Lines that a pool's table needs besides its services."""
_BAR = 10
"""Characters of the longest bar."""
_OTHERS = 52
"""Characters that the columns besides the service's name take, without the bar's."""
_WITH_BARS = 84
"""In fewer characters there are no bars."""


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
                live.update(screen(self._snapshot(), self._head, *self._console.size), refresh=True)
                self._ending.wait(REFRESH)


def screen(snapshot: Snapshot, head: str, width: int, height: int) -> RenderableType:
    """What is drawn: the head, a table for each pool, and a line about the collector, in `height` lines if it can."""
    pools = overview(snapshot)
    room = max(height - head.count("\n") - 4, 10)
    parts: list[RenderableType] = [Text(head)]
    if not pools:
        parts.append(Text("Waiting for the first agent ...\n", style="dim"))
    for pool in pools:
        parts += [Text(), pool_table(pool, max(room // len(pools) - _CHROME, 3), width)]
    stats = snapshot.stats
    drops = Text(f"{stats.kernel_drops:,} dropped by the kernel", style="bold red" if stats.kernel_drops else "dim")
    parts.append(Text.assemble((f"\n{stats.datagrams:,} datagrams, ", "dim"), drops, (". Ctrl-C ends.", "dim")))
    return Group(*parts)


def pool_table(pool: PoolLines, shown: int, width: int) -> Table:
    """One pool's services, `shown` of them at the most, in `width` characters."""
    title = Text.assemble(f"pool {pool.name} ", (f"{pool.up} hosts up", "green"))
    if pool.down:
        title.append(f", {pool.down} down", "bold red")
    left = len(pool.services) - shown
    bars = width >= _WITH_BARS
    room = width - _OTHERS - (_BAR + 2 if bars else 0)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
        caption=f"and {left} more" if left > 0 else None,
    )
    table.add_column("service", width=min(max(room, 16), 40), no_wrap=True)
    table.add_column("kind", style="dim", width=9, no_wrap=True)
    for heading, size in (("hosts", 5), ("CPUs used", 9)):
        table.add_column(heading, justify="right", width=size, no_wrap=True)
    if bars:
        table.add_column("", width=_BAR, style="bright_blue")
    for heading in ("memory", "I/O per s"):
        table.add_column(heading, justify="right", width=9, no_wrap=True)
    most = max((line.cpus for line in pool.services), default=0.0)
    for line in pool.services[:shown]:
        length = [bar(line.cpus, most)] if bars else []
        numbers = (f"{line.hosts:,}", f"{line.cpus:.3f}", *length, human_bytes(line.memory), human_bytes(line.io))
        table.add_row(Text(line.name), line.kind, *numbers)
    return table


def bar(value: float, most: float) -> str:
    """A bar in halves of a character, the longest for `most`; a value above 0 is always seen."""
    halves = max(round(_BAR * 2 * value / most), 1) if value > 0 and most > 0 else 0
    return "━" * (halves // 2) + "╸" * (halves % 2)
