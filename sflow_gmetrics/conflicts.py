"""Two machines that announce one agent address: the first to be heard has it, the other one is named and not taken.

Two with the same sub-agent are told by their streams; two with different ones by what they call
themselves. Who has the address loses it when it has been silent for three of its intervals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .datagram import decode_datagram
from .errors import DecodeError
from .notes import Notes
from .schema import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .agent import Agent
    from .source import Source
    from .stream import Stream

_LOOK = 1.0
"""How often one looks into a datagram of another machine for its name at the most, in seconds."""


class Conflicts:
    """Counts in the agents what is not taken, and says who it is."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def count(self, agent: Agent, payload: bytes, now: float) -> None:
        """A datagram of another machine than the one that has the address."""
        if not 0 <= now - agent.looked < _LOOK:
            agent.looked = now
            agent.rival = _host_in(payload) or agent.rival
        self._count(agent)

    def _count(self, agent: Agent) -> None:
        agent.conflicts += 1
        other = f"{agent.rival!r}" if agent.rival else "one without a name"
        self._notes.add(
            agent.address,
            "conflict",
            f"two machines announce this address: {agent.name!r} has it, what {other} sends is not taken",
        )

    def is_foreign(self, agent: Agent, stream: Stream, now: float) -> bool:
        """Whether a stream that was another machine's still is one: not after that machine has the address alone."""
        if not stream.foreign:
            return False
        agent.settle()
        if agent.rival == agent.name:
            stream.foreign = False
        elif agent.host is None or agent.host.expires < now:
            for other in agent.streams.values():
                other.foreign = True
            stream.foreign = stream.proven = False
        if stream.foreign:
            stream.suspected = now
        return stream.foreign

    def refuses(self, source: Source, stream: Stream, texts: Mapping[str, str], now: float) -> bool:
        """Whether a host's sample is of another machine, that speaks as another sub-agent; then its stream is."""
        before = source.texts
        if (
            source.role is not Role.HOST
            or _is_one_machine(texts, before)
            or source.epoch == stream.epoch
            or source.agent.stream_of(source.epoch) is None
            or source.expires < now
        ):
            return False
        stream.foreign = True
        source.agent.rival = texts.get("hostname", "")
        self._count(source.agent)
        return True


def _is_one_machine(texts: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Whether two samples can be of one host. The same UUID proves nothing: clones and agents without one share it."""
    one, other = texts.get("uuid"), others.get("uuid")
    return texts.get("hostname") == others.get("hostname") and (one == other or not one or not other)


def _host_in(payload: bytes) -> str:
    """What a host calls itself in a datagram; "" where it does not."""
    try:
        samples = decode_datagram(payload).samples
    except DecodeError:
        return ""
    for sample in samples:
        if sample.ds_class == 2 and not sample.malformed:
            for record in sample.records:
                if record.structure is not None and record.fields and "hostname" in record.fields:
                    return str(record.fields["hostname"])[:300]
    return ""
