"""Fuzzing by chance: inputs cut, spliced and overwritten as a seeded generator says. Needs nothing installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from .door import Door

WORDS = tuple(
    number.to_bytes(width, "big")
    for width, numbers in ((1, (0, 1, 0x7F, 0x80, 0xFF)), (4, (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)))
    for number in numbers
)


class FindingError(Exception):
    """A door has let an exception out, which is the cause of this one; `finding` leads there again."""

    def __init__(self, finding: bytes) -> None:
        super().__init__(f"{len(finding)} bytes")
        self.finding = finding


@contextmanager
def watched(door: Door, data: bytes = b"") -> Iterator[None]:
    """Raises FindingError for whatever comes out."""
    try:
        yield
    except Exception as error:
        raise FindingError(door.finding(data)) from error


def run(door: Door, inputs: list[bytes], runs: int, seed: int) -> None:
    """Every input as it is, then mutations of them, `runs` executions in all. Raises FindingError."""
    random = Random(seed)
    for number in range(runs):
        data = inputs[number] if number < len(inputs) else mutated(random.choice(inputs), inputs, door, random)
        with watched(door, data):
            door.enter(data)
    with watched(door):
        door.leave()


def mutated(data: bytes, inputs: list[bytes], door: Door, random: Random) -> bytes:
    """The input after one to eight accidents."""
    changed = bytearray(data)
    for _ in range(1 << random.randrange(4)):
        place = random.randrange(len(changed) + 1)
        match random.randrange(6):
            case 0 if place < len(changed):
                changed[place] ^= 1 << random.randrange(8)
            case 1:
                del changed[place : place + random.randrange(1, 9)]
            case 2:
                changed[place:place] = random.choice(door.words or WORDS)
            case 3:
                word = random.choice(WORDS)
                changed[place : place + len(word)] = word
            case 4:
                other = random.choice(inputs)
                start = random.randrange(len(other) + 1)
                changed[place:] = other[start:]
            case _:
                changed[place:place] = changed[place : place + random.randrange(1, 33)]
    return bytes(changed[: door.longest])
