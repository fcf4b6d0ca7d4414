"""The words that recur in the declarations: families by prefix, Ganglia metrics by group, bounds by what hardware does.

Most fields have one Prometheus family and one Ganglia metric, and gmond shows numbers in few
forms. A method of `Group` declares a field together with its metric in one of these forms, so
that a name stands in one place only.
Source: Ganglia's gmond/sflow_gmetric.h for the forms; node_exporter for the style of the families.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..operators import EnumText, Gauge, NowMinus, Operator, PercentOfTime, Rate, ScaledGauge, Text
from ..schema import Family, Field, Metric, counter, enum, gauge, ident
from ..xdr import U32, U64, XdrType, string

KB = ScaledGauge(1024, whole=True)
GB = ScaledGauge(1 << 30)

# Bounds: the greatest increase per second that is still work, in the field's own unit. A 32-bit
# counter that falls has wrapped if it thereby grew by no more than this, and was reset if by more.
# A reset is mistaken for a wrap with a probability of bound x interval / 2^32: at 30 s that is 0.7 %
# for a bound of 1e6. The bounds of packets must be greater, but those counters are reset together
# with the agent, which its uptime and its sequence numbers tell.

CPU_MS = 1000.0
"""Per CPU: it has 1000 ms a second."""
PACKETS = 2e7
"""A host or a service: two 100 Gb/s ports full of packets of 1250 bytes."""
DROPS = 5e6
"""Packets that a flood loses on the way into a host."""
ERRORS = 1e6
"""Damaged packets: a 10 Gb/s link with nothing else on it."""
REQUESTS = 2e6
"""Requests to one service."""
EVENTS = 1e6
"""What happens now and then: connections, refusals, control messages."""

# Where the order of a structure's fields is known from.
HSFLOWD = "Host sFlow and sflowtool"
SFLOWTOOL = "sflowtool"
SECOND_HAND = "second-hand, not checked against an agent"

_WORDS = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z]{2})(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """A MIB's ipInReceives as ip_in_receives."""
    return _WORDS.sub("_", name).lower()


def counters(names: str, xdr: XdrType = U32, unit: str = "", **options: Any) -> tuple[Field, ...]:
    """A counter for each of the names, which stand between spaces."""
    return tuple(counter(name, xdr, unit, **options) for name in names.split())


def gauges(names: str, xdr: XdrType = U32, unit: str = "", **options: Any) -> tuple[Field, ...]:
    """A gauge for each of the names, which stand between spaces."""
    return tuple(gauge(name, xdr, unit, **options) for name in names.split())


@dataclass(frozen=True, slots=True)
class Families:
    """Prometheus families with a prefix in common; `pool` begins the names of their sums over a pool's hosts."""

    prefix: str
    pool: str = ""
    group: str = ""

    def __call__(self, name: str, help: str, pool: str = "") -> Family:
        """The family `prefix` + `name`; with `pool`, the help of its sum, that one too."""
        summed = Family(self.pool + name, pool) if pool else None
        return Family(self.prefix + name, help, group=self.group, pool=summed)


HOST = Families("sflow_host_", pool="sflow_pool_")
SERVICE = Families("sflow_service_", pool="sflow_pool_service_")


@dataclass(frozen=True, slots=True)
class Group:
    """A group of Ganglia metrics, and the fields from which they follow.

    A metric is called `prefix` and the field's name, or `prefix` and `metric` where that is
    given; its title begins with `titles`. `constant` metrics have gmond's slope "zero".
    """

    name: str
    prefix: str = ""
    titles: str = ""

    def metric(self, name: str, title: str, operator: Operator, **form: Any) -> Metric:
        """A metric of this group in any form."""
        return Metric(self.prefix + name, self.name, self.titles + title, operator, **form)

    def rate(
        self,
        name: str,
        title: str,
        family: Family | None = None,
        xdr: XdrType = U32,
        unit: str = "",
        *,
        metric: str = "",
        units: str = "",
        format: str = "%.2f",
        **options: Any,
    ) -> Field:
        """A counter, shown as its increase per second."""
        shown = self.metric(metric or name, title, Rate(), units=units, format=format)
        return counter(name, xdr, unit, family=family, ganglia=(shown,), **options)

    def busy(self, name: str, title: str, family: Family, *, metric: str = "", **options: Any) -> Field:
        """A counter of ms, shown as a percentage of the time of one CPU."""
        shown = self.metric(metric or name, title, PercentOfTime(), units="%")
        options = {"bound": CPU_MS, "per_cpu": True} | options
        return counter(name, U32, "ms", family=family, ganglia=(shown,), **options)

    def whole(
        self,
        name: str,
        title: str,
        family: Family | None = None,
        unit: str = "",
        *,
        metric: str = "",
        units: str = "",
        type: str = "uint32",
        constant: bool = False,
        **options: Any,
    ) -> Field:
        """A gauge, shown as a whole number."""
        form = {"type": type, "units": units, "slope": _slope(constant), "format": "%u"}
        shown = self.metric(metric or name, title, Gauge(), **form)
        return gauge(name, U32, unit, family=family, ganglia=(shown,), **options)

    def gauge(
        self,
        name: str,
        title: str,
        operator: Operator,
        family: Family,
        xdr: XdrType = U32,
        unit: str = "",
        **form: Any,
    ) -> Field:
        """A gauge, shown by any operator and in any form."""
        return gauge(name, xdr, unit, family=family, ganglia=(self.metric(name, title, operator, **form),))

    def double(self, name: str, title: str, family: Family, xdr: XdrType = U32, unit: str = "") -> Field:
        """A gauge, shown as a double with two decimals."""
        return self.gauge(name, title, Gauge(), family, xdr, unit, type="double")

    def kilobytes(
        self, name: str, title: str, family: Family, *, metric: str = "", constant: bool = False, **options: Any
    ) -> Field:
        """A gauge of bytes, shown in KB without a fraction."""
        shown = self.metric(metric or name, title, KB, units="KB", slope=_slope(constant), format="%.0f")
        return gauge(name, U64, "bytes", family=family, ganglia=(shown,), **options)

    def gigabytes(
        self, name: str, title: str, family: Family, *, metric: str = "", constant: bool = False, **options: Any
    ) -> Field:
        """A gauge of bytes, shown in GB."""
        form = {"type": "double", "units": "GB", "slope": _slope(constant), "format": "%.3f"}
        shown = self.metric(metric or name, title, GB, **form)
        return gauge(name, U64, "bytes", family=family, ganglia=(shown,), **options)

    def start(self, name: str, title: str, family: Family, *, metric: str) -> Field:
        """Seconds since a start, shown as the time of that start."""
        form = {"type": "uint32", "units": "s", "slope": "zero", "format": "%u"}
        return gauge(name, U32, "s", family=family, ganglia=(self.metric(metric, title, NowMinus(), **form),))

    def text(self, name: str, title: str, xdr: XdrType | None = None, *, metric: str = "") -> Field:
        """A text, shown as it is."""
        return ident(name, xdr or string(), ganglia=(self._words(metric or name, title, Text()),))

    def enum(self, name: str, title: str, words: tuple[str, ...]) -> Field:
        """An enumeration, shown as the word for its number."""
        return enum(name, ganglia=(self._words(name, title, EnumText(words)),))

    def _words(self, name: str, title: str, operator: Operator) -> Metric:
        return self.metric(name, title, operator, type="string", slope="zero", format="%s")


def _slope(constant: bool) -> str:
    return "zero" if constant else "both"
