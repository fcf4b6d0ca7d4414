"""A minute of the soak: all that a minute can show, which is everything but that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bench.soak.plan import short
from tests.bench.soak.verdict import lines, report
from tests.bench.soak.watch import watch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_a_minute_of_churn_with_all_outputs_on(require_program: Callable[[str], str]) -> None:
    watched = watch(short(), require_program, print)
    print(report(watched))
    judged = [line for line in lines(watched) if line.kept is not None]
    assert len(judged) == 5
    assert not [line for line in judged if not line.kept], report(watched)
    assert watched.audits.made > 10
    assert watched.counts["breaks of series"] > 50
    assert watched.counts["hosts heard"] > watched.plan.hosts
    assert all(watched.counts[f"resets: {reason}"] > 0 for reason in ("restart", "decrease", "invalid"))
    assert watched.counts["scrapes of Prometheus"] > 5
