"""Names that want to be something else: markup, a path, a template, a control sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sflow_gmetrics.datagram import Record, decode_datagram, encode_datagram

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</table></body></html>",
    "&lt;b&gt; &amp;",
    "two\nlines\tand\rmore",
    "nul\0bell\x07",
    "no utf-8: \udcff\udc80",
    "\u202egnirts",
    "{{7*7}} ${7*7} %s %(x)s {0}",
    "../../etc/passwd",
)


def renamed(payload: bytes, name: Callable[[str], str]) -> bytes:
    """A datagram whose hosts and services are called `name(of what they were called)`."""

    def rename(record: Record) -> Record:
        if record.structure is None or record.structure.name != "host_descr":
            return record
        return replace(record, fields={**record.fields, "hostname": name(record.fields["hostname"])})

    datagram = decode_datagram(payload)
    samples = (replace(one, records=tuple(map(rename, one.records))) for one in datagram.samples)
    return encode_datagram(replace(datagram, samples=tuple(samples)))
