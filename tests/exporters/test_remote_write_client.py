"""How requests are posted, and how a store's answers are understood: against a real HTTP server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email.utils
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporters.remote_write_client import StoreClient, one_line
from exporters.remote_write_queue import Answer
from sflow_gmetrics.config import RemoteWriteConfig
from sflow_gmetrics.errors import ConfigError
from tests.e2e.certificates import Authority, Pair

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def store(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A store with one handler; gives its URL."""
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/api/v1/write", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http{'s' if context else ''}://localhost:{port}/api/v1/write"
    finally:
        await runner.cleanup()


def post(handler: Handler, body: bytes = b"body", context: ssl.SSLContext | None = None, **keys: Any) -> Answer:
    """What comes of one request."""

    async def run() -> Answer:
        async with store(handler, context) as url:
            client = StoreClient(RemoteWriteConfig(url, **keys))
            try:
                return await client.post(body)
            finally:
                await client.close()

    return asyncio.run(run())


def answering(status: int, text: str = "", **headers: str) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={key.replace("_", "-"): headers[key] for key in headers})

    return handler


class Kept:
    """A handler that keeps what was posted."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""

    async def keep(self, request: web.Request) -> web.Response:
        self.headers, self.body = dict(request.headers), await request.read()
        return web.Response(status=204)


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_a_request_is_what_the_specification_says(size: int) -> None:
    kept, body = Kept(), bytes(size)
    assert post(kept.keep, body, headers={"X-Scope-OrgID": "tenant"}).good
    assert kept.body == body
    expected = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "Accept-Encoding": "identity",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
        "X-Scope-OrgID": "tenant",
        "Content-Length": str(size),
    }
    assert expected.items() <= kept.headers.items()
    assert kept.headers["User-Agent"].startswith("sflow_gmetrics/")
    assert "Authorization" not in kept.headers


def test_a_password_is_read_from_its_file_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for password in ("one", "zwö:"):
        file.write_text(f"{password}\n", "utf-8")
        kept = Kept()
        assert post(kept.keep, username="me", password_file=str(file)).good
        scheme, _, text = kept.headers["Authorization"].partition(" ")
        assert (scheme, base64.b64decode(text).decode()) == ("Basic", f"me:{password}")


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc.def\n")
    kept = Kept()
    assert post(kept.keep, bearer_token_file=str(file)).good
    assert kept.headers["Authorization"] == "Bearer abc.def"


@pytest.mark.parametrize("text", [None, b"", b"two\nlines", b"\xff"], ids=str)
def test_without_credentials_nothing_is_sent_and_nothing_lost(text: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_bytes(text)
    kept = Kept()
    answer = post(kept.keep, bearer_token_file=str(file))
    assert (answer.retry, answer.good) == (True, False)
    assert "credentials" in answer.words
    assert not kept.headers


@pytest.mark.parametrize(
    ("status", "good", "retry"),
    [
        *((status, True, False) for status in (200, 204)),
        *((status, False, False) for status in (302, 400, 401, 404, 413)),
        *((status, False, True) for status in (429, 500, 503)),
    ],
)
def test_an_answer_is_good_or_final_or_for_now(status: int, good: bool, retry: bool) -> None:
    answer = post(answering(status))
    assert (answer.status, answer.good, answer.retry) == (status, good, retry)


def test_a_redirect_is_not_followed_but_told() -> None:
    answer = post(answering(307, Location="https://other.example/"))
    assert answer.words == "status 307: https://other.example/"
    assert not answer.retry


def test_the_words_of_a_store_are_short_and_plain() -> None:
    answer = post(answering(400, "out of\norder\x1b[31m sample " + "x" * 100_000))
    assert answer.words.startswith("status 400: out of order [31m sample xxx")
    assert len(answer.words) < 250
    assert answer.words.isprintable()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "nonsense"])
def test_a_refusal_that_is_said_to_be_compressed_and_is_not_is_final(encoding: str) -> None:
    answer = post(answering(400, "out of order", Content_Encoding=encoding))
    assert (answer.status, answer.retry, answer.words) == (400, False, "status 400: out of order")


def test_an_answer_without_end_is_not_read() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"no " * 1000)
        return response

    began = time.monotonic()
    answer = post(handler, timeout=20.0)
    assert (answer.status, answer.retry) == (400, False)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7, 7),
        ("9" * 400, 1e8, 1e9),
        ("date", 20, 31),
        *(
            (text, 0, 0)
            for text in ("0", "-1", "soon", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 1 Jan 99999 00:00:00 GMT")
        ),
    ],
)
def test_a_pause_is_seconds_or_a_date(text: str, least: float, most: float) -> None:
    text = email.utils.formatdate(time.time() + 30, usegmt=True) if text == "date" else text
    assert least <= post(answering(503, Retry_After=text)).retry_after <= most


def test_a_store_that_says_nothing_is_away() -> None:
    async def handler(_request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    answer = post(handler, timeout=0.2)
    assert (answer.status, answer.retry, answer.words) == (0, True, "does not answer within 0.2 s")


def test_a_store_that_is_not_there_is_away() -> None:
    async def run() -> Answer:
        async with store(answering(200)) as url:
            pass
        client = StoreClient(RemoteWriteConfig(url))
        try:
            return await client.post(b"")
        finally:
            await client.close()

    answer = asyncio.run(run())
    assert (answer.status, answer.retry) == (0, True)
    assert "onnect" in answer.words


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]) -> tuple[str, str]:
    """A certificate of localhost, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    more = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [require_program("openssl"), *new, *more, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    return cert, key


def context_of(certificate: tuple[str, str], ask_for_clients: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if ask_for_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
    return context


def test_a_certificate_is_verified(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    server = context_of(certificate)
    strange = post(answering(204), context=server)
    assert strange.retry
    assert "certificate" in strange.words.lower()
    assert post(answering(204), context=context_of(certificate), ca_file=cert).good
    assert post(answering(204), context=context_of(certificate), insecure_skip_verify=True).good
    asking = context_of(certificate, ask_for_clients=True)
    assert not post(answering(204), context=asking, ca_file=cert).good
    assert post(answering(204), context=asking, ca_file=cert, cert_file=cert, key_file=key).good


def test_a_certificate_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("nonsense")
    for path, words in ((tmp_path / "ca", "no good certificate"), (tmp_path / "none", "No such file")):
        with pytest.raises(ConfigError, match=words) as raised:
            StoreClient(RemoteWriteConfig("https://h/", name="far", ca_file=str(path)))
        assert "far" in str(raised.value)
        assert str(path) in str(raised.value)


def test_certificates_that_are_renewed_are_taken_and_broken_ones_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new, old = Authority(tmp_path, "new"), Authority(tmp_path, "old")
    server = new.sign("server", sans=("localhost",))
    context = context_of((str(server.cert), str(server.key)))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(new.cert)
    good, bad = new.sign("good"), old.sign("bad")
    files = {key: tmp_path / key for key in ("ca_file", "cert_file", "key_file")}
    keys: dict[str, Any] = {key: str(file) for key, file in files.items()}

    def renew(authority: Authority, pair: Pair) -> None:
        for file, source in zip(files.values(), (authority.cert, pair.cert, pair.key), strict=True):
            (tmp_path / "next").write_bytes(source.read_bytes())
            (tmp_path / "next").rename(file)

    async def run() -> None:
        async with store(answering(204), context) as url:
            renew(old, bad)
            client = StoreClient(RemoteWriteConfig(url, **keys))
            assert not (await client.post(b"")).good
            renew(new, bad)
            assert not (await client.post(b"")).good
            renew(new, good)
            assert (await client.post(b"")).good
            files["key_file"].write_bytes(bad.key.read_bytes())
            assert not caplog.messages
            for _ in range(3):
                assert (await client.post(b"")).good
            files["cert_file"].unlink()
            assert (await client.post(b"")).good
            await client.close()
            assert (await client.post(b"")).good, "also on a new connection"
            await client.close()

    asyncio.run(run())
    assert len(caplog.messages) == 2
    assert str(files["key_file"]) in caplog.messages[0]
    assert "No such file" in caplog.messages[1]


def test_a_text_becomes_one_line() -> None:
    assert one_line(" a\r\n\tb\0c ") == "a b c"
    assert one_line("x" * 1000) == "x" * 200 + " ..."
