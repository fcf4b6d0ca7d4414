"""The configuration: a ConfigError, or values with which a collector can begin."""

from __future__ import annotations

import dataclasses
import typing
import warnings
from collections.abc import Iterator
from itertools import chain

from sflow_gmetrics import Collector
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.errors import ConfigError
from tests.exporters.trees import CONFIG

from . import collector, door


def keys_of(wanted: type) -> Iterator[str]:
    """Every key that there is, and every section."""
    hints = typing.get_type_hints(wanted)
    for one in dataclasses.fields(wanted):
        yield one.name
        for inner in (hints[one.name], *typing.get_args(hints[one.name])):
            if dataclasses.is_dataclass(inner) and isinstance(inner, type):
                yield from keys_of(inner)


class Door(door.Door):
    """A configuration that is taken also names a service and a host, by its rules."""

    longest = 6000
    words = tuple(
        word.encode()
        for word in chain(
            sorted(set(keys_of(Config))),
            "[[ ]] [ ] { } = , ''' \"\"\" . \n true false nan inf -inf 0x 1e999 1979-05-27T07:32:00Z \\u0000".split(
                " "
            ),
            ("127.0.0.1:1", "[::1]:8649", "10.0.0.0/8", "off", "unix:/s", "AVERAGE:0.5:1:5856", "host", "interface"),
            ("(?i)", "(?P<n>", "(?(1)", "{99999}", "[^", "\\d", "$1", "${1}", "(.)", "|", "*", "+", "٣", "\\g<1>"),
            ("9" * 60, "[" * 60, "f" * 60),
        )
    )

    def seeds(self) -> Iterator[bytes]:
        yield CONFIG.encode()
        yield collector.CONFIG.encode()
        for huge in ("9" * 400, "9" * 5000, "0x" + "f" * 5000, "1e400", "nan", "[" * 5000, "{a=" * 1500):
            for key in ("sflow.agents", "sflow.forget_after", "gmond.cluster", "gmond", "pools", "x"):
                yield f"{key} = {huge}".encode()
        for group in ("9" * 5000, "\u0661", "0", "1", "٣"):
            yield f"services.rewrite = [{{ match = '(a).*', replace = '${group}' }}]".encode()
        for section in dataclasses.fields(Config):
            if dataclasses.is_dataclass(typing.get_type_hints(Config)[section.name]):
                yield _written(section.name, getattr(Config(), section.name)).encode()

    def enter(self, data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a regular expression may be odd
            try:
                config = parse_config(data.decode("utf-8", "replace"))
            except ConfigError:
                return
            made = Collector(config)
        made.pools.pool_of("web-1", "10.0.0.1")
        made.service_map.service_of("a.service")
        made.allow.allows("::1")


def _written(name: str, section: object) -> str:
    """A section with its defaults, in TOML."""
    lines = [f"[{name}]"]
    for one in dataclasses.fields(section):  # type: ignore[arg-type]
        value = getattr(section, one.name)
        if isinstance(value, tuple):
            value = [entry for entry in value if isinstance(entry, str)]
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        lines.append(f"{one.name} = {shown}")
    return "\n".join(lines)
