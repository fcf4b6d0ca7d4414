"""A Prometheus page while it is put together: its families in the order in which they are to stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .exposition import FamilyText, Templates, label_text
from .selection import Selection
from .sink import Description, Number, Samples, Sink


class Page(Sink):
    """One page of text. `templates` keep what can be used for the next page of the same selection."""

    def __init__(self, selection: Selection, templates: Templates) -> None:
        super().__init__(selection)
        self._templates = templates
        self._families: dict[str, FamilyText] = {}

    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Sequence[str]:
        """The text of each row's labels."""
        return self._templates.labels(key, names, rows)

    def add(self, family: Description, names: Iterable[str], values: Iterable[str], number: Number) -> None:
        """One line."""
        self._text(family).add(label_text(names, values), number)
        self.taken += 1

    def column(self, key: object, family: Description, samples: Samples) -> None:
        """A block of lines."""
        block = self._templates.render(key, samples)
        if block:
            self._text(family).blocks.append(block)
        self.taken += samples.known

    def _text(self, family: Description) -> FamilyText:
        found = self._families.get(family.name)
        if found is None:
            found = self._families[family.name] = FamilyText(*family)
        return found

    def text(self, *, openmetrics: bool) -> bytes:
        """The page."""
        parts = [part for family in self._families.values() for part in family.parts(openmetrics=openmetrics)]
        if openmetrics:
            parts.append(b"# EOF\n")
        return b"".join(parts)
