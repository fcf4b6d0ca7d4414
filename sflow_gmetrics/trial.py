"""Would a configuration work here? What `check-config` looks at beside the values: ports, files and directories.

`serve` does not ask: it finds out about a port when it opens it, and a password may come later.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from exporters.remote_writer import check_store
from exporters.web_security import load_settings

from .config import Config, RemoteWriteConfig
from .errors import ConfigError
from .ports import KEYS, Place, join_address, places

_FILES = ("password_file", "bearer_token_file", "ca_file", "cert_file", "key_file")
"""The keys of [[remote_write]] that name a file."""


def try_config(config: Config) -> None:
    """Raises ConfigError for the first thing that cannot work, with its key, its value and the cure."""
    for one, other in itertools.combinations(places(config), 2):
        if _collide(one, other):
            keys = " and ".join(dict.fromkeys((KEYS[one.port], KEYS[other.port])))
            both = " and ".join(join_address(place.host, place.number) for place in (one, other))
            raise ConfigError(f"{keys}: {both} cannot both be opened; give one of them another port")
    _check_state(config.state.directory)
    if config.web.config_file:
        load_settings(Path(config.web.config_file))
    for store in config.remote_write:
        _check_files(store)
        check_store(store)


def _collide(one: Place, other: Place) -> bool:
    """Whether the system gives only one of these to a program."""
    same_kind = (one.port == "sflow") == (other.port == "sflow")
    return same_kind and one.number == other.number != 0 and (_takes_in(one, other) or _takes_in(other, one))


def _takes_in(one: Place, other: Place) -> bool:
    """Whether what comes to the other's host comes to this one, too."""
    if one.host == "::":
        return ":" in other.host or not one.only_v6
    return one.host == other.host or (one.host == "0.0.0.0" and ":" not in other.host)


def _check_state(directory: str) -> None:
    """A directory that is not there will be made; a file cannot become one."""
    path = Path(directory)
    for one in (path, *path.parents) if directory else ():
        if os.path.exists(one):
            if not os.path.isdir(one):
                raise ConfigError(f"[state] directory: {directory}: {one} is a file; name a directory")
            return


def _check_files(store: RemoteWriteConfig) -> None:
    for key in _FILES:
        name = getattr(store, key)
        try:
            if name:
                Path(name).open("rb").close()
        except OSError as error:
            reason = f"{name} cannot be read: {error.strerror}"
            cure = "name a file that is there, and that the user who runs the program may read"
            raise ConfigError(f"remote_write ({store.endpoint}).{key}: {reason}; {cure}") from None
