"""What fuzzing found, and the inputs that reached most of the decoder: none of them may be a surprise again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sflow_gmetrics import Collector, Config
from sflow_gmetrics.datagram import decode_datagram, encode_datagram
from sflow_gmetrics.errors import DecodeError
from tests.recordings import VECTORS

FINDINGS = sorted((VECTORS / "fuzz_findings").glob("*.bin"))


def test_there_are_findings() -> None:
    assert FINDINGS, "the directory of fuzz findings has moved"


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda path: path.stem)
def test_finding_gives_a_value_or_a_decode_error(finding: Path) -> None:
    try:
        datagram = decode_datagram(finding.read_bytes())
    except DecodeError as error:
        datagram, reason = None, error.reason
    if datagram is None:
        assert reason in DecodeError.REASONS
    else:
        again = decode_datagram(encode_datagram(datagram))
        assert [sample.tag for sample in again.samples] == [sample.tag for sample in datagram.samples]


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda path: path.stem)
def test_collector_survives_the_finding(finding: Path) -> None:
    collector = Collector(Config())
    payload = finding.read_bytes()
    for now in (1e6, 1e6 + 20):
        collector.receive(payload, now)
    assert collector.snapshot(1e6 + 20) is not None
