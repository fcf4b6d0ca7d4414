"""What a counter's new value adds to its total: the increase, if it is one, and never something invented."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .schema import Field
from .xdr import U32, U32_MAX

POISON = 1 << 63
"""A 64-bit counter from here on has run below zero in the agent; it is not data."""


def step(
    one: Field, previous: int | None, new: int, allowed: float, restarted: bool
) -> tuple[int | None, int | None, str]:
    """What one counter's new value adds to its total.

    Returns (base for the next step, increase or None if it is not known, reason). `allowed`
    is the greatest increase that is physically possible, `restarted` says that the sample
    sequence or the agent began again. Reasons: "" usual, "first", "unavailable", "invalid",
    "gap" (grown by more than possible), "wrap", "restart", "decrease".
    """
    if new == one.type.unavailable:
        return previous, None, "unavailable"
    if new >= POISON:
        return previous, None, "invalid"
    if previous is None:
        return new, None, "first"
    if new >= previous:
        increase = new - previous
        return (new, increase, "") if increase <= allowed else (new, None, "gap")
    if restarted:
        return new, (new if new <= allowed else None), "restart"
    if one.type is U32:
        increase = (new - previous) & U32_MAX
        if increase <= allowed:
            return new, increase, "wrap"
    return new, None, "decrease"


def without_wraps(
    wide: Iterable[int], before: Sequence[int | None], new: Sequence[int], allowances: Sequence[int]
) -> list[int]:
    """The greatest possible increases, and -1 for each counter that has fallen and cannot be said to have wrapped.

    `wide` are the places of the counters of 64 bits. These do not wrap: when one has fallen, others
    were reset with it. After so long that a counter can have grown by anything, one of them must
    have grown.
    """
    grown = [new[index] - base for index in wide if (base := before[index]) is not None and new[index] < POISON]
    reset, grew = min(grown, default=0) < 0, max(grown, default=0) > 0
    return [
        -1 if base is not None and value < base and (reset or (allowed > U32_MAX and not grew)) else allowed
        for base, value, allowed in zip(before, new, allowances, strict=True)
    ]
