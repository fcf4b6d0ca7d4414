"""The commands that read recordings and send datagrams: decode, replay and simulate."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sflow_gmetrics.config import parse_config
from sflow_gmetrics.datagram import decode_datagram
from sflow_gmetrics.inspect import datagram_json
from tests.core.commands import SYSTEMD, address, run
from tests.e2e.servers import HOME, command, environment, free_port, running
from tests.recordings import packets, payloads


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
