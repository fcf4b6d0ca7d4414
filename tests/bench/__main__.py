"""Run all benchmarks and show the table. Ends with 1 when a mark is missed by far, or a benchmark fails."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tests.conftest import end_in_order

from . import burst, gmetad_xml, gmond_xml, ingest, metrics_page, remote_write, rrd
from .measure import FAR, Result, Size, noise, table

BENCHMARKS: tuple[Callable[[Size], list[Result]], ...] = (
    gmond_xml.run,
    gmetad_xml.run,
    metrics_page.run,
    remote_write.run,
    rrd.run,
    ingest.run,
    burst.run,
)


def main() -> int:
    """Run, print, judge."""
    end_in_order()
    start = time.monotonic()
    results: list[Result] = []
    print(f"Machine: {noise()}", flush=True)
    for one in BENCHMARKS:
        about = (sys.modules[one.__module__].__doc__ or "").strip()
        print(f"\n{one.__module__.rpartition('.')[2]}: {about}", flush=True)
        results += one(Size())
    print()
    print(table(results))
    print(f"\nMachine: {noise()}; {time.monotonic() - start:.0f} s in all")
    far = [result.what for result in results if result.missed_by_far]
    if far:
        print(f"Less than {FAR:.0%} of the mark: {'; '.join(far)}")
    return 1 if far else 0


if __name__ == "__main__":
    sys.exit(main())
