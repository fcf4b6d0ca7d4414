"""The doctor: what each rule finds on a page, and what is said when the page cannot be had."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from exporters import prometheus
from exporters.families import EXTRAS
from sflow_gmetrics import Collector
from sflow_gmetrics.config import Config, ServicesConfig
from sflow_gmetrics.doctor import RULES, Finding, Page, examine, report, report_json
from sflow_gmetrics.doctor.page import duration, names, share
from sflow_gmetrics.tables import family_rows
from tests.core.builders import Sender, host, service

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
sflow_collector_limit{{key="sflow.memory"}} 4294967296
sflow_collector_limit{{key="services.services_per_host"}} 500
sflow_collector_limit{{key="services.series"}} 2000000
sflow_collector_limit{{key="rrd.queue"}} 1000000
sflow_collector_limit_used{{key="sflow.agents"}} 2
sflow_collector_limit_used{{key="sflow.memory"}} 48000
sflow_collector_limit_used{{key="services.services_per_host"}} 1
sflow_collector_limit_used{{key="services.series"}} 16
sflow_collector_series_dropped_total{{reason="excluded"}} 99
sflow_collector_decode_errors_total{{reason="bad_version"}} 0
sflow_collector_dropped_total{{reason="agents"}} 0
sflow_collector_dropped_total{{reason="not_allowed"}} 0
sflow_collector_agents{{state="up"}} 2
sflow_collector_agents{{state="down"}} 0
sflow_collector_services{{pool="web"}} 2
sflow_pool_service_hosts{{pool="web",service="nginx.service",kind="systemd"}} 2
sflow_pool_service_hosts{{pool="web",service="_other_",kind="other"}} 0
sflow_collector_rrd_up 1
sflow_collector_rrd_queue_length 7
sflow_collector_rrd_files_refused 0
sflow_collector_rrd_last_write_timestamp_seconds {NOW - 15}
sflow_collector_rrd_updates_total{{backend="rrdcached",outcome="ok"}} 1000
sflow_collector_rrd_updates_total{{backend="rrdcached",outcome="error"}} 0
sflow_collector_rrd_updates_total{{backend="rrdcached",outcome="dropped"}} 0
sflow_collector_source_up{{source="hq"}} 1
sflow_collector_remote_write_samples_total{{endpoint="vm",outcome="sent"}} 1000
sflow_collector_remote_write_samples_total{{endpoint="vm",outcome="failed"}} 0
sflow_collector_remote_write_samples_total{{endpoint="vm",outcome="retried"}} 9000
sflow_collector_remote_write_samples_total{{endpoint="vm",outcome="dropped"}} 0
sflow_collector_remote_write_pending_samples{{endpoint="vm"}} 10
sflow_collector_remote_write_highest_timestamp_seconds{{endpoint="vm"}} {NOW - 15}
sflow_collector_config_last_reload_successful 1
sflow_collector_config_last_reload_success_timestamp_seconds {NOW - 7200}
sflow_collector_web_config_last_reload_successful 1
sflow_collector_state_last_write_timestamp_seconds {NOW - 55}
sflow_collector_state_interval_seconds 60
sflow_collector_state_write_errors_total 0
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
sflow_agent_datagrams_lost_total{{agent="10.0.0.1"}} 4
sflow_agent_datagrams_reordered_total{{agent="10.0.0.1"}} 4
sflow_agent_restarts_total{{agent="10.0.0.1"}} 1
sflow_agent_last_seen_timestamp_seconds{{agent="10.0.0.1"}} {NOW - 3}
sflow_agent_clock_agrees{{agent="10.0.0.1"}} 1
"""


def page(*changes: str, without: str = "", here: float = NOW) -> Page:
    """The healthy page with other or further samples, and without those whose names begin so."""
    samples = dict(line.rsplit(" ", 1) for line in HEALTHY.strip().splitlines())
    samples |= dict(line.rsplit(" ", 1) for line in changes)
    text = "".join(f"{name} {value}\n" for name, value in samples.items() if not (without and name.startswith(without)))
    return Page.parse(text, NOW, here)


