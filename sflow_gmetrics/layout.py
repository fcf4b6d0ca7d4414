"""How the bytes of a sample lie: learned once for each shape, then read with one struct call.

A Form is a set of structures in the order of their tags: it says which numbers a data source
has and where each stands in a row. A Shape is one way in which a Form comes over the wire
(record order, string lengths) and holds the precompiled struct that reads it whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from .schema import Field, Role, Structure, tag_text
from .structures import COUNTER_RECORDS
from .structures.jvm import STRUCTURES as JVM_STRUCTURES
from .xdr import F32, U64, pad

Getter = Callable[[tuple[Any, ...]], tuple[Any, ...]]

SLACK = 1.25
"""How far a counter may exceed its declared bound before its base is taken for changed."""
UNKNOWN_TAGS = 64
"""How many unknown structures are counted apart."""
UNKNOWN_CPUS = 1024
"""The CPUs of a host that has not said how many it has."""


def _getter(positions: list[int]) -> Getter:
    """An itemgetter that always gives a tuple."""
    if not positions:
        return lambda _row: ()
    if len(positions) == 1:
        (only,) = positions
        return lambda row: (row[only],)
    return itemgetter(*positions)


class Form:
    """Which structures a sample carries, and with how many of their fields.

    `fields` are the numbers of a row's `values`, `counters` those of its totals and deltas.
    """

    def __init__(self, structures: tuple[tuple[Structure, int], ...]) -> None:
        self.structures = tuple(structure for structure, _ in structures)
        self.tags = frozenset(structure.tag for structure in self.structures)
        numbers = [one for structure, count in structures for one in structure.fields[:count] if one.type.numeric]
        self.fields: tuple[Field, ...] = tuple(numbers)
        self.counters: tuple[Field, ...] = tuple(one for one in numbers if one.is_counter)
        self._values = {id(one): index for index, one in reversed(list(enumerate(self.fields)))}
        self._counters = {id(one): index for index, one in reversed(list(enumerate(self.counters)))}
        self.pick_counters = _getter([index for index, one in enumerate(self.fields) if one.is_counter])
        self.gauges64 = [i for i, one in enumerate(self.fields) if not one.is_counter and one.type is U64]
        self.clocks = [i for i, one in enumerate(self.fields) if one.unit == "s" and not one.is_counter]
        self.cpus = self.value_index(_CPU_NUM)
        self.floats = [index for index, one in enumerate(self.fields) if one.type is F32]
        self.unusual = bool(self.clocks or self.floats)
        """Whether samples need more than their counters taken: see Source._tell."""
        self.pool_counters = [
            (index, (one.family.pool.name, one.family.pool.labels))
            for index, one in enumerate(self.counters)
            if one.family is not None and one.family.pool is not None
        ]
        self.is_jvm = any(structure in JVM_STRUCTURES for structure in self.structures)
        self.no_deltas: list[int | None] = [None] * len(self.counters)
        self.derived: dict[str, Any] = {}
        """What exporters have worked out for this form, by exporter."""

    def value_index(self, one: Field) -> int | None:
        """Where the field stands in a row's values."""
        return self._values.get(id(one))

    def counter_index(self, one: Field) -> int | None:
        """Where the field stands in a row's totals and deltas."""
        return self._counters.get(id(one))

    def shares(self, group: str) -> list[int]:
        """The counters that add up to the whole of a group."""
        return [index for index, one in enumerate(self.counters) if one.share == group]

    def allowances(self, elapsed: float, cpus: int) -> list[float]:
        """How much each counter can have grown in `elapsed` seconds on a host of `cpus` CPUs."""
        seconds = elapsed * SLACK + 1.0
        return [
            one.greatest_increase * seconds * ((cpus or UNKNOWN_CPUS) if one.per_cpu else 1) for one in self.counters
        ]

    def role(self, ds_class: int) -> Role:
        """Whom a sample of this form describes."""
        roles = {structure.role for structure in self.structures}
        if Role.SERVICE in roles and (ds_class == 3 or Role.HOST not in roles or self.tags & _VIRTUAL):
            return Role.SERVICE
        if ds_class == 0 or Role.INTERFACE in roles:
            return Role.INTERFACE if Role.INTERFACE in roles else Role.NONE
        return Role.HOST if Role.HOST in roles else Role.NONE


