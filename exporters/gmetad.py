"""gmetad XML: the whole tree for gmetads above, and the answers that ganglia-web asks for.

Deliberate differences from gmetad 3.7.2: names and values are printed safe; a grid below ours
is shown in full detail where it gave any, since gmetad does not add up METRICS elements of
others, and a third level would read as nothing.
Source: Ganglia 3.7.2, gmetad's xml_port and interactive_port as measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from sflow_gmetrics.snapshot import Snapshot

from .dtd import HEAD
from .ganglia import safe_value
from .tree import ClusterView, GridView, HostView, Summary, grid_of

_FORBIDDEN = re.compile(r"[>!@#$%`;|\"\\'<]")
"""gmetad hangs up on a request with one of these."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: path elements and whether only summaries are wanted."""

    elements: tuple[str, ...] = ()
    summary: bool = False


def parse_request(line: str) -> Request | None:
    """A request line such as /cluster/host or /?filter=summary; None for one that is not answered."""
    if not line.startswith("/") or _FORBIDDEN.search(line) or not line.isprintable():
        return None
    path, _, query = line.partition("?")
    elements = tuple(element for element in path.split("/") if element)
    return Request(elements, "filter=summary" in query.split("&"))


def render(snapshot: Snapshot, path: str = "/") -> bytes:
    """The answer to a path of the interactive port; "/" is the whole tree. An unknown element means its parent."""
    request = parse_request(path) or Request()
    grid = grid_of(snapshot)
    return document(_answer(grid, request), grid)


def render_http(snapshot: Snapshot, path: str) -> bytes:
    """The same for `GET path`: here an unknown element is an empty answer and * is every one."""
    request = parse_request(path) or Request()
    grid = grid_of(snapshot)
    return document(_matching(grid, request), grid)


def document(parts: Iterator[bytes], grid: GridView) -> bytes:
    """Parts within the outermost GRID, as a document."""
    text = BytesIO()
    text.write(f'{HEAD}<GANGLIA_XML VERSION="3.7.2" SOURCE="gmetad">\n'.encode("ascii"))
    text.write(_grid_tag(grid))
    text.writelines(parts)
    text.write(b"</GRID>\n</GANGLIA_XML>\n")
    return text.getvalue()


def _answer(grid: GridView, request: Request) -> Iterator[bytes]:
    elements = request.elements
    cluster = next((one for one in grid.clusters if elements and one.name == elements[0]), None)
    inner = next((one for one in grid.grids if elements and one.name == elements[0]), None)
    if cluster is not None:
        yield from _cluster_answer(cluster, elements[1:], request.summary)
    elif inner is not None:
        yield from _summarised_grid(inner)
    elif request.summary:
        yield from _summary(grid.summary())
        for one in grid.clusters:
            yield from _summarised_cluster(one)
        for below in grid.grids:
            yield from _summarised_grid(below)
    else:
        yield from _children(grid)


def _cluster_answer(cluster: ClusterView, elements: tuple[str, ...], summary: bool) -> Iterator[bytes]:
    host = cluster.host(elements[0]) if elements else None
    if host is None:
        if summary:
            yield from _summarised_cluster(cluster)
        else:
            yield from _full_cluster(cluster)
        return
    yield _cluster_tag(cluster)
    metric = _metric(host, elements[1]) if len(elements) > 1 else b""
    yield from (host.head(), metric, b"</HOST>\n") if metric else _host(host)
    yield b"</CLUSTER>\n"


def _metric(host: HostView, name: str) -> bytes:
    """The METRIC element of this name out of a host's, or nothing."""
    body, end = b"".join(host.body()), b"</METRIC>\n"
    start = body.find(f'<METRIC NAME="{name}" '.encode("ascii", "backslashreplace"))
    return body[start : body.index(end, start) + len(end)] if start >= 0 else b""


def _matching(grid: GridView, request: Request) -> Iterator[bytes]:
    """The HTTP form: exact names or *, nothing where nothing matches."""
    if not request.elements:
        yield from _answer(grid, request)
        return
    first, rest = request.elements[0], request.elements[1:]
    for cluster in grid.clusters:
        if first not in ("*", cluster.name):
            continue
        if not rest:
            yield from _summarised_cluster(cluster) if request.summary else _full_cluster(cluster)
            continue
        hosts = [host for host in cluster.hosts if rest[0] in ("*", host.name)]
        yield _cluster_tag(cluster)
        for host in hosts:
            every = len(rest) < 2 or rest[1] == "*"
            yield from _host(host) if every else (host.head(), _metric(host, rest[1]), b"</HOST>\n")
        yield b"</CLUSTER>\n"
    for below in grid.grids:
        if first in ("*", below.name):
            yield from _summarised_grid(below)


# --- elements


def _grid_tag(grid: GridView) -> bytes:
    return f'<GRID NAME="{grid.name}" AUTHORITY="{grid.authority}" LOCALTIME="{grid.localtime}">\n'.encode("ascii")


def _cluster_tag(cluster: ClusterView) -> bytes:
    return f'<CLUSTER NAME="{cluster.name}" {cluster.attributes}>\n'.encode("ascii")


def _children(grid: GridView) -> Iterator[bytes]:
    """Everything in a grid, in full; a grid or cluster that gave only a summary has that."""
    for cluster in grid.clusters:
        yield from _full_cluster(cluster)
    for below in grid.grids:
        yield _grid_tag(below)
        if below.clusters or below.grids:
            yield from _children(below)
        else:
            yield from _summary(below.summary())
        yield b"</GRID>\n"


def _full_cluster(cluster: ClusterView) -> Iterator[bytes]:
    yield _cluster_tag(cluster)
    for host in cluster.hosts:
        yield from _host(host)
    summary = cluster.summary()
    if not cluster.hosts and (summary.up or summary.down or summary.sums):
        yield from _summary(summary)
    yield b"</CLUSTER>\n"


def _host(host: HostView) -> Iterator[bytes]:
    yield host.head()
    yield from host.body()
    yield b"</HOST>\n"


def _summarised_cluster(cluster: ClusterView) -> Iterator[bytes]:
    yield _cluster_tag(cluster)
    yield from _summary(cluster.summary())
    yield b"</CLUSTER>\n"


def _summarised_grid(grid: GridView) -> Iterator[bytes]:
    yield _grid_tag(grid)
    yield from _summary(grid.summary())
    yield b"</GRID>\n"


def _summary(summary: Summary) -> Iterator[bytes]:
    yield f'<HOSTS UP="{summary.up}" DOWN="{summary.down}" SOURCE="gmetad"/>\n'.encode("ascii")
    for name, one in summary.sums.items():
        line = one.line
        title = safe_value(line.title)
        yield (
            f'<METRICS NAME="{safe_value(name)}" SUM="{one.text}" NUM="{one.num}" TYPE="double" '
            f'UNITS="{safe_value(line.units)}" SLOPE="{line.slope}" SOURCE="gmond">\n<EXTRA_DATA>\n'
            f'<EXTRA_ELEMENT NAME="TITLE" VAL="{title}"/>\n<EXTRA_ELEMENT NAME="DESC" VAL="{title}"/>\n'
            f'<EXTRA_ELEMENT NAME="GROUP" VAL="{safe_value(line.group)}"/>\n</EXTRA_DATA>\n</METRICS>\n'
        ).encode("ascii")
