"""A request to the HTTP port: a page that can be read, targets as JSON, or a QueryError that names the cure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families as parse_text
from yarl import URL

from exporters import prometheus
from exporters.negotiation import accepts_gzip, wants_openmetrics
from exporters.query import FAMILIES, METRICS, PROBE, parse_metrics_query, parse_probe_query
from exporters.selection import Selection
from exporters.targets import BY, PARAMETERS, describe_targets
from sflow_gmetrics.config import GROUPS, WEB_LEVELS
from sflow_gmetrics.errors import QueryError
from tests.exporters.test_prometheus import flat, parse_openmetrics

from . import door
from .interactive import small_snapshot

PAGES = 1_000
"""Selections whose page is read; each is read once."""
HEADERS = (
    b"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    b"gzip, deflate;q=nan, *;q=0",
)


class Door(door.Door):
    """The first byte of an input chooses the path; then come lines: query, Accept and Accept-Encoding."""

    longest = 512
    words = tuple(
        word.encode()
        for word in (
            *(f"{name}=" for name in sorted({*METRICS, *PROBE, *PARAMETERS})),
            *WEB_LEVELS,
            *GROUPS,
            *BY,
            *sorted(FAMILIES)[::8],
            *"& ? = %5B%5D + %00 %ff %C3%A9 ; 1/1 1/1000 0/0 / web web-1 10.0.0.1 q= , \n \U0001d7d8 ٣".split(" "),
        )
    )

    def __init__(self) -> None:
        self._snapshot = small_snapshot()
        self._read: set[tuple[Selection, bool]] = set()

    def seeds(self) -> Iterator[bytes]:
        lines = b"\n" + b"\n".join(HEADERS)
        queries = (
            (0, "level=host&level=service&group=netstat&shard=1/2&pool=web"),
            (0, "name[]=sflow_host_up&name%5B%5D=sflow_service_cpu_seconds_total"),
            (1, "target=web-1&level=service"),
            (1, "target=10.0.0.1"),
            (2, "by=shard&shards=8"),
            (2, "by=host&pool=web&pool=unspecified"),
            (2, "by=agent"),
        )
        for path, text in queries:
            yield bytes((path,)) + text.encode() + lines

    def enter(self, data: bytes) -> None:
        lines = data[1:].split(b"\n", 2)
        query = lines[0].decode("ascii", "ignore")  # aiohttp takes nothing else there
        accept, encoding = (line.decode("utf-8", "surrogateescape") for line in (*lines[1:], b"", b"")[:2])
        openmetrics = wants_openmetrics(accept)
        accepts_gzip(encoding)
        parameters = URL.build(path="/", query_string=query, encoded=True).query.items()
        config = self._snapshot.config
        try:
            if data[:1] == b"\2":
                json.dumps(describe_targets(parameters, self._snapshot, accept))
                return
            parse = parse_probe_query if data[:1] == b"\1" else parse_metrics_query
            selection = parse(parameters, config)
        except QueryError as error:
            str(error).encode("utf-8")  # it goes to the client
            return
        if (selection, openmetrics) not in self._read and len(self._read) < PAGES:
            self._read.add((selection, openmetrics))
            self._page(selection, openmetrics)

    def _page(self, selection: Selection, openmetrics: bool) -> None:
        if openmetrics:
            flat(parse_openmetrics(prometheus.render_openmetrics(self._snapshot, selection).decode()))
        else:
            flat(parse_text(prometheus.render(self._snapshot, selection).decode()))
