"""Ganglia's XML as real programs write it, and as nobody should."""

from __future__ import annotations

import gzip
import itertools
import re
import string
import time
from collections.abc import Callable

import pytest
from lxml import etree

from exporters import gmond
from sflow_gmetrics import Collector, Config
from sflow_gmetrics.errors import InputError
from sflow_gmetrics.inputs.ganglia_xml import GangliaXmlReader
from sflow_gmetrics.names import Names, renamed, safe_host, safe_metric, safe_name, safe_title, safe_value
from sflow_gmetrics.remote import RemoteCluster, RemoteGrid, RemoteHost, RemoteMetric, RemoteSum, RemoteSummary
from tests.recordings import CAPTURES, packets

Tree = tuple[tuple[RemoteCluster, ...], tuple[RemoteGrid, ...]]
SAMPLES = ("gmond-sample", "gmond-plain", "gmetad-sample", "gmetad-grids")
"""sFlow hosts in a gmond; a gmond's own metrics and gmetric's; a gmetad over our gmond XML and that gmond; a gmetad
over that gmetad and gmond."""


def sample(name: str) -> bytes:
    return (CAPTURES / f"{name}.xml").read_bytes()


def read(*chunks: bytes, limit: int = 1 << 20) -> Tree:
    reader = GangliaXmlReader(limit)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.close()


def document(inner: str, encoding: str = "ISO-8859-1") -> bytes:
    head = f'<?xml version="1.0" encoding="{encoding}" standalone="yes"?>\n<GANGLIA_XML VERSION="3.7.2" SOURCE="gmond">'
    return f"{head}{inner}</GANGLIA_XML>\n".encode(encoding)


def cluster(inner: str, **more: str) -> str:
    attributes = "".join(f' {key}="{value}"' for key, value in {"LOCALTIME": "1000", **more}.items())
    return f'<CLUSTER NAME="c"{attributes}>{inner}</CLUSTER>'


def host(inner: str = "", name: str = "h") -> str:
    return f'<HOST NAME="{name}" IP="192.0.2.1" REPORTED="990" TN="10" TMAX="20">{inner}</HOST>'


METRIC = {"NAME": "m", "VAL": "1", "TYPE": "float"}


def metric(**changes: str | None) -> str:
    given = {**METRIC, **changes}
    attributes = "".join(f' {key}="{value}"' for key, value in given.items() if value is not None)
    return f"<METRIC{attributes}/>"


def metrics_of(inner: str) -> tuple[RemoteMetric, ...]:
    ((one,), _) = read(document(cluster(host(inner))))
    return one.hosts[0].metrics


# --- documents of real programs


def whole_hosts(hosts: tuple[RemoteHost, ...]) -> dict[str, dict[str, str]]:
    return {one.name: {metric.name: metric.val for metric in one.metrics} for one in hosts}


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_of_a_real_document_is_lost(name: str) -> None:
    """Against libxml2's own tree of the same bytes."""
    expected = etree.fromstring(sample(name))
    reader = GangliaXmlReader()
    reader.feed(sample(name))
    clusters, grids = reader.close()
    assert not reader.skipped
    all_grids = list(grids)
    for grid in all_grids:
        all_grids += grid.grids
    found = [*clusters, *(one for grid in all_grids for one in grid.clusters)]
    assert [grid.name for grid in all_grids] == [one.get("NAME") for one in expected.iter("GRID")]
    assert [one.name for one in found] == [one.get("NAME") for one in expected.iter("CLUSTER")]
    for ours, theirs in zip(found, expected.iter("CLUSTER"), strict=True):
        assert str(ours.localtime) == theirs.get("LOCALTIME")
        assert whole_hosts(ours.hosts) == {
            one.get("NAME"): {inner.get("NAME"): inner.get("VAL") for inner in one.iter("METRIC")}
            for one in theirs.iter("HOST")
        }
    extras = [pair for one in found for host in one.hosts for metric in host.metrics for pair in metric.extras]
    named = [one for parent in expected.iter("METRIC") for one in parent.iter("EXTRA_ELEMENT")]
    assert extras == [(one.get("NAME"), one.get("VAL")) for one in named]
    sums = [one for grid in all_grids if grid.summary for one in grid.summary.sums]
    assert [(one.name, f"{one.sum:.{one.decimals}f}", str(one.num), one.units, one.slope) for one in sums] == [
        tuple(one.get(key) for key in ("NAME", "SUM", "NUM", "UNITS", "SLOPE")) for one in expected.iter("METRICS")
    ]


