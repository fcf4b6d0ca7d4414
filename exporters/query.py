"""The parameters of a request for a page, and the selection that they mean.

What is not chosen is as configured. A wrong parameter raises QueryError, which names the cure:
a page that is another one than was asked for would be taken for the truth.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import replace

from sflow_gmetrics.config import GROUPS, WEB_LEVELS, Config
from sflow_gmetrics.errors import QueryError
from sflow_gmetrics.structures import COUNTER_RECORDS

from .families import EXTRAS
from .runtime_families import RUNTIME
from .selection import Selection

SHARDS = 1_000
"""The greatest number of shards."""
METRICS = ("level", "group", "pool", "shard", "name[]")
"""The parameters of /metrics."""
PROBE = ("target", "level", "group", "name[]")
"""The parameters of /probe."""
ONE_HOST = frozenset(("host", "service"))
"""The levels that say something of one host."""

FAMILIES = frozenset(
    (
        *(extra.name for extra in EXTRAS),
        *(
            family.name
            for structure in COUNTER_RECORDS.values()
            for one in structure.fields
            if one.family is not None
            for family in (one.family, one.family.pool)
            if family is not None
        ),
    )
)
"""The name of every family that a snapshot can have."""
NAMES = tuple(sorted(FAMILIES.union(one.name for one in RUNTIME)))
"""The name of every family that a page can have."""


def parse_metrics_query(parameters: Iterable[tuple[str, str]], config: Config) -> Selection:
    """The selection of /metrics. Raises QueryError."""
    given = collect_parameters(parameters, METRICS)
    base = Selection.of(config)
    selection = _with_families(base, given)
    if "pool" in given:
        levels = selection.levels if "level" in given else selection.levels - {"collector"}
        selection = replace(selection, pools=choose_pools(given, config), levels=levels)
    if "shard" in given:
        selection = replace(selection, shard=parse_shard(single(given, "shard")))
    return selection


def parse_probe_query(parameters: Iterable[tuple[str, str]], config: Config, agents: Container[str] = ()) -> Selection:
    """The selection of /probe: one host. What is an address of `agents` is no host's name. Raises QueryError."""
    given = collect_parameters(parameters, PROBE)
    target = single(given, "target", "the name of a host or the address of its agent")
    selection = _with_families(Selection.of(config), given)
    if "level" not in given:
        selection = replace(selection, levels=selection.levels & ONE_HOST or ONE_HOST)
    if beside := sorted(selection.levels - ONE_HOST):
        raise QueryError(f"level={beside[0]} says nothing of one host: take host or service, or ask /metrics")
    return replace(selection, agent=target) if target in agents else replace(selection, host=target)


def _with_families(base: Selection, given: Mapping[str, list[str]]) -> Selection:
    """Levels, groups and names. Families chosen by name are shown whatever level and group they are of."""
    names = frozenset(_words(given, "name[]", NAMES))
    base = replace(base, names=names)
    if names:
        base = replace(base, levels=frozenset(WEB_LEVELS), groups=frozenset(GROUPS))
    if "level" in given:
        base = replace(base, levels=frozenset(_words(given, "level", WEB_LEVELS)))
    if "group" in given:
        base = replace(base, groups=frozenset(_words(given, "group", GROUPS)))
    return base


def choose_pools(given: Mapping[str, list[str]], config: Config) -> frozenset[str]:
    """The pools that ?pool= names. Raises QueryError for one that cannot be."""
    return frozenset(_words(given, "pool", sorted({config.gmond.cluster, *(pool.name for pool in config.pools)})))


def collect_parameters(parameters: Iterable[tuple[str, str]], known: Collection[str]) -> dict[str, list[str]]:
    """The parameters by name. Raises QueryError for one that is not known, or that has no value."""
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        if name not in known:
            raise QueryError(unknown("parameter", name, f"?{name}=", known))
        if not value:
            raise QueryError(f"?{name}= has no value")
        given.setdefault(name, []).append(value)
    return given


def single(given: Mapping[str, list[str]], name: str, meaning: str = "") -> str:
    """The value of a parameter that stands once. Raises QueryError."""
    values = given.get(name, [])
    if len(values) != 1:
        times = "is missing" if not values else f"stands {len(values)} times"
        raise QueryError(f"?{name}= {times}: give it once" + (f", {meaning}" if meaning else ""))
    return values[0]


def parse_shard(text: str) -> tuple[int, int]:
    """I/N as two numbers. Raises QueryError."""
    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text, re.ASCII)
    number, shards = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= shards <= SHARDS:
        raise QueryError(f"?shard={text}: a shard is I/N, as in 3/8, with I from 1 to N and N at most {SHARDS}")
    return number, shards


def _words(given: Mapping[str, list[str]], name: str, known: Collection[str]) -> list[str]:
    """The values of a parameter that may stand several times. Raises QueryError for one that is not known."""
    for value in given.get(name, []):
        if value not in known:
            raise QueryError(unknown("value", value, f"?{name}={value}", known))
    return given.get(name, [])


def unknown(what: str, word: str, where: str, known: Collection[str]) -> str:
    """The message for a parameter or value that is not known; of a long list only the nearest one is shown."""
    near = difflib.get_close_matches(word, known, 1, 0.5)
    if near:
        return f"unknown {what} {where!r}; did you mean {near[0]!r}?"
    shown = ", ".join(known) if len(known) < 50 else "what 'sflow-gmetrics metrics' lists"
    return f"unknown {what} {where!r}; known here: {shown}"
