"""The doctor: what each rule finds on a page, and what is said when the page cannot be had."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from exporters.families import EXTRAS
from sflow_gmetrics import cli
from sflow_gmetrics.doctor import RULES, Finding, Page, Target, examine, report, report_json, visit
from sflow_gmetrics.doctor.page import duration, names, share
from sflow_gmetrics.errors import InputError
from sflow_gmetrics.tables import family_rows
from tests.core.test_app import config, number, running, send
from tests.e2e.certificates import Authority
from tests.e2e.servers import HOME, free_port, wait_for
from tests.recordings import payloads

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0
HEALTHY = f"""
sflow_collector_build_info{{version="1.2.3",python="3.11.2"}} 1
sflow_collector_start_time_seconds {NOW - 36_000}
sflow_collector_datagrams_total 100000
sflow_collector_kernel_drops_total 0
sflow_collector_receive_buffer_bytes 4194304
sflow_collector_limit{{key="sflow.receive_buffer"}} 4194304
sflow_collector_limit{{key="sflow.agents"}} 20000
sflow_collector_limit{{key="services.services_per_host"}} 500
sflow_collector_limit{{key="services.series"}} 2000000
sflow_collector_limit{{key="rrd.queue"}} 1000000
sflow_collector_limit_used{{key="sflow.agents"}} 2
sflow_collector_limit_used{{key="services.services_per_host"}} 1
sflow_collector_limit_used{{key="services.series"}} 16
sflow_collector_series_dropped_total{{reason="excluded"}} 99
sflow_collector_decode_errors_total{{reason="bad_version"}} 0
sflow_collector_dropped_total{{reason="agents"}} 0
sflow_collector_dropped_total{{reason="not_allowed"}} 0
sflow_collector_agents{{state="up"}} 2
sflow_collector_agents{{state="down"}} 0
sflow_collector_services{{pool="web"}} 2
sflow_collector_rrd_up 1
sflow_collector_rrd_queue_length 7
sflow_collector_rrd_last_write_timestamp_seconds {NOW - 15}
sflow_collector_rrd_updates_total{{backend="rrdcached",outcome="ok"}} 1000
sflow_collector_rrd_updates_total{{backend="rrdcached",outcome="error"}} 0
sflow_collector_rrd_updates_total{{backend="rrdcached",outcome="dropped"}} 0
sflow_collector_source_up{{source="hq"}} 1
sflow_collector_remote_write_samples_total{{endpoint="vm",outcome="sent"}} 1000
sflow_collector_remote_write_samples_total{{endpoint="vm",outcome="failed"}} 0
sflow_collector_remote_write_pending_samples{{endpoint="vm"}} 10
sflow_collector_remote_write_highest_timestamp_seconds{{endpoint="vm"}} {NOW - 15}
sflow_collector_config_last_reload_successful 1
sflow_collector_web_config_last_reload_successful 1
sflow_collector_http_connections 3
sflow_collector_http_connections_limit 256
sflow_host_up{{pool="web",host="web-1"}} 1
sflow_host_up{{pool="web",host="web-2"}} 1
sflow_host_info{{pool="web",host="web-1",agent="10.0.0.1"}} 1
sflow_host_info{{pool="web",host="web-2",agent="10.0.0.2"}} 1
sflow_service_info{{pool="web",host="web-1",service="nginx.service",kind="systemd"}} 1
sflow_service_info{{pool="web",host="web-2",service="nginx.service",kind="systemd"}} 1
sflow_service_cpu_seconds_total{{pool="web",host="web-1",service="nginx.service",kind="systemd"}} 55.5
sflow_service_disk_read_bytes_total{{pool="web",host="web-1",service="nginx.service",kind="systemd"}} 0
sflow_service_disk_written_bytes_total{{pool="web",host="web-1",service="nginx.service",kind="systemd"}} 4096
sflow_agent_datagrams_total{{agent="10.0.0.1"}} 50000
sflow_agent_datagrams_total{{agent="10.0.0.2"}} 50000
sflow_agent_datagrams_lost_total{{agent="10.0.0.1"}} 9
sflow_agent_datagrams_reordered_total{{agent="10.0.0.1"}} 9
sflow_agent_restarts_total{{agent="10.0.0.1"}} 2
sflow_agent_last_seen_timestamp_seconds{{agent="10.0.0.1"}} {NOW - 3}
sflow_agent_clock_agrees{{agent="10.0.0.1"}} 1
"""


def page(*changes: str, without: str = "", here: float = NOW) -> Page:
    """The healthy page with other or further samples, and without those whose names begin so."""
    samples = dict(line.rsplit(" ", 1) for line in HEALTHY.strip().splitlines())
    samples |= dict(line.rsplit(" ", 1) for line in changes)
    text = "".join(f"{name} {value}\n" for name, value in samples.items() if not (without and name.startswith(without)))
    return Page.parse(text, NOW, here)


DROPPED = 'sflow_collector_dropped_total{reason="%s"} 5'
CASES: dict[str, list[tuple[Page, str, str]]] = {
    "no_agent": [
        (page("sflow_collector_datagrams_total 0"), "in the 10 hours since", "udpport = 6343"),
    ],
    "no_agent_known": [
        (
            page(without="sflow_collector_agents"),
            "100,000 datagrams have come, but no agent is known",
            "[sflow] allow",
        ),
    ],
    "hosts_down": [
        (page('sflow_host_up{pool="web",host="web-3"} 0'), "1 of 3 hosts have fallen silent: web-3.", "hsflowd"),
    ],
    "no_services": [
        (page('sflow_host_up{pool="web",host="web-3"} 1'), "1 of 3 hosts send no services: web-3.", "systemd {"),
    ],
    "no_io": [
        (page(without="sflow_service_disk"), "On 1 of 1 hosts the services use CPU but show no I/O", "dropPriv = off"),
    ],
    "clocks": [
        (page(here=NOW - 3600), "collector's clock is 60 minutes ahead of", "timedatectl"),
        (page(here=NOW + 60), "collector's clock is 60 seconds behind", "timedatectl"),
        (
            page(f'sflow_agent_last_seen_timestamp_seconds{{agent="10.0.0.1"}} {NOW + 99}'),
            "heard in the future: 10.0.0.1",
            "chrony",
        ),
        (page('sflow_agent_clock_agrees{agent="10.0.0.9"} 0'), "does not run as fast", "timedatectl"),
    ],
    "loss": [
        (
            page('sflow_agent_datagrams_lost_total{agent="10.0.0.2"} 5000'),
            "of 1 agents are lost: 10.0.0.2 (9.1 %)",
            "network",
        ),
    ],
    "restarts": [
        (page('sflow_agent_restarts_total{agent="10.0.0.2"} 11'), "restart again and again: 10.0.0.2", "agent.cidr"),
    ],
    "twice": [
        (page('sflow_agent_datagrams_reordered_total{agent="10.0.0.2"} 9999'), "late or twice", "two machines"),
    ],
    "same_name": [
        (
            page('sflow_host_info{pool="web",host="web-1-10.0.0.7",agent="10.0.0.7"} 1'),
            "the same name: web-1",
            "hostnamectl",
        ),
    ],
    "decode_errors": [
        (
            page('sflow_collector_decode_errors_total{reason="bad_version"} 200'),
            "200 datagrams or samples are no good sFlow (bad_version): something that is not sFlow version 5",
            "sflow-gmetrics decode",
        ),
        (page('sflow_collector_decode_errors_total{reason="truncated"} 200'), "(truncated): an agent is", "tcpdump"),
    ],
    "unknown_records": [
        (page('sflow_collector_unknown_records_total{enterprise="4413",format="7"} 1'), "4413:7", "passed over"),
    ],
    "kernel_drops": [
        (page("sflow_collector_kernel_drops_total 300"), "dropped 300 datagrams (0.3 %)", "rmem_max=16777216"),
        (page("sflow_collector_kernel_drops_total 1"), "dropped 1 datagrams", "receive_buffer = 8388608"),
    ],
    "small_buffer": [
        (page("sflow_collector_receive_buffer_bytes 212992"), "212,992 bytes, not the 4,194,304", "rmem_max=8388608"),
    ],
    "refused": [
        (page(DROPPED % "agents"), "5 datagrams or samples were passed over (agents)", "[sflow] agents"),
        (page(DROPPED % "sub_agents"), "(sub_agents)", "log"),
        (page(DROPPED % "not_allowed"), "(not_allowed)", "[sflow] allow"),
    ],
    "near_limit": [
        (
            page('sflow_collector_limit_used{key="sflow.agents"} 18000'),
            "18,000 agents; [sflow] agents = 20000",
            "allow",
        ),
        (
            page('sflow_collector_limit_used{key="services.services_per_host"} 450'),
            "450 services on one host",
            "'[services] services_per_host'",
        ),
        (page('sflow_collector_limit_used{key="services.series"} 1900000'), "1,900,000 series", "rewrite"),
        (page("sflow_collector_rrd_queue_length 999999"), "999,999 values that wait", "'[rrd] queue'"),
    ],
    "folded": [
        (
            page('sflow_collector_series_dropped_total{reason="limit_host"} 16'),
            "16 series of hosts with too many, 0 over all hosts",
            "'[services] services_per_host' and 'series'",
        ),
        (
            page('sflow_collector_series_dropped_total{reason="limit_total"} 16'),
            "0 series of hosts with too many, 16 over all hosts",
            "rewrite",
        ),
    ],
    "rrd_away": [
        (page("sflow_collector_rrd_up 0"), "does not answer; 7 values wait", "systemctl status rrdcached"),
    ],
    "rrd_behind": [
        (
            page(f"sflow_collector_rrd_last_write_timestamp_seconds {NOW - 7200}"),
            "no RRD value has been stored for 2 hours",
            "write_every",
        ),
        (page("sflow_collector_rrd_last_write_timestamp_seconds 0"), "stored at all", "write_every"),
    ],
    "rrd_lost": [
        (
            page('sflow_collector_rrd_updates_total{backend="rrdcached",outcome="dropped"} 1000'),
            "1,000 RRD values (50 %) are lost: 0 were refused, 1,000 found no room",
            "[rrd] queue",
        ),
        (
            page('sflow_collector_rrd_updates_total{backend="rrdcached",outcome="error"} 10'),
            "10 were refused",
            "step",
        ),
    ],
    "source_down": [
        (page('sflow_collector_source_up{source="paris"} 0'), "do not answer: paris.", "trusted_hosts"),
    ],
    "web_config": [
        (
            page("sflow_collector_web_config_last_reload_successful 0"),
            "newest web configuration file could not be taken",
            "check-config",
        ),
    ],
    "http_full": [
        (page("sflow_collector_http_connections 250"), "250 HTTP connections are open; 256 are the most", "ss -tnp"),
    ],
}
EVERY = [(key, *case) for key, cases in CASES.items() for case in cases]


def test_a_healthy_page_has_nothing_to_find() -> None:
    assert examine(page()) == []


@pytest.mark.parametrize(("key", "sick", "what", "do"), EVERY, ids=[f"{one[0]}: {one[2]}" for one in EVERY])
def test_a_rule_finds_what_is_wrong_and_says_what_to_do(key: str, sick: Page, what: str, do: str) -> None:
    (found,) = examine(sick)
    assert found.key == key
    assert what in found.what
    assert do in found.do


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {rule.key for rule in RULES}
    assert len(CASES) == len(RULES)


@pytest.mark.parametrize(("key", "sick"), [one[:2] for one in EVERY], ids=[f"{one[0]}: {one[2]}" for one in EVERY])
def test_a_rule_looks_at_nothing_but_its_families(key: str, sick: Page) -> None:
    (rule,) = (one for one in RULES if one.key == key)
    only = {name: samples for name, samples in sick.samples.items() if name in rule.families}
    clock = {"sflow_collector_start_time_seconds": sick.samples["sflow_collector_start_time_seconds"]}
    assert rule.judge(replace(sick, samples=only | clock)) == rule.judge(sick)


def test_every_family_that_is_looked_at_is_one_that_somebody_gives() -> None:
    paths = [*ROOT.glob("exporters/*.py"), *ROOT.glob("sflow_gmetrics/**/*.py")]
    sources = "".join(path.read_text("utf-8") for path in paths if path.parent.name != "doctor")
    known = set(re.findall(r"\bsflow_[a-z0-9_]+\b", sources)) | {row[0] for row in family_rows(EXTRAS)}
    for rule in RULES:
        for name in rule.families:
            assert name in known or name.removesuffix("_total") in known, (rule.key, name)


def test_what_may_be_so_is_no_problem() -> None:
    sick = page("sflow_collector_kernel_drops_total 1", DROPPED % "not_allowed", "sflow_collector_rrd_up 0")
    assert [(one.key, one.severity) for one in examine(sick)] == [
        ("rrd_away", "problem"),
        ("kernel_drops", "remark"),
        ("refused", "remark"),
    ]


@pytest.mark.parametrize(
    "young",
    [
        page(f"sflow_collector_start_time_seconds {NOW - 60}", 'sflow_host_up{pool="web",host="web-3"} 1'),
        page(f"sflow_collector_start_time_seconds {NOW - 60}", without="sflow_service_disk"),
        page(f"sflow_collector_start_time_seconds {NOW - 60}", "sflow_collector_rrd_last_write_timestamp_seconds 0"),
    ],
    ids=["services", "I/O", "rrd"],
)
def test_what_takes_its_time_is_waited_for(young: Page) -> None:
    assert examine(young) == []


# --- words


def test_a_share_is_short() -> None:
    assert [share(part, 1000) for part in (0, 1, 25, 500, 1000)] == ["0 %", "0.1 %", "2.5 %", "50 %", "100 %"]
    assert share(0, 0) == "0 %"


def test_names_are_told_up_to_a_number() -> None:
    assert names(["b", "a"]) == "a, b"
    assert names(map(str, range(9))) == "0, 1, 2, 3, 4 and 4 more"


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 seconds"), (600, "10 minutes"), (7300, "2 hours"), (9e5, "10 days")], ids=str
)
def test_a_time_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


FOUND = [Finding("rrd_away", "It is away.", "Bring it back."), Finding("refused", "Some.", "Nothing.", "remark")]


def test_the_report_is_for_people_and_for_programs() -> None:
    text = report("about", FOUND)
    assert "problem (rrd_away): It is away.\n    to do: Bring it back.\n" in text
    assert text.endswith("1 problem found.")
    assert report("about", FOUND[1:]).endswith("All is well.")
    told = json.loads(report_json("about", FOUND))
    assert (told["ok"], told["findings"][0]["key"]) == (False, "rrd_away")
    assert json.loads(report_json("about", FOUND[1:]))["ok"] is True


# --- asking


Answer = Callable[[BaseHTTPRequestHandler], tuple[int, str]]


@contextlib.contextmanager
def answering(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that is asked, and its HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answer(self)
            self.send_response(status)
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
    ],
)
def test_an_answer_that_is_of_no_use(status: int, text: str, what: str, do: str) -> None:
    with answering(lambda _: (status, text)) as place:
        found = found_at(f"http://{place}")
    assert what in found.what
    assert do in found.do


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


@pytest.mark.parametrize("url", ["127.0.0.1:9343", "ftp://host", "http://", "/-/ready"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="--url"):
        Target.of(url)


def test_a_password_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--password-file"):
        Target.of("http://host", password_file=str(tmp_path / "none"))


# --- a real instance


def test_a_running_instance_is_examined(capsys: pytest.CaptureFixture[str]) -> None:
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
        send(listening.sflow[0], b"GET / HTTP/1.0")
        wait_for("one more", lambda: number(listening, "sflow_collector_datagrams_total") == 31)
        wait_for("a new page", lambda: cli.main(["doctor", "--url", url]) == 1, pause=0.3)
        assert "no good sFlow (bad_version)" in capsys.readouterr().out


def test_a_failed_name_look_up_is_not_taken_for_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "is not known here" in found_at("http://collector.example.net:9343").do
