"""Who may use the HTTP port: passwords against bcrypt hashes, beside the event loop and once for each."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

KEPT = 100
"""How many good passwords are remembered, so that a scrape does not cost a bcrypt."""
WAITING = 16
"""How many passwords wait for bcrypt; more are not looked at, so that nobody holds up others with wrong ones."""
LONGEST = 72
"""bcrypt takes no longer password, in bytes."""


class Users:
    """Checks names and passwords.

    What is remembered of a good password is a keyed hash, together with its name and its bcrypt
    hash; the key lives as long as this object. A name that is not known costs what one does that is.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._good: dict[bytes, None] = {}
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "bcrypt")

    async def knows(self, users: Mapping[str, str], name: str, password: str) -> bool | None:
        """Whether `users` (name to bcrypt hash, at least one) has this one with this password; None: ask later."""
        known = name in users
        hashed = users[name] if known else next(iter(users.values()))
        mark = hmac.digest(self._key, repr((name, hashed, password)).encode("utf-8", "replace"), "sha256")
        if known and mark in self._good:
            return True
        if self._waiting >= WAITING:
            return None
        self._waiting += 1
        try:
            right = await asyncio.get_running_loop().run_in_executor(self._thread, _fits, password, hashed)
        finally:
            self._waiting -= 1
        if not right or not known:
            return False
        while len(self._good) >= KEPT:
            del self._good[next(iter(self._good))]
        self._good[mark] = None
        return True

    def close(self) -> None:
        """Check no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _fits(password: str, hashed: str) -> bool:
    given = password.encode("utf-8", "replace")
    right = bcrypt.checkpw(given[:LONGEST], hashed.encode("ascii"))
    return right and len(given) <= LONGEST
