"""Samples that are looked at carefully: those of a shape that is new, or that are damaged or very short."""

from __future__ import annotations

from collections.abc import Callable

from .agent import Agent
from .datagram import Sample, decode_sample
from .errors import DecodeError
from .layout import Layouts, Shape
from .notes import Notes
from .schema import tag_text
from .xdr import Cursor


class CarefulReader:
    """Learns the `layouts` of samples, and counts in `errors` what is damaged, by reason.

    `drop` is told of reason, agent and detail where there is no room for another form.
    """

    def __init__(self, layouts: Layouts, notes: Notes, drop: Callable[[str, str, str], None]) -> None:
        self._layouts = layouts
        self._notes = notes
        self._drop = drop
        self.errors = dict.fromkeys(DecodeError.REASONS, 0)

    def shape(self, payload: bytes, offset: int, records: int, end: int, agent: Agent) -> Shape | None:
        """How the bytes of a sample lie; None, and counted, where it is damaged or of too many forms."""
        shape = self._layouts.known(payload, records, end)
        if shape is None:
            sample = decode_sample(Cursor(payload, offset))
            if sample.malformed:
                self._count(sample, agent)
                return None
            shape = self._layouts.shape(payload, records, end)
        if shape is None:
            self._drop("forms", agent.address, "more sets of structures than anybody sends, a sample is passed over")
        return shape

    def rest(self, payload: bytes, offset: int, left: int, agent: Agent) -> None:
        """Fewer bytes than a sample of ours has: other, very short samples, or the end came too early."""
        cursor = Cursor(payload, offset)
        for _ in range(left):
            sample = decode_sample(cursor)
            if sample.malformed:
                self._count(sample, agent)
                return
            agent.samples[sample.type] += 1

    def _count(self, sample: Sample, agent: Agent) -> None:
        detail = sample.malformed or ""
        reason = detail.partition(":")[0]
        reason = reason if reason in self.errors else "bad_length"
        self.errors[reason] += 1
        self._notes.add(agent.address, reason, f"a malformed sample {tag_text(sample.tag)}: {detail}")
