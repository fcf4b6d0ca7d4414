"""The Prometheus page: text format 0.0.4, and OpenMetrics 1.0.

Grouped by service name: host families, service families, and the pool families that sum a
service over its hosts. What stands on it is decided in `walk.py` and by the selection.
Source: Prometheus exposition formats; OpenMetrics 1.0.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sflow_gmetrics.snapshot import Snapshot

from .created import CreatedPage
from .exposition import EOF, LabelTexts
from .page import Page
from .selection import Selection
from .walk import write

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Kept:
    """The label texts and the memory of pages that have been rendered, by selection: of the newest ones only.

    Together they have at most twice as many texts as the largest page among them, so that
    its shards have room beside it, whatever clients ask for.
    """

    PAGES = 64

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[Selection, LabelTexts] = {}

    def take(self, selection: Selection) -> LabelTexts:
        """The texts for a page; nobody else gets them until they are given back."""
        with self._lock:
            return self._texts.pop(selection, None) or LabelTexts()

    def give_back(self, selection: Selection, texts: LabelTexts) -> None:
        """Keep them for the next page of this selection. Pages of one host are not worth it."""
        if selection.one_host:
            return
        with self._lock:
            self._texts[selection] = texts
            while len(self._texts) > self.PAGES or self.size > 2 * self._largest:
                del self._texts[next(iter(self._texts))]

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def size(self) -> int:
        """How many label texts are kept in all."""
        return sum(one.size for one in self._texts.values())

    @property
    def _largest(self) -> int:
        return max(one.size for one in self._texts.values())


_kept = Kept()


def _nothing() -> bytes:
    return b""


def render(snapshot: Snapshot, selection: Selection | None = None, end: Callable[[], bytes] = _nothing) -> bytes:
    """The page in text format 0.0.4; without a selection what the configuration shows.

    `end` makes further families, when all others have been written.
    """
    return _render(snapshot, selection, end, openmetrics=False)


def render_openmetrics(
    snapshot: Snapshot, selection: Selection | None = None, end: Callable[[], bytes] = _nothing
) -> bytes:
    """The same in OpenMetrics 1.0; `end` makes no EOF."""
    return _render(snapshot, selection, lambda: end() + EOF, openmetrics=True)


def _render(snapshot: Snapshot, selection: Selection | None, end: Callable[[], bytes], *, openmetrics: bool) -> bytes:
    selection = selection or Selection.of(snapshot.config)
    if selection.began:
        created = CreatedPage(selection, snapshot.stats.started)
        write(created, snapshot)
        return created.text(end, openmetrics=openmetrics)
    texts = _kept.take(selection)
    texts.begin()
    page = Page(selection, texts)
    write(page, snapshot)
    body = page.text(end, openmetrics=openmetrics)
    _kept.give_back(selection, texts)
    return body
