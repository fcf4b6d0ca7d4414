"""Real gmetads with sources of one's choice, for tests of several levels and for benchmarks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.e2e.servers import HOME, Address, Gmetad, free_port, is_listening, running, wait_for

SMALL = ("AVERAGE:0.5:1:120",)


@contextlib.contextmanager
def gmetad_of(
    path: str,
    folder: Path,
    sources: Mapping[str, Sequence[Address]],
    *,
    grid: str = "e2e grid",
    step: int = 2,
    archives: Sequence[str] = SMALL,
    more: str = "",
) -> Iterator[Gmetad]:
    """gmetad that polls each of `sources` every `step` seconds; `more` are further lines of its gmetad.conf."""
    folder.mkdir(exist_ok=True)
    xml_port, interactive_port = free_port(), free_port()
    rrds = folder / "rrds"
    rrds.mkdir()
    lines = [
        f'data_source "{name}" {step} ' + " ".join(f"{host}:{port}" for host, port in addresses)
        for name, addresses in sources.items()
    ]
    lines += [
        f'gridname "{grid}"',
        f'authority "http://{HOME}/{grid.replace(" ", "-")}/"',
        f'rrd_rootdir "{rrds}"',
        "RRAs " + " ".join(f'"RRA:{archive}"' for archive in archives),
        f"trusted_hosts {HOME}",
        "setuid off",
        "case_sensitive_hostnames 1",
        f"xml_port {xml_port}",
        f"interactive_port {interactive_port}",
        more,
    ]
    config = folder / "gmetad.conf"
    config.write_text("\n".join(lines) + "\n", "utf-8")
    with running([path, "-d", "1", "-c", str(config)], folder / "gmetad.log") as program:
        wait_for("gmetad's ports", lambda: program.runs() and all(map(is_listening, (xml_port, interactive_port))))
        yield Gmetad(program, xml_port, interactive_port, rrds)
