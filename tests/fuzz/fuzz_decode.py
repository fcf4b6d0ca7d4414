"""Coverage-guided fuzzing of the two doors for bytes from the network.

Run by hand:

    pip install atheris
    python tests/fuzz/fuzz_decode.py /tmp/corpus -max_total_time=300 -max_len=1500

The corpus directory is filled with the recordings' datagrams when it is empty. Bytes in, value
or DecodeError out: any other exception, and a value that cannot be encoded again, is a finding.
Minimise it (-minimize_crash=1) and put it into tests/vectors/fuzz_findings/, where a test
replays it for ever.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["sflow_gmetrics"]):
    from sflow_gmetrics.datagram import decode_datagram, encode_datagram
    from sflow_gmetrics.errors import DecodeError
    from sflow_gmetrics.inputs.pcap import read_capture

try:
    with atheris.instrument_imports(include=["sflow_gmetrics"]):
        from sflow_gmetrics import Collector, Config
except ImportError:
    Collector = Config = None  # type: ignore[assignment, misc]


def fuzz_one(payload: bytes) -> None:
    """Decode, encode, and let a fresh collector receive it twice."""
    try:
        datagram = decode_datagram(payload)
    except DecodeError:
        datagram = None
    if datagram is not None:
        encode_datagram(datagram)
    if Collector is None:
        return
    collector = Collector(Config())
    for now in (1_000_000.0, 1_000_020.0):
        collector.receive(payload, now)
    collector.snapshot(1_000_020.0)


def fill(corpus: Path) -> None:
    """Seeds: the datagrams of all recordings."""
    corpus.mkdir(parents=True, exist_ok=True)
    if any(corpus.iterdir()):
        return
    for capture in sorted((ROOT / "tests" / "captures").glob("*.pcap*")):
        for number, packet in enumerate(read_capture(capture, port=None)):
            (corpus / f"{capture.name.split('.')[0]}-{number:04d}.bin").write_bytes(packet.payload)


def main() -> None:
    """Fill the corpus named first on the command line and fuzz until libFuzzer's options say stop."""
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if folders and not Path(folders[0]).is_file():
        fill(Path(folders[0]))
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
