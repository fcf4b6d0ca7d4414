"""`python -m exporters.mixin DIRECTORY`: writes the rules and dashboards there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from .collector import COLLECTOR
from .grafana import render_dashboard
from .host import HOST
from .node_names import render_node_rules
from .pools import POOLS
from .service import SERVICE

DASHBOARDS = (POOLS, SERVICE, HOST, COLLECTOR)
WRITTEN = ("recording.yml", "alerts.yml")
"""The rule files that are written by hand."""
_HERE = Path(__file__).parent


def files() -> Iterator[tuple[str, str]]:
    """Name and contents of every file."""
    for name in WRITTEN:
        yield f"rules/{name}", (_HERE / "rules" / name).read_text("utf-8")
    yield "rules/node_exporter.yml", render_node_rules()
    for one in DASHBOARDS:
        yield f"dashboards/{one.uid}.json", json.dumps(render_dashboard(one), indent=2) + "\n"


def write(directory: Path) -> None:
    """Write every file below a directory."""
    for name, text in files():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m exporters.mixin DIRECTORY")
    try:
        write(Path(sys.argv[1]))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
