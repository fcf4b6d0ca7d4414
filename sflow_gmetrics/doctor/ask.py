"""Fetching the page of a running instance, and what it means when that fails."""

from __future__ import annotations

import base64
import email.utils
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ..errors import InputError
from .page import Finding, Page

PATIENCE = 60.0
ATTEMPTS, LONGEST_WAIT = 3, 10
"""How often, and for how many seconds each time, it is waited for a limit on requests."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a running instance answers, as whom to ask, and what TLS needs."""

    url: str
    user: str = ""
    password: str = ""
    context: ssl.SSLContext | None = None

    @classmethod
    def of(
        cls,
        url: str,
        user: str = "",
        password_file: str = "",
        *,
        cacert: str = "",
        cert: str = "",
        key: str = "",
        option: str = "--url",
    ) -> Target:
        """From what stands on a command line, the URL in `option`; it may hold USER:PASSWORD@. Raises InputError."""
        parts = _split(url, option)
        password = urllib.parse.unquote(parts.password or "")
        if password_file:
            try:
                password = Path(password_file).read_text("utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"--password-file: {password_file}: {error}") from None
        clean = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        context = _tls(cacert, cert, key) if parts.scheme == "https" else None
        return cls(clean, user or urllib.parse.unquote(parts.username or ""), password, context)

    def fetch(self, path: str) -> tuple[str, str]:
        """A page and its Date, without any proxy. Raises OSError (HTTPError and NotHTTPError among them)."""
        request = urllib.request.Request(self.url + path, headers={"Accept": "text/plain"})
        if self.user:
            word = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {word}")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)
        )
        try:
            with _patiently(opener, request) as answer:
                return answer.read().decode("utf-8", "replace"), answer.headers.get("Date", "")
        except ConnectionError:  # of which one is an HTTPException too
            raise
        except http.client.HTTPException as error:
            raise NotHTTPError(f"what comes is no whole HTTP answer ({str(error)[:40]!r})") from None


