"""What a declaration is made of: fields, structures, Ganglia metrics and Prometheus families.

A structure of the sFlow specification is declared once, in `structures/`, as a tuple of
fields. A field says how it travels (its XDR type), what it counts (kind and unit), how fast
it can grow at most (`bound`), which Prometheus family shows it (`family`) and which Ganglia
metrics are derived from it (`ganglia`). Decoder, collector, every output and the tables of
the README follow from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .errors import DeclarationError
from .xdr import F32, U32, U64, XdrType

if TYPE_CHECKING:
    from .operators import Operator


class Kind(Enum):
    """What a field's number means."""

    COUNTER = "counter"
    GAUGE = "gauge"
    IDENT = "ident"
    ENUM = "enum"


class Role(Enum):
    """Whom a structure describes; it decides the labels of its families and the names of its metrics."""

    HOST = "host"
    SERVICE = "service"
    INTERFACE = "interface"
    NONE = "none"
    """Decoded and shown by `decode`, but no metric is made of it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit on the wire: `base` names Prometheus' base unit, `scale` converts into it.

    `bound` is how much a counter in this unit can grow in a second at the most, by what
    hardware can do; a greater increase is not work but a changed base.
    """

    base: str = ""
    scale: Fraction = Fraction(1)
    bound: float = 1e7


UNITS: Mapping[str, Unit] = {
    "": Unit(),
    "bytes": Unit("bytes", bound=1.25e12),
    "packets": Unit(bound=4e7),
    "requests": Unit(bound=1e7),
    "operations": Unit(bound=1e7),
    "s": Unit("seconds", bound=1e5),
    "ms": Unit("seconds", Fraction(1, 1000), bound=1e6),
    "us": Unit("seconds", Fraction(1, 1_000_000), bound=1e9),
    "ns": Unit("seconds", Fraction(1, 1_000_000_000)),
    "MHz": Unit("hertz", Fraction(1_000_000)),
    "bit/s": Unit("bytes", Fraction(1, 8)),
    "1/100 %": Unit("ratio", Fraction(1, 10_000)),
    "%": Unit("ratio", Fraction(1, 100)),
    "mJ": Unit("joules", Fraction(1, 1000), bound=1e8),
    "mV": Unit("volts", Fraction(1, 1000)),
    "mA": Unit("amperes", Fraction(1, 1000)),
    "mW": Unit("watts", Fraction(1, 1000)),
    "uA": Unit("amperes", Fraction(1, 1_000_000)),
    "uW": Unit("watts", Fraction(1, 1_000_000)),
    "nm": Unit("meters", Fraction(1, 1_000_000_000)),
    "degC": Unit("celsius"),
    "mdegC": Unit("celsius", Fraction(1, 1000)),
    "stations": Unit(),
    "connections": Unit(),
    "entries": Unit(),
}


@dataclass(frozen=True, slots=True)
class Family:
    """A Prometheus metric family as a field sees it: its name, help, and the labels this field adds.

    `group` is the switch that turns it on. `pool` names the family into which the same
    numbers go when they are summed over the hosts of a pool.
    """

    name: str
    help: str
    labels: tuple[tuple[str, str], ...] = ()
    group: str = ""
    pool: Family | None = None

    def __call__(self, **labels: str) -> Family:
        """The same family with constant labels: CPU_SECONDS(mode="user")."""
        pool = self.pool(**labels) if self.pool is not None else None
        return replace(self, labels=tuple(labels.items()), pool=pool)


@dataclass(frozen=True, slots=True)
class Metric:
    """A Ganglia metric: the attributes of its METRIC element and the operator that derives its value.

    `role` "jvm" marks the name that a field has when its sample also carries JVM records.
    """

    name: str
    group: str
    title: str
    operator: Operator
    type: str = "float"
    units: str = ""
    slope: str = "both"
    format: str = "%.2f"
    jvm: bool = False
    switch: str = ""
    """The name of the configuration switch that turns the metric on; "" is always on."""