def test_gmond_with_sflow() -> None:
    ((one,), grids) = read(sample("gmond-sample"))
    assert not grids
    assert (one.name, one.localtime, one.owner, one.latlong, one.url, one.summary) == (
        "sflow cluster",
        1_795_405_580,
        "lab",
        "N0 E0",
        "http://example.invalid/",
        None,
    )
    (physical,) = one.hosts
    assert (physical.name, physical.ip, physical.reported, physical.tn, physical.tmax) == (
        "sflowhost1",
        "127.0.0.1",
        1_795_405_580,
        0,
        20,
    )
    assert (physical.dmax, physical.location, physical.started, physical.tags) == (0, "unspecified", 1_795_401_971, "")
    assert physical.up
    metrics = {metric.name: metric for metric in physical.metrics}
    assert len(metrics) == 93
    title = "apache2.service: VM Bytes Written"
    assert metrics["apache2.service.vdisk_bytes_written"] == RemoteMetric(
        name="apache2.service.vdisk_bytes_written",
        val="16351",
        type="float",
        dmax=600,
        extras=(("TITLE", title), ("DESC", title), ("GROUP", "vm disk")),
    )


def test_gmond_without_sflow_and_a_metric_in_two_groups() -> None:
    ((one,), _) = read(sample("gmond-plain"))
    metrics = {metric.name: metric for metric in one.hosts[0].metrics}
    assert metrics.keys() == {"boottime", "big", "load_one", "odd name [a] (b)", "os_name", "proc_total", "text"}
    assert metrics["load_one"].tmax == 70
    assert metrics["big"].slope == "positive"
    assert metrics["text"].type == "string"


def test_a_gmetad_over_a_gmetad_gives_sums_of_the_inner_grid() -> None:
    (clusters, (outer,)) = read(sample("gmetad-grids"))
    assert not clusters
    assert (outer.name, outer.authority) == ("outer grid", "http://example.invalid/2/")
    (inner,) = outer.grids
    assert (inner.name, inner.authority, inner.clusters) == ("inner grid", "http://example.invalid/1/", ())
    assert inner.summary is not None
    assert (inner.summary.up, inner.summary.down) == (2, 0)
    sums = {one.name: one for one in inner.summary.sums}
    assert sums["load_one"] == RemoteSum("load_one", 3.77, 2, "double", " ", "both", 2)
    assert sums["big"].decimals == 3
    assert sums["apache2.service.vdisk_bytes_read"].decimals == 0


