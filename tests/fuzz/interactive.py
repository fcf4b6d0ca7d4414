"""The interactive port's request line: no answer, a head with its body, or a document that can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator

from lxml import etree

from exporters import interactive
from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from sflow_gmetrics.snapshot import Snapshot
from tests.core.builders import Sender, host, service
from tests.exporters.trees import CONFIG, far, load, remote_cluster, remote_host, with_remotes

from . import door

SEEN = 10_000
"""Answers that are remembered: each is read once."""

WORDS = (
    b"/ /* ?filter=summary / HTTP/1.0 HTTP/1.1 GET /status callback= &callback=f . .. // web our_grid far afar "
    b"web-1 10.0.0.1 load_one nginx.service.vcpu_util \r\n \r \n %2e %2F > ! @ # $ % ` ; | \" \\ ' < \xc3\xa9 "
    b"__SummaryInfo__ ? & = ../ \0 data%20base"
)
PATHS = "/ /web /web/web-1 /web/web-1/load_one /afar/abc /?filter=summary /web?filter=summary /status /*/*/*"


class Door(door.Door):
    """One small tree, asked in every way."""

    longest = 512
    words = (*WORDS.split(b" "), b" ", b"GET ", b" HTTP/1.0\r\n")

    def __init__(self) -> None:
        self._snapshot = small_snapshot()
        self._read: set[bytes] = set()

    def seeds(self) -> Iterator[bytes]:
        for path in PATHS.split():
            yield f"{path}\n".encode()
            yield f"GET {path} HTTP/1.0\r\n\r\n".encode()
        yield b"GET /status?callback=show HTTP/1.1\r\nHost: x\r\n\r\n"

    def enter(self, data: bytes) -> None:
        answer = interactive.answer(data, self._snapshot)
        if not answer or answer in self._read:
            return
        if len(self._read) < SEEN:
            self._read.add(answer)
        body = answer
        if answer.startswith(b"HTTP/1.0 "):
            head, _, body = answer.partition(b"\r\n\r\n")
            lines = head.decode("ascii").split("\r\n")
            assert f"Content-Length: {len(body)}" in lines
            if "Content-Type: application/json" in lines:
                json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
                return
            if "400 Bad Request" in lines[0]:
                return
        etree.fromstring(body)


def small_snapshot() -> Snapshot:
    """A host with a service, and one of another collector."""
    collector = Collector(parse_config(CONFIG))
    sender = Sender(collector)
    for step in (1, 2):
        sender.tick(20)
        structures = ("host_descr", "host_cpu")
        sender.send(
            host(step, structures=structures, load_one=0.5, cpu_user=step),
            service(step, structures=("host_descr", "virt_cpu"), cpuTime=step),
        )
    return with_remotes(sender.snapshot(), [far(remote_cluster("afar", remote_host("abc", load())))])
