"""The web configuration file that Prometheus' exporters share: what may stand in it.

Source: docs/web-configuration.md of prometheus/exporter-toolkit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sflow_gmetrics.config_check import unknown_key
from sflow_gmetrics.errors import ConfigError
from sflow_gmetrics.strict import build

HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that may be set, each with its values; none: any value."""
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """tls_server_config: the certificate, whom else it takes a certificate of, and which TLS it speaks."""

    cert: str = ""
    key: str = field(default="", repr=False)
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_auth_type: str = "NoClientCert"
    client_ca_file: str = ""
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """http_server_config: headers of every answer. HTTP/2 may stand there and has no effect."""

    http2: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RateLimitConfig:
    """rate_limit: a request each `interval`, and `burst` of them at once; an interval of 0 is no limit."""

    interval: str | int = 0
    burst: int = 0

    @property
    def seconds(self) -> float:
        """The interval. Raises ConfigError."""
        if self.interval in (0, "0"):
            return 0.0
        text = str(self.interval)
        parts = _DURATION.findall(text)
        if "".join(map("".join, parts)) != text:
            raise ConfigError(f"rate_limit.interval: {self.interval!r} is no duration, as in 1s or 500ms")
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class WebConfigFile:
    """The whole file. Relative paths in it are relative to its own directory."""

    tls_server_config: TlsConfig = TlsConfig()
    http_server_config: HttpConfig = HttpConfig()
    basic_auth_users: dict[str, str] = field(default_factory=dict, repr=False)
    rate_limit: RateLimitConfig = RateLimitConfig()

    def files(self, directory: Path) -> Iterator[Path]:
        """The files that it names."""
        tls = self.tls_server_config
        for name in (tls.cert_file, tls.key_file, tls.client_ca_file):
            if name:
                yield directory / name


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; a key that stands there twice is an error."""
        seen: set[str] = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_web_config(path: Path) -> WebConfigFile:
    """The file's contents, checked but for what its TLS files hold. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    try:
        document = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise ConfigError(f"{path}: this is not YAML: {line}{error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from None
    try:
        found = build(WebConfigFile, {} if document is None else document)
        _check(found)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return found


def _check(found: WebConfigFile) -> None:
    for name, value in found.http_server_config.headers.items():
        where = f"http_server_config.headers.{name}"
        if name not in HEADERS:
            raise ConfigError(unknown_key(name, where, list(HEADERS)))
        if value and HEADERS[name] and value.lower() not in HEADERS[name]:
            raise ConfigError(f"{where} must be {' or '.join(HEADERS[name])}, not {value!r}")
        if not value.isprintable():
            raise ConfigError(f"{where}: a header is one line of printable characters")
    for user, hashed in found.basic_auth_users.items():
        if not _BCRYPT.fullmatch(hashed):
            cure = "make one with 'htpasswd -nBC 10 USER'"
            raise ConfigError(f"basic_auth_users.{user}: this is no bcrypt hash; {cure}")
        if ":" in user:
            raise ConfigError(f"basic_auth_users.{user}: a name cannot contain a colon")
    if found.rate_limit.seconds > 0 and found.rate_limit.burst < 1:
        raise ConfigError("rate_limit.burst must be at least 1: otherwise every request is refused")