def test_our_own_document_comes_back() -> None:
    recorded = packets("hsflowd-systemd")
    collector = Collector(Config())
    for packet in recorded:
        collector.receive(packet.payload, packet.time)
    rendered = gmond.render(collector.snapshot(recorded[-1].time))
    ((one,), _) = read(rendered)
    expected = etree.fromstring(rendered)
    assert whole_hosts(one.hosts) == {
        host.get("NAME"): {metric.get("NAME"): metric.get("VAL") for metric in host} for host in expected.iter("HOST")
    }
    assert any(metric.name == "redis-server.service.vmem_used" for metric in one.hosts[0].metrics)


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("name", ["gmond-sample", "gmetad-grids"])
@pytest.mark.parametrize("form", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_chunks_change_nothing(name: str, size: int, form: Callable[[bytes], bytes]) -> None:
    data = form(sample(name))
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert read(*chunks) == read(sample(name))


def test_gzip_in_several_members() -> None:
    data = sample("gmond-sample")
    assert read(gzip.compress(data[:9000]) + gzip.compress(b"") + gzip.compress(data[9000:])) == read(data)


def test_defaults_of_the_dtd_are_the_same_without_it() -> None:
    data = sample("gmond-sample")
    head, _, rest = data.partition(b"<!DOCTYPE")
    assert read(head + rest.partition(b"]>\n")[2]) == read(data)
    lying = data.replace(b"SOURCE (gmond) 'gmond'", b"UNITS CDATA 'furlongs'")
    assert lying != data
    assert read(lying) == read(data)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-8", "utf-8", "us-ascii"])
def test_encodings(encoding: str) -> None:
    data = document(cluster(host(), OWNER="Jos&#233; &amp; co"), encoding)
    assert read(data)[0][0].owner == "Jos_ _ co"


def test_a_byte_of_latin_1_is_one_character() -> None:
    assert read(document(cluster("", OWNER="José")))[0][0].owner == "Jos_"
    in_utf_8 = document(cluster("", OWNER="José"), "UTF-8")
    assert read(in_utf_8) == read(b"\xef\xbb\xbf" + in_utf_8)
    assert read(in_utf_8)[0][0].owner == "Jos_"


# --- elements


def test_a_metric_has_the_defaults_of_gmetad() -> None:
    assert metrics_of(metric()) == (RemoteMetric("m", "1", "float"),)
    full = metric(UNITS="KB", TN="3", TMAX="7", DMAX="9", SLOPE="zero", SOURCE="other")
    assert metrics_of(full) == (RemoteMetric("m", "1", "float", "KB", 3, 7, 9, "zero", "other"),)
    assert metrics_of(metric(SLOPE="steep"))[0].slope == "unspecified"


@pytest.mark.parametrize("value", ["1", "-1.5", "1.", ".5", "+1e-3", "1e308", "9" * 300])
def test_a_number_stays_as_it_was_written(value: str) -> None:
    assert metrics_of(metric(VAL=value))[0].val == value
    assert metrics_of(metric(VAL=f"    {value}&#10;"))[0].val == value, "blanks mean nothing to gmetad"


@pytest.mark.parametrize(
    "value", ["", "nan", "inf", "-inf", "1e999", "1_000", "0x10", "1,5", "- 1", "one", "٣", "1" * 401]
)
def test_what_is_no_number_is_left_out(value: str) -> None:
    reader = GangliaXmlReader()
    reader.feed(document(cluster(host(metric(VAL=value) + metric(NAME="n", TN=value)) + host(name="i")), "UTF-8"))
    ((one,), _) = reader.close()
    assert [(each.name, each.metrics) for each in one.hosts] == [("h", ()), ("i", ())]
    assert reader.skipped["METRIC: VAL is no number"] == 1
    assert reader.skipped["METRIC: TN is no number"] == 1


def test_a_string_may_be_anything() -> None:
    assert metrics_of(metric(TYPE="string", VAL="not a number &lt;&quot;&#233;"))[0].val == "not a number ___"
    assert metrics_of(metric(TYPE="timestamp", VAL=""))[0].val == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"NAME": None}, "METRIC: NAME is missing"),
        ({"NAME": ""}, "METRIC: NAME is missing"),
        ({"NAME": "m" * 1025}, "METRIC: NAME is longer than 1024 characters"),
        ({"VAL": None}, "METRIC: VAL is missing"),
        ({"TYPE": None}, "METRIC: TYPE is missing"),
        ({"TYPE": "uint64"}, "METRIC: TYPE is unknown"),
        ({"TMAX": "soon"}, "METRIC: TMAX is no number"),
        ({"DMAX": "1e3"}, "METRIC: DMAX is no number"),
    ],
)
def test_a_useless_metric_is_left_out_with_what_is_in_it(changes: dict[str, str | None], reason: str) -> None:
    opened = metric(**changes).removesuffix("/>")
    inner = f'{opened}><EXTRA_DATA><EXTRA_ELEMENT NAME="GROUP" VAL="lost"/></EXTRA_DATA></METRIC>'
    reader = GangliaXmlReader()
    reader.feed(document(cluster(host(inner + metric(NAME="good")))))
    ((one,), _) = reader.close()
    assert one.hosts[0].metrics == (RemoteMetric("good", "1", "float"),)
    assert reader.skipped == {reason: 1}


