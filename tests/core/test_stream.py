"""One stream: new, late, double, restarted; and whether the agent's clock can be trusted."""

from __future__ import annotations

import pytest

from sflow_gmetrics.stream import AGREEMENT, Stream, Verdict

NOW = 1_700_000_000.0


class Agent:
    """Sends a datagram a second to one stream."""

    def __init__(self, sequence: int = 1000, uptime: float = 5000.0) -> None:
        self.sequence, self.uptime, self.now = sequence, uptime, NOW
        self.stream = Stream(sequence, self._ms(uptime), self.now)

    @staticmethod
    def _ms(uptime: float) -> int:
        return round(uptime * 1000) & 0xFFFF_FFFF

    def give(self, sequence: int, uptime: float, now: float) -> Verdict:
        return self.stream.accept(sequence & 0xFFFF_FFFF, self._ms(uptime), now, b"payload %d" % sequence)

    def next(self, seconds: float = 1.0, late: float = 0.0) -> Verdict:
        self.sequence += 1
        self.uptime += seconds
        self.now += seconds
        return self.give(self.sequence, self.uptime, self.now + late)

    def agrees(self) -> bool:
        return self.stream.agrees

    def run(self, count: int) -> None:
        for _ in range(count):
            assert self.next() is Verdict.NEW


def test_datagrams_in_their_order_are_new() -> None:
    agent = Agent()
    agent.run(100)
    stream = agent.stream
    assert (stream.datagrams, stream.lost, stream.reordered, stream.restarts) == (101, 0, 0, 0)
    assert stream.uptime == pytest.approx(5100)
    assert stream.started == pytest.approx(NOW - 5000)


def test_a_gap_is_loss_and_a_sequence_that_wraps_is_none() -> None:
    agent = Agent(sequence=2**32 - 3)
    agent.run(10)
    assert agent.stream.lost == 0
    agent.sequence += 7
    agent.run(1)
    assert agent.stream.lost == 7


@pytest.mark.parametrize("age", [0, 1, 2, 9, 29])
def test_a_double_is_late_whatever_its_age(age: int) -> None:
    agent = Agent()
    agent.run(60)
    before = (agent.stream.sequence, agent.stream.uptime, agent.stream.epoch, agent.stream.lost)
    assert agent.give(agent.sequence - age, agent.uptime - age, agent.now + 0.1) is Verdict.LATE
    assert (agent.stream.sequence, agent.stream.uptime, agent.stream.epoch, agent.stream.lost) == before
    assert agent.stream.reordered == 1


def test_an_agent_that_restarts_after_its_first_datagram_is_believed_at_once() -> None:
    agent = Agent(sequence=1, uptime=0.0)
    assert agent.give(1, 0.6, agent.now + 1) is Verdict.NEW
    assert agent.stream.restarts == 1
    assert agent.give(1, 0.6, agent.now + 2) is Verdict.LATE, "a double"
    assert agent.give(2, 1.6, agent.now + 2) is Verdict.NEW
    assert agent.stream.restarts == 1


def test_the_first_datagram_after_a_restart_is_taken_when_its_successor_cannot_be_a_late_one() -> None:
    agent = Agent(sequence=1, uptime=0.0)
    agent.run(31)
    assert agent.give(1, 0.5, agent.now + 1) is Verdict.SUSPECT
    assert agent.give(2, 1.5, agent.now + 2) is Verdict.RESTARTED
    assert agent.stream.suspect is not None
    assert agent.stream.suspect[0] == 1


def test_a_restart_takes_nothing_back_of_what_was_late() -> None:
    agent = Agent()
    agent.run(60)
    assert agent.give(agent.sequence - 40, agent.uptime - 40, agent.now + 0.1) is Verdict.SUSPECT
    agent.run(1)
    counted = [agent.stream.reordered]
    for number in (1, 2, 3):
        agent.give(number, float(number), agent.now + number)
        counted.append(agent.stream.reordered)
    assert agent.stream.restarts == 0
    assert counted == [1, 1, 1, 1]


