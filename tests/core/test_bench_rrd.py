"""The benchmarks of RRD files and of gmetad's port run and say something; on a tiny size, their times mean nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from tests.bench import gmetad_xml, rrd
from tests.bench.measure import Size

TINY = Size(hosts=2, services=3, repeats=2)


@pytest.fixture(autouse=True)
def _garbage_collection() -> Iterator[None]:
    """Leave the garbage collector as it was: a benchmark tunes it."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.e2e
def test_gmetads_port_has_a_peer(require_program: Callable[[str], str]) -> None:
    require_program("gmetad")
    (dump,) = gmetad_xml.run(TINY)
    assert dump.mark == 5
    assert dump.ours > 0
    assert dump.peer is not None


@pytest.mark.e2e
def test_rrd_values_are_stored_by_every_engine(
    require_program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gmetad", "rrdcached", "rrdtool"):
        require_program(name)
    monkeypatch.setattr(rrd, "POLL", 1)
    monkeypatch.setattr(rrd, "POLLS", 2)
    results = rrd.run(TINY)
    assert len(results) == len(rrd.CASES)
    assert [one.mark for one in results] == [None, 4, None, None, None]
    assert all(one.ours > 0 and one.peer is not None for one in results)
