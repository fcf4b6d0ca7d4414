"""Fuzz a door, or enter it again with what was found."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import DOORS

ROOT = Path(__file__).parents[2]
INSTRUMENTED = ["sflow_gmetrics", "exporters", "tomllib", "yaml", "dpkt"]
SLOW = 20
"""Seconds; an execution that takes longer is a finding."""
MEMORY = 2048
"""MB of this process; more is a finding."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("door", choices=DOORS)
    parser.add_argument("findings", metavar="FILE", type=Path, nargs="*", help="only enter with these again")
    parser.add_argument("--shorten", action="store_true", help="take away what the FILE does not need")
    parser.add_argument("--runs", metavar="N", type=int, default=100_000, help="executions (default 100000)")
    parser.add_argument("--seconds", metavar="S", type=int, default=0, help="end after so long, by coverage only")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="another number, other inputs (default 1)")
    parser.add_argument("--chance", action="store_true", help="by chance, also where atheris is installed")
    parser.add_argument("--directory", type=Path, help="of corpus and findings (default build/fuzz/DOOR)")
    arguments = parser.parse_intermixed_args()
    arguments.directory = arguments.directory or ROOT / "build" / "fuzz" / arguments.door
    return arguments


def main() -> int:
    """As the command line says."""
    arguments = _arguments()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    if arguments.findings:
        return _shorten(arguments) if arguments.shorten else _again(arguments)
    if arguments.chance or importlib.util.find_spec("atheris") is None:
        return _by_chance(arguments)
    return _by_coverage(arguments)


def _again(arguments: argparse.Namespace) -> int:
    from .door import open_door

    for path in arguments.findings:
        open_door(arguments.door).again(path.read_bytes())
        print(f"{path}: nothing has come out")
    return 0


def _shorten(arguments: argparse.Namespace) -> int:
    from .door import open_door
    from .shorten import shortened

    for path in arguments.findings:
        print(_keep(shortened(lambda: open_door(arguments.door), path.read_bytes()), arguments))
    return 0


def _by_chance(arguments: argparse.Namespace) -> int:
    from . import chance
    from .door import inputs, open_door

    door = open_door(arguments.door)
    try:
        chance.run(door, inputs(arguments.door, door), arguments.runs, arguments.seed)
    except chance.FindingError as error:
        print(_keep(error.finding, arguments), file=sys.stderr)
        raise
    print(f"{arguments.door}: {arguments.runs} executions by chance, nothing has come out")
    return 0


def _by_coverage(arguments: argparse.Namespace) -> int:
    """libFuzzer ends the process; its own words are on standard error."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with atheris.instrument_imports(include=INSTRUMENTED):
        from .door import Door, inputs, open_door

        door: Door = open_door(arguments.door)
    corpus = arguments.directory / "corpus"
    corpus.mkdir(exist_ok=True)
    for data in inputs(arguments.door, door):
        (corpus / _digest(data)).write_bytes(data)
    words = arguments.directory / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in door.words), "ascii")
    options = {
        "runs": arguments.runs,
        "seed": arguments.seed,
        "max_total_time": arguments.seconds,
        "max_len": door.longest,
        "timeout": SLOW,
        "rss_limit_mb": MEMORY,
        "print_final_stats": 1,
        "artifact_prefix": f"{arguments.directory}/",
    }
    if door.words:
        options["dict"] = words
    atheris.Setup(
        [sys.argv[0], str(corpus), *(f"-{name}={value}" for name, value in options.items())],
        _keeping(door, arguments),
    )
    atheris.Fuzz()
    return 0


def _escaped(word: bytes) -> str:
    return "".join(rf"\x{byte:02x}" for byte in word)


def _keeping(door: Any, arguments: argparse.Namespace) -> Callable[[bytes], None]:
    def enter(data: bytes) -> None:
        try:
            door.enter(data)
        except Exception:
            print(_keep(door.finding(data), arguments), file=sys.stderr)
            raise

    return enter


def _keep(finding: bytes, arguments: argparse.Namespace) -> str:
    path = arguments.directory / f"{_digest(finding)}.bin"
    path.write_bytes(finding)
    return f"found: python -m tests.fuzz {arguments.door} {path}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
