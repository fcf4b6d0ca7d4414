"""The configuration is read again: on SIGHUP, or when /-/reload is asked for. All of it is taken, or nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from .config import Config
from .errors import ConfigError, SflowGmetricsError

log = logging.getLogger("sflow_gmetrics")

Read = Callable[[], Config]
"""Reads the configuration. Raises ConfigError."""


class Reload:
    """Gives `apply` what `read` reads. `apply` raises an error of ours where nothing has changed."""

    def __init__(self, read: Read | None, apply: Callable[[Config], Awaitable[None]]) -> None:
        self._read = read
        self._apply = apply
        self._one_at_a_time = asyncio.Lock()
        self._failed = 0.0
        self.problem = ""
        """Why the newest configuration is not in use; "" when it is."""
        self.loaded = time.time()
        """When the one in use was read."""

    @property
    def state(self) -> tuple[bool, float] | None:
        """Whether the newest configuration is in use, and since when the one is that is."""
        return not self.problem, self.loaded

    def notice(self) -> str:
        """A sentence for the landing page; "" when all is well."""
        if not self.problem:
            return ""
        failed, loaded = (
            f"{datetime.fromtimestamp(one, UTC):%Y-%m-%d %H:%M:%S}" for one in (self._failed, self.loaded)
        )
        return f"The configuration of {failed} UTC is not in use, that of {loaded} UTC still is: {self.problem}"

    async def run(self) -> str:
        """Read and apply. Gives the reason why the configuration of before stays in use, or ""."""
        async with self._one_at_a_time:
            began = time.time()
            try:
                if self._read is None:
                    raise ConfigError("serve was started without --config FILE: there is no file to read again")
                await self._apply(await asyncio.to_thread(self._read))
            except SflowGmetricsError as error:
                self.problem, self._failed = str(error), began
                log.error("the new configuration is not used, all stays as it was: %s", error)
            except Exception:
                self.problem, self._failed = "a fault in sflow_gmetrics; its log says more", began
                log.exception("reading the configuration again has met a fault that should not be")
            else:
                self.problem, self.loaded = "", began
                log.info("the configuration has been read again and is in use")
            return self.problem
