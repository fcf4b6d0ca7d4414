"""What stores values in RRD files: an rrdcached behind a socket, or one rrdtool behind a pipe.

Both take each value once, however often it is sent: a value that is no newer than the newest
of its file is known already. So whoever got no answer just sends again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sflow_gmetrics.config import RrdConfig

from .rrd_file import NewFile
from .rrdcached import Rrdcached
from .rrdtool import RrdtoolPipe

__all__ = ["Engine", "Rrdcached", "RrdtoolPipe", "open_engine"]


class Engine(Protocol):
    """What a writer needs. One thread at a time uses an engine; every method may raise EngineError: it is away."""

    name: str

    def update(self, batch: Sequence[tuple[str, str]]) -> list[str]:
        """Store "t1:v1 t2:v2 ..." in each file; a path occurs once. An error text for each, "" where all is stored."""

    def create(self, files: Sequence[NewFile]) -> list[str]:
        """Make files and the directories above them, never over an existing one. An error text for each."""

    def close(self) -> None:
        """Let go of the server or program; the next call would start again. Raises nothing."""


def open_engine(config: RrdConfig) -> Engine:
    """The engine that a configuration asks for. It starts with the first use."""
    return Rrdcached(config.rrdcached) if config.rrdcached else RrdtoolPipe()
