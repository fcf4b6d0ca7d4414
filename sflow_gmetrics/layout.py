"""How the bytes of a sample lie: learned once for each shape, then read with one struct call.

A Form is a set of structures in the order of their tags: it says which numbers a data source
has and where each stands in a row. A Shape is one way in which a Form comes over the wire
(record order, string lengths) and holds the precompiled struct that reads it whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from .draft import Draft, Part, whole_draft
from .schema import Field, Role, Structure, tag_text
from .structures import COUNTER_RECORDS, counter_field
from .structures.jvm import STRUCTURES as JVM_STRUCTURES
from .xdr import F32, U64

Getter = Callable[[tuple[Any, ...]], tuple[Any, ...]]

SLACK = 1.25
"""How far a counter may exceed its declared bound before its base is taken for changed."""
UNKNOWN_TAGS = 64
"""How many unknown structures are counted apart."""
_ALLOWANCES = 200
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
        self.counters64 = [index for index, one in enumerate(self.counters) if one.type is U64]
        self.gauges64 = [i for i, one in enumerate(self.fields) if not one.is_counter and one.type is U64]
        self.clocks = [i for i, one in enumerate(self.fields) if one.unit == "s" and not one.is_counter]
        self.cpus = self.value_index(_CPU_NUM)
        self.floats = [index for index, one in enumerate(self.fields) if one.type is F32]
        self.unusual = bool(self.clocks or self.floats)
        """Whether samples need more than their counters taken: see Source.tell."""
        self.pool_counters = [
            (index, (one.family.pool.name, one.family.pool.labels))
            for index, one in enumerate(self.counters)
            if one.family is not None and one.family.pool is not None
        ]
        self.is_jvm = any(structure in JVM_STRUCTURES for structure in self.structures)
        self.no_deltas: list[int | None] = [None] * len(self.counters)
        self.level: tuple[int | None, ...] = (0,) * len(self.counters)
        """The offsets of a source whose totals are its raw counters: one object for all."""
        self._allowances: dict[tuple[float, int], list[int]] = {}
        self.samples = 0
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

    def allowances(self, elapsed: float, cpus: int) -> list[int]:
        """How much each counter can have grown in `elapsed` seconds on a host of `cpus` CPUs."""
        seconds = elapsed * SLACK + 1.0
        return [
            int(one.greatest_increase * seconds * ((cpus or UNKNOWN_CPUS) if one.per_cpu else 1))
            for one in self.counters
        ]

    def shared_allowances(self, elapsed: float, cpus: int) -> list[int]:
        """The same, one list for all who ask for the same: less memory to hold and to compare with."""
        found = self._allowances.get((elapsed, cpus))
        if found is None:
            if len(self._allowances) >= _ALLOWANCES:
                self._allowances.clear()
            found = self._allowances[elapsed, cpus] = self.allowances(elapsed, cpus)
        return found

    def role(self, ds_class: int) -> Role:
        """Whom a sample of this form describes."""
        roles = {structure.role for structure in self.structures}
        if Role.SERVICE in roles and (ds_class == 3 or Role.HOST not in roles or self.tags & _VIRTUAL):
            return Role.SERVICE
        if ds_class == 0 or Role.INTERFACE in roles:
            return Role.INTERFACE if Role.INTERFACE in roles else Role.NONE
        return Role.HOST if Role.HOST in roles else Role.NONE


_CPU_NUM = counter_field(2003, "cpu_num")
_VIRTUAL = frozenset(tag for tag, structure in COUNTER_RECORDS.items() if structure.name.startswith("virt_")) - {2100}


class Shape:
    """One byte layout of samples, from their record count on.

    A sample is read in parts, each by a struct of its own: `identity` gives the runs of bytes
    that must not change for the shape (and the source) to be the same (tags, lengths, texts),
    `read_counters` the counters in the order of the form, and `read_values` every number, when
    somebody wants to see it.
    """

    __slots__ = (
        "_counters",
        "_everything",
        "_layouts",
        "_order",
        "form",
        "identity",
        "parts",
        "size",
        "texts",
        "unknown",
        "values",
        "wire",
    )

    def __init__(self, form: Form, draft: Draft, layouts: Layouts) -> None:
        self.form = form
        self._layouts = layouts
        everything = struct.Struct("!" + "".join(draft.code))
        self._everything = everything.unpack_from
        self.size = everything.size
        order = {id(one): position for one, position in draft.numbers}
        self.values = _getter([order[id(one)] for one in form.fields])
        self.texts = draft.texts
        self.unknown = draft.unknown
        self.parts = draft.parts
        self.identity = identity_reader(draft.parts)
        self._counters = counter_reader(draft.parts)
        places = [form.counter_index(one) for _, _, one in draft.parts if one is not None and one.is_counter]
        self.wire = [place for place in places if place is not None]
        """Where each counter stands in the form, in the order in which they come over the wire."""
        self._order = _getter([self.wire.index(place) for place in range(len(form.counters))])

    def count(self, samples: int = 1) -> None:
        """So many samples of this shape have come."""
        self.form.samples += samples
        if self.unknown:
            self._layouts.count_unknown(self.unknown, samples)

    def read_counters(self, raw: bytes, start: int = 0) -> tuple[int, ...]:
        """The counters of the sample whose records begin at `start`, in the order of the form's counters."""
        return self._order(self._counters(raw, start))

    def read_values(self, raw: bytes) -> tuple[Any, ...]:
        """The numbers of a sample in the order of the form's fields."""
        return self.values(self._everything(raw, 0))

    def read_texts(self, raw: bytes) -> dict[str, str]:
        """The texts of a sample by field name."""
        row = self._everything(raw, 0)
        return {name: _TEXT_LOADERS.get(name, clean)(row[position]) for name, position in self.texts}


