"""What a dashboard consists of, in plain values: queries, panels, rows and variables.

Expressions are PromQL with Grafana's variables. A variable with one value is compared with =, one
with several with =~, for that is how Grafana escapes their values.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RATE = "[$__rate_interval]"
"""The range of every rate: Grafana's own choice for the time that is shown."""
Step = tuple[str, float]
"""From this value on, a panel has this colour; the value of the first one does not matter."""
GOOD_BAD: tuple[Step, ...] = (("green", 0), ("red", 1))
RATIO: tuple[Step, ...] = (("green", 0), ("yellow", 0.7), ("red", 0.9))


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What all panels have. Width is in 24ths, height in Grafana's units of 30 pixels."""

    title: str
    description: str
    unit: str = "short"
    width: int = 12
    height: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(Panel):
    """Series over time. Those whose legend ends in `below` are drawn downwards."""

    queries: tuple[Query, ...]
    stacked: bool = False
    below: str = ""
    highest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(Panel):
    """One number, and its course behind it. `words` are shown instead of numbers."""

    query: Query
    steps: tuple[Step, ...] = (("text", 0),)
    words: tuple[tuple[float, str, str], ...] = ()
    width: int = 4
    height: int = 4


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers: its expression leaves the table's labels, and no others."""

    title: str
    expr: str
    unit: str = "short"
    gauge: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A column of texts. `link` is another dashboard, with ${__data.fields.TITLE} for the texts of the row."""

    name: str
    title: str
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """The newest numbers: a row for each set of labels, sorted by the column `sort`, greatest first."""

    labels: tuple[Label, ...]
    columns: tuple[Column, ...]
    sort: str
    width: int = 24
    height: int = 9


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading. Closed rows ask nothing until somebody opens them."""

    title: str
    panels: tuple[Graph | Stat | Table, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """What the reader can choose: the values of a label of a metric."""

    name: str
    title: str
    values: str
    several: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels; `uid` is the part of its address that never changes."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...] = field(default=())


def link_to(uid: str, **values: str) -> str:
    """The address of another dashboard, for the same data source and time: variables to the table's titles."""
    chosen = "".join(f"&var-{name}=${{__data.fields.{title}}}" for name, title in values.items())
    return f"/d/{uid}?var-datasource=${{datasource}}{chosen}&${{__url_time_range}}"