TYPES = frozenset(("string", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float", "double", "timestamp"))
SLOPES = frozenset(("zero", "positive", "negative", "both", "unspecified"))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure, in wire order.

    `bound` overrides the unit's greatest increase per second; with `per_cpu` it counts for
    each CPU of the host. `zero_unknown`: the agents send 0 where they do not know.
    """

    name: str
    type: XdrType
    kind: Kind = Kind.IDENT
    unit: str = ""
    family: Family | None = None
    ganglia: tuple[Metric, ...] = ()
    bound: float | None = None
    per_cpu: bool = False
    zero_unknown: bool = False
    truth: bool = False
    """A TruthValue: 1 is yes and everything else no."""
    share: str = ""
    """The group of counters of which this one is a share ("cpu": the modes that add up to all time)."""

    @property
    def is_counter(self) -> bool:
        """True for a number that only grows, but for wraps and resets."""
        return self.kind is Kind.COUNTER

    @property
    def greatest_increase(self) -> float:
        """The bound in the field's own unit per second (and per CPU with `per_cpu`)."""
        return UNITS[self.unit].bound if self.bound is None else self.bound


@dataclass(frozen=True, slots=True)
class Structure:
    """A record format: its enterprise and format number, and its fields in wire order.

    `required` is how many of the fields the oldest agents send; a shorter record is malformed.
    """

    name: str
    enterprise: int
    format: int
    fields: tuple[Field, ...]
    role: Role = Role.NONE
    required: int = -1
    source: str = ""
    members: tuple[tuple[str, XdrType], ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        names = [one.name for one in self.fields]
        if len(set(names)) != len(names):
            raise DeclarationError(f"{self.name}: a field name stands twice in {names}")
        for one in self.fields:
            _check_field(self.name, one)
        object.__setattr__(self, "members", tuple((one.name, one.type) for one in self.fields))
        if self.required < 0:
            object.__setattr__(self, "required", len(self.fields))

    @property
    def tag(self) -> int:
        """The number on the wire: enterprise in the upper 20 bits, format in the lower 12."""
        return self.enterprise << 12 | self.format


def _check_field(structure: str, one: Field) -> None:
    place = f"{structure}.{one.name}"
    if one.unit not in UNITS:
        raise DeclarationError(f"{place}: unit {one.unit!r} is not in schema.UNITS")
    if one.is_counter and one.type not in (U32, U64):
        raise DeclarationError(f"{place}: a counter is an unsigned integer of 32 or 64 bits, not {one.type.name}")
    if one.family is not None:
        if one.is_counter != one.family.name.endswith("_total"):
            raise DeclarationError(f"{place}: {one.family.name} must end in _total exactly when it is a counter")
        base = UNITS[one.unit].base
        if base and base not in one.family.name:
            raise DeclarationError(f"{place}: {one.family.name} does not name its unit, {base}")
    for metric in one.ganglia:
        if metric.type not in TYPES or metric.slope not in SLOPES:
            raise DeclarationError(f"{place}: {metric.name} has type {metric.type!r} and slope {metric.slope!r}")
        metric.operator.check(place, one)


def tag_text(tag: int) -> str:
    """A tag as the specification writes it: 0:2003."""
    return f"{tag >> 12}:{tag & 0xFFF}"


def counter(name: str, xdr: XdrType = U32, unit: str = "", **options: Any) -> Field:
    """A field that only grows."""
    return Field(name, xdr, Kind.COUNTER, unit, **options)


def gauge(name: str, xdr: XdrType = U32, unit: str = "", **options: Any) -> Field:
    """A field that goes up and down."""
    return Field(name, xdr, Kind.GAUGE, unit, **options)


def ident(name: str, xdr: XdrType = U32, unit: str = "", **options: Any) -> Field:
    """A field that names or describes."""
    return Field(name, xdr, Kind.IDENT, unit, **options)


def enum(name: str, xdr: XdrType = U32, **options: Any) -> Field:
    """A field that is one of a list of numbers."""
    return Field(name, xdr, Kind.ENUM, **options)


__all__ = [
    "F32",
    "UNITS",
    "Family",
    "Field",
    "Kind",
    "Metric",
    "Role",
    "Structure",
    "Unit",
    "counter",
    "enum",
    "gauge",
    "ident",
    "tag_text",
]
