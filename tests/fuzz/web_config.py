"""The web configuration file: a ConfigError, or what secures the HTTP port."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from exporters.web_config import HEADERS, WebConfigFile
from exporters.web_security import load_settings
from exporters.web_tls import CLIENT_AUTH, CURVES, SUITES, VERSIONS
from sflow_gmetrics.errors import ConfigError

from . import door
from .config import keys_of
from .memory_file import MemoryFile

HASHED = "$2a$04$" + 53 * "x"
EVERY = f"""tls_server_config:
  cert_file: a
  key_file: b
  client_auth_type: NoClientCert
  min_version: TLS12
  cipher_suites: [{SUITES[-1]}]
  curve_preferences: [X25519]
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
basic_auth_users: {{ u: {HASHED} }}
rate_limit: {{ interval: 1m30s, burst: 2 }}
"""


class Door(door.Door):
    """YAML has more ways than one to say anything."""

    longest = 600
    words = tuple(
        word.encode()
        for word in chain(
            (f"{key}: " for key in sorted(set(keys_of(WebConfigFile)))),
            (*HEADERS, *CLIENT_AUTH, *CURVES, *VERSIONS, SUITES[0], SUITES[-1], HASHED),
            "[ ] { } , : - ? & * ! !! | > ' \" # --- ... << &a *a !!set !!binary !!int !!float !!timestamp".split(),
            "~ null true .inf .nan 0x 0b 1:30 1e9 2020-01-01 1s 500ms µs \\x00 %YAML deny".split(),
            ("? ", "- ", "\n", "\n  ", ": ", "&a [*a]", "{a: b}", "? [a]\n: b"),
        )
    )

    def __init__(self) -> None:
        self._file = MemoryFile("web.yml")

    def seeds(self) -> Iterator[bytes]:
        yield EVERY.encode()
        yield EVERY.replace("  cert_file: a\n  key_file: b\n", "").encode()
        for part in EVERY.replace("\n  ", "\0  ").split("\n"):
            yield part.replace("\0", "\n").encode()
        for odd in (
            "{[a]: b}",
            "? {a: b}\n: c",
            "basic_auth_users: {1: a}",
            "basic_auth_users: {0x" + "f" * 500 + ": a}",
        ):
            yield odd.encode()
        for huge in (
            "0x" + "f" * 900,
            "9" * 900,
            "[" * 900,
            "{a: " * 300,
            "1:" * 400 + "1",
            "2020-01-01T99:99:99Z",
        ):
            yield f"rate_limit: {{burst: {huge}".encode()
            yield f"rate_limit: {{interval: {huge}}}".encode()
            yield f"basic_auth_users: {{{huge}: a}}".encode()

    def enter(self, data: bytes) -> None:
        self._file.write(data)
        try:
            load_settings(Path(self._file.path))
        except ConfigError:
            return
