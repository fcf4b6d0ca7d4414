"""The state of everything at one instant: pools, hosts, services, and what the collector counted.

    Snapshot ─ pools ─▶ Pool ─ hosts ─▶ Host ─ services ─▶ Service ─▶ Row
                         └─ services ─▶ PoolService (one service over the hosts of the pool)

Values only: nothing here changes once it is made. A row holds what its source held, which
replaces but never changes it, and works its numbers out when they are first looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from .config import Config
from .layout import Form, Shape
from .remote import Remote
from .source import Latest, Source

_RECORD = struct.Struct("!II").unpack_from

SumKey = tuple[str, tuple[tuple[str, str], ...]]
"""A pool family's name and its constant labels."""

Place = tuple[str, str, str, str]
"""(pool, host, service, kind)"""
Info = tuple[str, str, str, str, str, str]
"""A place with UUID and data source."""


class _Held(NamedTuple):
    """What a row holds of its source. A merged row is `mended` throughout, and nothing is read from its bytes."""

    form: Form
    latest: Latest
    base: list[int | None]
    elapsed: float
    received: float
    alive: float
    texts: Mapping[str, str]
    moments: Mapping[int, float]
    missed: frozenset[int]
    interval: float


_HELD_OF = attrgetter(*_Held._fields)


class Row(_Held):
    """The numbers of one data source (or of several, merged under one name).

    `values` in the order of `form.fields`; `totals`, `base` and `deltas` in that of
    `form.counters`: the 64-bit total, what it was when it began to count for the pool, and
    what the last `elapsed` seconds added (None: not known). `received` is the time of the newest
    sample, `alive` that of the newest that proves its source to be alive; `interval` is the
    source's own, `moments` are start times by value index, `missed` the counters that the newest
    sample does not know.
    """

    values: tuple[Any, ...]
    totals: list[int | None]
    deltas: list[int | None]

    @classmethod
    def of(cls, source: Source) -> Row:
        """What the source holds now; one call takes all of it, for there are many sources."""
        held = _HELD_OF(source)
        return tuple.__new__(cls, held if held[-1] >= 1 else (*held[:-1], source.own_interval))

    def __getattr__(self, name: str) -> Any:
        """The numbers are worked out when they are first looked at."""
        if name not in ("values", "totals", "deltas"):
            raise AttributeError(name)
        found = self.__dict__[name] = getattr(self.latest, name)
        return found

    def record(self, tag: int) -> bytes:
        """The bytes of the newest sample's record with this tag; none without it."""
        raw, offset = self.latest.raw, 4
        while offset + 8 <= len(raw):
            found, length = _RECORD(raw, offset)
            if found == tag:
                return raw[offset + 8 : offset + 8 + length]
            offset += 8 + length
        return b""


class Rows(list[Row]):
    """Rows, and what they hold, each sort of thing in a list of its own.

    It is noted by `append`, while a row is made: when columns are read, the rows themselves are far away.
    `special` are the numbers of the rows that are not just what their samples say.
    """

    __slots__ = ("bases", "offsets", "samples", "shapes", "special")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        super().__init__()
        self.shapes: list[Shape] = []
        self.samples: list[bytes] = []
        self.offsets: list[tuple[int | None, ...]] = []
        self.bases: list[list[int | None]] = []
        self.special: list[int] = []
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """One more row."""
        _, (shape, raw, _, _, _, mended, offsets), base, _, _, _, _, _, missed, _ = row
        if missed or mended is not None:
            self.special.append(len(self))
        list.append(self, row)
        self.shapes.append(shape)
        self.samples.append(raw)
        self.offsets.append(offsets)
        self.bases.append(base)

    def some(self, numbers: Sequence[int]) -> Rows:
        """The rows of these numbers, without a look at any."""
        special, found = set(self.special), Rows()
        list.extend(found, [self[number] for number in numbers])
        found.shapes = [self.shapes[number] for number in numbers]
        found.samples = [self.samples[number] for number in numbers]
        found.offsets = [self.offsets[number] for number in numbers]
        found.bases = [self.bases[number] for number in numbers]
        found.special = [at for at, number in enumerate(numbers) if number in special]
        return found


