"""What pools have done is the same before and after a crash, and never falls, whatever agents and clocks did."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.builders import START, Sender, host, service
from tests.core.test_persistence import RUNS, Run

SEEDS = 24
STEPS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    for run in list(RUNS):
        run.close()


def sums(run: Run) -> dict[str, float]:
    """What a page says that pools have done."""
    lines = (line.rpartition(" ") for line in run.page() if line.startswith("sflow_pool_") and "_total{" in line)
    return {series: float(value) for series, _, value in lines}


class Story:
    """Three agents and the runs of the program that hear them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.forget_after = self.chance.choice([60, 3600])
        self.run = Run(folder, forget_after=self.forget_after)
        self.senders = [
            Sender(self.run.collector, f"10.0.0.{number}", uptime=1000.0 + number) for number in range(1, 4)
        ]
        self.names = ["a", "b", "c"]
        self.rounds = [0, 0, 0]
        self.work = 0
        self.now = START

    def send(self) -> None:
        """A datagram of each agent, which may be lost or come twice."""
        for index, sender in enumerate(self.senders):
            self.rounds[index] += 1
            self.work += self.chance.randint(0, 900)
            number, work = self.rounds[index], self.work
            told = [host(number, self.names[index], cpu_user=work)]
            told += [service(number, f"u{one}", one, cpuTime=work) for one in range(3) if self.chance.random() < 0.7]
            if self.chance.random() < 0.1:
                sender.sub_agent = self.chance.choice([1, 2])
            payload = sender.payload(*told)
            for _ in range(self.chance.choice([0, 1, 1, 1, 1, 1, 2])):
                self.run.take((self.now, payload))

    def tick(self) -> None:
        seconds = self.chance.choice([1, 5, 20, 20, 20, 30, 400, 8000])
        self.now += seconds
        for sender in self.senders:
            sender.uptime += seconds

    def clock_back(self) -> None:
        self.now -= self.chance.choice([10, 400, 5000])

    def restart(self) -> None:
        index = self.chance.randrange(3)
        self.senders[index].sequence, self.senders[index].uptime, self.rounds[index] = 0, 0.5, 0

    def rename(self) -> None:
        self.names[self.chance.randrange(3)] = self.chance.choice("abz")

    def write(self) -> None:
        self.run.write()

    def crash(self) -> None:
        self.run.close()
        self.run = Run(self.folder, self.run.now, forget_after=self.forget_after)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_crash_changes_nothing_that_was_shown(folder: Path, seed: int) -> None:
    story = Story(folder, seed)
    deeds = [Story.send, Story.tick, Story.clock_back, Story.restart, Story.rename, Story.write, Story.crash]
    shown: dict[str, float] = {}
    for step in range(STEPS):
        (deed,) = story.chance.choices(deeds, [45, 30, 2, 3, 3, 6, 6])
        deed(story)
        now = sums(story.run)
        for series, value in shown.items():
            assert now.get(series, 0.0) >= value, (step, deed.__name__, series)
            assert deed is not Story.crash or now[series] == value, (step, series)
        shown = now
    assert shown
    assert not [path for path in folder.iterdir() if "refused" in path.name]
