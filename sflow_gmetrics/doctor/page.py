"""What an examination has before it: the page of a running instance, and what a finding is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

PROBLEM, REMARK = "problem", "remark"
"""A problem is to be mended; a remark is worth knowing."""
NAMED = 5
"""How many agents or hosts a finding names."""
MANY, FEW = 10, 3
"""How many have to be lost in all, and since the first look, before their share says something."""
SUSPECT = 0.01
"""From what part of the share that is allowed on a second look is worth its time: what was lost long ago thins it."""

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is found: `what` is wrong and what to `do`, in plain words. `key` is its rule's name."""

    key: str
    what: str
    do: str
    severity: str = PROBLEM


@dataclass(frozen=True)
class Page:
    """The samples of a page by their name.

    `now` is the collector's clock and `here` that of whoever asks, in seconds since the epoch. `earlier` is the
    page of a first look, which tells what is past from what goes on.
    """

    samples: Mapping[str, tuple[tuple[Labels, float], ...]]
    now: float
    here: float
    earlier: Page | None = None

    @classmethod
    def parse(cls, text: str, now: float, here: float | None = None) -> Page:
        """The page in Prometheus' text format. Raises ValueError where it is not one."""
        samples: dict[str, list[tuple[Labels, float]]] = {}
        for family in text_string_to_metric_families(text):
            for one in family.samples:
                samples.setdefault(one.name, []).append((one.labels, one.value))
        return cls({name: tuple(found) for name, found in samples.items()}, now, now if here is None else here)

    def each(self, name: str, **labels: str) -> Iterator[tuple[Labels, float]]:
        """The samples of a name that have these labels."""
        for found, value in self.samples.get(name, ()):
            if all(found.get(key) == wanted for key, wanted in labels.items()):
                yield found, value

    def sum(self, name: str, **labels: str) -> float:
        """The sum of such samples; 0 where there are none."""
        return sum(value for _, value in self.each(name, **labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The sums of such samples by the value of a label."""
        sums: dict[str, float] = {}
        for found, value in self.each(name, **labels):
            sums[found.get(label, "")] = sums.get(found.get(label, ""), 0.0) + value
        return sums

    def newly(self, name: str, **labels: str) -> float:
        """By how much a sum of counters has grown since the first look; all of it where there was none."""
        return _growth(self.sum(name, **labels), self.earlier.sum(name, **labels) if self.earlier else 0.0)

    def newly_by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The same by the value of a label."""
        then = self.earlier.by(label, name, **labels) if self.earlier else {}
        return {key: _growth(now, then.get(key, 0.0)) for key, now in self.by(label, name, **labels).items()}

    def losses(self, counts: Counts, allowed: float, many: int = MANY) -> Losses:
        """Of whom a greater share is lost than is `allowed`, and `many` in all; `counts` reads a page.

        What was lost once is past when no such share was lost since the first look. Where there was
        none, it is not known yet whether that goes on, and a small part of what is allowed is suspect.
        """
        still: dict[str, float] = {}
        past: dict[str, float] = {}
        expected = 0.0
        then = counts(self.earlier) if self.earlier else {}
        least = allowed if self.earlier else SUSPECT * allowed
        for key, (lost, came) in counts(self).items():
            before = then.get(key, (0.0, 0.0))
            new, beside = _growth(lost, before[0]), _growth(came, before[1])
            lately, ever = _part(new, beside), _part(lost, came)
            often = lost >= many and ever > least
            if lately > least and (often or (self.earlier and new >= min(many, FEW))):
                still[key] = lately
            elif often:
                past[key] = ever
                expected += ever * (new + beside)
        return Losses(still, past, expected)

    @property
    def between(self) -> str:
        """How long ago the first look was; "" where there was none."""
        return duration(self.now - self.earlier.now) if self.earlier else ""

    def lately(self, name: str, **labels: str) -> str:
        """How much of a sum is new, as the end of a sentence; nothing where there was no first look."""
        new = self.newly(name, **labels)
        return f", {f'{new:,.0f}' if new else 'none'} of them in the last {self.between}" if self.earlier else ""

    def limit(self, key: str) -> float:
        """What the configuration sets for a key; 0 where the page does not say."""
        return self.sum("sflow_collector_limit", key=key)

    @property
    def running(self) -> float:
        """For how many seconds the collector has been running."""
        started = self.sum("sflow_collector_start_time_seconds")
        return max(self.now - started, 0.0) if started else 0.0


Counts = Callable[[Page], Mapping[str, tuple[float, float]]]
"""How many are lost and how many came, by name."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Which share is lost, by name: of those of whom some are lost still, and of those who have lost them before."""

    still: dict[str, float]
    past: dict[str, float]
    expected: float
    """How many of the latter would have been lost since the first look, had it gone on."""

    @property
    def seldom(self) -> Losses:
        """The same for what is lost by chance: nothing is past when so little has come since that it need not show."""
        return self if self.expected >= FEW else Losses(self.still | self.past, {}, self.expected)

    @property
    def severity(self) -> str:
        """A problem as long as some are lost."""
        return PROBLEM if self.still else REMARK

    def each(self) -> Iterator[tuple[str, str]]:
        """Every name, and how severe that is."""
        for name in sorted(self.still | self.past):
            yield name, PROBLEM if name in self.still else REMARK


def _growth(now: float, then: float) -> float:
    return now - then if now >= then else now


def _part(lost: float, came: float) -> float:
    return lost / (lost + came) if lost else 0.0


Judge = Callable[[Page], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for, and the families that it looks at."""

    key: str
    families: tuple[str, ...]
    judge: Judge


@dataclass(frozen=True, slots=True)
class Rules:
    """A list of rules that a module fills."""

    all: list[Rule] = field(default_factory=list)

    def rule(self, key: str, *families: str) -> Callable[[Callable[[Page], Iterable[tuple[str, ...]]]], Judge]:
        """A function that gives (what, do) or (what, do, severity) for each thing that it finds is the rule `key`."""

        def take(look: Callable[[Page], Iterable[tuple[str, ...]]]) -> Judge:
            def judge(page: Page) -> Iterable[Finding]:
                return [Finding(key, *found) for found in look(page)]

            self.all.append(Rule(key, families, judge))
            return judge

        return take


# --- words


def names(found: Iterable[str]) -> str:
    """Some names, and how many more there are."""
    everyone = sorted(found)
    more = len(everyone) - NAMED
    return ", ".join(everyone[:NAMED]) + (f" and {more} more" if more > 0 else "")


def duration(seconds: float) -> str:
    """A time in the unit that fits it."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def share(part: float, whole: float) -> str:
    """A share in percent."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
