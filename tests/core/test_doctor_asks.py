"""The doctor asks: what is said when the page cannot be had, and what of a real instance."""

from __future__ import annotations

import base64
import contextlib
import importlib
import itertools
import json
import re
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sflow_gmetrics import cli, doctor
from sflow_gmetrics.doctor import Finding, Target, visit
from sflow_gmetrics.errors import InputError
from tests.core.test_app import config, number, running, send
from tests.core.test_doctor import HEALTHY
from tests.e2e.certificates import Authority
from tests.e2e.servers import HOME, free_port, wait_for
from tests.recordings import payloads

Answer = Callable[[BaseHTTPRequestHandler], tuple[int, str]]


@contextlib.contextmanager
def answering(answer: Answer, context: ssl.SSLContext | None = None, **headers: str) -> Iterator[str]:
    """A server that is asked, and its HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answer(self)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((HOME, 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"{HOME}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def found_at(url: str, **options: str) -> Finding:
    _, (found,) = visit(Target.of(url, **options))
    assert found.key == "unreachable"
    return found


def test_nothing_listens_there() -> None:
    found = found_at(f"http://{HOME}:{free_port()}")
    assert found.what.startswith("Nothing listens at http://127.0.0.1:")
    assert "systemctl status sflow-gmetrics" in found.do


def test_a_name_that_nobody_knows() -> None:
    assert "getent hosts nobody.invalid" in found_at("http://nobody.invalid:9343").do


@pytest.mark.parametrize(
    ("status", "text", "what", "do"),
    [
        (200, "<html>", "is not sflow_gmetrics", "--url"),
        (200, "node_load1 1\n", "is not sflow_gmetrics: its /metrics is another's", "--url"),
        (404, "", "is not sflow_gmetrics: it answers with status 404", "--url"),
        (401, "", "wants a user and a password.", "--password-file"),
        (503, "", "is not ready", "again"),
        (429, "", "allows no more requests", "three requests"),
        (200, "p{, =a} 1\n", "is not sflow_gmetrics: its /metrics cannot be read", "--url"),
    ],
)
def test_an_answer_that_is_of_no_use(
    monkeypatch: pytest.MonkeyPatch, status: int, text: str, what: str, do: str
) -> None:
    monkeypatch.setattr(importlib.import_module("sflow_gmetrics.doctor.ask"), "ATTEMPTS", 0)
    with answering(lambda _: (status, text)) as place:
        found = found_at(f"http://{place}")
    assert what in found.what
    assert do in found.do


def test_a_limit_on_requests_is_waited_for() -> None:
    asked = itertools.count()

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        return (429, "") if next(asked) % 2 else (200, HEALTHY if "collector" in request.path else "")

    with answering(answer, Retry_After="0") as place:
        about, _ = visit(Target.of(f"http://{place}"))
    assert about.startswith("sflow_gmetrics 1.2.3")


def test_a_port_that_speaks_something_else() -> None:
    with answering(lambda _: (200, "")) as place:
        assert f"--url http://{place}" in found_at(f"https://{place}").do


def test_an_older_version_is_asked_for_everything() -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        return (400, "unknown") if "?" in request.path else (200, HEALTHY)

    with answering(answer) as place:
        about, _ = visit(Target.of(f"http://{place}"))
    assert about.startswith("sflow_gmetrics 1.2.3, running for ")


def test_hosts_and_the_collector_are_asked_for_apart() -> None:
    asked = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        asked.append(request.path)
        return 200, HEALTHY if "collector" in request.path else ""

    with answering(answer) as place:
        visit(Target.of(f"http://{place}"))
    assert [path.partition("&")[0] for path in asked] == ["/-/ready", "/metrics?level=host", "/metrics?level=collector"]


LITTLE = """
sflow_collector_build_info{version="1.2.3",python="3.11.2"} 1
sflow_collector_datagrams_total 100000
sflow_collector_agents{state="up"} 2
sflow_collector_kernel_drops_total %d
"""


@pytest.mark.parametrize(("growth", "status"), [(0, 0), (500, 1)], ids=["past", "goes on"])
def test_what_was_counted_is_looked_at_twice(
    growth: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PAUSE", 0.0)
    looks = itertools.count()

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        if "collector" not in request.path:
            return 200, ""
        return 200, LITTLE % (500 + growth * next(looks))

    with answering(answer) as place:
        assert cli.main(["doctor", "--url", f"http://{place}"]) == status
    out, err = capsys.readouterr()
    assert next(looks) == 2
    assert f"{growth or 'none'} of them in the last" in " ".join(out.split())
    assert err == "Something was lost: looking again in 0 s, whether that goes on.\n"


def test_a_collector_that_goes_away_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PAUSE", 0.0)
    asked = itertools.count()

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        if "ready" in request.path:
            return (503 if next(asked) else 200), ""
        return 200, LITTLE % 500 + "sflow_collector_rrd_up 0\n" if "collector" in request.path else ""

    with answering(answer) as place:
        about, found = visit(Target.of(f"http://{place}"))
    assert about.startswith("sflow_gmetrics 1.2.3")
    assert [one.key for one in found] == ["unreachable", "rrd_away"], "nobody knows whether drops go on"


def test_a_collector_that_is_well_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PAUSE", 1e9)
    with answering(lambda request: (200, LITTLE % 0 if "collector" in request.path else "")) as place:
        assert visit(Target.of(f"http://{place}"))[1] == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def test_tls_and_a_password(authority: Authority, tmp_path: Path) -> None:
    right = "Basic " + base64.b64encode(b"eve:s3:cret").decode()
    (tmp_path / "password").write_text("s3:cret\n", "utf-8")

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        return (200, HEALTHY) if request.headers["Authorization"] == right else (401, "")

    pair = authority.sign("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with answering(answer, context) as place:
        untrusted = found_at(f"https://{place}")
        assert "is not trusted: " in untrusted.what
        assert "--cacert" in untrusted.do
        assert "https://" in found_at(f"http://{place}").do
        cacert = str(authority.cert)
        assert "wants a user" in found_at(f"https://{place}", cacert=cacert).what
        assert "and not these" in found_at(f"https://eve:wrong@{place}", cacert=cacert).what
        for target in (
            Target.of(f"https://eve:s3%3Acret@{place}", cacert=cacert),
            Target.of(f"https://{place}/", "eve", str(tmp_path / "password"), cacert=cacert),
        ):
            about, _ = visit(target)
            assert about.endswith(f"at https://{place}"), "no password is shown"


@pytest.mark.parametrize("option", ["cacert", "cert"])
def test_a_file_that_is_no_certificate(option: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no certificate", "utf-8")
    for name in ("file", "none"):
        with pytest.raises(InputError, match=f"--{option}: .*{name}"):
            Target.of("https://host", **{option: str(tmp_path / name)})


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:9343", "ftp://host", "http://", "/-/ready", "http://a b/", "http://a\nb/", "http://[::1"),
        *("http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://127.0.0.1:0"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("words", [["doctor", "--url"], ["views", "--output", "none", "--from"]], ids=" ".join)
def test_an_address_that_is_none(words: list[str], url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, url]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sflow-gmetrics: {words[-1]}: {url!r} is not like http://HOST:PORT")


def test_a_password_in_a_wrong_address_is_not_shown() -> None:
    with pytest.raises(InputError) as error:
        Target.of("http://me:s3cret@host:abc")
    assert "s3cret" not in str(error.value)
    assert "'http://...@host:abc'" in str(error.value)


@contextlib.contextmanager
def saying(words: bytes) -> Iterator[str]:
    """A server that says this to everybody, and its URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(words)

    with socketserver.ThreadingTCPServer((HOME, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://{HOME}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (b'<?xml version="1.0"?>\n<GANGLIA_XML>\n', "'<?xml version"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "'SSH-2.0-OpenSSH_9.2"),
        (b"\x15\x03\x03\x00\x02\x02\n", r"'\x15\x03"),
        (b"x" * 70_000, "'got more than 65536 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf", "'IncompleteRead(4 bytes read"),
    ],
    ids=["gmond", "ssh", "TLS", "endless", "half"],
)
def test_a_port_that_speaks_no_http(words: bytes, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with saying(words) as url:
        found = found_at(url)
        assert (
            f"{url} is no address of sflow_gmetrics' web port: what comes is no whole HTTP answer ({shown}"
            in found.what
        )
        assert "[web] listen" in found.do
        assert cli.main(["views", "--output", "none", "--from", url]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sflow-gmetrics: --from: {url}/-/views: what comes is no whole HTTP answer ({shown}")


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxy = f"http://{HOME}:{free_port()}"
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    with answering(lambda request: (200, "{}" if "views" in request.path else HEALTHY)) as place:
        about, _ = visit(Target.of(f"http://{place}"))
        assert cli.main(["views", "--output", str(tmp_path), "--from", f"http://{place}"]) == 0
    assert about.startswith("sflow_gmetrics 1.2.3")


def test_a_password_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--password-file"):
        Target.of("http://host", password_file=str(tmp_path / "none"))


# --- a real instance


def test_a_running_instance_is_examined(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "PAUSE", 0.5)
    with running(config("1048576", "65536")) as (_, listening):
        assert listening.web
        url = f"http://{HOME}:{listening.web[1]}"
        assert cli.main(["doctor", "--url", url, "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert [one["key"] for one in told["findings"]] == ["no_agent"]
        send(listening.sflow[0], *payloads("hsflowd-systemd")[:30])
        wait_for("all", lambda: number(listening, "sflow_collector_datagrams_total") == 30)
        wait_for("a new page", lambda: cli.main(["doctor", "--url", url]) == 0, pause=0.3)
        text = "sflow_gmetrics " + capsys.readouterr().out.rpartition("sflow_gmetrics ")[2]
        assert re.match(r"sflow_gmetrics \S+, running for \d+ seconds: 1 agents, \d services, 30 datagrams, at", text)
        assert text.endswith("All is well.\n")
        ended = threading.Event()

        def disturb() -> None:
            while not ended.wait(0.1):
                send(listening.sflow[0], b"GET / HTTP/1.0")

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            wait_for("it to be seen", lambda: cli.main(["doctor", "--url", url]) == 1, pause=0.3)
        finally:
            ended.set()
            thread.join()
        assert "no good sFlow (bad_version), " in capsys.readouterr().out


def test_a_failed_name_look_up_is_not_taken_for_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "is not known here" in found_at("http://collector.example.net:9343").do
