"""Real stores that take remote write: Prometheus' receiver and VictoriaMetrics; and a store of our own that refuses."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.servers import HOME, Program, Prometheus, fetch, running, wait_for


@contextlib.contextmanager
def receiver(path: str, folder: Path, port: int) -> Iterator[Prometheus]:
    """A Prometheus that scrapes nothing and takes what it is sent; begun again it has what it had."""
    folder.mkdir(exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"global": {"scrape_interval": "1h"}}), "utf-8")
    arguments = [path, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    arguments += [f"--web.listen-address={HOME}:{port}", "--web.enable-remote-write-receiver", "--log.level=warn"]
    with running(arguments, folder / "prometheus.log", env={**os.environ, "GOMAXPROCS": "1"}) as program:
        yield _ready(program, f"http://{HOME}:{port}", "/-/ready")


@contextlib.contextmanager
def victoria_metrics(path: str, folder: Path, port: int) -> Iterator[Prometheus]:
    """VictoriaMetrics, which answers the queries of Prometheus."""
    folder.mkdir(exist_ok=True)
    arguments = [path, f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={HOME}:{port}"]
    arguments += ["-memory.allowedBytes=64MB", "-search.latencyOffset=0s"]
    with running(arguments, folder / "victoria-metrics.log", env={**os.environ, "GOMAXPROCS": "1"}) as program:
        yield _ready(program, f"http://{HOME}:{port}", "/health")


def _ready(program: Program, url: str, path: str) -> Prometheus:
    def ready() -> bool:
        program.runs()
        with contextlib.suppress(OSError):
            return bool(fetch(url + path))
        return False

    wait_for(f"a store at {url}", ready, 30)
    return Prometheus(program, url)
