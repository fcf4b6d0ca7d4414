"""The XML of gmond and gmetad, read as it comes and without trust.

libxml2 does the parsing, with everything that reaches outside the document switched off; no
tree is made of it. Whatever the bytes are, InputError is the only exception that leaves this
module.
Source: the DTD of Ganglia 3.7.2; gzip_output of gmond.conf.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from typing import Any, cast

from lxml import etree

from ..errors import InputError
from ..remote import RemoteCluster, RemoteGrid
from .ganglia_tree import GangliaTree

LARGEST = 512 << 20
"""Bytes of a document after it has been unzipped, and before."""
PIECE = 65_536
"""Bytes that are parsed before the limits are looked at again."""
ZIPPED_PIECE = 16_384
"""The same before they are unzipped."""
LONGEST_HEAD = 65_536
"""Bytes before the root element: the DTD of Ganglia has 3,300."""
MOST_COMPLAINTS = 100
"""libxml2 remembers each thing that it finds odd but bears, such as a namespace that is not declared."""

GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_ENTITY = b"<!ENTITY"
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"']*)["']""")
_ENCODINGS = {
    "iso-8859-1": "ISO-8859-1",
    "latin1": "ISO-8859-1",
    "us-ascii": "UTF-8",
    "ascii": "UTF-8",
    "utf-8": "UTF-8",
}
_NOT_GANGLIA = "this is not Ganglia's XML: name the port of a gmond (8649) or the xml_port of a gmetad (8651)"


class GangliaXmlReader:
    """Takes a document in chunks of any size, gzipped or plain, and gives its clusters and grids.

    `skipped` counts the elements that could not be used, by what is wrong with them. After an
    InputError the reader is of no more use.
    """

    def __init__(self, limit: int = LARGEST) -> None:
        self._limit = limit
        self._tree = GangliaTree()
        self._parser: etree.XMLParser | None = None
        self._unzip: zlib._Decompress | None = None
        self._begun = False
        self._head = b""
        self._tail = b""
        self.received = 0
        self.size = 0

    @property
    def skipped(self) -> Counter[str]:
        """What is wrong with elements, and how many were therefore left out."""
        return self._tree.skipped

    def feed(self, data: bytes) -> None:
        """Take the next bytes from the wire. Raises InputError."""
        self.received += len(data)
        self._check_size(self.received)
        if not self._begun:
            self._head += data
            if len(self._head) < len(GZIP):
                return
            data, self._head, self._begun = self._head, b"", True
            if data.startswith(GZIP):
                self._unzip = zlib.decompressobj(wbits=31)
        if self._unzip is None:
            self._plain(data)
        else:
            self._zipped(data)

    def close(self) -> tuple[tuple[RemoteCluster, ...], tuple[RemoteGrid, ...]]:
        """The clusters and the grids of the whole document. Raises InputError where it is cut."""
        if not self.received:
            raise InputError(
                "the answer is empty: let this machine in there (trusted_hosts of gmetad, the acl of gmond's channel)"
            )
        if self._unzip is not None and not self._unzip.eof:
            raise InputError(f"the gzipped document breaks off after {self.received} bytes: ask again, or look there")
        if not self._begun or self._parser is None:
            self._plain(b"", last=True)
        assert self._parser is not None
        try:
            self._parser.close()
        except etree.XMLSyntaxError as error:
            raise self._malformed(error) from None
        return self._tree.result()

    def forget(self) -> None:
        """Let go of all that has been read: lxml's parser and its target hold each other. Only `skipped` stays."""
        self._tree.forget()
        self._parser = None

    # --- bytes

    def _zipped(self, data: bytes) -> None:
        """Unzip and take; never more than PIECE bytes at once, however well they were zipped."""
        assert self._unzip is not None
        for start in range(0, len(data), ZIPPED_PIECE):
            rest, more = data[start : start + ZIPPED_PIECE], False
            while rest or more:
                if self._unzip.eof:  # another member, as gzip allows
                    self._unzip = zlib.decompressobj(wbits=31)
                try:
                    piece = self._unzip.decompress(rest, PIECE)
                except zlib.error:
                    raise InputError(f"the gzipped document is damaged near byte {self.received}: look there") from None
                rest = self._unzip.unconsumed_tail or self._unzip.unused_data
                more = len(piece) == PIECE and not self._unzip.eof
                self._plain(piece)

    def _plain(self, data: bytes, *, last: bool = False) -> None:
        self.size += len(data)
        self._check_size(self.size)
        if _ENTITY in self._tail + data:
            raise InputError("the document is refused: it declares entities, which Ganglia never does; look there")
        self._tail = (self._tail + data)[-len(_ENTITY) :]
        if self._parser is None:
            data = self._head + data
            self._head = b""
            if not last and b">" not in data and len(data) < 256:
                self._head = data
                return
            self._parser = self._make_parser(data)
        for start in range(0, len(data), PIECE):
            self._parse(data[start : start + PIECE])

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise InputError(
                f"the document is refused: it has more than {self._limit} bytes; poll its clusters one by one"
            )

    # --- XML

    def _make_parser(self, head: bytes) -> etree.XMLParser:
        """A parser for the encoding that the document says, and no other: nothing is to hide in a second reading."""
        if not head.removeprefix(_BOM).lstrip().startswith(b"<"):
            raise InputError(_NOT_GANGLIA)
        found = _DECLARED.match(head.removeprefix(_BOM))
        said = found[1].decode("ascii", "replace") if found else "utf-8"
        encoding = _ENCODINGS.get(said.lower())
        if encoding is None:
            raise InputError(f"the document is refused: it is in {said[:40]!a}; only ISO-8859-1 and UTF-8 are read")
        return etree.XMLParser(
            target=cast(Any, self._tree),  # it wants no texts and no comments
            encoding=encoding,
            resolve_entities=cast(bool, "internal"),  # none are declared; with False, &amp; would come as &#38;
            no_network=True,
            load_dtd=False,
            attribute_defaults=False,
            huge_tree=False,
            recover=False,
        )

    def _parse(self, piece: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed(piece)
        except etree.XMLSyntaxError as error:
            raise self._malformed(error) from None
        if not self._tree.elements and self.size > LONGEST_HEAD:
            raise InputError(_NOT_GANGLIA)
        complaints = self._parser.feed_error_log
        if len(complaints) >= MOST_COMPLAINTS:
            raise InputError(f"the document is refused: its XML is odd throughout: {_printable(complaints[0].message)}")

    def _malformed(self, error: etree.XMLSyntaxError) -> InputError:
        if not self._tree.elements:
            return InputError(_NOT_GANGLIA)
        return InputError(
            f"the document is no well-formed XML ({_printable(str(error.msg))}): it was cut, "
            "or a name there holds a character that Ganglia does not escape"
        )


def _printable(text: str) -> str:
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text[:200])
