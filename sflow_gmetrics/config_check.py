"""The values of a configuration: can each of them be what it says?"""

from __future__ import annotations

import difflib
import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    from .config import Config, PoolConfig, RemoteWriteConfig, RewriteConfig, RrdConfig, SourceConfig

OFF = ("", "off")
"""The values of a `listen` key that switch an output off."""
LOG_FORMATS = ("text", "logfmt", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
RRD_LEVELS = ("host", "service", "pool")
WEB_LEVELS = ("host", "service", "pool", "collector")
"""What a page of Prometheus is made of."""
GROUPS = ("adaptor", "app", "gpu", "http", "interface", "jvm", "memcached", "netstat", "state", "vdi")
"""The families that can be switched on and off; all others are always there."""
USUAL_GROUPS = ("app", "gpu", "http", "jvm", "memcached")
RESERVED_HEADERS = frozenset(
    (
        "accept-encoding",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-prometheus-remote-write-version",
    )
)
"""Headers that a configuration does not set."""


def unknown_key(key: str, where: str, known: list[str]) -> str:
    """The message for a key or word that is not known: the nearest one that is."""
    near = difflib.get_close_matches(key, known, 1, 0.5)
    cure = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"unknown key {where!r}; {cure}"


def check_values(config: Config) -> None:
    """Raises ConfigError for the first value that cannot be used."""
    for section, addresses in (("sflow", config.sflow.listen), ("web", config.web.listen)):
        for index, address in enumerate(addresses):
            _check_listen(address, f"{section}.listen[{index}]")
    _check_networks(config.sflow.allow, "sflow.allow")
    _check_range(config.sflow.receive_buffer, 2048, 1 << 30, "sflow.receive_buffer")
    _check_range(config.sflow.agents, 1, 10_000_000, "sflow.agents")
    _check_range(config.sflow.memory, 1 << 20, 1 << 50, "sflow.memory")
    _check_range(config.sflow.forget_after, 1, 10 * 366 * 86_400, "sflow.forget_after")
    for place in ("gmond.listen", "gmetad.xml_listen", "gmetad.interactive_listen"):
        section, key = place.split(".")
        _check_listen(getattr(getattr(config, section), key), place)
    _check_networks(config.gmetad.trusted_hosts, "gmetad.trusted_hosts")
    _check_sources(config.gmetad.sources)
    _check_rrd(config.rrd)
    _check_remote_writes(config.remote_write)
    _check_range(config.state.interval, 1, 86_400, "state.interval")
    _check_range(config.services.services_per_host, 1, 1_000_000, "services.services_per_host")
    _check_range(config.services.series, 1, 1_000_000_000, "services.series")
    for key in ("include", "exclude"):
        for pattern in getattr(config.services, key):
            _check_regex(pattern, f"services.{key}")
    for rule in config.services.rewrite:
        _check_regex(rule.match, "services.rewrite.match")
        _check_replacement(rule)
    _check_name(config.gmond.cluster, "gmond.cluster")
    _check_name(config.gmetad.grid, "gmetad.grid")
    _check_pools(config.pools)
    _check_words(config.web.levels, WEB_LEVELS, "web.levels")
    _check_words(config.web.groups, GROUPS, "web.groups")
    _check_words((config.log.format,), LOG_FORMATS, "log.format")
    _check_words((config.log.level,), LOG_LEVELS, "log.level")


def _check_sources(sources: tuple[SourceConfig, ...]) -> None:
    names: set[str] = set()
    for source in sources:
        place = f"gmetad.sources ({source.name!r})"
        _check_name(source.name, place)
        if source.name in names:
            raise ConfigError(f"{place}: two sources have this name")
        names.add(source.name)
        if not source.addresses:
            raise ConfigError(f"{place}: 'addresses' needs at least one HOST:PORT")
        for address in source.addresses:
            _check_address(address, f"{place}: addresses")
        _check_range(source.interval, 1, 86_400, f"{place}: interval")


def _check_rrd(rrd: RrdConfig) -> None:
    _check_range(rrd.step, 1, 86_400, "rrd.step")
    _check_range(rrd.write_every, 1, 86_400, "rrd.write_every")
    _check_range(rrd.queue, 1, 1_000_000_000, "rrd.queue")
    _check_range(rrd.creations, 1, 1_000_000, "rrd.creations")
    if rrd.rrdcached and not rrd.rrdcached.startswith("unix:/"):
        try:
            split_address(rrd.rrdcached)
        except ConfigError as error:
            raise ConfigError(f"rrd.rrdcached: {error}; a socket is unix:/PATH") from None
    _check_words(rrd.levels, RRD_LEVELS, "rrd.levels")
    for key in ("include", "exclude"):
        for pattern in getattr(rrd, key):
            _check_regex(pattern, f"rrd.{key}")
    for key in ("rra", "service_rra"):
        archives = getattr(rrd, key)
        if not archives:
            raise ConfigError(f"rrd.{key} needs at least one archive, as in AVERAGE:0.5:1:5856")
        for archive in archives:
            if not re.fullmatch(r"(AVERAGE|MIN|MAX|LAST):0(\.\d+)?:[1-9]\d*:[1-9]\d*", archive):
                raise ConfigError(f"rrd.{key}: {archive!r} is not FUNCTION:XFF:STEPS:ROWS, as in AVERAGE:0.5:1:5856")


def _check_remote_writes(endpoints: tuple[RemoteWriteConfig, ...]) -> None:
    names: set[str] = set()
    for index, one in enumerate(endpoints):
        place = f"remote_write[{index}]"
        _check_url(one.url, f"{place}.url")
        if one.endpoint in names:
            raise ConfigError(f"{place}: two stores are called {one.endpoint!r}: give one of them a 'name'")
        names.add(one.endpoint)
        _check_words(one.levels, WEB_LEVELS, f"{place}.levels")
        _check_words(one.groups, GROUPS, f"{place}.groups")
        for key in ("include", "exclude"):
            for pattern in getattr(one, key):
                _check_regex(pattern, f"{place}.{key}")
        _check_labels(one, place)
        _check_headers(one.headers, f"{place}.headers")
        _check_credentials(one, place)
        _check_range(one.interval, 0.1, 3600, f"{place}.interval")
        _check_range(one.timeout, 0.1, 3600, f"{place}.timeout")
        _check_range(one.queue, 1, 1_000_000_000, f"{place}.queue")
        _check_range(one.max_samples_per_send, 1, 100_000, f"{place}.max_samples_per_send")
        if one.queue < one.max_samples_per_send:
            raise ConfigError(
                f"{place}.queue: {one.queue} has no room for a request of 'max_samples_per_send',"
                f" {one.max_samples_per_send}: nothing would ever be sent"
            )
        _check_range(one.min_backoff, 0.01, 3600, f"{place}.min_backoff")
        _check_range(one.max_backoff, one.min_backoff, 3600, f"{place}.max_backoff")


def _check_url(url: str, where: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"{where}: {url!r} is not http://HOST:PORT/PATH or https://HOST:PORT/PATH")
    if "@" in parts.netloc:
        raise ConfigError(f"{where}: credentials do not stand in the URL, but in 'username' and 'password_file'")


def _check_words(words: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    for word in words:
        if word not in known:
            raise ConfigError(unknown_key(word, f"{where}: {word}", list(known)))


def _check_labels(one: RemoteWriteConfig, place: str) -> None:
    for name in (*one.external_labels, *one.rename_labels.values()):
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("__"):
            raise ConfigError(f"{place}: {name!r} is no name of a label (letters, digits and _, not beginning with __)")
    new = sorted(one.rename_labels.values())
    for name in new:
        if new.count(name) > 1:
            raise ConfigError(f"{place}.rename_labels: two labels become {name!r}")


def _check_headers(headers: Mapping[str, str], where: str) -> None:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not value.isprintable():
            raise ConfigError(f"{where}: {name!r} is no header with a value of one line")
        if name.lower() in RESERVED_HEADERS:
            raise ConfigError(f"{where}: {name!r} is set by remote write itself")


def _check_credentials(one: RemoteWriteConfig, place: str) -> None:
    if bool(one.username) != bool(one.password_file):
        raise ConfigError(f"{place}: 'username' and 'password_file' need each other")
    if one.username and one.bearer_token_file:
        raise ConfigError(f"{place}: either 'username' or 'bearer_token_file'")
    if ":" in one.username:
        raise ConfigError(f"{place}.username: {one.username!r} has a colon, which basic authentication cannot carry")
    if (one.username or one.bearer_token_file) and any(name.lower() == "authorization" for name in one.headers):
        raise ConfigError(f"{place}.headers: 'Authorization' is set from the credentials")
    if one.key_file and not one.cert_file:
        raise ConfigError(f"{place}: 'key_file' needs 'cert_file'")
    tls = [key for key in ("ca_file", "cert_file", "insecure_skip_verify") if getattr(one, key)]
    if tls and not one.url.startswith("https:"):
        raise ConfigError(f"{place}: {tls[0]!r} needs a url with https")


def _check_name(name: str, place: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._ -]{1,64}", name) or name.startswith(("_", ".")) or ".." in name:
        raise ConfigError(f"{place}: a name has 1 to 64 characters of A-Z a-z 0-9 . _ - and space")


def _check_pools(pools: tuple[PoolConfig, ...]) -> None:
    for index, pool in enumerate(pools):
        place = f"pools[{index}] ({pool.name!r})"
        _check_name(pool.name, place)
        if bool(pool.hosts) == bool(pool.addresses):
            raise ConfigError(f"{place} needs either 'hosts', a regular expression, or 'addresses', a list of networks")
        _check_regex(pool.hosts, f"{place}: hosts")
        _check_networks(pool.addresses, f"{place}: addresses")


def _check_range(value: float, least: float, most: float, where: str) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{where} must be from {least:g} to {most:g}, not {value:g}")


def _check_listen(value: str, where: str) -> None:
    if value not in OFF:
        _check_address(value, where)


def _check_address(value: str, where: str) -> None:
    try:
        split_address(value)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def split_address(value: str) -> tuple[str, int]:
    """HOST:PORT or [IPv6]:PORT as host and port. An empty host is every address. Raises ConfigError."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"{value!r} is not HOST:PORT (for example 127.0.0.1:8649 or [::1]:8649)")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"{value!r}: an IPv6 address stands in brackets, as in [::1]:8649")
    try:
        host.encode("idna")
    except UnicodeError:
        cure = "between its dots are 1 to 63 letters, digits and hyphens"
        raise ConfigError(f"{value!r}: no host can have this name, {cure}") from None
    return host or "0.0.0.0", int(port)


def _check_networks(networks: tuple[str, ...], where: str) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(f"{where}: {error} (for example 10.0.0.0/8)") from None


def _check_regex(pattern: str, where: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: {pattern!r} is no regular expression: {error}") from None


_GROUP = re.compile(r"\$(?:\{([0-9]+)\}|([0-9]+))")


def template(replacement: str) -> str:
    """A replacement with $1 or ${1} for groups as Python's re understands it."""
    escaped = replacement.replace("\\", "\\\\")
    return _GROUP.sub(lambda found: rf"\g<{found[1] or found[2]}>", escaped)


def _check_replacement(rule: RewriteConfig) -> None:
    groups = re.compile(rule.match).groups
    for found in _GROUP.finditer(rule.replace):
        number = (found[1] or found[2]).lstrip("0") or "0"
        if len(number) > 9 or int(number) > groups:
            raise ConfigError(
                f"services.rewrite: {rule.replace!r} uses {found[0]}, but {rule.match!r} has {groups} groups"
            )
