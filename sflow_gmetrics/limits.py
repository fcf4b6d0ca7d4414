"""How much there is room for: services with a name of their own, and the memory of all that is kept.

Services without a name of their own are folded into one, `_other_`, of their pool.

A service that is folded is kept like any other, so that nothing that it does is missing in its
pool; only its name is not shown. When there is room again it gets its name back: what it has
done until then stays with `_other_`, so that no total falls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .config import Config
from .layout import Form, Shape
from .pools import OVERFLOW
from .schema import Role
from .source import Source

if TYPE_CHECKING:
    from .agent import Agent

FOLDED = 100_000
"""How many services are folded over all hosts; more are not kept."""
_KEYS = {"limit_host": "[services] services_per_host", "limit_total": "[services] series"}
REASONS = ("excluded", *_KEYS)
OTHER_SOURCES = 5_000
"""How many interfaces and the like an agent has; services have a limit of their own."""
AGENT_MEMORY = 128 << 20
"""How much of [sflow] memory one agent can take, in bytes."""
STREAMS_PER_AGENT = 16
STREAM_MEMORY = 12_000
"""About how many bytes a sub-agent takes."""
_SOURCE_MEMORY = 3_000
_BYTE_MEMORY = 24
"""The same of a source, and of each byte of its samples: two of them are kept, and how they are read."""
_IDENTITY = 2
"""Families of each service that are no field of its samples: what it is, and whether it runs."""


def series_of(form: Form) -> int:
    """The greatest number of series that a service of this form has on its host."""
    count: int | None = form.derived.get("series")
    if count is None:
        count = form.derived["series"] = _IDENTITY + sum(
            one.family is not None
            for structure in form.structures
            if structure.role is Role.SERVICE
            for one in structure.fields
        )
    return count


def memory_of(source: Source) -> int:
    """About how many bytes a source takes that has had a sample."""
    return _SOURCE_MEMORY + _BYTE_MEMORY * source.length


class Limits:
    """Counts the services that there are, and the memory of all sources, by host (in the agents) and in all.

    `series` are those of all services with a name of their own, `dropped` by reason those that
    other services would have had when they were met. `note` is told of agent, event and detail.
    """

    def __init__(self, config: Config, note: Callable[[str, str, str], None]) -> None:
        self.config = config.services
        self.most_memory = config.sflow.memory
        self._note = note
        self.series = 0
        self.folded = 0
        self.memory = 0
        """An estimate, in bytes."""
        self.dropped = dict.fromkeys(REASONS, 0)

    def reason(self, source: Source, form: Form) -> str:
        """Which limit keeps one more service of the source's host from having a name; "" if none does."""
        if source.agent.named >= self.config.services_per_host:
            return "limit_host"
        return "limit_total" if self.series + series_of(form) > self.config.series else ""

    def admit(self, source: Source, service: str) -> str:
        """The service's name, or that of all for which there is no room. Who has a name keeps it."""
        if source.service not in ("", OVERFLOW):
            return service
        reason = self.reason(source, source.form)
        if not reason:
            return service
        if not source.service:
            self._refuse(source, reason)
        return OVERFLOW

    def _refuse(self, source: Source, reason: str) -> None:
        self.drop(reason, source.form)
        self._note(source.agent.address, reason, f"there are more services than {_KEYS[reason]}: see {OVERFLOW}")

    def fold(self, agent: Agent, rename: Callable[[Source], None]) -> None:
        """Let `rename` take their names from the newest services of an agent, if there are more than may be now."""
        for source in reversed(list(agent.sources.values())):
            too_many = agent.named > self.config.services_per_host
            if not too_many and self.series <= self.config.series:
                return
            if source.role is Role.SERVICE and source.service != OVERFLOW:
                self._refuse(source, "limit_host" if too_many else "limit_total")
                self.release(source)
                rename(source)
                self.hold(source)

    def unfold(self, agent: Agent, name: Callable[[Source], None]) -> None:
        """Let `name` give services their names again, as far as there is room for them."""
        for source in agent.sources.values():
            if source.role is Role.SERVICE and source.service == OVERFLOW:
                if self.reason(source, source.form):
                    return
                self.release(source)
                name(source)
                self.hold(source)

    def full(self, source: Source, shape: Shape) -> str:
        """Which limit forbids to keep one more source; "" if none does."""
        agent, form = source.agent, shape.form
        others, room = len(agent.sources) - agent.named, OTHER_SOURCES
        if form.role(source.ds_class) is Role.SERVICE:
            room += max(self.config.services_per_host - agent.named, 0)
            if self.folded >= FOLDED and self.reason(source, form):
                return "services"
        return "sources_per_agent" if others >= room else self.no_room_for(source, shape.size)

    def no_memory(self, agent: Agent, more: int) -> str:
        """Which limit keeps an agent from taking so much more memory; "" if none does."""
        if more > 0 and agent.memory + more > AGENT_MEMORY:
            return "memory_of_agent"
        return "memory" if more > 0 and self.memory + more > self.most_memory else ""

    def no_room_for(self, source: Source, length: int) -> str:
        """The same for a sample of another length than the source's last one; one that is new has length -1."""
        there = memory_of(source) if source.length >= 0 else 0
        return self.no_memory(source.agent, _SOURCE_MEMORY + _BYTE_MEMORY * length - there)

    def take_memory(self, agent: Agent, bytes_more: int) -> None:
        """Count what an agent takes, or gives back."""
        agent.memory += bytes_more
        self.memory += bytes_more

    def take_stream(self, agent: Agent) -> str:
        """Count one more sub-agent; or which limit forbids it."""
        full = len(agent.streams) >= STREAMS_PER_AGENT
        reason = "sub_agents" if full else self.no_memory(agent, STREAM_MEMORY)
        if not reason:
            self.take_memory(agent, STREAM_MEMORY)
        return reason

    def forget_streams(self, agent: Agent, before: float) -> list[bytes]:
        """Let an agent forget sub-agents (see there), and count them no longer."""
        many = len(agent.streams)
        keys = agent.forget_streams(before)
        self.take_memory(agent, STREAM_MEMORY * (len(agent.streams) - many))
        return keys

    def drop(self, reason: str, form: Form) -> None:
        """Count a service that is met and not shown by its name."""
        self.dropped[reason] += series_of(form)

    def hold(self, source: Source) -> None:
        """Count a source."""
        self.take_memory(source.agent, memory_of(source))
        self._count(source, 1)

    def release(self, source: Source) -> None:
        """Count it no longer: it goes, or is about to become something else."""
        self.take_memory(source.agent, -memory_of(source))
        self._count(source, -1)

    def _count(self, source: Source, by: int) -> None:
        if source.role is not Role.SERVICE:
            return
        if source.service == OVERFLOW:
            source.agent.folded += by
            self.folded += by
        else:
            source.agent.named += by
            self.series += by * series_of(source.form)
