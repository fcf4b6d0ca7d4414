"""The families of what the running program says of itself: those of a runtime that has every part."""

from __future__ import annotations

from collections.abc import Iterator

from sflow_gmetrics.remote import Remote
from sflow_gmetrics.state import Written

from . import remote_write_queue, rrd_writer
from .families import Extra
from .runtime import Runtime, page_name


def _runtime() -> Runtime:
    """One in which everything is configured and has happened: labels are known from samples only."""
    runtime = Runtime(
        lambda: ("rrdtool", rrd_writer.Stats()), lambda: [Remote("")], lambda: {"": remote_write_queue.Stats()}
    )
    runtime.watch_config(lambda: (True, 0.0), lambda: (True, 0.0))
    runtime.watch_state(Written())
    runtime.watch_xml("", lambda: 0.0)
    runtime.xml_requests.labels("").inc()
    runtime.xml_hung_up("", "")
    runtime.hung_up("")
    runtime.answered("", 200)
    runtime.timed("", bytes)
    return runtime


def _families() -> Iterator[Extra]:
    for family in _runtime().registry.collect():
        yield Extra(page_name(family), family.type, family.documentation, tuple(family.samples[0].labels))


RUNTIME = tuple(_families())
"""All of them, those of the process included."""
