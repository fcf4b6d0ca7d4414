"""Posts requests to a store: TLS, credentials, time limits, and what the store answers."""

from __future__ import annotations

import base64
import email.utils
import io
import logging
import socket
import ssl
import time
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from sflow_gmetrics import __version__
from sflow_gmetrics.config import RemoteWriteConfig
from sflow_gmetrics.errors import ConfigError
from sflow_gmetrics.lookup import Lookup

from .remote_write_queue import Answer
from .stamps import stamp_of
from .write_request import CONTENT_ENCODING, CONTENT_TYPE, VERSION

log = logging.getLogger("sflow_gmetrics")

WORDS = 200
"""Characters of a store's answer that are kept."""
LARGEST = 4_096
"""Bytes of an answer that are read."""
CREDENTIALS = 65_536
"""Bytes of a file with credentials that are read."""
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class StoreClient:
    """A store's address and how to talk to it. Raises ConfigError where a certificate cannot be used."""

    def __init__(self, config: RemoteWriteConfig) -> None:
        self._config = config
        self._files = [Path(one) for one in (config.ca_file, config.cert_file, config.key_file) if one]
        self._stamp = stamp_of(self._files)
        self._ssl = _ssl_context(config) if config.url.startswith("https:") else None
        self._session: aiohttp.ClientSession | None = None
        self._lookup = Lookup()

    async def post(self, body: bytes) -> Answer:
        """Send a request. Whatever goes wrong is an answer too."""
        await self._renew()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=1, ssl=self._ssl if self._ssl is not None else True, resolver=_Resolver(self._lookup)
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a refusal whose text cannot be read is one all the same
                timeout=aiohttp.ClientTimeout(total=self._config.timeout),
            )
        try:
            headers = self.headers()
        except (OSError, ValueError) as error:
            return Answer(0, f"the credentials cannot be read: {error}")
        try:
            async with self._session.post(
                self._config.url, data=io.BytesIO(body), headers=headers, allow_redirects=False
            ) as answer:
                text = b"" if answer.status < 300 else await answer.content.read(LARGEST)
                return Answer(answer.status, _words(answer, text), _retry_after(answer.headers.get("Retry-After", "")))
        except TimeoutError:
            return Answer(0, f"does not answer within {self._config.timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return Answer(0, f"cannot be reached: {one_line(error.strerror or str(error))}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(0, one_line(str(error)) or type(error).__name__)

    async def _renew(self) -> None:
        """Take certificates that have changed, on a new connection. Those that cannot be used leave the ones before."""
        stamp = stamp_of(self._files)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._ssl = _ssl_context(self._config)
        except ConfigError as error:
            log.warning("%s; what was read before is in force", error)
            return
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def headers(self) -> dict[str, str]:
        """The headers, with the credentials as they are in their file now. Raises OSError, ValueError."""
        config = self._config
        headers = {
            **config.headers,
            "Accept-Encoding": "identity",
            "Content-Type": CONTENT_TYPE,
            "Content-Encoding": CONTENT_ENCODING,
            "X-Prometheus-Remote-Write-Version": VERSION,
            "User-Agent": f"sflow_gmetrics/{__version__}",
        }
        if config.username:
            pair = f"{config.username}:{_secret(config.password_file)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif config.bearer_token_file:
            headers["Authorization"] = f"Bearer {_secret(config.bearer_token_file)}"
        return headers


class _Resolver(AbstractResolver):
    """Looks up the store's name."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses."""
        return [
            ResolveResult(
                hostname=host,
                host=socket.getnameinfo(address, _NUMERIC)[0],  # with the interface of one that is local to a link
                port=port,
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, address in await self._lookup.find(host, port, family)
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _secret(path: str) -> str:
    """What a file says, without white space around it."""
    with Path(path).open(encoding="utf-8") as file:
        text = file.read(CREDENTIALS).strip()
    if not text.isprintable() or not text:
        raise ValueError(f"{path}: it must be one line of text")
    return text


def _ssl_context(config: RemoteWriteConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
        if config.cert_file:
            context.load_cert_chain(config.cert_file, config.key_file or None)
    except OSError as error:
        files = ", ".join(one for one in (config.ca_file, config.cert_file, config.key_file) if one)
        reason = "no good certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"remote_write ({config.endpoint}): {files}: {reason}: {error}") from None
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _words(answer: aiohttp.ClientResponse, text: bytes) -> str:
    """Status and text of an answer as one short line."""
    said = text.decode("utf-8", "replace") or answer.headers.get("Location", "") or answer.reason or ""
    return f"status {answer.status}: {one_line(said)}"


def one_line(text: str) -> str:
    """What somebody else says, short and fit for a log."""
    plain = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * WORDS]).split())
    return plain if len(plain) <= WORDS else plain[:WORDS] + " ..."


def _retry_after(text: str) -> float:
    """The seconds of a Retry-After header: a number, or a date."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