def test_datagrams_that_change_places_are_late_not_restarts() -> None:
    agent = Agent()
    agent.run(5)
    last = agent.sequence
    for ahead in (3, 1, 2, 5, 4):
        verdict = agent.give(last + ahead, agent.uptime + ahead, agent.now + ahead)
        assert verdict is (Verdict.NEW if ahead in (3, 5) else Verdict.LATE)
    assert agent.stream.restarts == 0


@pytest.mark.parametrize("size", [2, 5, 20])
@pytest.mark.parametrize("delay", [0.1, 3.0, 25.0, 60.0, 600.0])
def test_a_whole_burst_that_comes_twice_changes_nothing(size: int, delay: float) -> None:
    """At once, after half a minute, or minutes later out of some queue: nothing of it is believed."""
    agent = Agent()
    agent.run(20)
    burst = [(agent.sequence - size + 1 + n, agent.uptime - size + 1 + n) for n in range(size)]
    agent.run(round(delay))
    epoch = agent.stream.epoch
    for number, (sequence, uptime) in enumerate(burst):
        verdict = agent.give(sequence, uptime, agent.now + 0.2 + number / 1000)
        assert verdict in (Verdict.LATE, Verdict.SUSPECT)
    assert agent.next() is Verdict.NEW
    assert (agent.stream.epoch, agent.stream.restarts, agent.stream.lost) == (epoch, 0, 0)


def test_doubles_of_old_datagrams_between_new_ones_change_nothing() -> None:
    agent = Agent()
    agent.run(400)
    for step in range(100):
        old = 300 - step * 2 if step % 2 else 100 + step
        agent.give(agent.sequence - old, agent.uptime - old, agent.now + 0.5)
        agent.run(1)
    assert (agent.stream.restarts, agent.stream.lost) == (0, 0)


def test_a_restart_is_recognised_by_its_second_datagram() -> None:
    agent = Agent()
    agent.run(10)
    assert agent.give(1, 1.0, agent.now + 10) is Verdict.SUSPECT
    assert agent.stream.suspect is not None
    assert agent.stream.suspect[3] == b"payload 1", "the first one is kept, to be taken then"
    assert agent.give(2, 2.0, agent.now + 11) is Verdict.RESTARTED


@pytest.mark.parametrize("uptimes", [(0.1, 0.7), (0.7, 0.3)])
@pytest.mark.parametrize("pause", [1, 40])
def test_an_agent_that_restarts_twice_after_one_datagram_each_was_never_late(
    uptimes: tuple[float, float], pause: float
) -> None:
    agent = Agent()
    agent.run(100)
    first, second = uptimes
    assert agent.give(1, first, agent.now + 1) is Verdict.SUSPECT
    assert agent.give(1, first, agent.now + 1) is Verdict.SUSPECT, "a double says nothing"
    assert agent.give(1, second, agent.now + 1 + pause) is Verdict.RESTARTED


def test_one_number_of_two_long_uptimes_is_no_restart() -> None:
    """Of two machines, say; an agent that has just started has been up for a moment."""
    agent = Agent()
    agent.run(10)
    assert agent.give(1, 40.0, agent.now + 60) is Verdict.SUSPECT
    assert agent.give(1, 41.0, agent.now + 61) is Verdict.SUSPECT
    assert agent.stream.restarts == 0


def test_a_restart_is_recognised_although_its_first_datagrams_are_lost() -> None:
    agent = Agent(sequence=50_000)
    agent.run(10)
    assert agent.give(7, 12.0, agent.now + 15) is Verdict.SUSPECT
    assert agent.give(9, 14.0, agent.now + 17) is Verdict.RESTARTED


def test_a_restart_of_a_young_agent_is_recognised_at_once() -> None:
    """Sequence 1 twice with two uptimes is not one datagram."""
    agent = Agent(sequence=1, uptime=0.7)
    agent.run(8)
    epoch = agent.stream.epoch
    assert agent.give(1, 0.9, agent.now + 2) is Verdict.NEW
    assert agent.stream.epoch != epoch
    assert (agent.stream.restarts, agent.stream.uptime) == (1, 0.9)


def test_a_restart_that_overtakes_the_old_sequence_is_told_by_the_uptime() -> None:
    agent = Agent(sequence=3, uptime=4000)
    assert agent.give(9, 12.0, agent.now + 20) is Verdict.NEW
    assert agent.stream.restarts == 1
    assert agent.stream.lost == 0


