"""Is anything in a structure of objects larger than it may be?"""

from __future__ import annotations

from collections import deque
from typing import Any

_ROOMS = ("sflow_gmetrics", "exporters")


def check_bounds(root: Any, most: int) -> None:
    """Follow everything that `root` holds; fails where a container has more than `most` members."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [(type(root).__name__, root)]
    while waiting:
        place, one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict | list | set | frozenset | tuple | deque):
            assert len(one) <= most, f"{place} has {len(one)} members"
            values = [*one.keys(), *one.values()] if isinstance(one, dict) else list(one)
            waiting += [(f"{place}[]", value) for value in values if not isinstance(value, str | bytes | int | float)]
        elif type(one).__module__.startswith(_ROOMS):
            waiting += [(f"{place}.{name}", getattr(one, name)) for name in _attributes(one)]


def _attributes(one: Any) -> list[str]:
    slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*getattr(one, "__dict__", ()), *(name for name in slots if name in dir(one) and hasattr(one, name))]
