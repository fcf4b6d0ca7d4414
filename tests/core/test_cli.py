"""The commands as a person types them: what they print, how they fail, and how they end."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters.families import EXTRAS
from exporters.runtime import page_name
from exporters.runtime_families import RUNTIME
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import decode_datagram
from sflow_gmetrics.inspect import datagram_json
from sflow_gmetrics.structures import COUNTER_RECORDS
from tests.e2e.servers import (
    CONFIG,
    HOME,
    command,
    environment,
    fetch,
    free_port,
    read_all,
    running,
    served,
    serving,
    wait_for,
)
from tests.recordings import CAPTURES, packets, payloads

DEPLOY = Path(__file__).parents[2] / "deploy"
SYSTEMD = CAPTURES / "hsflowd-systemd.pcap.gz"
COMMANDS = ("serve", "decode", "replay", "simulate", "check-config", "metrics")


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=30, check=False, **options
    )


def refusal(*arguments: str) -> str:
    """The one line that a command says when it cannot do what it is told."""
    result = run(*arguments)
    assert result.returncode == 1, result
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("sflow-gmetrics: ")
    return line


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A UDP socket with room for a recording."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        bound.bind((HOME, 0))
        bound.settimeout(5)
        yield bound


def received(bound: socket.socket) -> list[bytes]:
    """What has come up to now."""
    bound.setblocking(False)
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(bound.recv(65_535))
    return found


def address(bound: socket.socket) -> str:
    return "{}:{}".format(*bound.getsockname())


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


def listener(kind: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    bound.bind((HOME, 0))
    if kind == socket.SOCK_STREAM:
        bound.listen()
    return bound


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


# --- decode


def test_decode_prints_what_the_decoder_read() -> None:
    result = run("decode", str(SYSTEMD))
    assert (result.returncode, result.stderr) == (0, "")
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    assert shown == [datagram_json(decode_datagram(payload)) for payload in payloads("hsflowd-systemd")]


def test_decode_reads_standard_input() -> None:
    with SYSTEMD.open("rb") as file:
        from_stdin = run("decode", "-", stdin=file)
    assert from_stdin.returncode == 0
    assert from_stdin.stdout == run("decode", str(SYSTEMD)).stdout != ""


def test_decode_ends_quietly_when_its_reader_does() -> None:
    line = f"{' '.join(command('decode', str(SYSTEMD)))} | head -n 1"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, env=environment(), check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert json.loads(result.stdout)["agent"]


def test_decode_of_a_cut_capture_gives_what_is_whole(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(gzip.decompress(SYSTEMD.read_bytes())[:20_000])
    result = run("decode", str(cut))
    whole = run("decode", str(SYSTEMD)).stdout
    assert (result.returncode, result.stderr) == (0, "")
    assert whole.startswith(result.stdout)
    assert 10 < len(result.stdout.splitlines()) < 147


def test_decode_names_a_bad_datagram_and_goes_on(tmp_path: Path) -> None:
    capture = bytearray(gzip.decompress(SYSTEMD.read_bytes()))
    first = capture.index(payloads("hsflowd-systemd")[0])
    capture[first + 3] = 4  # the version
    damaged = tmp_path / "damaged.pcap"
    damaged.write_bytes(capture)
    result = run("decode", str(damaged))
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 146
    (line,) = result.stderr.splitlines()
    assert re.search(r"a datagram of \d+\.\d{6} from \S+: .*version", line)


def test_decode_listens_to_the_port_that_it_is_told() -> None:
    other = run("decode", str(SYSTEMD), "--port", "9999")
    assert (other.returncode, other.stdout) == (0, "")
    assert "no datagram to UDP port 9999; --port 0 takes every port" in other.stderr
    every = run("decode", str(SYSTEMD), "--port", "0").stdout
    assert len(every.splitlines()) == 147


# --- replay and simulate


def test_replay_at_full_speed_sends_every_datagram(receiver: socket.socket) -> None:
    result = run("replay", str(SYSTEMD), "--to", address(receiver), "--speed", "max")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "147 datagrams sent, 0 refused\n"
    assert received(receiver) == payloads("hsflowd-systemd")


def test_replay_keeps_the_distances_and_ends_at_an_interrupt(receiver: socket.socket, tmp_path: Path) -> None:
    speed = 20.0
    recording = packets("hsflowd-systemd")
    arguments = command("replay", str(SYSTEMD), "--to", address(receiver), "--speed", str(speed), "--loop")
    with running(arguments, tmp_path / "replay.log", env=environment()) as program:
        times = []
        for packet in recording[:20]:
            assert receiver.recv(65_535) == packet.payload
            times.append(time.monotonic())
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(5) == 0
        assert re.fullmatch(r"(19|2\d) datagrams sent, 0 refused\n", program.said())  # 19: just not counted yet
    wanted = (recording[19].time - recording[0].time) / speed
    assert wanted - 0.3 < times[-1] - times[0] < wanted + 3


def test_replay_goes_on_when_nobody_listens() -> None:
    result = run("replay", str(SYSTEMD), "--to", f"{HOME}:{free_port(socket.SOCK_DGRAM)}", "--speed", "max")
    sent, refused = map(int, re.findall(r"\d+", result.stderr))
    assert result.returncode == 0
    assert sent + refused == 147
    assert refused > 0


def test_simulate_sends_the_hosts_for_as_long_as_it_is_told(receiver: socket.socket) -> None:
    begun = time.monotonic()
    result = run(
        "simulate", "--to", address(receiver), "--hosts", "3", "--services", "4", "--interval", "1", "--duration", "2.5"
    )
    assert 2.5 <= time.monotonic() - begun < 10
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    datagrams = [decode_datagram(payload) for payload in received(receiver)]
    names = [
        record.fields["hostname"]
        for datagram in datagrams
        for sample in datagram.samples
        if sample.ds_class != 2
        for record in sample.records
        if record.structure is not None and record.structure.name == "host_descr"
    ]
    assert len({datagram.agent for datagram in datagrams}) == 3
    assert "ssh.service" in names
    assert 2 <= len(names) / len(set(names)) <= 9, "each service of three hosts two or three times"


def test_simulate_tells_the_pools_that_fit() -> None:
    result = run("simulate", "--pools")
    assert [pool.name for pool in parse_config(result.stdout).pools] == ["web", "app", "db", "cache"]


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


@contextlib.contextmanager
def taken_ports() -> Iterator[None]:
    """The demonstration's own ports are in use: by us, or by somebody else already."""
    with contextlib.ExitStack() as stack:
        for kind, port in ((socket.SOCK_DGRAM, 6343), (socket.SOCK_STREAM, 8649), (socket.SOCK_STREAM, 9343)):
            bound = stack.enter_context(socket.socket(socket.AF_INET, kind))
            with contextlib.suppress(OSError):
                bound.bind((HOME, port))
                if kind == socket.SOCK_STREAM:
                    bound.listen()
        yield


