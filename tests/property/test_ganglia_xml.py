"""Any tree survives the way through XML, and any bytes give a plain tree or an InputError."""

from __future__ import annotations

import contextlib
import gzip
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from xml.sax.saxutils import quoteattr

from hypothesis import given
from hypothesis import strategies as st

from sflow_gmetrics.errors import InputError
from sflow_gmetrics.inputs.ganglia_xml import GangliaXmlReader
from sflow_gmetrics.remote import (
    NUMERIC_TYPES,
    RemoteCluster,
    RemoteGrid,
    RemoteHost,
    RemoteMetric,
    RemoteSum,
    RemoteSummary,
)
from tests.recordings import CAPTURES

Tree = tuple[tuple[RemoteCluster, ...], tuple[RemoteGrid, ...]]
SAMPLE = (CAPTURES / "gmond-sample.xml").read_bytes()

# --- trees

PLAIN = st.text("abcXYZ019_-", min_size=1, max_size=8)
TEXT = st.text("abc XYZ.,:;()[]{}/\\|!?*+=#$%@^~`-_", max_size=8)
COUNT = st.integers(0, 2**53 - 1)
SLOPE = st.sampled_from(("zero", "positive", "negative", "both", "derivative", "unspecified"))
EXTRAS = st.lists(st.tuples(PLAIN, TEXT), max_size=2).map(tuple)
NUMBER = st.one_of(st.integers(-(2**70), 2**70).map(str), st.floats(allow_nan=False, allow_infinity=False).map(repr))
VALUE = st.one_of(
    st.tuples(st.sampled_from(sorted(NUMERIC_TYPES)), NUMBER),
    st.tuples(st.sampled_from(("string", "timestamp")), TEXT),
)
SHOWN = st.builds(
    lambda value, **rest: RemoteMetric(val=value[1], type=value[0], **rest),
    VALUE,
    name=PLAIN,
    units=TEXT,
    tn=COUNT,
    tmax=COUNT,
    dmax=COUNT,
    slope=SLOPE,
    source=PLAIN,
    extras=EXTRAS,
)
SUM = st.builds(
    RemoteSum,
    name=PLAIN,
    sum=st.integers(-(10**9), 10**9).map(lambda thousandths: thousandths / 1000),
    num=COUNT,
    type=st.sampled_from(sorted(NUMERIC_TYPES)),
    units=TEXT,
    slope=SLOPE,
    decimals=st.just(3),
    extras=EXTRAS,
)


def distinct(of: st.SearchStrategy[object], most: int = 3) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=most, unique_by=lambda one: one.name).map(tuple)  # type: ignore[attr-defined]


HOST = st.builds(
    RemoteHost,
    name=PLAIN,
    ip=TEXT,
    reported=COUNT,
    tn=COUNT,
    tmax=COUNT,
    dmax=COUNT,
    location=TEXT,
    started=COUNT,
    tags=TEXT,
    metrics=distinct(SHOWN),
)
SUMMARY = st.none() | st.builds(RemoteSummary, up=COUNT, down=COUNT, sums=distinct(SUM))
CLUSTER = st.builds(
    RemoteCluster,
    name=PLAIN,
    localtime=COUNT,
    owner=TEXT,
    latlong=TEXT,
    url=TEXT,
    hosts=distinct(HOST),
    summary=SUMMARY,
)
GRID = st.recursive(
    st.builds(RemoteGrid, name=PLAIN, authority=TEXT, localtime=COUNT, clusters=distinct(CLUSTER), summary=SUMMARY),
    lambda inner: st.builds(RemoteGrid, name=PLAIN, authority=TEXT, localtime=COUNT, grids=distinct(inner, 2)),
    max_leaves=3,
)

# --- the way there