class Service(NamedTuple):
    """A service on one host.

    `place` is (pool, host, service, kind) and `info` that with UUID and data source
    (class:index); they are the same objects in every snapshot while nothing of them changes.
    `group` is the service's name in the pool.
    """

    info: Info
    place: Place
    row: Row
    group: str

    @property
    def ds(self) -> str:
        """The data source as class:index."""
        return self.info[5]

    @property
    def name(self) -> str:
        """What it is called on its host."""
        return self.place[2]

    @property
    def kind(self) -> str:
        """systemd, container, vm, jvm or app."""
        return self.place[3]


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a host."""

    name: str
    index: int
    row: Row


@dataclass(frozen=True, slots=True)
class Host:
    """A host: its agent, its own numbers (`row`, None while it is down or unknown) and its services.

    `announced` says that the name is the host's own, not its agent's address. Times are in
    seconds since the epoch, `interval` in seconds. `started` is when the agent started last,
    `born` when the host had booted when it was first heard (0: not known): its counters were 0.
    """

    name: str
    address: str
    pool: str
    up: bool
    announced: bool
    row: Row | None
    texts: Mapping[str, str]
    services: tuple[Service, ...]
    interfaces: tuple[Interface, ...]
    first_heard: float
    last_heard: float
    interval: float
    started: float
    born: float


@dataclass(slots=True)
class PoolService:
    """One service over all hosts of a pool. `members` are those that live now, at `places`."""

    name: str
    kind: str
    members: list[Service] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    rows: Rows = field(default_factory=Rows)
    """The rows of all members, also of those that have fallen silent but are not forgotten."""
    plain: bool = True
    """Whether each row is that of the member at the same place: all live, and none are merged."""
    kept: Mapping[SumKey, int] = field(default_factory=dict)

    def add(self, member: Service) -> None:
        """One more that lives."""
        self.members.append(member)
        self.places.append(member.place)

    def sums(self) -> dict[SumKey, int]:
        """Raw increases of all members, past and present, by pool family."""
        return _sum_increases(self.rows, self.kept)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of hosts: a CLUSTER in Ganglia's words."""

    name: str
    hosts: tuple[Host, ...]
    services: tuple[PoolService, ...]
    rows: Rows
    kept: Mapping[SumKey, int]

    def sums(self) -> dict[SumKey, int]:
        """Raw increases of all hosts, past and present, by pool family."""
        return _sum_increases(self.rows, self.kept)


@dataclass(frozen=True, slots=True)
class AgentStats:
    """What one agent's streams and sources have counted."""

    address: str
    host: str
    pool: str
    sub_agents: tuple[int, ...]
    datagrams: int
    lost: int
    reordered: int
    restarts: int
    samples_lost: int
    resets: Mapping[str, int]
    sources: int
    last_heard: float
    up: bool
    first_heard: float
    samples: Mapping[str, int]
    clock_agrees: bool = True
    """Whether its uptime grows as fast as our clock."""
    conflicts: int = 0
    """Datagrams of another machine that announces the same address."""


@dataclass(frozen=True, slots=True)
class CollectorStats:
    """What the collector has counted since it started. The keys are label values."""

    datagrams: int
    bytes: int
    kernel_drops: int
    receive_buffer: int
    samples: Mapping[str, int]
    records: Mapping[str, int]
    decode_errors: Mapping[str, int]
    unknown_records: Mapping[str, int]
    dropped: Mapping[str, int]
    series_dropped: Mapping[str, int]
    started: float
    """When the first agent was heard: then all sums of pools were 0. 0 without one."""
    service_series: int = 0
    """What counts against [services] series."""
    memory: int = 0
    """What counts against [sflow] memory."""
    resets: Mapping[str, int] = field(default_factory=dict)
    """Steps of counters that were no plain increases, by reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything at `time`, in seconds since the epoch."""

    time: float
    config: Config
    pools: tuple[Pool, ...]
    agents: tuple[AgentStats, ...]
    stats: CollectorStats
    remotes: tuple[Remote, ...] = ()
    """What has been read from other collectors."""

    def hosts(self) -> Iterable[Host]:
        """All hosts of all pools."""
        for pool in self.pools:
            yield from pool.hosts


def by_form(rows: Iterable[Row]) -> dict[Form, list[Row]]:
    """Rows of one form together, so that a field can be read as a column."""
    forms: dict[Form, list[Row]] = {}
    for row in rows:
        forms.setdefault(row.form, []).append(row)
    return forms


def _sum_increases(rows: Iterable[Row], kept: Mapping[SumKey, int]) -> dict[SumKey, int]:
    sums = dict(kept)
    for form, members in by_form(rows).items():
        if not form.pool_counters:
            continue
        totals = list(zip(*(row.totals for row in members), strict=True))
        base = list(zip(*(row.base for row in members), strict=True))
        for index, key in form.pool_counters:
            added = _increase(totals[index], base[index])
            if added is not None:
                sums[key] = sums.get(key, 0) + added
    return sums


def _increase(totals: Sequence[int | None], base: Sequence[int | None]) -> int | None:
    """What all have done since they began to count; None where that is not known of any."""
    if None in totals or None in base:
        known = [a - b for a, b in zip(totals, base, strict=True) if a is not None and b is not None]
        return sum(known) if known else None
    return sum(totals) - sum(base)  # type: ignore[arg-type]