_CPU_NUM = next(one for one in COUNTER_RECORDS[2003].fields if one.name == "cpu_num")
_VIRTUAL = frozenset(tag for tag, structure in COUNTER_RECORDS.items() if structure.name.startswith("virt_")) - {2100}


class Shape:
    """One byte layout. `unpack_from(payload, offset)` reads it from the record count on.

    `identity` picks what must not change for the shape (and the source) to be the same: tags,
    lengths and texts. `values` picks the numbers in the order of the form.
    """

    __slots__ = ("form", "identity", "samples", "texts", "unknown", "unpack_from", "values")

    def __init__(
        self,
        code: str,
        form: Form,
        identity: list[int],
        values: list[int],
        texts: list[tuple[str, int]],
        unknown: list[int],
    ) -> None:
        self.form = form
        self.unpack_from = struct.Struct("!" + code).unpack_from
        self.identity = _getter(identity)
        self.values = _getter(values)
        self.texts = texts
        self.unknown = unknown
        self.samples = 0

    def read_texts(self, row: tuple[Any, ...]) -> dict[str, str]:
        """The texts of an unpacked sample by field name."""
        texts: dict[str, str] = {}
        for name, position in self.texts:
            raw = row[position]
            if name in _TEXT_LOADERS:
                texts[name] = _TEXT_LOADERS[name](raw)
            else:
                texts[name] = clean(raw)
        return texts


def clean(raw: bytes) -> str:
    """A text from the wire as valid Unicode of at most NAME_LIMIT characters, control characters shown as escapes."""
    text = raw.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text[:NAME_LIMIT]


NAME_LIMIT = 300


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])) if any(raw) else ""


_TEXT_LOADERS: Mapping[str, Callable[[bytes], str]] = {"uuid": _uuid}


class Layouts:
    """All forms and shapes seen so far. Both are bounded: the network decides what they are."""

    FORMS = 1_000
    SHAPES = 10_000

    def __init__(self) -> None:
        self.forms: dict[tuple[tuple[int, int], ...], Form] = {}
        self.shapes: dict[tuple[Any, ...], Shape] = {}
        self.records: dict[str, int] = {}
        self.unknown_records: dict[str, int] = {}

    def shape(self, payload: bytes, offset: int, end: int) -> Shape | None:
        """The shape of the sample whose record count stands at `offset`; it has been decoded before without error.

        None when there are too many forms: an attack, or a mistake.
        """
        draft = _Draft(payload, offset, end)
        key = draft.key()
        shape = self.shapes.get(key)
        if shape is not None:
            return shape
        form = self._form(draft.structures)
        if form is None:
            return None
        if len(self.shapes) >= self.SHAPES:
            self._count_and_clear()
        order = {id(one): position for one, position in draft.numbers}
        values = [order[id(one)] for one in form.fields]
        shape = Shape("".join(draft.code), form, draft.identity, values, draft.texts, draft.unknown)
        self.shapes[key] = shape
        return shape

    def _form(self, structures: dict[int, tuple[Structure, int]]) -> Form | None:
        key = tuple((tag, structures[tag][1]) for tag in sorted(structures))
        form = self.forms.get(key)
        if form is None and len(self.forms) < self.FORMS:
            form = self.forms[key] = Form(tuple(structures[tag] for tag in sorted(structures)))
        return form

    def _count_and_clear(self) -> None:
        self.records, self.unknown_records = self.record_counts(), self.unknown_counts()
        self.shapes.clear()

    def record_counts(self) -> dict[str, int]:
        """How many records of each structure have been taken, by the structure's name."""
        counts = dict(self.records)
        for shape in self.shapes.values():
            for structure in shape.form.structures:
                counts[structure.name] = counts.get(structure.name, 0) + shape.samples
        return counts

    def unknown_counts(self) -> dict[str, int]:
        """How many records of each unknown structure have been passed over, by tag; the rarest under "other"."""
        counts = dict(self.unknown_records)
        for shape in self.shapes.values():
            for tag in map(tag_text, shape.unknown):
                if tag not in counts and len(counts) >= UNKNOWN_TAGS:
                    tag = "other"
                counts[tag] = counts.get(tag, 0) + shape.samples
        return counts