def element(tag: str, inner: Iterable[str] = (), **attributes: object) -> str:
    shown = "".join(f" {key}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<{tag}{shown}>{''.join(inner)}</{tag}>\n"


def extra_data(extras: tuple[tuple[str, str], ...]) -> Iterator[str]:
    if extras:
        yield element("EXTRA_DATA", [element("EXTRA_ELEMENT", NAME=name, VAL=value) for name, value in extras])


def metric_xml(one: RemoteMetric) -> str:
    times = {"TN": one.tn, "TMAX": one.tmax, "DMAX": one.dmax}
    attributes = {"NAME": one.name, "VAL": one.val, "TYPE": one.type, "UNITS": one.units, **times}
    return element("METRIC", extra_data(one.extras), **attributes, SLOPE=one.slope, SOURCE=one.source)


def host_xml(one: RemoteHost) -> str:
    times = {"REPORTED": one.reported, "TN": one.tn, "TMAX": one.tmax, "DMAX": one.dmax, "GMOND_STARTED": one.started}
    inner = map(metric_xml, one.metrics)
    return element("HOST", inner, NAME=one.name, IP=one.ip, LOCATION=one.location, TAGS=one.tags, **times)


def sum_xml(one: RemoteSum) -> str:
    attributes = {"NAME": one.name, "SUM": f"{one.sum:.{one.decimals}f}", "NUM": one.num, "TYPE": one.type}
    return element("METRICS", extra_data(one.extras), **attributes, UNITS=one.units, SLOPE=one.slope)


def summary_xml(one: RemoteSummary | None) -> Iterator[str]:
    if one is not None:
        yield element("HOSTS", UP=one.up, DOWN=one.down, SOURCE="gmetad")
        yield from map(sum_xml, one.sums)


def cluster_xml(one: RemoteCluster) -> str:
    inner = chain(summary_xml(one.summary), map(host_xml, one.hosts))
    place = {"OWNER": one.owner, "LATLONG": one.latlong, "URL": one.url}
    return element("CLUSTER", inner, NAME=one.name, LOCALTIME=one.localtime, **place)


def grid_xml(one: RemoteGrid) -> str:
    inner = chain(map(cluster_xml, one.clusters), map(grid_xml, one.grids), summary_xml(one.summary))
    return element("GRID", inner, NAME=one.name, AUTHORITY=one.authority, LOCALTIME=one.localtime)


def read(data: bytes, chunk: int = 1 << 16) -> Tree:
    reader = GangliaXmlReader(1 << 22)
    for start in range(0, len(data), chunk):
        reader.feed(data[start : start + chunk])
    tree = reader.close()
    assert not reader.skipped
    return tree


@given(clusters=distinct(CLUSTER, 2), grids=distinct(GRID, 2), chunk=st.integers(1, 500), zipped=st.booleans())
def test_a_tree_comes_back(
    clusters: tuple[RemoteCluster, ...], grids: tuple[RemoteGrid, ...], chunk: int, zipped: bool
) -> None:
    text = element("GANGLIA_XML", chain(map(cluster_xml, clusters), map(grid_xml, grids)), VERSION="3.7.2")
    data = text.encode("ascii")
    assert read(gzip.compress(data, 1) if zipped else data, chunk) == (clusters, grids)


# --- any bytes


def check_plain(clusters: tuple[RemoteCluster, ...], grids: tuple[RemoteGrid, ...]) -> None:
    """Every text can stand in our own XML, every name in a path, every number in a sum; names are distinct."""
    for grid in grids:
        check_plain(grid.clusters, grid.grids)
    for metric in chain.from_iterable(host.metrics for cluster in clusters for host in cluster.hosts):
        texts = (metric.val, metric.type, metric.units, metric.slope, metric.source, *chain(*metric.extras))
        assert all(map(_is_plain, texts))
        assert metric.type not in NUMERIC_TYPES or math.isfinite(float(metric.val))
        assert min(metric.tn, metric.tmax, metric.dmax) >= 0
    for host in chain.from_iterable(cluster.hosts for cluster in clusters):
        assert all(map(_is_plain, (host.ip, host.location, host.tags)))
        _check_names(host.metrics)
    for cluster in clusters:
        assert all(map(_is_plain, (cluster.owner, cluster.latlong, cluster.url)))
        _check_names(cluster.hosts)
    assert all(_is_plain(grid.authority) for grid in grids)
    summaries = [cluster.summary for cluster in clusters] + [grid.summary for grid in grids]
    for summary in filter(None, summaries):
        _check_names(summary.sums)
        assert all(math.isfinite(each.sum) and each.num >= 0 for each in summary.sums)
    _check_names(clusters)
    _check_names(grids)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and not set(text) & set("<>&\"'")


def _check_names(
    items: Iterable[RemoteMetric | RemoteSum | RemoteHost | RemoteCluster | RemoteGrid],
) -> None:
    names = [item.name for item in items]
    assert len(set(names)) == len(names)
    for name in names:
        assert name
        assert _is_plain(name)
        assert "/" not in name
        assert ".." not in name
        assert len(name.encode()) < 240


def read_anything(data: bytes) -> None:
    reader = GangliaXmlReader(1 << 20)
    with contextlib.suppress(InputError):
        reader.feed(data)
        check_plain(*reader.close())


@given(st.binary(max_size=300), st.sampled_from((b"", b"\x1f\x8b", b"<", b"<?xml ", b"<GANGLIA_XML VERSION='1'>")))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes) -> None:
    read_anything(head + data)


@given(st.data())
def test_a_damaged_document_is_read_or_refused(data: st.DataObject) -> None:
    place = data.draw(st.integers(3000, len(SAMPLE)))
    width = data.draw(st.integers(0, 40))
    instead = data.draw(st.binary(max_size=8) | st.sampled_from((b'"', b"<", b"&", b"/>", b"\xe9", b"&#1;", b"]]>")))
    damaged = SAMPLE[:place] + instead + SAMPLE[place + width :]
    read_anything(damaged)
    zipped = bytearray(gzip.compress(SAMPLE, 1))
    zipped[data.draw(st.integers(2, len(zipped) - 1))] ^= data.draw(st.integers(1, 255))
    read_anything(bytes(zipped))


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_any_name_becomes_plain(name: str, value: str) -> None:
    shown = [text.encode("ascii", "xmlcharrefreplace").decode() for text in map(quoteattr, (name, value))]
    names = f"NAME={shown[0]}"
    metric = f"<METRIC {names} VAL={shown[1]} TYPE='string' UNITS={shown[1]}/>"
    host = f"<HOST {names} IP={shown[1]} REPORTED='1' TAGS={shown[1]}>{metric}</HOST>"
    read_anything(
        f"<GANGLIA_XML VERSION='3'><GRID {names}><CLUSTER {names}>{host}</CLUSTER></GRID></GANGLIA_XML>".encode()
    )