@pytest.mark.parametrize("missing", ["NAME", "IP", "REPORTED"])
def test_a_useless_host_is_left_out(missing: str) -> None:
    bad = host(metric()).replace(f' {missing}="', f' X{missing}="')
    reader = GangliaXmlReader()
    reader.feed(document(cluster(bad + host(name="good"))))
    assert [one.name for one in reader.close()[0][0].hosts] == ["good"]
    assert reader.skipped == {f"HOST: {missing} is missing": 1}


def test_elements_in_a_wrong_place_are_left_out() -> None:
    reader = GangliaXmlReader()
    inner = cluster(cluster(host()) + metric() + host(f"<NEW>{host()}</NEW>{metric()}")) + host()
    reader.feed(document(inner))
    ((one,), _) = reader.close()
    assert whole_hosts(one.hosts) == {"h": {"m": "1"}}
    assert reader.skipped == {"an element where it does not belong": 4}
    assert read(document('<a:GRID a:NAME="g"/>')) == read(document('<GRID NAME="g"/>'))


def test_times() -> None:
    other = '<HOST NAME="o" IP="::1" REPORTED="900" TN="-5" TMAX="4294967295"/><HOST NAME="p" IP="::1" REPORTED="900"/>'
    ((one,), _) = read(document(cluster(other)))
    assert [(each.tn, each.tmax, each.dmax) for each in one.hosts] == [(0, 4_294_967_295, 0), (100, 0, 0)]
    assert metrics_of(metric(TN="99999999999999999999"))[0].tn == 2**53 - 1


def test_the_last_of_two_stays() -> None:
    twice = host(metric() + metric(VAL="2")) + host(metric(VAL="3"), name="g") + host(metric(NAME="n"))
    ((one,), _) = read(document(cluster(twice)))
    assert whole_hosts(one.hosts) == {"h": {"n": "1"}, "g": {"m": "3"}}
    assert metrics_of(metric() + metric(VAL="2")) == (RemoteMetric("m", "2", "float"),)


def test_a_summary() -> None:
    inner = (
        '<HOSTS UP="3" DOWN="1" SOURCE="gmetad"/><METRICS NAME="a" SUM="1.250" NUM="3" TYPE="double" UNITS="s">'
        '<EXTRA_DATA><EXTRA_ELEMENT NAME="GROUP" VAL="g"/></EXTRA_DATA></METRICS>'
        '<METRICS NAME="b" SUM="7" NUM="2" TYPE="double" SLOPE="zero"/>'
        '<METRICS NAME="c" SUM="x" NUM="2" TYPE="double"/>'
        '<METRICS NAME="d" SUM="1" NUM="2" TYPE="string"/><METRICS NAME="e" SUM="1" TYPE="double"/>'
    )
    sums = (
        RemoteSum("a", 1.25, 3, "double", "s", "both", 3, (("GROUP", "g"),)),
        RemoteSum("b", 7.0, 2, "double", "", "zero", 0),
    )
    ((one,), (grid,)) = read(document(cluster(inner) + f'<GRID NAME="g">{inner}</GRID>'))
    assert one.summary == grid.summary == RemoteSummary(3, 1, sums)


