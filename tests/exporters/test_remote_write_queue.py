"""What waits for a store: in order, within the limit, again when it is away, never again when it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from exporters.remote_write_queue import LONGEST_WAIT, Answer, RequestQueue, Stats
from exporters.write_request import encode_labels, encode_series, encode_time, encode_value
from sflow_gmetrics.config import RemoteWriteConfig
from tests.exporters.write_requests import read_body

STORED, AWAY, BUSY, BROKEN, REFUSED = Answer(204), Answer(0, "no route"), Answer(429), Answer(503), Answer(400, "bad")


def queue(**keys: Any) -> RequestQueue:
    return RequestQueue(RemoteWriteConfig("http://store/", **keys))


def series(*numbers: int) -> list[bytes]:
    """A series with one sample for each number."""
    labels = encode_labels({"__name__": "a"})
    return [encode_series(labels, encode_value(number), encode_time(number)) for number in numbers]


def taken(one: RequestQueue) -> list[float | None] | None:
    """The values of the request that is to be sent now."""
    request = one.take()
    return None if request is None else [sent.value for sent in read_body(request.body)]


def test_samples_are_sent_in_order_and_in_requests_of_the_size_that_is_allowed() -> None:
    one = queue(max_samples_per_send=2)
    one.add(series(1, 2, 3), 10.0)
    one.add(series(4), 20.0)
    found = []
    while (values := taken(one)) is not None:
        found.append((values, one.stats.highest))
        one.answered(STORED, 0.0)
    assert found == [([1, 2], 0.0), ([3], 0.0), ([4], 10.0)]
    assert one.stats == Stats(sent=4, highest=20.0)


def test_nothing_is_no_request() -> None:
    one = queue()
    one.add([], 10.0)
    assert one.take() is None
    assert one.stats == Stats()


@pytest.mark.parametrize("answer", [AWAY, BUSY, BROKEN, Answer(500), Answer(599)], ids=str)
def test_a_store_that_is_away_gets_the_same_again(answer: Answer) -> None:
    one = queue()
    one.add(series(1, 2), 10.0)
    one.add(series(3), 20.0)
    for now in range(3):
        assert taken(one) == [1, 2]
        one.answered(answer, float(now))
        assert one.wait(now) > 0
    assert one.stats == Stats(retried=6, pending=3)
    assert taken(one) == [1, 2]
    one.answered(STORED, 100.0)
    assert one.wait(100.0) == 0
    assert taken(one) == [3]
    assert one.stats == Stats(sent=2, retried=6, pending=1, highest=10.0)
    notes = one.take_notes()
    assert notes["away"][0] == 3
    assert notes["back"] == (1, "takes samples again after 100 s; 1 wait")


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 422])
def test_a_store_that_refuses_does_not_get_it_again(status: int) -> None:
    one = queue()
    one.add(series(1, 2), 10.0)
    one.add(series(3), 20.0)
    assert taken(one) == [1, 2]
    one.answered(Answer(status, f"status {status}: out of order"), 0.0)
    assert one.wait(0.0) == 0
    assert taken(one) == [3]
    assert one.stats == Stats(failed=2, pending=1)
    assert one.take_notes() == {"refused": (1, f"refused 2 samples, which are lost: status {status}: out of order")}


def test_the_pause_doubles_within_its_limits_and_is_never_the_same() -> None:
    one = queue(min_backoff=1.0, max_backoff=8.0)
    one.add(series(1), 0.0)
    pauses = []
    for _ in range(8):
        one.take()
        one.answered(AWAY, 0.0)
        pauses.append(one.wait(0.0))
    for pause, longest in zip(pauses, (1, 2, 4, 8, 8, 8, 8, 8), strict=True):
        assert longest / 2 <= pause <= longest
    assert len(set(pauses)) == len(pauses)
    one.answered(STORED, 0.0)
    one.add(series(2), 0.0)
    one.take()
    one.answered(AWAY, 0.0)
    assert one.wait(0.0) <= 1.0, "it begins anew"


def test_a_store_that_asks_for_a_pause_gets_it_up_to_a_limit() -> None:
    one = queue()
    one.add(series(1), 0.0)
    one.take()
    one.answered(Answer(429, "", 90.0), 5.0)
    assert one.wait(5.0) == 90.0
    assert one.wait(94.0) == 1.0
    one.answered(Answer(503, "", 1e9), 100.0)
    assert one.wait(100.0) == LONGEST_WAIT
    one.answered(Answer(503, "", 0.0), 1000.0)
    assert one.wait(1000.0) > 0


def test_when_too_many_wait_the_oldest_go_but_not_the_one_on_its_way() -> None:
    one = queue(queue=4, max_samples_per_send=2)
    one.add(series(1, 2, 3, 4), 10.0)
    assert taken(one) == [1, 2]
    one.add(series(5, 6), 20.0)
    assert one.stats == Stats(dropped=2, pending=4)
    assert taken(one) == [1, 2]
    one.answered(STORED, 0.0)
    assert taken(one) == [5, 6]
    assert one.take_notes()["dropped"] == (2, "more than 4 samples wait; the oldest are dropped")


def test_what_can_never_fit_is_dropped() -> None:
    one = queue(queue=2, max_samples_per_send=3)
    one.add(series(1, 2, 3), 10.0)
    assert one.take() is None
    assert one.stats == Stats(dropped=3)


def test_every_sample_is_in_one_count() -> None:
    one = queue(queue=10, max_samples_per_send=3)
    added = 0
    for step, answer in enumerate([STORED, AWAY, REFUSED, BUSY, STORED, AWAY, AWAY, STORED, REFUSED] * 3):
        one.add(series(*range(5)), float(step))
        added += 5
        one.take()
        one.answered(answer, float(step))
        stats = one.stats
        assert stats.sent + stats.failed + stats.dropped + stats.pending == added
        assert stats.pending <= 10
