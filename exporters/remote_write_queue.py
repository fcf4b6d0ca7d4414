"""The requests that wait for a store: each is sent once, in order, whatever the store does meanwhile.

A store that is away or busy gets the same request again, after a pause that doubles; one that
refuses a request does not get that one again. When too many samples wait the oldest go.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from sflow_gmetrics.config import RemoteWriteConfig

from .write_request import compress

LONGEST_WAIT = 600.0
"""The longest pause that a store may ask for, in seconds."""
TOO_MANY = 429


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A body that is ready to be sent. `time` is that of the snapshot that ends with it, 0 if more of it follows."""

    body: bytes
    samples: int
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: the status (0: no answer), what was said, and the pause that is asked for."""

    status: int
    words: str = ""
    retry_after: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the samples are stored."""
        return 200 <= self.status < 300

    @property
    def retry(self) -> bool:
        """Whether the same request may be taken later."""
        return self.status == 0 or self.status == TOO_MANY or self.status >= 500


@dataclass(frozen=True, slots=True)
class Stats:
    """What has become of the samples: each is sent, failed (refused), dropped (too many waited) or pending.

    `retried` counts samples again for each attempt that was to be repeated. `highest` is the time
    up to which everything has been sent, in seconds since the epoch (0: nothing yet).
    """

    sent: int = 0
    failed: int = 0
    retried: int = 0
    dropped: int = 0
    pending: int = 0
    highest: float = 0.0


class RequestQueue:
    """`add` may be called while another thread sends. Times are seconds of any clock that does not go back."""

    def __init__(self, config: RemoteWriteConfig) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._requests: deque[Request] = deque()
        self._sending: Request | None = None
        self._sent = self._failed = self._retried = self._dropped = self._pending = 0
        self._highest = 0.0
        self._pause = 0.0
        self._away_since: float | None = None
        self._again = 0.0
        self._notes: dict[str, tuple[int, str]] = {}

    @property
    def stats(self) -> Stats:
        """The state at this moment."""
        with self._lock:
            return Stats(self._sent, self._failed, self._retried, self._dropped, self._pending, self._highest)

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What is to be said since the last call: "away" and "back" (the store), "refused", "dropped"."""
        with self._lock:
            notes, self._notes = self._notes, {}
        return notes

    def add(self, series: Sequence[bytes], time: float) -> None:
        """Queue the samples of a snapshot, one in each encoded series."""
        requests = []
        rest = iter(series)
        while some := list(islice(rest, self.config.max_samples_per_send)):
            requests.append(Request(compress(some), len(some)))
        if requests:
            last = requests.pop()
            requests.append(Request(last.body, last.samples, time))
        with self._lock:
            self._requests += requests
            self._pending += len(series)
            self._shrink()

    def _shrink(self) -> None:
        """Drop the oldest requests, but never the one that is on its way."""
        dropped = 0
        while self._requests and self._pending > self.config.queue:
            oldest = self._requests.popleft()
            dropped += oldest.samples
            self._pending -= oldest.samples
        if dropped:
            self._dropped += dropped
            self._note("dropped", f"more than {self.config.queue:,} samples wait; the oldest are dropped", dropped)

    def drop(self) -> None:
        """Nothing of this will be sent."""
        with self._lock:
            self._dropped += self._pending
            self._requests.clear()
            self._sending, self._pending = None, 0

    def take(self) -> Request | None:
        """The request to be sent now, the one that came to nothing before all others."""
        with self._lock:
            if self._sending is None and self._requests:
                self._sending = self._requests.popleft()
            return self._sending

    def wait(self, now: float) -> float:
        """For how many seconds the store is to be left alone."""
        return max(self._again - now, 0.0)

    def answered(self, answer: Answer, now: float) -> None:
        """What came of the request that was taken."""
        with self._lock:
            request = self._sending
            assert request is not None
            if answer.retry:
                self._retried += request.samples
                self._leave(answer, now)
                return
            self._sending = None
            self._pending -= request.samples
            self._return(now)
            if answer.good:
                self._sent += request.samples
                self._highest = max(self._highest, request.time)
            else:
                self._failed += request.samples
                detail = f"refused {request.samples:,} samples, which are lost: {answer.words}"
                self._note("refused", detail)

    def _leave(self, answer: Answer, now: float) -> None:
        if self._away_since is None:
            self._away_since = now
        self._note("away", f"{answer.words}; {self._pending:,} samples wait")
        self._pause = min(2 * self._pause or self.config.min_backoff, self.config.max_backoff)
        pause = self._pause * random.uniform(0.5, 1.0)
        self._again = now + max(pause, min(answer.retry_after, LONGEST_WAIT))

    def _return(self, now: float) -> None:
        if self._away_since is not None:
            seconds = now - self._away_since
            self._note("back", f"takes samples again after {seconds:.0f} s; {self._pending:,} wait")
        self._away_since, self._pause, self._again = None, 0.0, 0.0

    def _note(self, event: str, detail: str, number: int = 1) -> None:
        self._notes[event] = (self._notes.get(event, (0, ""))[0] + number, detail)
