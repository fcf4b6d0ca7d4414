"""How the HTTP port is secured: the web configuration file as it is now.

A file that has changed is read again before the next connection or request; one that is wrong
leaves everything as it was.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from aiohttp import BasicAuth, hdrs, web

from sflow_gmetrics.errors import ConfigError

from .stamps import Stamp, stamp_of
from .web_config import WebConfigFile, read_web_config
from .web_tls import has_allowed_san, tls_context
from .web_users import Users


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds: how connections are encrypted, who may ask and how often, and headers of answers."""

    tls: ssl.SSLContext | None = None
    allowed_sans: frozenset[str] = frozenset()
    users: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    interval: float = 0.0
    burst: int = 0


def load_settings(path: Path, found: WebConfigFile | None = None) -> Settings:
    """What the file means. Raises ConfigError."""
    found = found or read_web_config(path)
    try:
        tls = tls_context(found.tls_server_config, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: tls_server_config: {error.strerror or error}") from None
    return Settings(
        tls,
        frozenset(found.tls_server_config.client_allowed_sans),
        found.basic_auth_users,
        {name: value for name, value in found.http_server_config.headers.items() if value},
        found.rate_limit.seconds,
        found.rate_limit.burst,
    )


class WebSecurity:
    """Guards the HTTP port as its configuration file says; without one, everybody may come. Raises ConfigError."""

    def __init__(self, path: str = "") -> None:
        self._path = Path(path) if path else None
        self._files: tuple[Path, ...] = ()
        self._reads = 0
        self._stamp: Stamp = ()
        self._reading = asyncio.Lock()
        self._users = Users()
        self._notes: dict[str, tuple[int, str]] = {}
        self._tokens, self._filled = inf, 0.0
        self.settings = Settings()
        self.good = True
        """Whether the file, as it is now, is what holds."""
        self.loaded = time.time()
        """When it was read last and was good, in seconds since the epoch."""
        if self._path is not None:
            self.settings = self._load(self._path)

    def take_notes(self) -> dict[str, tuple[int, str]]:
        """What is worth a line in the log since the last call."""
        notes, self._notes = self._notes, {}
        return notes

    def become(self, other: WebSecurity) -> None:
        """Let hold from now on what another one has read."""
        self._path, self._files, self._stamp, self.settings = other._path, other._files, other._stamp, other.settings
        self.good, self.loaded = other.good, other.loaded

    @property
    def state(self) -> tuple[bool, float] | None:
        """Whether the file, as it is now, is what holds, and when it was read last and was; None without one."""
        return (self.good, self.loaded) if self._path is not None else None

    def close(self) -> None:
        """The end."""
        self._users.close()

    async def current(self) -> Settings:
        """What holds now."""
        if self._path is not None and self._stamp != stamp_of(self._files):
            async with self._reading:
                if self._stamp != stamp_of(self._files):
                    await self._read_again(self._path)
        return self.settings

    async def tls(self) -> ssl.SSLContext | None:
        """How a new connection is encrypted."""
        return (await self.current()).tls

    def admits(self, transport: asyncio.Transport) -> bool:
        """Whether a connection may stay: its certificate has one of the allowed names, where there are such."""
        allowed = self.settings.allowed_sans
        return not allowed or has_allowed_san(transport.get_extra_info("peercert"), allowed)

    async def refuses(self, request: web.Request) -> web.Response | None:
        """The answer to a request that may not be; None for one that may."""
        settings = await self.current()
        if settings.interval > 0 and not self._may_come(settings):
            return web.Response(status=429, text="429: Too Many Requests\n", headers={"Retry-After": "1"})
        if not settings.users:
            return None
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        try:
            given = BasicAuth.decode(header, encoding="utf-8")
        except ValueError:
            given = None
        known = given is not None and await self._users.knows(settings.users, given.login, given.password)
        if known:
            return None
        if known is None:
            text = "503: too many passwords wait to be checked\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "1"})
        if given is not None:
            self._note("unauthorized", f"a wrong name or password, the last from {request.remote}")
        challenge = {hdrs.WWW_AUTHENTICATE: 'Basic realm="sflow_gmetrics", charset="UTF-8"'}
        return web.Response(status=401, text="401: Unauthorized\n", headers=challenge)

    def _may_come(self, settings: Settings) -> bool:
        """Whether there is a token left for a request (one comes each interval, `burst` are kept)."""
        now = time.monotonic()
        self._tokens = min(self._tokens + (now - self._filled) / settings.interval, float(settings.burst))
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _load(self, path: Path) -> Settings:
        """Read the file; from now on it and the files that it names are watched."""
        stamp = stamp_of((path,))
        found = read_web_config(path)
        self._files = (path, *found.files(path.parent))
        self._stamp = stamp + stamp_of(self._files[1:])
        return load_settings(path, found)

    async def _read_again(self, path: Path) -> None:
        self._stamp = stamp_of(self._files)
        self._reads += 1
        try:
            self.settings = await asyncio.to_thread(self._load, path)
        except ConfigError as error:
            self.good = False
            self._note(f"unusable {self._reads}", f"what held before goes on, because {error}")
            return
        self.good, self.loaded = True, time.time()
        self._note(f"back {self._reads}", f"{path} has been read again")

    def _note(self, event: str, text: str) -> None:
        self._notes[event] = (self._notes.get(event, (0, ""))[0] + 1, text)
