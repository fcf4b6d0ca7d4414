"""Soak the collector for some minutes and show what has become of each promise. Ends with 1 when one is broken."""

from __future__ import annotations

import argparse
import functools
import shutil
import sys

from tests.bench.measure import noise
from tests.conftest import SYSTEM_PATH, end_in_order

from .plan import Plan
from .verdict import lines, report
from .watch import watch


def find(name: str) -> str:
    """Where a program is. Ends everything when it is nowhere."""
    path = shutil.which(name, path=SYSTEM_PATH)
    if path is None:
        sys.exit(f"{name} is not installed; `tools/setup-system test` installs what is needed")
    return path


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="another number, another fleet (default 1)")
    arguments = parser.parse_args()
    end_in_order()
    print(f"Machine: {noise()}", flush=True)
    watched = watch(Plan(arguments.minutes, seed=arguments.seed), find, functools.partial(print, flush=True))
    print(f"\n{report(watched)}\n\nMachine: {noise()}")
    return 0 if all(line.kept is not False for line in lines(watched)) else 1


if __name__ == "__main__":
    sys.exit(main())
