"""How the bytes of a sample lie: learned once for each shape, then read with one struct call.

A Form is a set of structures in the order of their tags: it says which numbers a data source
has and where each stands in a row. A Shape is one way in which a Form comes over the wire
(record order, string lengths) and holds the precompiled struct that reads it whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
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
    """One byte layout of samples, from their record count on.

    A sample is read twice, by two structs. `watch` reads what every sample needs: the runs of
    bytes that must not change for the shape (and the source) to be the same (`identity`: tags,
    lengths, texts), and the counters (`counters`, in the order of the form). `unpack_from`
    reads everything, when somebody wants to see it.
    """

    __slots__ = (
        "counters",
        "form",
        "identity",
        "samples",
        "size",
        "texts",
        "unknown",
        "unpack_from",
        "values",
        "watch",
    )

    def __init__(self, form: Form, draft: _Draft) -> None:
        self.form = form
        everything = struct.Struct("!" + "".join(draft.code))
        self.unpack_from = everything.unpack_from
        self.size = everything.size
        order = {id(one): position for one, position in draft.numbers}
        self.values = _getter([order[id(one)] for one in form.fields])
        self.texts = draft.texts
        self.unknown = draft.unknown
        self.samples = 0
        code, identity, counters = _watch_code(draft.parts)
        self.watch = struct.Struct("!" + code).unpack_from
        self.identity = _getter(identity)
        self.counters = _getter([counters[id(one)] for one in form.counters])

    def read_values(self, raw: bytes) -> tuple[Any, ...]:
        """The numbers of a sample in the order of the form's fields."""
        return self.values(self.unpack_from(raw, 0))

    def read_texts(self, raw: bytes) -> dict[str, str]:
        """The texts of a sample by field name."""
        row = self.unpack_from(raw, 0)
        return {name: _TEXT_LOADERS.get(name, clean)(row[position]) for name, position in self.texts}


Part = tuple[str, int, Field | None]
"""A piece of a sample: "same" bytes, bytes to "skip", or a number's code with its field; and its size."""


def _watch_code(parts: list[Part]) -> tuple[str, list[int], dict[int, int]]:
    """The struct code that reads runs of constant bytes and counters; where both stand in what it gives."""
    code: list[str] = []
    identity: list[int] = []
    counters: dict[int, int] = {}
    position = 0
    for kind, group in groupby(parts, _watched):
        for one in _joined(kind, list(group)):
            code.append(one[0] if one[0] in ("I", "Q") else f"{one[1]}{one[0]}")
            if one[0] == "x":
                continue
            if one[2] is None:
                identity.append(position)
            else:
                counters[id(one[2])] = position
            position += 1
    return "".join(code), identity, counters


def _watched(part: Part) -> str:
    """How the watching struct treats a part: as constant bytes, as a counter, or not at all."""
    kind, _, one = part
    if one is not None and one.is_counter:
        return "counter"
    return "s" if kind == "same" else "x"


def _joined(kind: str, group: list[Part]) -> list[Part]:
    """Neighbours that are treated alike as one piece; counters each for itself."""
    if kind == "counter":
        return group
    return [(kind, sum(size for _, size, _ in group), None)]


_shared: dict[bytes, bytes] = {}
_SHARED = 100_000


def share(runs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The same runs of bytes, each one object for all sources that have it: less memory to hold and to compare."""
    if len(_shared) > _SHARED:
        _shared.clear()
    return tuple([_shared.setdefault(run, run) for run in runs])


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

    def known(self, payload: bytes, offset: int, end: int) -> Shape | None:
        """The shape of the sample whose record count stands at `offset`, if it is one that has been met before.

        Then its bytes are as good as those were: a shape is learned from samples without fault
        only, and says where everything lies.
        """
        try:
            draft = _Draft(payload, offset, end)
        except (struct.error, IndexError):
            return None
        shape = self.shapes.get(draft.key()) if draft.whole else None
        return shape if shape is not None and shape.size == end - offset else None

    def shape(self, payload: bytes, offset: int, end: int) -> Shape | None:
        """The same for a sample that has been decoded without error: learned, where it is new.

        None when there are too many forms: an attack, or a mistake.
        """
        draft = _Draft(payload, offset, end)
        key = draft.key()
        form = self._form(draft.structures)
        if form is None:
            return None
        if len(self.shapes) >= self.SHAPES:
            self._count_and_clear()
        shape = self.shapes[key] = Shape(form, draft)
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
        self.code: list[str] = []
        self.parts: list[Part] = []
        self.count = 0
        self.numbers: list[tuple[Field, int]] = []
        self.texts: list[tuple[str, int]] = []
        self.unknown: list[int] = []
        self.structures: dict[int, tuple[Structure, int]] = {}
        self.whole = True
        """False for a sample with a record that reaches beyond its end, or a field beyond that of its record."""
        (records,) = struct.unpack_from("!I", payload, offset)
        offset += 4
        self._constant("4x", 4)
        for _ in range(records):
            tag, length = struct.unpack_from("!II", payload, offset)
            offset += 8
            self._constant("8x", 8)
            self._record(payload, offset, offset + length, tag)
            offset += length
        self.whole &= offset <= end
        self._skip(end - offset)

    def key(self) -> tuple[Any, ...]:
        """What tells this shape from others."""
        known = tuple((tag, count) for tag, (_, count) in self.structures.items())
        return (tuple([part[:2] for part in self.parts]), known, tuple(self.unknown))

    def _constant(self, code: str, size: int) -> None:
        self.code.append(code)
        self.parts.append(("same", size, None))

    def _skip(self, size: int) -> None:
        if size > 0:
            self.code.append(f"{size}x")
            self.parts.append(("skip", size, None))

    def _record(self, payload: bytes, offset: int, end: int, tag: int) -> None:
        structure = COUNTER_RECORDS.get(tag)
        if structure is None:
            self.unknown.append(tag)
        if structure is None or not _SAME[tag].isdisjoint(self.structures) or not _plain(structure.fields):
            self._skip(end - offset)
            return
        present = 0
        for one in structure.fields:
            if offset >= end and present >= structure.required:
                break
            offset = self._field(payload, offset, end, one)
            present += 1
        self.structures[tag] = (structure, present)
        self.whole &= offset <= end
        self._skip(end - offset)

    def _field(self, payload: bytes, offset: int, end: int, one: Field) -> int:
        size = one.type.size
        if one.type.numeric:
            self.code.append(one.type.code)
            self.parts.append((one.type.code, size, one))
            self.numbers.append((one, self.count))
            self.count += 1
            return offset + size
        if one.type.code:
            return offset + self._text(one, one.type.code, size)
        length: int = struct.unpack_from("!I", payload, offset)[0]
        self._constant("4x", 4)
        padding = min(pad(length), end - offset - 4 - length)
        self._text(one, f"{length}s", length)
        self._skip(padding)
        return offset + 4 + length + padding

    def _text(self, one: Field, code: str, size: int) -> int:
        """A text of fixed size. Pad bytes are in the code of a MAC; agents leave stale bytes there."""
        self.texts.append((one.name, self.count))
        self.code.append(code)
        self.count += 1
        stale = size - struct.calcsize("!" + code.partition("2x")[0])
        self.parts.append(("same", size - stale, None))
        if stale:
            self.parts.append(("skip", stale, None))
        return size


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
