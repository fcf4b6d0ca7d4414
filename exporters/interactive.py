"""gmetad's interactive port: one request line in, one document out.

Understood are the paths of `gmetad.render`, the same behind `GET ... HTTP/1.x`, and /status.
Source: Ganglia 3.7.2, gmetad's interactive_port as measured.
"""

from __future__ import annotations

import json
import re

from sflow_gmetrics import __version__
from sflow_gmetrics.snapshot import Snapshot

from . import gmetad
from .tcp import LINE

_HTTP = re.compile(r"GET (\S+) HTTP/1\.[01]$")
_CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$]{0,63}$")


def answer(request: bytes, snapshot: Snapshot) -> bytes:
    """What a client gets for its first line; nothing for a request that gmetad would hang up on."""
    line = re.split(rb"[\r\n]", request[:LINE], maxsplit=1)[0].decode("ascii", "replace")
    found = _HTTP.match(line)
    path = found[1] if found else line
    if path.partition("?")[0].rstrip("/") == "/status":
        return _http(_status(path, snapshot), "application/json")
    if gmetad.parse_request(path) is None:
        return _http(b"Bad request\n", "text/plain", "400 Bad Request") if found else b""
    if found:
        return _http(gmetad.render_http(snapshot, path), "application/xml")
    return gmetad.render(snapshot, path)


def _http(body: bytes, content_type: str, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.0 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return f"{head}\r\n".encode("ascii") + body


def _status(path: str, snapshot: Snapshot) -> bytes:
    """Counters as JSON, in a call of `callback` where one is named."""
    stats = snapshot.stats
    body = json.dumps(
        {
            "version": __version__,
            "time": int(snapshot.time),
            "agents": {
                "up": sum(agent.up for agent in snapshot.agents),
                "down": sum(not agent.up for agent in snapshot.agents),
            },
            "datagrams": {"received": stats.datagrams, "bytes": stats.bytes, "kernel_drops": stats.kernel_drops},
            "samples": dict(stats.samples),
            "decode_errors": dict(stats.decode_errors),
            "sources": {
                one.name: {"ok": not one.error, "fetched": int(one.fetched), "error": one.error}
                for one in snapshot.remotes
            },
        }
    )
    callback = path.partition("callback=")[2].partition("&")[0]
    if callback and _CALLBACK.match(callback):
        body = f"{callback}({body});"
    return f"{body}\n".encode("ascii")