def test_grids_in_grids() -> None:
    inner = cluster(host(metric()))
    nested = f'<GRID NAME="a" AUTHORITY="http://a/" LOCALTIME="1">{inner}<GRID NAME="b">{inner}</GRID></GRID>'
    (_, (outer,)) = read(document(nested))
    assert (outer.name, outer.authority, outer.localtime) == ("a", "http://a/", 1)
    assert outer.clusters == outer.grids[0].clusters == read(document(inner))[0]


# --- names


def test_hostile_names_become_plain_and_stay_distinct() -> None:
    hosts = "".join(host(name=name) for name in ("../../etc", "a&lt;b", "a_b", "a&quot;b", "__SummaryInfo__", "UP.x"))
    inside = cluster(hosts).replace('"c"', '"my/cluster 1"')
    (_, (one,)) = read(document(f'<GRID NAME="../g">{inside}</GRID>'))
    assert (one.name, one.clusters[0].name) == ("__g", "my_cluster 1")
    names = [each.name for each in one.clusters[0].hosts]
    assert [names[0], names[2], *names[4:]] == ["____etc", "a_b", "SummaryInfo", "UP.x"]
    assert re.fullmatch("a_b-[0-9a-f]{12} a_b-[0-9a-f]{12}", f"{names[1]} {names[3]}")
    assert names[1] != names[3]
    assert metrics_of(metric(NAME="disk:/dev/sda (MB) [x] 5%"))[0].name == "disk:_dev_sda (MB) [x] 5%"


def test_a_new_name_does_not_depend_on_the_order() -> None:
    raws = ["a/b", "a_b", "a<b", "a&b", "c d"]
    assert renamed(raws, safe_host) == renamed(reversed(raws), safe_host)
    names = renamed(raws, safe_host)
    assert "a_b" not in names
    assert len({*names.values(), "a_b"}) == 5
    assert names["c d"] == "c_d"


@pytest.mark.parametrize("rule", [safe_name, safe_host, safe_title, safe_metric])
def test_a_safe_name_is_a_good_directory(rule: Callable[[str], str]) -> None:
    hostile = [
        "",
        ".",
        "..",
        "...",
        "a/../b",
        "/",
        "\\",
        "a\0b",
        "é" * 500,
        "x" * 500,
        "." * 99,
        " ",
        "__summaryinfo__",
        "a" * 63 + "..",
    ]
    for raw in [*hostile, string.printable, *string.printable]:
        name = rule(raw)
        assert name
        assert len(name) <= 200
        assert name not in (".", "..")
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set("/\\<>&\"'")
        assert name.lower() != "__summaryinfo__"
        assert ".." not in name


def test_names_that_are_given_are_distinct() -> None:
    names = Names()
    assert [names.give(raw, "1:2") for raw in ("a b", "a_b", "a_b")] == ["a_b", "a_b-1_2", "a_b-1_2_"]
    assert names.give("UP", "", lower=True) == "up"
    assert safe_value('x<>&"\x00é' + "y" * 300) == "x______" + "y" * 249


# --- documents that are refused

