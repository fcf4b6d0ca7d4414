"""The configuration: TOML into frozen dataclasses, every key checked.

An unknown key, a wrong type or a bad value raises ConfigError, which names the key and what
would be right. `Config()` is a complete configuration of defaults.
"""

from __future__ import annotations

import tomllib
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from .config_check import GROUPS, OFF, USUAL_GROUPS, WEB_LEVELS, check_values, split_address, template
from .errors import ConfigError
from .strict import build

__all__ = [
    "GROUPS",
    "OFF",
    "WEB_LEVELS",
    "Config",
    "load_config",
    "parse_config",
    "split_address",
    "template",
]


@dataclass(frozen=True, slots=True)
class SflowConfig:
    """[sflow]: the UDP input.

    `receive_buffer` is the socket's buffer in bytes, `allow` the networks whose agents are
    heard (empty: all), `forget_after` the seconds after which a silent host or service is
    forgotten, `agents` the greatest number of agents, and `memory` about how many bytes all
    that is kept of them may take.
    """

    listen: tuple[str, ...] = ("0.0.0.0:6343",)
    receive_buffer: int = 4_194_304
    allow: tuple[str, ...] = ()
    forget_after: float = 3600.0
    agents: int = 20_000
    memory: int = 4_294_967_296


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
class SourceConfig:
    """[[gmetad.sources]]: a gmond, gmetad or sflow_gmetrics to poll every `interval` seconds.

    The first of `addresses` (HOST:PORT) that answers is taken.
    """

    name: str
    addresses: tuple[str, ...]
    interval: float = 15.0


@dataclass(frozen=True, slots=True)
class GmetadConfig:
    """[gmetad]: the two ports of gmetad; off unless set.

    `grid` is the name of all clusters together, `authority` the address of the web pages that
    show them. This machine and `trusted_hosts` (networks) may connect.
    """

    xml_listen: str = ""
    interactive_listen: str = ""
    grid: str = "unspecified"
    authority: str = ""
    trusted_hosts: tuple[str, ...] = ()
    sources: tuple[SourceConfig, ...] = ()


GMETAD_RRA = ("AVERAGE:0.5:1:5856", "AVERAGE:0.5:4:20160", "AVERAGE:0.5:40:52704")
"""gmetad's own: 24 h at 15 s, 14 days at 1 min, a year at 10 min; 630 KB a file."""
COMPACT_RRA = (
    "AVERAGE:0.5:1:480",
    "AVERAGE:0.5:4:1440",
    "AVERAGE:0.5:40:1440",
    "AVERAGE:0.5:240:1488",
    "AVERAGE:0.5:5760:366",
)
"""2 h at 15 s, a day at 1 min, 10 days at 10 min, 62 days at 1 h, a year at 1 day; 43 KB a file."""


@dataclass(frozen=True, slots=True)
class RrdConfig:
    """[rrd]: the RRD files; off unless `root` is set.

    `rrdcached` is its address, unix:/PATH or HOST:PORT; without it files are written through
    one rrdtool. Values are taken every `step` seconds and written every `write_every`.
    `levels` says what gets files: "host", "service" (on each host) and "pool" (their sums);
    `include` and `exclude` are regular expressions of whole metric names. `rra` are the
    archives of host and pool files, `service_rra` those of services. At most `queue` values
    wait for an engine that is away, and at most `creations` new files are made in a second.
    """

    root: str = ""
    rrdcached: str = ""
    step: int = 15
    write_every: int = 15
    levels: tuple[str, ...] = ("host", "service", "pool")
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rra: tuple[str, ...] = GMETAD_RRA
    service_rra: tuple[str, ...] = COMPACT_RRA
    queue: int = 1_000_000
    creations: int = 500


@dataclass(frozen=True, slots=True)
class ViewsConfig:
    """[views]: the views and reports for ganglia-web that `serve` keeps current; off unless `directory` is set.

    `directory` is ganglia-web's views_dir, `reports` its graph.d (default: graph.d below `directory`).
    """

    directory: str = ""
    reports: str = ""


@dataclass(frozen=True, slots=True)
class StateConfig:
    """[state]: what survives a restart; off unless `directory` is set. A state is written every `interval` seconds."""

    directory: str = ""
    interval: float = 60.0


@dataclass(frozen=True, slots=True)
class WebConfig:
    """[web]: the HTTP port with /metrics and the landing page.

    `levels` are what /metrics is made of, and `groups` the families that are switched on;
    `created_series` shows when counters began. `config_file` is an exporter-toolkit web
    configuration. `lifecycle` lets who may ask for pages also POST to /-/reload.
    """

    listen: tuple[str, ...] = ("0.0.0.0:9343",)
    config_file: str = ""
    levels: tuple[str, ...] = WEB_LEVELS
    groups: tuple[str, ...] = USUAL_GROUPS
    created_series: bool = False
    lifecycle: bool = False


@dataclass(frozen=True, slots=True)
class LogConfig:
    """[log]: the log on standard error.

    `format` is "text", "logfmt" or "json", `level` "debug", "info", "warning" or "error".
    """

    format: str = "text"
    level: str = "info"


@dataclass(frozen=True, slots=True)
class RemoteWriteConfig:
    """[[remote_write]]: a store that is sent every new sample by Prometheus remote write.

    New samples are gathered every `interval` seconds. `levels` and `groups` say which are sent,
    `include` and `exclude` are regular expressions of whole metric names. `external_labels` are
    given to every series that has not got them, `rename_labels` is old to new name. The
    credentials are `username` with `password_file`, or `bearer_token_file`. A request may take
    `timeout` seconds; a failed one is sent again after `min_backoff` seconds, then twice that,
    up to `max_backoff`. At most `queue` samples wait, `max_samples_per_send` go in one request.
    """

    url: str
    name: str = ""
    interval: float = 10.0
    levels: tuple[str, ...] = WEB_LEVELS
    groups: tuple[str, ...] = USUAL_GROUPS
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    external_labels: dict[str, str] = field(default_factory=dict)
    rename_labels: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    username: str = ""
    password_file: str = ""
    bearer_token_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False
    timeout: float = 30.0
    queue: int = 2_000_000
    max_samples_per_send: int = 5_000
    min_backoff: float = 0.5
    max_backoff: float = 30.0

    @property
    def endpoint(self) -> str:
        """What it is called in metrics and in the log."""
        return self.name or urllib.parse.urlsplit(self.url).netloc


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
    alternatives. Limits of those that are shown by their names: `services_per_host` and, over
    all hosts, their `series`.
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
    views: ViewsConfig = field(default_factory=ViewsConfig)
    state: StateConfig = field(default_factory=StateConfig)
    web: WebConfig = field(default_factory=WebConfig)
    log: LogConfig = field(default_factory=LogConfig)
    remote_write: tuple[RemoteWriteConfig, ...] = ()
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
    except ValueError as error:  # what tomllib raises, and Python for a number of thousands of digits
        raise ConfigError(f"this is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError("this is not a configuration: its lists or tables are nested too deeply") from None
    config = build(Config, document)
    check_values(config)
    return config