Reader = Callable[[bytes, int], tuple[Any, ...]]
"""Reads something of a sample, or of a datagram, from an offset on."""


def identity_reader(parts: list[Part]) -> Reader:
    """Reads the runs of bytes that are always the same, and what the bounds of counters depend on."""
    runs = [(key, sum(size for _, size, _ in group)) for key, group in groupby(parts, is_constant)]
    return struct.Struct("!" + "".join(f"{size}{'s' if same else 'x'}" for same, size in runs)).unpack_from


def counter_reader(parts: list[Part]) -> Reader:
    """Reads the counters, in the order in which they come over the wire."""
    code = [(one[0] if is_counter(one) else f"{one[1]}x") for one in parts]
    return struct.Struct("!" + "".join(code)).unpack_from


def is_constant(part: Part) -> bool:
    """Whether these bytes are always the same, or change what the bounds of counters are."""
    return part[0] == "same" or part[2] is _CPU_NUM


def is_counter(part: Part) -> bool:
    """Whether these bytes are a counter."""
    return part[2] is not None and part[2].is_counter


SHARED = 1024
"""How many short runs of bytes, those last asked for, are one object for all sources that have them."""
_SHORT = 512
"""Longer runs of bytes are nothing that others have too."""


def share(runs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The same runs of bytes, each one object for all sources that have it: less memory to hold and to compare."""
    return tuple([_shared(run) if len(run) <= _SHORT else run for run in runs])


@lru_cache(SHARED)
def _shared(run: bytes) -> bytes:
    """The run of these bytes that was there first."""
    return run


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


def _record_counts(before: Mapping[str, int], forms: Iterable[Form]) -> dict[str, int]:
    """How many records of each structure have come in samples of these forms, and before."""
    counts = dict(before)
    for form in forms:
        for structure in form.structures:
            counts[structure.name] = counts.get(structure.name, 0) + form.samples
    return counts


class Layouts:
    """All forms and shapes seen so far. Both are bounded: the network decides what they are."""

    FORMS = 1_000
    SHAPES = 1_000_000
    """How many shapes are known: as many as have so many parts together; then they are learned anew."""

    def __init__(self) -> None:
        self.forms: dict[tuple[tuple[int, int], ...], Form] = {}
        self.shapes: dict[tuple[Any, ...], Shape] = {}
        self._parts = 0
        self.records: dict[str, int] = {}
        """How many records of each structure came in forms that are gone, or in another run of the program."""
        self.unknown_records: dict[str, int] = {}
        """How many records of each unknown structure have been passed over, by tag; the last to be met as "other"."""

    def known(self, payload: bytes, offset: int, end: int) -> Shape | None:
        """The shape of the sample whose record count stands at `offset`, if it is one that has been met before.

        Then its bytes are as good as those were: a shape is learned from samples without fault
        only, and says where everything lies.
        """
        draft = whole_draft(payload, offset, end)
        shape = self.shapes.get(draft.key()) if draft is not None else None
        return shape if shape is not None and shape.size == end - offset else None

    def shape(self, payload: bytes, offset: int, end: int) -> Shape | None:
        """The same for a sample that has been decoded without error: learned, where it is new.

        None when there are too many forms: an attack, or a mistake.
        """
        draft = Draft(payload, offset, end)
        key = draft.key()
        form = self._form(draft.structures)
        if form is None:
            return None
        self._parts += len(draft.parts)
        if self._parts > self.SHAPES:
            self.shapes.clear()
            self._parts = len(draft.parts)
        shape = self.shapes[key] = Shape(form, draft, self)
        return shape

    def _form(self, structures: dict[int, tuple[Structure, int]]) -> Form | None:
        key = tuple((tag, structures[tag][1]) for tag in sorted(structures))
        form = self.forms.get(key)
        if form is None and len(self.forms) < self.FORMS:
            form = self.forms[key] = Form(tuple(structures[tag] for tag in sorted(structures)))
        return form

    def keep(self, used: Iterable[Form]) -> None:
        """Where there is no room for another form, forget those that are not `used`, with their shapes."""
        if len(self.forms) < self.FORMS:
            return
        forms = set(used)
        gone = [key for key, form in self.forms.items() if form not in forms]
        self.records = _record_counts(self.records, [self.forms.pop(key) for key in gone])
        self.shapes = {key: shape for key, shape in self.shapes.items() if shape.form in forms}
        self._parts = sum(len(shape.parts) for shape in self.shapes.values())

    def record_counts(self) -> dict[str, int]:
        """How many records of each structure have been taken, by the structure's name."""
        return _record_counts(self.records, self.forms.values())

    def count_unknown(self, tags: list[int], samples: int) -> None:
        """Records of these unknown structures have come, in so many samples."""
        counts = self.unknown_records
        for tag in map(tag_text, tags):
            known = tag if tag in counts or len(counts) < UNKNOWN_TAGS else "other"
            counts[known] = counts.get(known, 0) + samples
