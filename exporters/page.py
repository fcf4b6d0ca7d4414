"""A Prometheus page while it is put together: its families in the order in which they are to stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sflow_gmetrics.schema import Family, Kind

from .exposition import FamilyText, Number, Samples, Templates, label_text
from .families import Extra


class Page:
    """One page. `groups` are the groups of families that are switched on."""

    def __init__(self, groups: frozenset[str], templates: Templates) -> None:
        self.groups = groups
        self.templates = templates
        self._families: dict[str, FamilyText] = {}

    def declared(self, family: Family, kind: Kind) -> FamilyText:
        """The family that follows from a field."""
        return self._family(family.name, "counter" if kind is Kind.COUNTER else "gauge", family.help)

    def _family(self, name: str, type_name: str, text: str) -> FamilyText:
        found = self._families.get(name)
        if found is None:
            found = self._families[name] = FamilyText(name, type_name, text)
        return found

    def add(self, extra: Extra, values: Iterable[str], number: Number) -> None:
        """One sample."""
        self._family(extra.name, extra.type, extra.help).add(label_text(extra.labels, values), number)

    def many(self, extra: Extra, labels: Sequence[str], numbers: Sequence[Number | None], key: object = None) -> None:
        """Many samples of one family; `key` tells the blocks of a family apart."""
        block = self.templates.render((extra.name, key), Samples(extra.name, labels, numbers, unknown=(None,)))
        if block:
            self._family(extra.name, extra.type, extra.help).blocks.append(block)

    def column(self, key: object, family: Family, kind: Kind, samples: Samples) -> None:
        """Many samples of a family that follows from a field."""
        block = self.templates.render(key, samples)
        if block:
            self.declared(family, kind).blocks.append(block)

    def text(self, *, openmetrics: bool) -> bytes:
        """The page."""
        parts = [part for family in self._families.values() for part in family.parts(openmetrics=openmetrics)]
        if openmetrics:
            parts.append(b"# EOF\n")
        return b"".join(parts)
