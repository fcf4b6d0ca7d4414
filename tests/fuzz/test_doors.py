"""Behind every door nothing may be a surprise: what fuzzing has found, and a short run by chance."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sflow_gmetrics import Collector
from sflow_gmetrics.agent import Agent
from tests.fuzz import DOORS, chance
from tests.fuzz.__main__ import main
from tests.fuzz.bounds import check_bounds
from tests.fuzz.collector import MOST
from tests.fuzz.door import CORPUS, Door, findings, inputs, open_door
from tests.fuzz.shorten import shortened
from tests.recordings import VECTORS

RUNS = {"collector": 3_000, "web_config": 500, "state": 500}
"""The collector has to hear much, and YAML and pages are slow."""


@pytest.mark.parametrize("name", DOORS)
def test_nothing_comes_out_by_chance(name: str) -> None:
    door = open_door(name)
    known = inputs(name, door)
    chance.run(door, known, len(known) + RUNS.get(name, 1_500), seed=1)


@pytest.mark.parametrize(
    ("name", "finding"),
    [(name, path) for name in DOORS for path in findings(name)],
    ids=lambda value: value.stem if isinstance(value, Path) else str(value),
)
def test_what_was_found_is_mended(name: str, finding: Path) -> None:
    open_door(name).again(finding.read_bytes())


def test_findings_and_corpora_belong_to_doors() -> None:
    assert {path.name for path in VECTORS.glob("fuzz_*")} <= {f"fuzz_{name}" for name in DOORS}
    assert {path.name for path in CORPUS.glob("*")} <= set(DOORS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*.bin")) < 200_000


# --- the fuzzer itself


class Leak(Door):
    """Lets an exception out when a third byte follows two that are alike."""

    def seeds(self) -> Iterator[bytes]:
        yield b"abcdef"

    def enter(self, data: bytes) -> None:
        if len(data) > 2 and data[0] == data[1]:
            raise KeyError("three")


def test_an_exception_that_comes_out_is_found_and_shortened() -> None:
    with pytest.raises(chance.FindingError) as caught:
        chance.run(Leak(), [b"abcdef"], 10_000, seed=1)
    assert isinstance(caught.value.__cause__, KeyError)
    finding = shortened(Leak, caught.value.finding)
    assert len(finding) == 3
    assert finding[0] == finding[1]


def test_what_has_grown_too_large_is_named() -> None:
    collector = Collector()
    check_bounds(collector, MOST)
    collector.agents |= {str(number): Agent(str(number), 0.0) for number in range(MOST + 1)}
    with pytest.raises(AssertionError, match=r"Collector\.\S*agents has 10001 members"):
        check_bounds(collector, MOST)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    finding = findings("decode")[0]
    for options, said in ((["--chance", "--runs", "200"], "200 executions"), ([str(finding)], "nothing has come out")):
        monkeypatch.setattr(sys, "argv", ["fuzz", "decode", "--directory", str(tmp_path), *options])
        assert main() == 0
        assert said in capsys.readouterr().out