FOLDED = 'sflow_pool_service_hosts{pool="web",service="_other_",kind="other"} 3'
CONFLICTS = 'sflow_agent_address_conflicts_total{agent="10.0.0.%d"} %d'
KERNEL = "sflow_collector_kernel_drops_total"
DROPPED = 'sflow_collector_dropped_total{reason="%s"} 5'
RESTARTS = 'sflow_agent_restarts_total{agent="10.0.0.2"} 11', 'sflow_agent_datagrams_total{agent="10.0.0.2"} 1300'
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
        (page(*RESTARTS), "restart again and again: 10.0.0.2", "journalctl"),
    ],
    "twice": [
        (page('sflow_agent_datagrams_reordered_total{agent="10.0.0.2"} 9999'), "late or twice", "tcpdump"),
    ],
    "address_shared": [
        (page('sflow_agent_address_conflicts_total{agent="10.0.0.2"} 9'), "two machines each: 10.0.0.2", "agent.cidr"),
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
        (page("sflow_collector_kernel_drops_total 300"), "dropped 300 datagrams (0.3 %)", "rmem_max=33554432"),
        (page("sflow_collector_kernel_drops_total 1"), "dropped 1 datagrams", "receive_buffer = 8388608"),
    ],
    "small_buffer": [
        (page("sflow_collector_receive_buffer_bytes 212992"), "212,992 bytes, not the 4,194,304", "rmem_max=16777216"),
    ],
    "refused": [
        (page(DROPPED % "agents"), "5 datagrams or samples were passed over (agents)", "[sflow] agents"),
        (page(DROPPED % "memory"), "(memory)", "Raise [sflow] memory"),
        (page(DROPPED % "memory_of_agent"), "(memory_of_agent)", "128 MiB"),
        (page(DROPPED % "sub_agents"), "(sub_agents)", "16 sub-agents"),
        (page(DROPPED % "sources_per_agent"), "(sources_per_agent)", "raise [services] services_per_host"),
        (page(DROPPED % "services"), "(services)", "'[services] services_per_host' and 'series'"),
        (page(DROPPED % "forms"), "(forms)", "differ in what they consist of"),
        (page(DROPPED % "fault"), "(fault)", "a fault of the collector"),
        (page(DROPPED % "of_another_version"), "(of_another_version)", "Look in the log for the agent"),
        (page(DROPPED % "not_allowed"), "(not_allowed)", "[sflow] allow"),
    ],
    "near_limit": [
        (
            page('sflow_collector_limit_used{key="sflow.agents"} 18000'),
            "18,000 agents; [sflow] agents = 20000",
            "allow",
        ),
        (
            page('sflow_collector_limit_used{key="sflow.memory"} 4000000000'),
            "4,000,000,000 bytes kept of agents; [sflow] memory = 4294967296",
            "'[sflow] memory'",
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
            page(FOLDED, 'sflow_collector_series_dropped_total{reason="limit_host"} 16'),
            "On 3 hosts there are more services than have room. They are _other_ in their pool. "
            "Until now 16 series were too many for their host, 0 over all hosts.",
            "'[services] services_per_host' and 'series'",
        ),
        (
            page(FOLDED, 'sflow_collector_series_dropped_total{reason="limit_total"} 16'),
            "0 series were too many for their host, 16 over all hosts.",
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
    "state_behind": [
        (
            page(
                f"sflow_collector_state_last_write_timestamp_seconds {NOW - 7200}",
                "sflow_collector_state_write_errors_total 12",
            ),
            "has not been written for 2 hours (12 errors)",
            "df",
        ),
        (page("sflow_collector_state_last_write_timestamp_seconds 0"), "not been written at all", "[state] directory"),
    ],
    "rrd_lost": [
        (
            page('sflow_collector_rrd_updates_total{backend="rrdcached",outcome="dropped"} 1000'),
            "1,000 RRD values (50 %) are lost: there was no room",
            "[rrd] queue",
        ),
    ],
    "rrd_refused": [
        (page("sflow_collector_rrd_files_refused 12"), "12 RRD files are refused. Their values wait", "'df'"),
    ],
    "source_down": [
        (page('sflow_collector_source_up{source="paris"} 0'), "do not answer: paris.", "trusted_hosts"),
    ],
    "store_behind": [
        (
            page(f'sflow_collector_remote_write_highest_timestamp_seconds{{endpoint="vm"}} {NOW - 7200}'),
            "The store vm has taken nothing for 2 hours; 10 samples wait",
            "log",
        ),
        (
            page('sflow_collector_remote_write_highest_timestamp_seconds{endpoint="vm"} 0'),
            "The store vm has taken nothing at all",
            "log",
        ),
    ],
    "store_lost": [
        (
            page('sflow_collector_remote_write_samples_total{endpoint="vm",outcome="failed"} 500'),
            "500 samples for the store vm are lost: 500 were refused, 0 found no room",
            "address",
        ),
        (
            page('sflow_collector_remote_write_samples_total{endpoint="vm",outcome="dropped"} 500'),
            "0 were refused, 500 found no room",
            "away for too long",
        ),
    ],
    "config": [
        (
            page("sflow_collector_config_last_reload_successful 0"),
            "newest configuration file could not be used; that of 2 hours ago",
            "systemctl reload",
        ),
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


def test_every_reason_has_a_cure_of_its_own() -> None:
    text = prometheus.render(Collector().snapshot(NOW)).decode()
    reasons = {labels["reason"] for labels, _ in Page.parse(text, NOW).each("sflow_collector_dropped_total")}
    sick = page(*(DROPPED % reason for reason in reasons))
    cures = {one.do for one in examine(sick) if one.key == "refused"}
    assert len(cures) == len(reasons)
    assert not any(one.endswith("stop or mend it.") for one in cures)


def test_every_limit_that_the_page_shows_is_watched() -> None:
    text = prometheus.render(Collector().snapshot(NOW)).decode()
    for labels, _ in Page.parse(text, NOW).each("sflow_collector_limit_used"):
        key = labels["key"]
        full = page(f'sflow_collector_limit_used{{key="{key}"}} 1e10')
        assert [one.key for one in examine(full)] == ["near_limit"], key


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


def test_rrd_requests_that_failed_are_no_lost_values() -> None:
    failed = 'sflow_collector_rrd_updates_total{backend="rrdcached",outcome="error"} %d'
    dropped = 'sflow_collector_rrd_updates_total{backend="rrdcached",outcome="dropped"} 20'
    assert examine(page(failed % 5000)) == []
    (found,) = examine(page(failed % 5000, dropped))
    assert "20 RRD values (2 %) are lost" in found.what, "a share of the values, not of the requests"


def test_what_may_be_so_is_no_problem() -> None:
    sick = page(
        f"{KERNEL} 1", DROPPED % "not_allowed", "sflow_collector_rrd_up 0", "sflow_collector_datagrams_total 2e6"
    )
    assert [(one.key, one.severity) for one in examine(sick)] == [
        ("rrd_away", "problem"),
        ("kernel_drops", "remark"),
        ("refused", "remark"),
    ]


def test_no_rule_reads_the_page_again_for_each_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 20,000 agents that would take minutes."""
    each, reads = Page.each, itertools.count()

    def count(page: Page, name: str, **labels: str) -> Iterator[tuple[Mapping[str, str], float]]:
        next(reads)
        return each(page, name, **labels)

    monkeypatch.setattr(Page, "each", count)
    names_of_agents = {name for rule in RULES for name in rule.families if name.startswith("sflow_agent_")}

    def reads_of(agents: int) -> int:
        large = page(*(f'{name}{{agent="a{n}"}} 5' for name in names_of_agents for n in range(agents)))
        before = next(reads)
        examine(replace(large, earlier=large))
        return next(reads) - before

    assert reads_of(50) == reads_of(1)


def test_restarts_are_held_against_what_came_in_all_their_time() -> None:
    """A state keeps both. The time for which the collector has been running says nothing."""
    assert examine(page(RESTARTS[0])) == []
    assert examine(page(f"sflow_collector_start_time_seconds {NOW - 60}", RESTARTS[0])) == []
    assert examine(page(RESTARTS[0].replace("11", "3"), RESTARTS[1].replace("1300", "5"))) == []


def test_services_that_had_no_room_and_have_it_now_are_well() -> None:
    assert examine(page('sflow_collector_series_dropped_total{reason="limit_host"} 16')) == []


@pytest.mark.parametrize(
    "young",
    [
        page(f"sflow_collector_start_time_seconds {NOW - 60}", 'sflow_host_up{pool="web",host="web-3"} 1'),
        page(f"sflow_collector_start_time_seconds {NOW - 60}", without="sflow_service_disk"),
        page(f"sflow_collector_start_time_seconds {NOW - 60}", "sflow_collector_rrd_last_write_timestamp_seconds 0"),
        page(
            f"sflow_collector_start_time_seconds {NOW - 60}",
            'sflow_collector_remote_write_highest_timestamp_seconds{endpoint="vm"} 0',
        ),
    ],
    ids=["services", "I/O", "rrd", "store"],
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


# --- what the collector makes of it


def seen(collector: Collector, now: float) -> dict[str, Finding]:
    """What is found on the page of a collector that has been running for an hour, by rule."""
    text = prometheus.render(collector.snapshot(now)).decode()
    text += f"sflow_collector_start_time_seconds {now - 3600}\n"
    return {found.key: found for found in examine(Page.parse(text, now))}


def twins(*, address: str = "10.0.0.1", name: str = "web-1") -> dict[str, Finding]:
    """What is found when a second machine sends, which has something in common with the first."""
    collector = Collector()
    one, two = Sender(collector), Sender(collector, address, uptime=50_000.0)
    two.sequence = 7000
    for n in range(1, 60):
        one.send(host(n), service(n, cpuTime=100 * n, rd_bytes=100 * n))
        two.send(host(n, hostname=name), service(n, cpuTime=100 * n, rd_bytes=100 * n))
        one.tick(20)
        two.tick(20)
    return seen(collector, one.now)


def test_two_machines_of_their_own_are_well() -> None:
    assert twins(address="10.0.0.2", name="web-2") == {}


def test_two_machines_of_one_name_are_found() -> None:
    found = twins(address="10.0.0.2")
    assert "Several hosts have the same name: web-1." in found["same_name"].what


def test_two_machines_of_one_agent_address_are_found() -> None:
    found = twins(name="web-2")
    assert set(found) == {"address_shared"}
    assert "announced by two machines each: 10.0.0.1." in found["address_shared"].what


def test_services_that_are_folded_are_found_until_they_are_gone() -> None:
    collector = Collector(Config(services=ServicesConfig(services_per_host=1)))
    one = Sender(collector)

    def go(first: int, *indices: int) -> dict[str, Finding]:
        for n in range(first, first + 30):
            one.send(host(n), *(service(n, f"s{index}.service", index, cpuTime=n, rd_bytes=n) for index in indices))
            one.tick(20)
        return seen(collector, one.now)

    assert "On 1 hosts there are more services than have room." in go(1, 1, 2)["folded"].what
    assert go(31, 1).keys() == {"near_limit"}


def test_a_host_without_services_and_one_without_io_are_found() -> None:
    collector = Collector()
    bare, blind = Sender(collector), Sender(collector, "10.0.0.2")
    for n in range(1, 4):
        bare.send(host(n))
        blind.send(host(n, hostname="web-2"), service(n, cpuTime=100 * n, rd_bytes=0, wr_bytes=0))
        bare.tick(20)
        blind.tick(20)
    found = seen(collector, bare.now)
    assert "1 of 2 hosts send no services: web-1." in found["no_services"].what
    assert "no I/O: web-2." in found["no_io"].what
