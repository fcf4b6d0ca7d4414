"""Names and texts that Ganglia can carry: in XML, in the paths of RRD files, in URLs of the web pages.

gmetad decodes entities and writes the characters raw again, makes directories of names as they
are, and ganglia-web puts them into URLs and shell words: what is not plain is therefore mapped,
not escaped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

NAME_LENGTH = 64
"""How long a host's or a service's name can be; collisions add a suffix."""
REMOTE_LENGTH = 200
"""How long a name from another collector can be: a file name, with a suffix and .rrd, has at most 255 bytes."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_UNSAFE_TITLE = re.compile(r"[^A-Za-z0-9._ -]")
_UNSAFE_METRIC = re.compile(r"[^ !#-%(-.0-;=?-\[\]-~]")
_UNSAFE_VALUE = re.compile(r"[^ !#-%(-;=?-~]")
_DOTS = re.compile(r"\.\.+")
_RESERVED = "__summaryinfo__"
"""gmetad's directory of sums, which stands beside those of hosts and of clusters."""


@lru_cache(100_000)
def safe_name(raw: str, length: int = NAME_LENGTH) -> str:
    """A name of `[A-Za-z0-9._-]`, without `..`, that begins and ends with no dot."""
    return _plain(_UNSAFE, raw, length)


@lru_cache(10_000)
def safe_title(raw: str) -> str:
    """The name of a cluster or a grid from elsewhere: as `safe_name`, and spaces."""
    return _plain(_UNSAFE_TITLE, raw.strip(), REMOTE_LENGTH)


@lru_cache(100_000)
def safe_host(raw: str) -> str:
    """The name of a host from elsewhere: as `safe_name`, and longer."""
    return _plain(_UNSAFE, raw, REMOTE_LENGTH)


@lru_cache(100_000)
def safe_metric(raw: str) -> str:
    """The name of a metric from elsewhere: all that gmetad copes with, printable ASCII but / \\ < > & " '."""
    return _plain(_UNSAFE_METRIC, raw, REMOTE_LENGTH)


def safe_value(raw: str, length: int = 256) -> str:
    """A text in printable ASCII without the characters that XML gives a meaning."""
    return _UNSAFE_VALUE.sub("_", raw)[:length]


def _plain(unsafe: re.Pattern[str], raw: str, length: int) -> str:
    name = _DOTS.sub("_", unsafe.sub("_", raw)).strip(".")[:length].rstrip(".")
    return name.strip("_") if name.lower() == _RESERVED else name or "_"


def digest(raw: str) -> str:
    """A suffix that keeps names apart which look alike. Nobody can choose many names of which it is the same."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Names:
    """Gives each raw name a safe one that no other has."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def give(self, raw: str, suffix: str, *, lower: bool = False) -> str:
        """The safe name, with the suffix behind it if another one has it already."""
        name = safe_name(raw)
        if lower:
            name = name.lower()
        if name in self._used:
            name = f"{name}-{safe_name(suffix)}"
        while name in self._used:
            name += "_"
        self._used.add(name)
        return name


def renamed(raws: Iterable[str], rule: Callable[[str], str]) -> dict[str, str]:
    """The names that `rule` changes, and what they become: distinct from each other and from all that stay.

    A suffix is made of the raw name, so that it does not depend on the order.
    """
    raws = set(raws)
    changed = sorted(raw for raw in raws if rule(raw) != raw)
    used = raws.difference(changed)
    names: dict[str, str] = {}
    for raw in changed:
        name = rule(raw)
        if name in used:
            name = f"{name}-{digest(raw)}"
        while name in used:
            name += "_"
        used.add(name)
        names[raw] = name
    return names
