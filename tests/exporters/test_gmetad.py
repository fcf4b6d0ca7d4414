"""gmetad's answers: the five requests of ganglia-web, what is unknown, the HTTP form, and what gets no answer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from lxml import etree

from exporters import gmetad
from exporters.dtd import HEAD
from exporters.interactive import answer
from sflow_gmetrics import __version__
from sflow_gmetrics.remote import RemoteGrid, RemoteMetric, RemoteSum, RemoteSummary
from sflow_gmetrics.snapshot import Snapshot
from tests.exporters.trees import (
    NOW,
    child,
    far,
    grid_element,
    load,
    names,
    parsed,
    remote_cluster,
    remote_host,
    snapshot,
    states,
    sums,
)

SUMMARY = RemoteSummary(3, 1, (RemoteSum("load_one", 4.5, 3, "double"),))
GRIDS = (RemoteGrid("far grid", "http://far.example/", 7, (remote_cluster("deep", remote_host("d")),), (), SUMMARY),)


def everything() -> Snapshot:
    plain = remote_cluster("plain", remote_host("a"), remote_host("b", load("1.50"), load(name="other")))
    return snapshot([replace(far(plain), grids=GRIDS)])


def summarised(place: etree._Element) -> bool:
    return bool(place.findall("HOSTS")) and bool(sums(place)) and not list(place.iter("HOST"))


# --- the five requests


@pytest.mark.parametrize(
    "request_line",
    ["/", "/?filter=summary", "/web", "/data base", "/web?filter=summary", "/web/web-1", "/web/web-1/load_one"],
)
def test_every_answer_is_valid_and_names_the_grid(request_line: str) -> None:
    document = gmetad.render(everything(), request_line)
    assert document.decode("ascii").startswith(f'{HEAD}<GANGLIA_XML VERSION="3.7.2" SOURCE="gmetad">\n<GRID NAME=')
    (grid,) = parsed(document)
    assert dict(grid.attrib.items()) == {
        "NAME": "our grid",
        "AUTHORITY": "http://web.example/ganglia/",
        "LOCALTIME": str(int(NOW)),
    }


def test_the_whole_tree_has_every_host_in_full() -> None:
    whole = grid_element(everything())
    assert names(whole.findall("CLUSTER")) == ["data base", "web", "plain"]
    assert names(whole.iter("HOST")) == ["db-1", "web-1", "web-2", "web-3", "a", "b", "d"]
    assert len({len(host) for host in child(whole, "CLUSTER", "web")}) == 2, "two are up, one is down"
    assert not whole.findall("HOSTS")
    down = child(child(whole, "CLUSTER", "web"), "HOST", "web-3")
    assert len(down) == 0
    metric = child(child(child(whole, "CLUSTER", "plain"), "HOST", "a"), "METRIC", "load_one")
    assert dict(metric.attrib.items()) == {
        "NAME": "load_one",
        "VAL": "0.50",
        "TYPE": "float",
        "UNITS": "",
        "TN": "5",
        "TMAX": "70",
        "DMAX": "0",
        "SLOPE": "both",
    }
    assert metric.get("SOURCE") == "gmond", "from the DTD"
    assert [one.get("VAL") for one in metric.iter("EXTRA_ELEMENT")] == ["One Minute Load Average"] * 2 + ["load"]


def test_the_summary_has_every_cluster_and_grid_without_hosts() -> None:
    summary = grid_element(everything(), "/?filter=summary")
    places = [summary, *summary.findall("CLUSTER"), *summary.findall("GRID")]
    assert names(places) == ["our grid", "data base", "web", "plain", "far grid"]
    assert all(map(summarised, places))
    assert [states(place) for place in places] == [(6, 1), (1, 0), (2, 1), (2, 0), (1, 0)]
    metrics = child(summary, "METRICS", "nginx.service.vcpu_util")
    assert [metrics.get(key) for key in ("TYPE", "UNITS", "SLOPE", "SOURCE")] == ["double", "%", "both", "gmond"]
    assert {one.get("NAME"): one.get("VAL") for one in metrics.iter("EXTRA_ELEMENT")} == {
        "TITLE": "nginx.service: VM CPU Utilization",
        "DESC": "nginx.service: VM CPU Utilization",
        "GROUP": "vm cpu",
    }


def test_a_cluster_a_host_and_a_metric() -> None:
    one = everything()
    cluster = grid_element(one, "/web")
    assert names(cluster) == ["web"]
    assert names(cluster[0]) == ["web-1", "web-2", "web-3"]
    (summary,) = grid_element(one, "/web?filter=summary")
    assert summarised(summary)
    assert names([summary]) == ["web"]
    (place,) = grid_element(one, "/web/web-2")
    assert names(place) == ["web-2"]
    whole = child(child(grid_element(one), "CLUSTER", "web"), "HOST", "web-2")
    assert etree.tostring(place[0]) == etree.tostring(whole)
    (place,) = grid_element(one, "/web/web-2/nginx.service.vcpu_util")
    assert names(place[0]) == ["nginx.service.vcpu_util"]
    assert etree.tostring(place[0][0]) == etree.tostring(child(whole, "METRIC", "nginx.service.vcpu_util"))


def test_a_grid_below_is_answered_with_its_sums() -> None:
    for request_line in ("/far grid", "/far grid?filter=summary", "/far grid/deep"):
        (grid,) = grid_element(everything(), request_line)
        assert (grid.tag, grid.get("NAME"), states(grid)) == ("GRID", "far grid", (1, 0))
        assert sums(grid) == {"load_one": ("0.50", 1)}


@pytest.mark.parametrize(
    ("unknown", "parent"),
    [
        ("/nosuch", "/"),
        ("/nosuch/web-1", "/"),
        ("/nosuch?filter=summary", "/?filter=summary"),
        ("/web/nohost", "/web"),
        ("/web/nohost/load_one", "/web"),
        ("/web/nohost?filter=summary", "/web?filter=summary"),
        ("/web/web-1/nometric", "/web/web-1"),
        ("/web/web-1/load_on", "/web/web-1"),
        ("/web/WEB-1", "/web"),
        ("/web?filter=what", "/web"),
        ("//web//web-1/", "/web/web-1"),
        ("/web/web-1/é", "/web/web-1"),
    ],
)
def test_what_is_unknown_means_its_parent(unknown: str, parent: str) -> None:
    one = everything()
    assert gmetad.render(one, unknown) == gmetad.render(one, parent)


def test_values_of_others_break_nothing() -> None:
    bad = RemoteMetric('a"b', '<&>"', "string", "\x01", extras=(("TITLE", '"><x'),))
    host = replace(remote_host("h"), ip='"<', location="&", tags="'\"", metrics=(bad,))
    cluster = replace(remote_cluster("plain", host), owner='"', url="<>")
    whole = grid_element(snapshot([far(cluster)]))
    assert child(child(whole, "CLUSTER", "plain"), "HOST", "h")[0].get("VAL", "").strip("_") == ""


# --- requests as they come


def ask(request: bytes) -> bytes:
    return answer(request, everything())


def split_http(said: bytes) -> tuple[str, bytes]:
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    assert f"Content-Length: {len(body)}" in lines
    return lines[0], body


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"", b"\n/web\n"])
def test_a_line_ends_where_it_ends(end: bytes) -> None:
    assert ask(b"/web/web-1" + end) == gmetad.render(everything(), "/web/web-1")


@pytest.mark.parametrize("character", [*"><!@#$%`;|\"\\'", "\0", "\t", "\x7f"])
def test_a_request_with_a_forbidden_character_gets_nothing(character: str) -> None:
    assert ask(f"/web{character}\n".encode()) == b""
    assert ask(f"{character}/web\n".encode()) == b""


@pytest.mark.parametrize(
    "request_line", [b"", b"\n", b"web\n", b" /web\n", b"\xff\xfe\n", b"POST / HTTP/1.0\n", b"GET /\n"]
)
def test_what_is_no_path_gets_nothing(request_line: bytes) -> None:
    assert ask(request_line) == b""


def test_a_path_over_http() -> None:
    status, body = split_http(ask(b"GET /web/web-1 HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert status == "HTTP/1.0 200 OK"
    assert body == gmetad.render(everything(), "/web/web-1")
    assert split_http(ask(b"GET / HTTP/1.0\n"))[1] == gmetad.render(everything(), "/")
    assert split_http(ask(b"GET /?filter=summary HTTP/1.0\n"))[1] == gmetad.render(everything(), "/?filter=summary")
    assert split_http(ask(b"GET /a%20b HTTP/1.0\n"))[0] == "HTTP/1.0 400 Bad Request"


def over_http(path: str) -> etree._Element:
    (grid,) = parsed(split_http(ask(f"GET {path} HTTP/1.0\r\n".encode()))[1])
    return grid


@pytest.mark.parametrize("path", ["/nosuch", "/nosuch/web-1", "/nosuch?filter=summary", "/we*"])
def test_over_http_what_is_unknown_is_empty(path: str) -> None:
    assert len(over_http(path)) == 0


def test_over_http_a_star_is_every_one() -> None:
    assert names(over_http("/*")) == ["data base", "web", "plain", "far grid"]
    assert names(over_http("/web/*").iter("HOST")) == ["web-1", "web-2", "web-3"]
    assert names(over_http("/web/nohost").iter("HOST")) == []
    every = over_http("/*/*/load_one")
    assert names(every.iter("HOST")) == ["db-1", "web-1", "web-2", "web-3", "a", "b"]
    assert names(every.iter("METRIC")) == ["load_one"] * 5
    assert names(over_http("/plain/b/*").iter("METRIC")) == ["load_one", "other"]
    assert all(summarised(place) for place in over_http("/*?filter=summary"))


def test_status() -> None:
    one = snapshot([far(), replace(far(name="other"), error="refuses", fetched=0.0)])
    for request in (b"/status\n", b"GET /status HTTP/1.0\r\n", b"/status?callback=not valid\n", b"/status/\n"):
        status, body = split_http(answer(request, one))
        assert status == "HTTP/1.0 200 OK"
        said = json.loads(body)
        assert said["version"] == __version__
        assert said["time"] == int(NOW)
        assert said["agents"] == {"up": 3, "down": 1}
        assert said["datagrams"]["received"] == one.stats.datagrams > 0
        assert said["sources"]["far"] == {"ok": True, "fetched": int(NOW), "error": ""}
        assert said["sources"]["other"] == {"ok": False, "fetched": 0, "error": "refuses"}


@pytest.mark.parametrize("callback", ["show", "a.b_$1", "_"])
def test_status_in_a_call(callback: str) -> None:
    _, body = split_http(answer(f"/status?x=1&callback={callback}&y=2\n".encode(), everything()))
    start, end = f"{callback}(".encode(), b");\n"
    assert body.startswith(start)
    assert body.endswith(end)
    assert json.loads(body[len(start) : -len(end)])["time"] == int(NOW)


@pytest.mark.parametrize("callback", ["alert(1)//", "<script>", "a b", "1a", "", "x" * 65])
def test_no_callback_is_code(callback: str) -> None:
    _, body = split_http(answer(f"/status?callback={callback}\n".encode(), everything()))
    assert json.loads(body)["version"] == __version__
