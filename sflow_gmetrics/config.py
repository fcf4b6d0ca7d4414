"""The configuration: TOML into frozen dataclasses, every key checked.

An unknown key, a wrong type or a bad value raises ConfigError, which names the key and what
would be right. `Config()` is a complete configuration of defaults.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .errors import ConfigError

T = TypeVar("T")

OFF = ("", "off")
"""The values of a `listen` key that switch an output off."""


@dataclass(frozen=True, slots=True)
class SflowConfig:
    """[sflow]: the UDP input.

    `receive_buffer` is the socket's buffer in bytes, `allow` the networks whose agents are
    heard (empty: all), `forget_after` the seconds after which a silent host or service is
    forgotten, and `agents` the greatest number of agents.
    """

    listen: tuple[str, ...] = ("0.0.0.0:6343",)
    receive_buffer: int = 4_194_304
    allow: tuple[str, ...] = ()
    forget_after: float = 3600.0
    agents: int = 20_000


@dataclass(frozen=True, slots=True)
class GmondConfig:
    """[gmond]: the XML port that gmetad polls.

    `cluster` is the name of hosts that are in no pool. `netstat` adds the MIB-II counters,
    `interfaces` those of each interface.
    """

    listen: str = "0.0.0.0:8649"
    cluster: str = "unspecified"
    owner: str = "unspecified"
    url: str = "unspecified"
    latlong: str = "unspecified"
    netstat: bool = False
    interfaces: bool = False


@dataclass(frozen=True, slots=True)
class GmetadConfig:
    """[gmetad]: the two ports of gmetad; off unless set."""

    xml_listen: str = ""
    interactive_listen: str = ""
    grid: str = "unspecified"
    authority: str = ""


@dataclass(frozen=True, slots=True)
class RrdConfig:
    """[rrd]: the RRD files; off unless `root` is set."""

    root: str = ""
    rrdcached: str = ""
    step: int = 15


@dataclass(frozen=True, slots=True)
class WebConfig:
    """[web]: the HTTP port with /metrics and the landing page.

    `groups` are the metric groups shown besides the standard ones: "interface", "netstat",
    "vdi". `config_file` is an exporter-toolkit web configuration.
    """

    listen: str = "0.0.0.0:9343"
    config_file: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """[[pools]]: the hosts of a pool, by a regular expression of the whole name or by networks."""

    name: str
    hosts: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RewriteConfig:
    """A rule of [services] rewrite: names that `match` wholly become `replace` ($1 is the first group)."""

    match: str
    replace: str


@dataclass(frozen=True, slots=True)
class ServicesConfig:
    """[services]: which services are shown, and under which name.

    `include` and `exclude` are regular expressions of the whole name; several are
    alternatives. Limits: `services_per_host` and, over all hosts, `series`.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rewrite: tuple[RewriteConfig, ...] = ()
    services_per_host: int = 500
    series: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; see the README for every key."""

    sflow: SflowConfig = field(default_factory=SflowConfig)
    gmond: GmondConfig = field(default_factory=GmondConfig)
    gmetad: GmetadConfig = field(default_factory=GmetadConfig)
    rrd: RrdConfig = field(default_factory=RrdConfig)
    web: WebConfig = field(default_factory=WebConfig)
    pools: tuple[PoolConfig, ...] = ()
    services: ServicesConfig = field(default_factory=ServicesConfig)


def load_config(path: str | Path) -> Config:
    """The configuration in a TOML file. Raises ConfigError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    try:
        return parse_config(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(text: str) -> Config:
    """The configuration in a TOML text. Raises ConfigError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"this is not TOML: {error}") from None
    config = _build(Config, document, "")
    _check(config)
    return config


# --- types


def _build(wanted: type[T], table: Any, place: str) -> T:
    if not isinstance(table, dict):
        raise ConfigError(f"{place} must be a table, not {_describe(table)}")
    fields = {one.name: one for one in dataclasses.fields(wanted)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(wanted)
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{place}.{key}" if place else key
        if key not in fields:
            raise ConfigError(_unknown(key, where, list(fields)))
        values[key] = _convert(hints[key], value, where)
    for name, one in fields.items():
        if name not in values and one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{place} needs the key {name!r}")
    return wanted(**values)


def _unknown(key: str, where: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1, 0.5)
    cure = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"unknown key {where!r}; {cure}"


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple:
        (item, _) = typing.get_args(hint)
        if isinstance(value, str) and item is str:
            value = [value]
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list, not {_describe(value)}")
        return tuple(_convert(item, one, f"{where}[{index}]") for index, one in enumerate(value))
    if origin is types.UnionType:  # pragma: no cover - no such key yet
        raise ConfigError(f"{where}: unsupported type")
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast("type[Any]", hint), value, where)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        words = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
        raise ConfigError(f"{where} must be {words[hint]}, not {_describe(value)}")
    return value


def _describe(value: Any) -> str:
    kind = {dict: "a table", list: "a list", bool: "true or false", str: "the string", int: "the number"}
    word = kind.get(type(value), type(value).__name__)
    return f"{word} {value!r}" if isinstance(value, str | int) and not isinstance(value, bool) else word


# --- values


def _check(config: Config) -> None:
    for index, address in enumerate(config.sflow.listen):
        _check_listen(address, f"sflow.listen[{index}]")
    _check_networks(config.sflow.allow, "sflow.allow")
    _check_range(config.sflow.receive_buffer, 2048, 1 << 30, "sflow.receive_buffer")
    _check_range(config.sflow.agents, 1, 10_000_000, "sflow.agents")
    _check_range(config.sflow.forget_after, 1, 10 * 366 * 86_400, "sflow.forget_after")
    for place in ("gmond.listen", "web.listen", "gmetad.xml_listen", "gmetad.interactive_listen"):
        section, key = place.split(".")
        _check_listen(getattr(getattr(config, section), key), place)
    _check_range(config.rrd.step, 1, 86_400, "rrd.step")
    _check_range(config.services.services_per_host, 1, 1_000_000, "services.services_per_host")
    _check_range(config.services.series, 1, 1_000_000_000, "services.series")
    for key in ("include", "exclude"):
        for pattern in getattr(config.services, key):
            _check_regex(pattern, f"services.{key}")
    for rule in config.services.rewrite:
        _check_regex(rule.match, "services.rewrite.match")
        _check_replacement(rule)
    _check_pools(config.pools)
    for group in config.web.groups:
        if group not in ("interface", "netstat", "vdi"):
            raise ConfigError(_unknown(group, f"web.groups: {group}", ["interface", "netstat", "vdi"]))


def _check_pools(pools: tuple[PoolConfig, ...]) -> None:
    for index, pool in enumerate(pools):
        place = f"pools[{index}] ({pool.name!r})"
        if (
            not re.fullmatch(r"[A-Za-z0-9._ -]{1,64}", pool.name)
            or pool.name.startswith(("_", "."))
            or ".." in pool.name
        ):
            raise ConfigError(f"{place}: a pool's name has 1 to 64 characters of A-Z a-z 0-9 . _ - and space")
        if bool(pool.hosts) == bool(pool.addresses):
            raise ConfigError(f"{place} needs either 'hosts', a regular expression, or 'addresses', a list of networks")
        _check_regex(pool.hosts, f"{place}: hosts")
        _check_networks(pool.addresses, f"{place}: addresses")


def _check_range(value: float, least: float, most: float, where: str) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{where} must be from {least:g} to {most:g}, not {value:g}")


def _check_listen(value: str, where: str) -> None:
    if value not in OFF:
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


def template(replacement: str) -> str:
    """A replacement with $1 or ${1} for groups as Python's re understands it."""
    escaped = replacement.replace("\\", "\\\\")
    return re.sub(r"\$(?:\{(\d+)\}|(\d+))", lambda found: rf"\g<{found[1] or found[2]}>", escaped)


def _check_replacement(rule: RewriteConfig) -> None:
    groups = re.compile(rule.match).groups
    for found in re.finditer(r"\$(?:\{(\d+)\}|(\d+))", rule.replace):
        if int(found[1] or found[2]) > groups:
            raise ConfigError(
                f"services.rewrite: {rule.replace!r} uses {found[0]}, but {rule.match!r} has {groups} groups"
            )
