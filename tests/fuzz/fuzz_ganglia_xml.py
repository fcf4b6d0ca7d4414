"""Coverage-guided fuzzing of the reader of Ganglia's XML.

Run by hand:

    pip install atheris
    python tests/fuzz/fuzz_ganglia_xml.py /tmp/corpus-xml -max_total_time=300 -max_len=4096 -dict=/tmp/corpus-xml.dict

The corpus directory is filled with pieces of the recorded documents when it is empty, and the
dictionary beside it is written. Bytes in, clusters and grids or InputError out: any other
exception, and what comes out without being plain, is a finding. Minimise it
(-minimize_crash=1) and put it into tests/vectors/fuzz_ganglia_xml/, where a test replays it.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["sflow_gmetrics"]):
    from sflow_gmetrics.errors import InputError
    from sflow_gmetrics.inputs.ganglia_xml import GangliaXmlReader

from tests.property.test_ganglia_xml import check_plain  # noqa: E402 - from ROOT, too

WORDS = (
    "<GANGLIA_XML VERSION=' </GANGLIA_XML> <GRID <CLUSTER <HOST <METRIC <METRICS <HOSTS <EXTRA_DATA> <EXTRA_ELEMENT "
    "</GRID> </CLUSTER> </HOST> </METRIC> </METRICS> </EXTRA_DATA> NAME=' IP=' LOCALTIME=' REPORTED=' TN=' "
    "TMAX=' DMAX=' VAL=' TYPE=' SUM=' NUM=' UP=' DOWN=' SLOPE=' float double uint32 string both "
    "&amp; &#233; &lt; <!DOCTYPE <!ENTITY <![CDATA[ ]]> <!-- --> <?xml encoding=' ISO-8859-1 UTF-8 standalone=' "
    "__SummaryInfo__ ../ \\x1f\\x8b /> ]>"
)

EVERY = b"""<GANGLIA_XML VERSION="3"><GRID NAME="g" AUTHORITY="u" LOCALTIME="9"><GRID NAME="i"><HOSTS UP="1" DOWN="2"/>
<METRICS NAME="s" SUM="1.50" NUM="3" TYPE="double" UNITS="" SLOPE="zero"><EXTRA_DATA><EXTRA_ELEMENT NAME="e" VAL="f"/>
</EXTRA_DATA></METRICS></GRID><CLUSTER NAME="c" LOCALTIME="9" OWNER="" LATLONG="" URL=""><HOST NAME="h" IP="::1" TAGS=""
REPORTED="8" TN="1" TMAX="2" DMAX="3" LOCATION="" GMOND_STARTED="4"><METRIC NAME="m" VAL="1e2" TYPE="float" UNITS=""
TN="1" TMAX="2" DMAX="3" SLOPE="both" SOURCE="gmond"><EXTRA_DATA><EXTRA_ELEMENT NAME="e" VAL="f"/></EXTRA_DATA></METRIC>
</HOST><HOST NAME="a/b" IP="" REPORTED="8"/><HOST NAME="a_b" IP="" REPORTED="8"/></CLUSTER></GRID></GANGLIA_XML>"""


def fuzz_one(data: bytes) -> None:
    """Read the bytes in two chunks, as they are and zipped."""
    cut = data[0] if data else 0
    for whole in (data[1:], gzip.compress(data[1:], 0)):
        reader = GangliaXmlReader(1 << 16)
        try:
            reader.feed(whole[:cut])
            reader.feed(whole[cut:])
            clusters, grids = reader.close()
        except InputError:
            continue
        check_plain(clusters, grids)


def fill(corpus: Path) -> None:
    """Seeds: small documents out of the recorded ones; and the dictionary."""
    corpus.mkdir(parents=True, exist_ok=True)
    words = WORDS.replace("'", '\\"').split()
    corpus.with_suffix(".dict").write_text("".join(f'"{word}"\n' for word in words), "ascii")
    if any(corpus.iterdir()):
        return
    for capture in sorted((ROOT / "tests" / "captures").glob("g*.xml")):
        head, _, rest = capture.read_bytes().partition(b"<!DOCTYPE")
        body = rest.partition(b"]>\n")[2]
        for length in (600, 1500, 3500):
            (corpus / f"{capture.stem}-{length}.bin").write_bytes(b"\x40" + head + body[:length])
    (corpus / "every-element.bin").write_bytes(b"\x40" + EVERY)


def main() -> None:
    """Fill the corpus named first on the command line and fuzz until libFuzzer's options say stop."""
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if folders and not Path(folders[0]).is_file():
        fill(Path(folders[0]))
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