def demo_ports(text: str) -> dict[str, int] | None:
    """The ports that the demonstration's head names, when it is complete."""
    patterns = {
        "web": r"landing page +http://127\.0\.0\.1:(\d+)/\s",
        "metrics": r"http://127\.0\.0\.1:(\d+)/metrics",
        "gmond": r"gmond XML +TCP 127\.0\.0\.1:(\d+)\s",
        "sflow": r"sFlow +UDP 127\.0\.0\.1:(\d+)\s",
    }
    found = {name: re.search(pattern, text) for name, pattern in patterns.items()}
    return {name: int(one[1]) for name, one in found.items() if one} if all(found.values()) else None


def test_the_demonstration_shows_data_soon_on_ports_of_its_own(tmp_path: Path) -> None:
    with taken_ports(), running(command("serve", "--demo"), tmp_path / "log", env=environment()) as program:
        ports = wait_for("the head", lambda: program.runs() and demo_ports(program.said()))
        assert not set(ports.values()) & {6343, 8649, 9343}
        assert ports["web"] == ports["metrics"]
        url = f"http://{HOME}:{ports['web']}"
        wait_for(
            "data", lambda: b'sflow_pool_service_hosts{pool="web",service="nginx.service"' in fetch(f"{url}/metrics")
        )
        wait_for("a host in the XML", lambda: b'HOST NAME="web-host-01"' in read_all((HOME, ports["gmond"])))
        assert b"nginx.service" in fetch(f"{url}/")
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(3) == 0
        assert "Traceback" not in program.said()


class Terminal:
    """A program under a pseudo-terminal of 100 columns and 50 lines."""

    def __init__(self, arguments: list[str]) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(), "TERM": "xterm-256color"},
        )
        os.close(slave)
        self.text = ""

    def read(self) -> str:
        """All that was written up to now."""
        with contextlib.suppress(OSError):  # EIO: the program has ended
            while select.select([self.master], [], [], 0)[0] and (data := os.read(self.master, 1 << 16)):
                self.text += data.decode("utf-8", "replace")
        return self.text

    def wait_for(self, what: str, condition: Callable[[str], Any], seconds: float = 15) -> Any:
        return wait_for(what, lambda: condition(self.read()), seconds)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_the_demonstration_draws_a_table_in_a_terminal() -> None:
    with taken_ports(), contextlib.closing(Terminal(command("serve", "--demo"))) as terminal:
        terminal.wait_for("the head", demo_ports)
        terminal.wait_for("a pool", lambda text: "pool web" in text and "nginx.service" in text)
        assert "CPUs used" in terminal.text
        drawn = terminal.text.count("Ctrl-C ends")
        terminal.wait_for("two more drawings", lambda text: text.count("Ctrl-C ends") >= drawn + 2)
        begun = time.monotonic()
        os.write(terminal.master, b"\x03")
        assert wait_for("the end", lambda: terminal.process.poll() is not None, 5)
        assert terminal.process.returncode == 0
        assert time.monotonic() - begun < 2
        assert "Traceback" not in terminal.read()
        assert terminal.text.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"
