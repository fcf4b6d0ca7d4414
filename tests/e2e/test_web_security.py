"""The secured HTTP port and curl: TLS, client certificates, passwords, and files that change while it runs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest

from tests.e2e.certificates import DAY, Authority
from tests.e2e.servers import CONFIG, Served, command, environment, prometheus, running, served, wait_for

pytestmark = pytest.mark.e2e

PASSWORD = "correct horse: battery 🐎"
HASHED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()


def curl(*arguments: str | Path) -> tuple[int, str, str]:
    """curl's exit status, the HTTP status and what curl says."""
    program = shutil.which("curl")
    assert program is not None, "it is in Debian's package curl"
    words = [program, "--silent", "--show-error", "--max-time", "15", "--output", os.devnull]
    done = subprocess.run(
        [*words, "--write-out", "%{http_code}", *map(str, arguments)], capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def write(file: Path, text: str) -> None:
    """Replace a file as one does that others read."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text, "utf-8")
    fresh.replace(file)


@contextlib.contextmanager
def secured(folder: Path, text: str) -> Iterator[tuple[Served, Path]]:
    """`serve` with this web configuration file."""
    file = folder / "web.yml"
    write(file, text)
    config = folder / "serve.toml"
    config.write_text(f'{CONFIG}\nconfig_file = "{file}"\n', "utf-8")
    with running(command("serve", "--config", str(config)), folder / "serve.log", env=environment()) as program:
        yield served(program), file
        program.runs()
    assert "Traceback" not in program.said()


def tls(name: str, *more: str) -> str:
    return "\n  ".join(["tls_server_config:", f"cert_file: {name}.crt", f"key_file: {name}.key", *more]) + "\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    one = Authority(tmp_path)
    one.sign("server")
    return one


def test_tls_and_a_certificate_that_is_replaced(tmp_path: Path, authority: Authority) -> None:
    with secured(tmp_path, tls("server")) as (one, _):
        assert one.web.startswith("https://127.0.0.1:")
        trusting = "--cacert", authority.cert
        assert curl(*trusting, f"{one.web}/metrics") == (0, "200", "")
        assert '"__scheme__": "https"' in curl_page(one, "", "/sd?by=shard&shards=2", *trusting)
        assert curl(*trusting, "--tls-max", "1.1", f"{one.web}/metrics")[0] == 35
        assert curl(f"{one.web}/metrics")[0] == 60, "nobody else has signed it"
        assert curl(*trusting, one.web.replace("https", "http"))[0] in (52, 56)
        authority.sign("server", valid=-DAY)  # the files are other ones now, and the certificate has expired
        status, _, said = curl(*trusting, f"{one.web}/metrics")
        assert status == 60
        assert "expired" in said
        authority.sign("server")
        assert curl(*trusting, f"{one.web}/metrics") == (0, "200", "")


def test_client_certificates(tmp_path: Path, authority: Authority) -> None:
    good, expired = authority.sign("good", sans=("prometheus.example",)), authority.sign("expired", valid=-DAY)
    stranger = Authority(tmp_path, "others").sign("stranger", sans=("prometheus.example",))
    unwanted = authority.sign("unwanted", sans=("192.0.2.7", "someone@example.net"))
    wanted = tls(
        "server",
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: authority.crt",
    )
    with secured(tmp_path, wanted) as (one, file):

        def come(*pair: Path) -> tuple[int, str]:
            shown = ("--cert", pair[0], "--key", pair[1]) if pair else ()
            return curl("--cacert", authority.cert, *shown, f"{one.web}/metrics")[:2]

        for client in (good, unwanted):
            assert come(client.cert, client.key) == (0, "200")
        assert come()[1] == "000"
        for client in (expired, stranger):
            assert come(client.cert, client.key)[1] == "000"
        wait_for("a line", lambda: one.program.search("web: a TLS handshake failed: .*(did not return|verify failed)"))
        write(file, wanted + "  client_allowed_sans: [prometheus.example, '2001:db8::1']\n")
        assert come(good.cert, good.key) == (0, "200")
        assert come(unwanted.cert, unwanted.key)[1] == "000"
        write(file, tls("server", "client_auth_type: VerifyClientCertIfGiven", "client_ca_file: authority.crt"))
        assert come() == (0, "200")
        assert come(stranger.cert, stranger.key)[1] == "000"


def test_passwords_and_headers(tmp_path: Path) -> None:
    text = f"basic_auth_users:\n  alice: {HASHED}\nhttp_server_config:\n  headers: {{X-Frame-Options: deny}}\n"
    with secured(tmp_path, text) as (one, file):

        def come(user: str = "", path: str = "/metrics") -> str:
            return curl(*(("--user", user) if user else ()), f"{one.web}{path}")[1]

        for _ in range(2):
            assert come(f"alice:{PASSWORD}") == "200"
            assert come() == come("alice:wrong") == come(f"bob:{PASSWORD}") == come("alice:") == "401"
        assert come(path="/-/healthy") == come(path="/nothing") == "401"
        assert curl("--header", "Authorization: Basic !!", f"{one.web}/")[1] == "401"
        assert curl("--user", f"alice:{PASSWORD}{'x' * 100}", f"{one.web}/")[1] == "401"
        user = f"alice:{PASSWORD}"
        assert "x-frame-options: deny" in curl_page(one, user).lower()
        refused = 'sflow_collector_scrapes_total{code="401",endpoint="other"} 1.0'
        wait_for("the count", lambda: refused in curl_page(one, user))
        wait_for("the log line", lambda: one.program.search("web: a wrong name or password, the last from 127.0.0.1"))
        write(file, text.replace("alice", "bob"))
        assert (come(f"alice:{PASSWORD}"), come(f"bob:{PASSWORD}")) == ("401", "200")
        for name, word in (("bob", PASSWORD), ("alice", PASSWORD), ("bob", "wrong")):
            (tmp_path / "word").write_text(word, "utf-8")
            words = ["views", "--output", str(tmp_path / "views"), "--from", one.web]
            words += ["--user", name, "--password-file", str(tmp_path / "word")]
            done = subprocess.run(command(*words), env=environment(), capture_output=True, timeout=30)
            assert done.returncode == ((name, word) != ("bob", PASSWORD)), done.stderr
        write(file, "rate_limit: {interval: 1h, burst: 2}\n")
        assert [come() for _ in range(3)] == ["200", "200", "429"]
        write(file, "")
        assert come() == "200"


def curl_page(one: Served, user: str, path: str = "/metrics", *more: str | Path) -> str:
    """The page with its headers."""
    program = shutil.which("curl")
    assert program is not None
    words = [program, "-si", *map(str, more), *(("--user", user) if user else ()), f"{one.web}{path}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout


BAD = {
    "no YAML": "basic_auth_users: [",
    "an unknown key": "basic_auth_user:\n  alice: x\n",
    "no hash": "basic_auth_users:\n  alice: secret\n",
    "no such certificate": tls("nobody"),
    "a key of another": tls("server").replace("server.key", "other.key"),
}


def test_a_bad_file_leaves_what_was_there(tmp_path: Path, authority: Authority) -> None:
    authority.sign("other")
    text = tls("server") + f"basic_auth_users:\n  alice: {HASHED}\n"
    with secured(tmp_path, text) as (one, file):
        good = "sflow_collector_web_config_last_reload_successful"

        def come(*user: str) -> str:
            return curl("--cacert", authority.cert, *user, f"{one.web}/metrics")[1]

        for what, bad in BAD.items():
            write(file, bad)
            assert (come("--user", f"alice:{PASSWORD}"), come()) == ("200", "401"), what
            assert shown(one, authority)[good] == "0.0"
        told = "what held before goes on, because"
        wait_for("a line for each", lambda: one.program.said().count(told) == len(BAD))
        write(file, text.replace("alice", "bob"))
        assert come("--user", f"bob:{PASSWORD}") == "200"
        wait_for("the log line", lambda: one.program.search("web.yml has been read again"))
        assert shown(one, authority, "bob")[good] == "1.0"
        file.unlink()
        assert come("--user", f"bob:{PASSWORD}") == "200"


def shown(one: Served, authority: Authority, user: str = "alice") -> dict[str, str]:
    """The series without labels on the page."""
    page = curl_page(one, f"{user}:{PASSWORD}", "/metrics", "--cacert", authority.cert)
    return dict(re.findall(r"^(\w+) (\S+)$", page, re.MULTILINE))


def test_prometheus_comes_in_with_certificate_and_password(
    tmp_path: Path, authority: Authority, require_program: Callable[[str], str]
) -> None:
    client = authority.sign("prometheus", sans=("prometheus.example",))
    text = tls("server", "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: authority.crt")
    access = {
        "scheme": "https",
        "tls_config": {"ca_file": str(authority.cert), "cert_file": str(client.cert), "key_file": str(client.key)},
        "basic_auth": {"username": "prometheus", "password": PASSWORD},
    }
    with (
        secured(tmp_path, f"{text}basic_auth_users:\n  prometheus: {HASHED}\n") as (one, _),
        prometheus(require_program("prometheus"), tmp_path, one.web, more=access) as theirs,
    ):
        wait_for("a scrape", lambda: theirs.number("up") == 1, 20)
        assert theirs.number("sflow_collector_web_config_last_reload_successful") == 1


@pytest.mark.parametrize(("what", "bad"), BAD.items(), ids=BAD)
def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path, authority: Authority, what: str, bad: str) -> None:
    authority.sign("other")
    (tmp_path / "web.yml").write_text(bad, "utf-8")
    config = tmp_path / "serve.toml"
    config.write_text(f'{CONFIG}\nconfig_file = "{tmp_path / "web.yml"}"\n', "utf-8")
    for words in (("serve", "--config"), ("check-config",)):
        done = subprocess.run(
            command(*words, str(config)), env=environment(), capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 1, what
        assert f"sflow-gmetrics: {tmp_path / 'web.yml'}: " in done.stderr
        assert "Traceback" not in done.stderr