def _patiently(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> http.client.HTTPResponse:
    """The answer; where there is a limit on requests, when it allows one more. Raises OSError."""
    for _ in range(ATTEMPTS):
        try:
            return cast("http.client.HTTPResponse", opener.open(request, timeout=PATIENCE))
        except urllib.error.HTTPError as error:
            if error.code != 429:
                raise
            wait = error.headers.get("Retry-After", "")
            time.sleep(min(int(wait), LONGEST_WAIT) if wait.isdecimal() else 1)
    return cast("http.client.HTTPResponse", opener.open(request, timeout=PATIENCE))


class NotHTTPError(OSError):
    """Something else than HTTP, or half an answer, has come."""


def _split(url: str, option: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # an open bracket, or a port that is none
        good = False
    if not good or re.search(r"[\s\x00-\x1f\x7f]", url):
        shown = re.sub(r"//[^/]*@", "//...@", url)  # no password goes into a log
        raise InputError(
            f"{option}: {shown!r} is not like http://HOST:PORT (a port from 1 to 65535, an IPv6 address in brackets, "
            "no spaces)"
        )
    return parts


def _tls(cacert: str, cert: str, key: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cacert or None)
    except (OSError, ValueError) as error:
        raise InputError(f"--cacert: {cacert}: {error}") from None
    if cert:
        try:
            context.load_cert_chain(cert, key or None, password=lambda: "")
        except (OSError, ValueError) as error:
            raise InputError(f"--cert: {cert}: {error}") from None
    return context


def ask(target: Target, families: Iterable[str]) -> Page | Finding:
    """The families of a running instance, or why they cannot be had."""
    try:
        target.fetch("/-/ready")
        text, date = _fetch_families(target, families)
    except (OSError, ValueError) as error:
        return _unreachable(target, error)
    here = time.time()
    try:
        page = Page.parse(text, _seconds(date, here), here)
    except (ValueError, LookupError) as error:
        return _stranger(target, f"its /metrics cannot be read: {error}")
    return page if "sflow_collector_build_info" in page.samples else _stranger(target, "its /metrics is another's")


def _fetch_families(target: Target, families: Iterable[str]) -> tuple[str, str]:
    """All that the collector says of itself, of hosts, services and pools what is asked for; else the whole page."""
    wanted = sorted({name for name in families if not name.startswith("sflow_collector_")})
    query = [*(("level", level) for level in ("host", "service", "pool")), *(("name[]", name) for name in wanted)]
    try:
        hosts, _ = target.fetch(f"/metrics?{urllib.parse.urlencode(query)}")
        own, date = target.fetch("/metrics?level=collector")
    except urllib.error.HTTPError as error:
        if error.code != 400:  # it is of another version, and does not know all of them
            raise
        return target.fetch("/metrics")
    return hosts + own, date


def _seconds(date: str, here: float) -> float:
    """The time in a Date header; it is cut to whole seconds."""
    try:
        there = email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return here
    return here if abs(there - here) <= 2.0 else there


def _stranger(target: Target, detail: str) -> Finding:
    return Finding(
        "unreachable",
        f"What answers at {target.url} is not sflow_gmetrics: {detail}.",
        "Give the address of [web] listen: '--url http://HOST:9343'.",
    )


def _unreachable(target: Target, error: Exception) -> Finding:
    if isinstance(error, urllib.error.HTTPError):
        return _refused(target, error)
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    place = urllib.parse.urlsplit(target.url)
    what = f"{target.url} does not answer: {getattr(reason, 'strerror', None) or reason}."
    if isinstance(reason, ConnectionRefusedError):
        what = f"Nothing listens at {target.url}."
        do = (
            "Is it running? 'systemctl status sflow-gmetrics', 'journalctl -u sflow-gmetrics'. If it is, [web] listen "
            "names another address, or is off: give it with --url."
        )
    elif isinstance(reason, ssl.SSLCertVerificationError):
        what = f"The certificate of {target.url} is not trusted: {reason.verify_message}."
        do = "Give the authority that signed it: '--cacert FILE'; or let the certificate be renewed, if it has expired."
    elif isinstance(reason, socket.gaierror):
        do = f"The name {place.hostname} is not known here: 'getent hosts {place.hostname}'. Give an address instead."
    elif isinstance(reason, NotHTTPError):
        what = f"{target.url} is no address of sflow_gmetrics' web port: {reason}."
        do = (
            "Give the address of [web] listen: '--url http://HOST:9343'. If it is that one, it speaks TLS: try "
            f"'--url https://{place.netloc}'."
        )
    elif isinstance(reason, TimeoutError):
        do = "A firewall swallows the request, or the collector is busy: try on its own machine, and see its CPU."
    elif place.scheme == "https":
        do = (
            "Perhaps it wants a client certificate: '--cert FILE --key FILE'. Or the port speaks no TLS: try "
            f"'--url http://{place.netloc}'."
        )
    else:
        do = f"If the port speaks TLS, try '--url https://{place.netloc}'. Else see the log of the collector."
    return Finding("unreachable", what, do)


def _refused(target: Target, error: urllib.error.HTTPError) -> Finding:
    if error.code in (401, 403):
        what = f"{target.url} wants a user and a password" + (", and not these." if target.user else ".")
        return Finding("unreachable", what, "Give them: '--user NAME --password-file FILE'.")
    if error.code == 429:
        what = f"{target.url} allows no more requests at the moment: rate_limit in its web configuration."
        return Finding("unreachable", what, "Try again in a moment; the doctor makes three requests.")
    if error.code == 503:
        what = f"{target.url} answers that it is not ready, or has no room for one more reader."
        return Finding("unreachable", what, "Try again in a few seconds; then look into its log.")
    return _stranger(target, f"it answers with status {error.code}")
