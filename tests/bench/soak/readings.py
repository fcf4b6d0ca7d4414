"""Pages of /metrics as numbers, and whether any total has fallen between two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TYPE = re.compile(r"# TYPE (\S+) (counter|histogram|summary)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_LASTING = ("sflow_pool_", "sflow_collector_", "process_", "python_")
"""What these count they count for as long as the program lives."""


@dataclass(frozen=True)
class Page:
    """The samples of a page by name and labels, as they are written there, and the names that are totals."""

    values: Mapping[str, float]
    totals: frozenset[str]
    format: str = ""

    def sum(self, name: str, **labels: str) -> float:
        """All samples of this name with these labels."""
        return sum(value for found, value in self.of(name) if labels.items() <= found.items())

    def of(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and value of each sample of this name."""
        for series, value in self.values.items():
            if series.partition("{")[0] == name:
                yield dict(_LABEL.findall(series)), value


def read_page(text: str, format: str = "") -> Page:
    """A page of either format, which `format` names."""
    values: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            values[series] = float(value)
    totals: set[str] = set()
    for name, kind in _TYPE.findall(text):
        plain = name.removesuffix("_total")
        totals.update({f"{plain}_total"} if kind == "counter" else {f"{name}{end}" for end in _ENDS})
    return Page(values, frozenset(totals), format)


_ENDS = ("_sum", "_count", "_bucket")


@dataclass
class Totals:
    """What every total was when it was last seen.

    A host that has been silent for `remembered` seconds is forgotten; its totals may begin
    anew. Those of pools and of the collector may not. A silent service leaves the page long
    before, but an agent's own totals stand there until it is forgotten: for them it counts when
    they were still to change. One format may be a moment older than the other; each is held
    against itself.
    """

    remembered: float
    fallen: list[str] = field(default_factory=list)
    seen: dict[tuple[str, str], tuple[float, float, float]] = field(default_factory=dict)
    """By format and series: the value, when it could last change, and when it was last there."""
    looked: int = 0
    last: dict[str, float] = field(default_factory=dict)
    """When each format was seen last."""

    def look(self, page: Page, now: float) -> None:
        """Compare a page with those before it."""
        last = self.last.get(page.format, now)
        self.last[page.format] = now
        for series, value in page.values.items():
            name = series.partition("{")[0]
            if name not in page.totals:
                continue
            self.looked += 1
            key = page.format, series
            before, when, _ = self.seen.get(key, (value, last, now))
            if value < before and (name.startswith(_LASTING) or now - when < self.remembered):
                self.fallen.append(f"{series} fell from {before:.17g} to {value:.17g}")
            if not name.startswith("sflow_agent_"):
                when = now
            elif value != before:
                when = last
            self.seen[key] = value, when, now
        for key in [one for one, (_, _, there) in self.seen.items() if now - there > self.remembered]:
            if not key[1].startswith(_LASTING):
                del self.seen[key]