@pytest.mark.parametrize("length", [12, 25, 100])
def test_a_recording_that_is_sent_again_is_a_restart_in_the_end(length: int) -> None:
    """It begins in the middle of an agent's life, so its start proves nothing; but nothing else is heard either."""
    agent = Agent(sequence=500, uptime=600)
    agent.run(length)
    verdicts = [agent.give(500 + n, 600.0 + n, agent.now + 1 + n) for n in range(length)]
    assert Verdict.RESTARTED in verdicts[:12]


def test_an_agent_that_restarts_to_the_same_millisecond_is_a_restart_all_the_same() -> None:
    agent = Agent(sequence=1, uptime=0.5)
    agent.run(40)
    assert agent.give(1, 0.5, agent.now + 1) is Verdict.SUSPECT
    assert agent.give(2, 1.5, agent.now + 2) is Verdict.RESTARTED


@pytest.mark.parametrize("age", [1000.0, 4_294_000.0])
@pytest.mark.parametrize("late", [0.0, 0.1])
def test_a_late_one_of_the_life_before_is_not_new_although_its_number_is_next(age: float, late: float) -> None:
    agent = Agent(1, age)
    agent.run(1)
    old = 3, agent.uptime + 1
    agent.uptime, agent.sequence = 0.5, 1
    agent.now += 5
    agent.stream.restart(1, 500, agent.now)
    agent.run(1)
    assert (agent.stream.restarts, agent.stream.sequence) == (1, 2)
    assert agent.give(*old, agent.now + late) is not Verdict.NEW
    assert (agent.stream.sequence, agent.stream.uptime) == (2, 1.5)
    agent.run(3)
    assert (agent.stream.restarts, agent.stream.lost) == (1, 0)


def test_uptime_wraps_after_49_days_without_a_restart() -> None:
    agent = Agent(uptime=2**32 / 1000 - 5)
    started = agent.stream.started
    agent.run(10)
    assert agent.stream.restarts == 0
    assert agent.stream.uptime == pytest.approx(2**32 / 1000 + 5)
    assert agent.stream.started == pytest.approx(started)
    assert agent.agrees()


def test_two_wraps_of_the_uptime() -> None:
    agent = Agent(uptime=1000)
    for _ in range(110):
        agent.next(86_400)
    assert agent.stream.uptime == pytest.approx(1000 + 110 * 86_400)
    assert agent.stream.restarts == 0


# --- agreement


def test_late_datagrams_agree() -> None:
    agent = Agent()
    for late in (0, 3, 10, 0, 30, 2, 0):
        agent.next(late=late)
        assert agent.agrees()


def test_a_step_of_our_clock_is_forgiven() -> None:
    agent = Agent()
    agent.run(10)
    agent.now += 3600
    agent.next()
    assert not agent.agrees()
    agent.next()
    assert agent.agrees()
    agent.now -= 7200
    agent.next()
    assert not agent.agrees()
    agent.next()
    assert agent.agrees()


def test_a_drift_is_not_forgiven() -> None:
    """An agent whose clock runs at half speed."""
    agent = Agent()
    for _ in range(300):
        agent.sequence += 1
        agent.uptime += 0.5
        agent.now += 1.0
        agent.give(agent.sequence, agent.uptime, agent.now)
    assert not agent.agrees()


def test_uptime_that_stands_still_disagrees_in_the_end() -> None:
    agent = Agent()
    for _ in range(round(AGREEMENT) + 10):
        agent.sequence += 1
        agent.now += 1.0
        assert agent.give(agent.sequence, agent.uptime, agent.now) is Verdict.NEW
    assert not agent.agrees()


def test_after_we_have_slept_the_agents_clock_is_trusted_again() -> None:
    """Stopped for five minutes, we find all that came meanwhile at once, each datagram less late than the last."""
    agent = Agent()
    agent.run(10)
    queued = 300
    for _ in range(queued):
        agent.next(late=queued)
        queued -= 1
    for _ in range(3000):
        agent.next()
    assert agent.agrees()
    assert agent.stream.restarts == 0