LAUGHS = "".join(f'<!ENTITY l{n + 1} "' + f"&l{n};" * 10 + '">' for n in range(9))
BOMB = gzip.compress(document(" " * (3 << 20)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the answer is empty: let this machine in"),
        (b"<", "not Ganglia's XML: name the port"),
        (b"\x1f", "not Ganglia's XML"),
        (b"   ", "not Ganglia's XML"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not Ganglia's XML"),
        (b"\0" * 1000, "not Ganglia's XML"),
        (gzip.compress(b""), "not Ganglia's XML"),
        (document("").decode("latin-1").encode("utf-16"), "not Ganglia's XML"),
        (b"<html></html>", "it is XML, but not Ganglia's"),
        (b"<GANGLIA_XML SOURCE='gmond'/>", "no VERSION"),
        (document("").replace(b"ISO-8859-1", b"UTF-7"), "it is in 'UTF-7'; only"),
        (document("").replace(b"ISO-8859-1", b"x\xffy"), "only ISO-8859-1 and UTF-8 are read"),
        (f'<!DOCTYPE G [<!ENTITY l0 "ha">{LAUGHS}]><GANGLIA_XML VERSION="&l9;"/>'.encode(), "declares entities"),
        (b'<!DOCTYPE G [<!ENTITY x SYSTEM "file:///etc/passwd">]><GANGLIA_XML VERSION="3"/>', "declares entities"),
        (b'<!DOCTYPE G [<!ENTITY % x SYSTEM "http://127.0.0.1:9/">]><GANGLIA_XML VERSION="3"/>', "declares entities"),
        (b"<!-- " + b" " * 70_000 + b'--><GANGLIA_XML VERSION="3"/>', "not Ganglia's XML"),
        (document('<GRID NAME="g">' * 16 + "</GRID>" * 16), "more than 16 deep"),
        (document('<GRID NAME="' + "g" * 65_537 + '"/>'), "longer than 65536 characters"),
        (document(" " * (1 << 20)), "more than 1048576 bytes; poll its clusters"),
        (BOMB, "more than 1048576 bytes"),
        (sample("gmond-sample")[:20_000], "no well-formed XML.*it was cut"),
        (sample("gmond-sample") + b"<more/>", "no well-formed XML"),
        (document(host(name="a<b")), "no well-formed XML"),
        (document(host(name="a&b")), "no well-formed XML"),
        (document(host(name="&nbsp;")), "no well-formed XML"),
        (document(host(name="&#1;")), "no well-formed XML"),
        (document('<a:GRID a:NAME="g"/>' * 100), "odd throughout: Namespace prefix"),
        (document("é").replace(b"ISO-8859-1", b"UTF-8"), "no well-formed XML"),
        (gzip.compress(sample("gmond-sample"))[:-9], "breaks off after"),
        (gzip.compress(sample("gmond-sample")) + b"more", "damaged near byte"),
        (b"\x1f\x8b" + b"?" * 20, "gzipped document is damaged"),
    ],
)
def test_a_document_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        read(data)
    assert str(refused.value).isascii()
    with pytest.raises(InputError, match=reason):
        read(*(data[start : start + 1000] for start in range(0, len(data), 1000)))


def test_an_entity_declaration_between_two_chunks() -> None:
    data = b'<!DOCTYPE G [<!ENTITY a "b">]><GANGLIA_XML VERSION="3"/>'
    for cut in range(len(data)):
        with pytest.raises(InputError, match="declares entities"):
            read(data[:cut], data[cut:])


def test_what_an_external_dtd_says_is_not_asked_for() -> None:
    data = b'<!DOCTYPE GANGLIA_XML SYSTEM "file:///dev/zero"><GANGLIA_XML VERSION="3"/>'
    assert read(data) == ((), ())


@pytest.mark.parametrize(
    "endless", [b"<!-- ", b'<GANGLIA_XML VERSION="', b"<!DOCTYPE G [", b"<", b"<?x "], ids=lambda one: one.decode()
)
def test_endless_heads_end_early(endless: bytes) -> None:
    reader = GangliaXmlReader()
    chunks = itertools.chain([endless], itertools.repeat(b"a" * 16_384, 100))
    with pytest.raises(InputError):
        list(map(reader.feed, chunks))
    assert reader.size < 200_000


def test_too_many_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sflow_gmetrics.inputs.ganglia_tree.MOST_ELEMENTS", 100)
    with pytest.raises(InputError, match="more than 100 elements"):
        read(document("<A/>" * 100))
    assert read(document("<A/>" * 99)) == ((), ())


def test_a_bomb_is_unzipped_only_as_far_as_the_limit() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    reader = GangliaXmlReader(1 << 20)
    start = time.process_time()
    with pytest.raises(InputError):
        reader.feed(bomb)
    assert reader.size <= (1 << 20) + 65_536
    assert time.process_time() - start < 2
