"""A Prometheus page while it is put together: its families in the order in which they are to stand."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence

from .exposition import FamilyText, LabelTexts, blocks_of, label_text
from .selection import Selection
from .sink import Description, Number, Samples, Sink


class Page(Sink):
    """One page of text. `texts` keep what can be used for the next page of the same selection."""

    def __init__(self, selection: Selection, texts: LabelTexts) -> None:
        super().__init__(selection)
        self._texts = texts
        self._families: dict[str, FamilyText] = {}

    def labels(self, key: object, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Sequence[bytes]:
        """Each row's labels with what stands before the number, as a template."""
        return self._texts.of(key, names, rows)

    def add(self, family: Description, names: Iterable[str], values: Iterable[str], number: Number) -> None:
        """One line."""
        self._text(family).add(label_text(names, values), number)
        self.taken += 1

    def column(self, key: object, family: Description, samples: Samples) -> None:
        """Blocks of lines."""
        known = samples.known()
        if known.numbers:
            self._text(family).blocks.append(blocks_of(known))
            self.taken += len(known.numbers)

    def _text(self, family: Description) -> FamilyText:
        found = self._families.get(family.name)
        if found is None:
            found = self._families[family.name] = FamilyText(*family)
        return found

    def text(self, end: Callable[[], bytes], *, openmetrics: bool) -> bytes:
        """The page and its end, written over the page before where nobody has that any more."""
        page = io.BytesIO(self._texts.take_room())
        for family in self._families.values():
            page.writelines(family.parts(openmetrics=openmetrics))
        page.write(end())
        page.truncate()
        text = self._texts.room = page.getvalue()
        return text
