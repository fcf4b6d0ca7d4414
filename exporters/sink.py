"""Where the series of a snapshot go: a page of text, or something else that wants the same families.

`walk.write` goes through a snapshot and hands over families, as one sample or as a column over
many rows. What is handed over are numbers and labels; a sink decides what they become.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from .selection import Selection

Number = float | int
Convert = Callable[[Sequence[Any]], Sequence[Number]]
"""From numbers as they are kept to numbers as they are shown."""


class Timed(Protocol):
    """Rows that know when they were heard."""

    @property
    def times(self) -> Sequence[float]:
        """When the newest sample of each row came, in seconds since the epoch."""


class Samples(NamedTuple):
    """Many samples of the family `name`: one for each of `labels` whose number is none of `unknown`.

    `labels` are what the sink's `labels` made of rows of values; `extra` are labels that all of
    them have. `rows` tells when each sample came; None is the time of the snapshot. `began` is
    when each counter was 0 (0: not known); None is when the collector heard its first agent.
    """

    name: str
    labels: Sequence[Any]
    numbers: Sequence[Any]
    extra: tuple[tuple[str, str], ...] = ()
    unknown: Sequence[float | None] = ()
    convert: Convert | None = None
    rows: Timed | None = None
    began: Sequence[float] | None = None

    def known(self) -> Samples:
        """Those whose number is known."""
        numbers = self.numbers
        unknown = sum(map(numbers.count, self.unknown)) if self.unknown else 0
        if not unknown:
            return self
        if unknown == len(numbers):
            return self._replace(labels=(), numbers=())
        pairs = [pair for pair in zip(self.labels, self.numbers, strict=True) if pair[1] not in self.unknown]
        return self._replace(labels=[label for label, _ in pairs], numbers=[number for _, number in pairs])

    def one_by_one(self, began: float) -> Iterator[tuple[Any, Number, float]]:
        """Label, number in base units, and when it was 0, of each that is known; `began` where no other time is."""
        times = self.began if self.began is not None else [began] * len(self.numbers)
        rows = zip(self.labels, self.numbers, times, strict=True)
        known = [row for row in rows if row[1] not in self.unknown]
        numbers: Sequence[Any] = [number for _, number, _ in known]
        shown = self.convert(numbers) if self.convert is not None else numbers
        for (label, _, time), number in zip(known, shown, strict=True):
            yield label, number, time


class Description(NamedTuple):
    """A family: its name, type ("counter" or "gauge") and help."""

    name: str
    type: str
    help: str


class Sink(ABC):
    """Takes what `walk.write` hands over.

    `selection` says what it wants at all; a sink that tells how many series it has taken counts
    them in `taken`.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.taken = 0

    @abstractmethod
    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Sequence[Any]:
        """The labels of many rows, ready to be used for many families. `key` is the same for the same sort of rows."""

    @abstractmethod
    def add(self, family: Description, names: Iterable[str], values: Iterable[str], number: Number) -> None:
        """One sample."""

    @abstractmethod
    def column(self, key: object, family: Description, samples: Samples) -> None:
        """Many samples of one family; `key` tells the blocks of a family apart."""
