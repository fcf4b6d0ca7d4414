"""What a door for foreign bytes is to the fuzzer."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from tests.recordings import VECTORS

CORPUS = Path(__file__).parent / "corpus"


class Door(ABC):
    """Takes any bytes. `words` is its dictionary, `longest` the longest input worth trying, in bytes."""

    words: tuple[bytes, ...] = ()
    longest = 1024

    @abstractmethod
    def seeds(self) -> Iterator[bytes]:
        """Inputs to begin with."""

    @abstractmethod
    def enter(self, data: bytes) -> None:
        """One execution. Whatever exception leaves it is a finding."""

    def leave(self) -> None:  # noqa: B027 - most doors remember nothing
        """The end of a run: what has to hold then. Whatever exception leaves it is a finding."""

    def finding(self, data: bytes) -> bytes:
        """What has to be kept so that `again` comes to the same exception."""
        return data

    def again(self, finding: bytes) -> None:
        """Enter as it was when this was found."""
        self.enter(finding)

    def parts(self, finding: bytes) -> list[bytes]:
        """A finding in the pieces that can be left out."""
        return [finding[place : place + 1] for place in range(len(finding))]


def open_door(name: str) -> Door:
    """The door of the module of this name."""
    door: Door = importlib.import_module(f"tests.fuzz.{name}").Door()
    return door


def findings(name: str) -> list[Path]:
    """The files with what once was a defect behind this door."""
    return sorted((VECTORS / f"fuzz_{name}").glob("*.bin"))


def inputs(name: str, door: Door) -> list[bytes]:
    """All that there is to begin with."""
    kept = [*sorted((CORPUS / name).glob("*.bin")), *findings(name)]
    return [*door.seeds(), *(path.read_bytes() for path in kept)]
