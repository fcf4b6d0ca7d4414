"""The commands as a person types them: what they print, how they fail, and how they end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters.families import EXTRAS
from exporters.runtime import page_name
from exporters.runtime_families import RUNTIME
from sflow_gmetrics.structures import COUNTER_RECORDS
from tests.core.commands import SYSTEMD, listener, refusal, run
from tests.e2e.servers import CONFIG, HOME, command, environment, read_all, running, served, serving, wait_for

COMMANDS = ("serve", "decode", "replay", "simulate", "check-config", "metrics")


# --- help and refusals


def test_help_names_every_command() -> None:
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert all(re.search(rf"^ +{name}\s", result.stdout, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    result = run(name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: sflow-gmetrics {name} ")


def test_version_is_that_of_the_package() -> None:
    from sflow_gmetrics import __version__

    assert run("--version").stdout == f"sflow-gmetrics {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("serv",), "serve"),
        (("replay", "x.pcap"), "--to"),
        (("replay", "x.pcap", "--to", "h:1", "--speed", "fast"), "'fast' is not a number above 0, or 'max'"),
        (("replay", "x.pcap", "--to", "h:1", "--speed", "0"), "above 0"),
        (("replay", "x.pcap", "--to", "h:1", "--speed", "nan"), "above 0"),
        (("simulate", "--to", "h:1", "--hosts", "0"), "whole number above 0"),
        (("simulate", "--to", "h:1", "--services", "1.5"), "whole number above 0"),
        (("simulate", "--to", "h:1", "--interval", "-1"), "seconds above 0"),
        (("simulate", "--to", "h:1", "--duration", "inf"), "seconds above 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_explained(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("target", ["localhost", "127.0.0.1:", "127.0.0.1:70000", "::1:6343", "127.0.0.1:0", ":x"])
def test_a_bad_target_is_named(target: str) -> None:
    line = refusal("replay", str(SYSTEMD), "--to", target)
    assert target.rpartition(":")[2] in line
    assert re.search(r"HOST:PORT|brackets|1 to 65535", line)


def test_simulate_needs_a_target() -> None:
    assert "--to 127.0.0.1:6343" in refusal("simulate", "--duration", "1")


@pytest.mark.parametrize("name", ["decode", "replay"])
def test_a_file_that_is_no_capture_or_not_there_is_named(tmp_path: Path, name: str) -> None:
    more = ("--to", "127.0.0.1:9") if name == "replay" else ()
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, and not a capture at all\n")
    assert "notes.txt" in refusal(name, str(text), *more)
    assert "tcpdump" in refusal(name, str(text), *more)
    assert "No such file" in refusal(name, str(tmp_path / "missing.pcap"), *more)
    assert str(tmp_path) in refusal(name, str(tmp_path), *more)


@pytest.mark.parametrize("arguments", [("serve", "--config"), ("serve", "--demo", "--config"), ("check-config",)])
def test_a_wrong_configuration_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    missing, wrong = tmp_path / "missing.toml", tmp_path / "wrong.toml"
    wrong.write_text('[gmond]\nlissten = "127.0.0.1:0"\n')
    assert f"{missing}: cannot be read: No such file" in refusal(*arguments, str(missing))
    line = refusal(*arguments, str(wrong))
    assert "unknown key 'gmond.lissten'" in line
    assert "did you mean 'listen'?" in line


@pytest.mark.parametrize(
    ("section", "kind"),
    [("sflow", socket.SOCK_DGRAM), ("gmond", socket.SOCK_STREAM), ("web", socket.SOCK_STREAM)],
    ids=lambda value: str(value),
)
def test_a_port_in_use_is_named_with_the_cure(tmp_path: Path, section: str, kind: int) -> None:
    with listener(kind) as taken:
        port = taken.getsockname()[1]
        before, header, after = CONFIG.partition(f"[{section}]\n")
        file = tmp_path / "serve.toml"
        file.write_text(before + header + after.replace(f"{HOME}:0", f"{HOME}:{port}", 1))
        result = run("serve", "--config", str(file))
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith(f"sflow-gmetrics: [{section}] listen: ")
    assert f"{HOME}:{port}: Address already in use" in last
    assert f"ss -l{'u' if section == 'sflow' else 't'}np" in last
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("more", [(), ("--demo",)], ids=["plain", "demo"])
def test_serve_without_an_input_is_refused(tmp_path: Path, more: tuple[str, ...]) -> None:
    file = tmp_path / "deaf.toml"
    file.write_text('[sflow]\nlisten = "off"\n')
    assert "[sflow] listen" in refusal("serve", *more, "--config", str(file))


@pytest.mark.parametrize("arguments", [("decode", str(SYSTEMD)), ("simulate", "--pools")], ids=["much", "little"])
def test_a_full_disk_is_named(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command(*arguments), stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30, check=False
        )
    assert (result.returncode, result.stderr) == (1, b"sflow-gmetrics: standard output: No space left on device\n")


# --- metrics


def test_metrics_lists_every_structure() -> None:
    result = run("metrics")
    assert (result.returncode, result.stderr) == (0, "")
    assert all(structure.name in result.stdout for structure in COUNTER_RECORDS.values())
    assert "sflow_pool_service_cpu_seconds_total" in result.stdout
    assert "vcpu_util" in result.stdout


EVERY_PART = """
[gmetad]
sources = [{ name = "other", addresses = ["127.0.0.1:1"] }]
[rrd]
root = "rrd"
rrdcached = "unix:/nowhere"
[state]
directory = "state"
[[remote_write]]
url = "http://127.0.0.1:1/"
"""
"""What has families of its own; the others need not be there."""


def test_metrics_lists_what_a_page_says_of_the_program_itself(tmp_path: Path) -> None:
    (tmp_path / "web.yml").touch()
    with serving(tmp_path, EVERY_PART, CONFIG + 'config_file = "web.yml"\n') as ours:
        wait_for("the poll of a source", lambda: b"\nsflow_collector_source_up" in ours.page())
        page = ours.page("/metrics?level=collector").decode()
    listed = run("metrics").stdout
    declared = {one.name: one for one in (*EXTRAS, *RUNTIME)}
    shown = {page_name(family): family for family in parse_text(page)}
    assert {one.name for one in RUNTIME} <= set(shown)
    for name, family in shown.items():
        assert re.search(rf"^{name}  ", listed, re.MULTILINE), name
        assert (family.type, family.documentation) == (declared[name].type, declared[name].help)
        assert all(set(sample.labels) == set(declared[name].labels) for sample in family.samples), name


# --- serve


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_soon_and_well(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(CONFIG)
    with running(command("serve", "--config", str(file)), tmp_path / "log", env=environment()) as program:
        ours = served(program)
        with socket.create_connection(ours.gmond), contextlib.closing(_half_a_request(ours.web)):
            assert b"sflow_collector_build_info" in ours.page()
            begun = time.monotonic()
            program.process.send_signal(number)
            assert program.process.wait(10) == 0
        assert time.monotonic() - begun < 2
        assert "Traceback" not in program.said()


def test_a_reload_that_is_asked_for_too_early_is_done_after_the_start(tmp_path: Path) -> None:
    file, newer = tmp_path / "serve.toml", tmp_path / "newer.toml"
    newer.write_text(CONFIG.replace("e2e", "newer"))
    os.mkfifo(file)
    with running(command("serve", "--config", str(file)), tmp_path / "log", env=environment()) as program:
        with file.open("w") as pipe:  # opened as soon as `serve` reads it
            program.process.send_signal(signal.SIGHUP)
            newer.replace(file)
            pipe.write(CONFIG)
        ours = served(program)
        wait_for("the other configuration", lambda: b'CLUSTER NAME="newer"' in ours.xml())
        assert "has been read again and is in use" in program.said()


def _half_a_request(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
    return connection


def test_serve_shows_what_was_replayed(tmp_path: Path) -> None:
    with serving(tmp_path) as ours:
        run("replay", str(SYSTEMD), "--to", f"{ours.sflow[0]}:{ours.sflow[1]}", "--speed", "max")
        page = wait_for(
            "all datagrams", lambda: b"\nsflow_collector_datagrams_total 147\n" in (page := ours.page()) and page
        )
        assert b'service="apache2.service"' in page
        assert b'NAME="apache2.service.vmem_total"' in ours.xml()
        wait_for("the host in the log", lambda: ours.program.search("INFO agent 10.9.0.2: is host 'web-host-01'"))


def test_serve_speaks_ipv6(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG.replace(HOME, "[::1]")) as ours:
        assert ours.web.startswith("http://[::1]:")
        assert ours.sflow[0] == ours.gmond[0] == "[::1]"
        assert b"sflow_collector_build_info" in ours.page()
        run("replay", str(SYSTEMD), "--to", "{}:{}".format(*ours.sflow), "--speed", "max")
        wait_for("a host", lambda: b"web-host-01" in read_all(("::1", ours.gmond[1])))
