"""Host sFlow in, Ganglia and Prometheus out."""

from __future__ import annotations

from .collector import Collector
from .config import Config, load_config, parse_config
from .datagram import Datagram, decode_datagram, encode_datagram
from .errors import ConfigError, DecodeError, InputError, SflowGmetricsError
from .snapshot import Snapshot

__version__ = "0.1.0"

__all__ = [
    "Collector",
    "Config",
    "ConfigError",
    "Datagram",
    "DecodeError",
    "InputError",
    "SflowGmetricsError",
    "Snapshot",
    "__version__",
    "decode_datagram",
    "encode_datagram",
    "load_config",
    "parse_config",
]
