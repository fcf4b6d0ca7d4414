"""The Prometheus page: text format 0.0.4, and OpenMetrics 1.0.

Grouped by service name: host families, service families, and the pool families that sum a
service over its hosts. What stands on it is decided in `walk.py` and by the selection.
Source: Prometheus exposition formats; OpenMetrics 1.0.
"""

from __future__ import annotations

from sflow_gmetrics.snapshot import Snapshot

from .exposition import Templates
from .page import Page
from .selection import Selection
from .walk import write

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_templates = Templates()


def render(snapshot: Snapshot, selection: Selection | None = None) -> bytes:
    """The page in text format 0.0.4; without a selection what the configuration shows."""
    return _page(snapshot, selection).text(openmetrics=False)


def render_openmetrics(snapshot: Snapshot, selection: Selection | None = None) -> bytes:
    """The page in OpenMetrics 1.0."""
    return _page(snapshot, selection).text(openmetrics=True)


def _page(snapshot: Snapshot, selection: Selection | None) -> Page:
    _templates.begin()
    page = Page(selection or Selection.of(snapshot.config), _templates)
    write(page, snapshot)
    return page
