"""The reader of other collectors' XML: clusters and grids that are plain, or an InputError."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from sflow_gmetrics.errors import InputError
from sflow_gmetrics.inputs.ganglia_xml import GangliaXmlReader
from tests.property.test_ganglia_xml import check_plain
from tests.recordings import CAPTURES

from . import door

WORDS = (
    "<GANGLIA_XML VERSION=' </GANGLIA_XML> <GRID <CLUSTER <HOST <METRIC <METRICS <HOSTS <EXTRA_DATA> <EXTRA_ELEMENT "
    "</GRID> </CLUSTER> </HOST> </METRIC> </METRICS> </EXTRA_DATA> NAME=' IP=' LOCALTIME=' REPORTED=' TN=' "
    "TMAX=' DMAX=' VAL=' TYPE=' SUM=' NUM=' UP=' DOWN=' SLOPE=' float double uint32 string both "
    "&amp; &#233; &lt; <!DOCTYPE <!ENTITY <![CDATA[ ]]> <!-- --> <?xml encoding=' ISO-8859-1 UTF-8 standalone=' "
    "__SummaryInfo__ ../ \x1f\x8b /> ]> 1e999 nan 99999999999999999999"
)

EVERY = b"""<GANGLIA_XML VERSION="3"><GRID NAME="g" AUTHORITY="u" LOCALTIME="9"><GRID NAME="i"><HOSTS UP="1" DOWN="2"/>
<METRICS NAME="s" SUM="1.50" NUM="3" TYPE="double" UNITS="" SLOPE="zero"><EXTRA_DATA><EXTRA_ELEMENT NAME="e" VAL="f"/>
</EXTRA_DATA></METRICS></GRID><CLUSTER NAME="c" LOCALTIME="9" OWNER="" LATLONG="" URL=""><HOST NAME="h" IP="::1" TAGS=""
REPORTED="8" TN="1" TMAX="2" DMAX="3" LOCATION="" GMOND_STARTED="4"><METRIC NAME="m" VAL="1e2" TYPE="float" UNITS=""
TN="1" TMAX="2" DMAX="3" SLOPE="both" SOURCE="gmond"><EXTRA_DATA><EXTRA_ELEMENT NAME="e" VAL="f"/></EXTRA_DATA></METRIC>
</HOST><HOST NAME="a/b" IP="" REPORTED="8"/><HOST NAME="a_b" IP="" REPORTED="8"/></CLUSTER></GRID></GANGLIA_XML>"""

ZIPPED = 0xF0


class Door(door.Door):
    """The first byte of an input says where it is cut in two, and whether it comes zipped."""

    words = tuple(word.replace("'", '"').encode("latin-1") for word in WORDS.split(" "))

    def seeds(self) -> Iterator[bytes]:
        for capture in sorted(CAPTURES.glob("g*.xml")):
            head, _, rest = capture.read_bytes().partition(b"<!DOCTYPE")
            body = rest.partition(b"]>\n")[2]
            for length in (600, 1500):
                yield b"\x40" + head + body[:length]
        yield b"\x40" + EVERY
        yield b"\xf0" + EVERY

    def enter(self, data: bytes) -> None:
        cut, whole = data[0] if data else 0, data[1:]
        if cut >= ZIPPED:
            whole = gzip.compress(whole, 0)
        reader = GangliaXmlReader(1 << 16)
        try:
            reader.feed(whole[:cut])
            reader.feed(whole[cut:])
            clusters, grids = reader.close()
        except InputError:
            return
        check_plain(clusters, grids)

    def again(self, finding: bytes) -> None:
        """In every way in which it can come."""
        for how in (b"\0", b"\x40", b"\xf0"):
            self.enter(how + finding)
            self.enter(how + finding[1:])