class _Draft:
    """A walk over the records of one sample that notes how to read all samples like it."""

    def __init__(self, payload: bytes, offset: int, end: int) -> None:
        self.code = ["I"]
        self.identity = [0]
        self.count = 1
        self.numbers: list[tuple[Field, int]] = []
        self.texts: list[tuple[str, int]] = []
        self.unknown: list[int] = []
        self.structures: dict[int, tuple[Structure, int]] = {}
        (records,) = struct.unpack_from("!I", payload, offset)
        offset += 4
        for _ in range(records):
            tag, length = struct.unpack_from("!II", payload, offset)
            offset += 8
            self._constant("II", 2)
            self._record(payload, offset, offset + length, tag)
            offset += length
        if offset < end:
            self.code.append(f"{end - offset}x")

    def key(self) -> tuple[Any, ...]:
        """What tells this shape from others."""
        known = tuple((tag, count) for tag, (_, count) in self.structures.items())
        return ("".join(self.code), known, tuple(self.unknown))

    def _constant(self, code: str, count: int) -> None:
        self.code.append(code)
        self.identity.extend(range(self.count, self.count + count))
        self.count += count

    def _record(self, payload: bytes, offset: int, end: int, tag: int) -> None:
        structure = COUNTER_RECORDS.get(tag)
        if structure is None:
            self.unknown.append(tag)
        if structure is None or not _SAME[tag].isdisjoint(self.structures) or not _plain(structure.fields):
            self.code.append(f"{end - offset}x")
            return
        present = 0
        for one in structure.fields:
            if offset >= end and present >= structure.required:
                break
            offset = self._field(payload, offset, end, one)
            present += 1
        self.structures[tag] = (structure, present)
        if offset < end:
            self.code.append(f"{end - offset}x")

    def _field(self, payload: bytes, offset: int, end: int, one: Field) -> int:
        if one.type.numeric:
            self.code.append(one.type.code)
            self.numbers.append((one, self.count))
            self.count += 1
            return offset + one.type.size
        if one.type.code:
            self.texts.append((one.name, self.count))
            self._constant(one.type.code, 1)
            return offset + one.type.size
        length: int = struct.unpack_from("!I", payload, offset)[0]
        padding = min(pad(length), end - offset - 4 - length)
        self._constant("I", 1)
        self.texts.append((one.name, self.count))
        self._constant(f"{length}s{padding}x", 1)
        return offset + 4 + length + padding


def _same(structure: Structure) -> frozenset[int]:
    """The tags of the structures that say the same as this one: itself, and an older version of it.

    A sample that carries both counts by the first; else there would be two series of one name.
    """
    families = {(one.family.name, one.family.labels) for one in structure.fields if one.family is not None}
    others = (
        other.tag
        for other in COUNTER_RECORDS.values()
        if any(one.family is not None and (one.family.name, one.family.labels) in families for one in other.fields)
    )
    return frozenset((structure.tag, *others))


_SAME = {tag: _same(structure) for tag, structure in COUNTER_RECORDS.items()}


def _plain(fields: Iterable[Field]) -> bool:
    """Whether every field has one place: a number, a fixed text or a string."""
    return all(one.type.code or one.type.name == "string" for one in fields)
