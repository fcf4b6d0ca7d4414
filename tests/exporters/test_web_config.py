"""The web configuration file: every key, what is wrong with a wrong one, and what TLS and passwords come of it."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from exporters import web_users
from exporters.web_config import HEADERS, read_web_config
from exporters.web_security import Settings, WebSecurity, load_settings
from exporters.web_tls import CLIENT_AUTH, CURVES, SUITES, VERSIONS, has_allowed_san, openssl_name
from exporters.web_users import Users
from sflow_gmetrics.errors import ConfigError
from tests.e2e.certificates import Authority, pem

HASHED = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
PAIR = "cert_file: server.crt, key_file: server.key"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with server.crt, server.key and authority.crt."""
    one = tmp_path_factory.mktemp("tls")
    Authority(one).sign("server")
    (one / "locked.key").write_bytes(pem(ec.generate_private_key(ec.SECP256R1()), b"passphrase"))
    return one


def load(folder: Path, text: str) -> Settings:
    file = folder / "web.yml"
    file.write_text(text, "utf-8")
    return load_settings(file)


def tls(folder: Path, more: str = "") -> ssl.SSLContext:
    """The context of a tls_server_config with the server's certificate and more keys."""
    context = load(folder, f"tls_server_config: {{{PAIR}{more and ', '}{more}}}\n").tls
    assert context is not None
    return context


def test_an_empty_file_secures_nothing(folder: Path) -> None:
    for text in ("", "# nothing\n", "tls_server_config:\nbasic_auth_users: {}\n", "tls_server_config: {}\n"):
        assert load(folder, text) == Settings()


def test_the_toolkit_s_own_example_is_understood(folder: Path) -> None:
    found = load(
        folder,
        f"""
tls_server_config:
  {PAIR.replace(", ", chr(10) + "  ")}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.crt
  client_allowed_sans: [prometheus.example, 192.0.2.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256]
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: Deny
    X-XSS-Protection: ""
basic_auth_users:
  alice: {HASHED}
rate_limit:
  interval: 1m30s
  burst: 20
""",
    )
    assert found.tls is not None
    assert found.tls.verify_mode == ssl.CERT_REQUIRED
    assert not found.tls.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert found.allowed_sans == {"prometheus.example", "192.0.2.1"}
    assert found.users == {"alice": HASHED}
    assert found.headers == {"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "Deny"}
    assert (found.interval, found.burst) == (90.0, 20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "this is not YAML: line 1: "),
        ("a: !!python/object/apply:os.system [id]\n", "this is not YAML: line 1: could not determine a constructor"),
        ("rate_limit: {burst: 1, burst: 2}\n", "'burst' stands twice"),
        ("{[a]: b}\n", "unhashable key"),
        ("? {a: b}\n: c\n", "unhashable key"),
        ("- 1\n", "this must be a table, not a list"),
        ("1: 2\n", "unknown key '1'; known here: tls_server_config"),
        ("basic_auth_user: {}\n", "unknown key 'basic_auth_user'; did you mean 'basic_auth_users'?"),
        ("tls_server_config: {cert_fil: x}\n", "unknown key 'tls_server_config.cert_fil'; did you mean 'cert_file'?"),
        ("tls_server_config: {cert_file: 1}\n", "tls_server_config.cert_file must be a string, not the number 1"),
        ("tls_server_config: {cert_file: x}\n", "tls_server_config needs key_file"),
        ("tls_server_config: {key_file: x}\n", "tls_server_config needs cert_file"),
        (f"tls_server_config: {{{PAIR}, cert: x}}\n", "either cert or cert_file, not both"),
        ("tls_server_config: {cert_file: no.crt, key_file: no.key}\n", "no.crt: No such file or directory"),
        ("tls_server_config: {cert: x, key: y}\n", "cert with key: "),
        ("tls_server_config: {cert_file: authority.crt, key_file: server.key}\n", "the key is not that of the cert"),
        ("tls_server_config: {cert_file: server.crt, key_file: locked.key}\n", "a key with a passphrase"),
        (f"tls_server_config: {{{PAIR}, min_version: TLS14}}\n", "did you mean 'TLS1"),
        (f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}\n", "is before min_version TLS13"),
        (f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4]}}\n", "unknown key 'tls_server_config.ciph"),
        (f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP257]}}\n", "did you mean 'CurveP256'?"),
        (f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP256, X25519]}}\n", "one curve only"),
        (f"tls_server_config: {{{PAIR}, client_auth_type: Require}}\n", "unknown key 'tls_server_config.client_auth"),
        (f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}\n", "needs client_ca_file"),
        (f"tls_server_config: {{{PAIR}, client_ca_file: authority.crt}}\n", "needs client_auth_type"),
        (f"tls_server_config: {{{PAIR}, client_allowed_sans: [x]}}\n", "client_allowed_sans needs client_auth_type"),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert, client_ca_file: server.key}}\n",
            "client_ca_file: no certificate in PEM",
        ),
        ("http_server_config: {headers: {Server: x}}\n", "unknown key 'http_server_config.headers.Server'"),
        ("http_server_config: {headers: {X-Frame-Options: allow}}\n", "must be deny or sameorigin, not 'allow'"),
        ('http_server_config: {headers: {X-XSS-Protection: "1\\nX: y"}}\n', "one line of printable characters"),
        ("http_server_config: {http2: maybe}\n", "http_server_config.http2 must be true or false"),
        ("basic_auth_users: {alice: secret}\n", "basic_auth_users.alice: this is no bcrypt hash; make one with"),
        (f"basic_auth_users: {{alice: {HASHED.replace('$04$', '$99$')}}}\n", "this is no bcrypt hash"),
        (f"basic_auth_users: {{1: {HASHED}}}\n", "the key must be a string, not the number 1"),
        (f"basic_auth_users: {{'a:b': {HASHED}}}\n", "a name cannot contain a colon"),
        ("rate_limit: {interval: soon}\n", "'soon' is no duration, as in 1s or 500ms"),
        ("rate_limit: {interval: 1s}\n", "rate_limit.burst must be at least 1"),
    ],
    ids=lambda value: value[:60],
)
def test_what_is_wrong_is_named(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(folder, text)
    assert str(raised.value).startswith(f"{folder / 'web.yml'}: ")
    assert said in str(raised.value)


def test_a_hash_is_not_shown() -> None:
    assert HASHED not in repr(Settings) + str(read_web_config(Path(os.devnull)))


@pytest.mark.parametrize("name", CLIENT_AUTH)
def test_go_s_names_of_what_is_asked_of_a_client(folder: Path, name: str) -> None:
    authority = "" if name == "NoClientCert" else ", client_ca_file: authority.crt"
    assert tls(folder, f"client_auth_type: {name}{authority}").verify_mode == CLIENT_AUTH[name]


def test_a_certificate_that_may_be_anything_is_not_asked_for(folder: Path) -> None:
    assert tls(folder, "client_auth_type: RequestClientCert").verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("name", [suite for suite in SUITES if "_WITH_" in suite])
def test_go_s_names_of_suites(folder: Path, name: str) -> None:
    chosen = [one["name"] for one in tls(folder, f"cipher_suites: [{name}]").get_ciphers()]
    assert [one for one in chosen if not one.startswith("TLS_")] == [openssl_name(name)]


def test_suites_of_tls_1_3_alone_leave_no_older_one(folder: Path) -> None:
    assert tls(folder, "cipher_suites: [TLS_AES_128_GCM_SHA256]").minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("name", VERSIONS)
def test_go_s_names_of_versions(folder: Path, name: str) -> None:
    context = tls(folder, f"min_version: {name}, max_version: {name}")
    assert {context.minimum_version, context.maximum_version} == {VERSIONS[name]}


@pytest.mark.parametrize("name", CURVES)
def test_go_s_names_of_curves(folder: Path, name: str) -> None:
    tls(folder, f"curve_preferences: [{name}]")


@pytest.mark.parametrize("name", HEADERS)
def test_every_header_of_the_list_may_be_set(folder: Path, name: str) -> None:
    value = (*HEADERS[name], "anything")[0]
    assert load(folder, f"http_server_config: {{headers: {{{name}: {value}}}}}\n").headers == {name: value}


def test_certificate_and_key_may_stand_in_the_file_itself(folder: Path) -> None:
    lines = ["tls_server_config:"]
    for key, name in (("cert", "server.crt"), ("key", "server.key"), ("client_ca", "authority.crt")):
        lines += [f"  {key}: |", *(f"    {line}" for line in (folder / name).read_text().splitlines())]
    context = load(folder, "\n".join([*lines, "  client_auth_type: RequireAndVerifyClientCert", ""])).tls
    assert context is not None
    assert len(context.get_ca_certs()) == 1


def test_names_of_a_client_s_certificate() -> None:
    certificate = {
        "subjectAltName": (
            ("DNS", "prometheus.example"),
            ("email", "someone@example.net"),
            ("IP Address", "2001:DB8:0:0:0:0:0:1"),
            ("URI", "spiffe://example/prometheus"),
        )
    }
    for good in ("prometheus.example", "someone@example.net", "2001:db8::1", "spiffe://example/prometheus"):
        assert has_allowed_san(certificate, frozenset({"x", good}))
    for bad in ("example", "prometheus.example.", "2001:db8::2", ""):
        assert not has_allowed_san(certificate, frozenset({bad}))
    assert not has_allowed_san(None, frozenset({"x"}))


# --- passwords


def test_a_password_is_checked_by_bcrypt_once_and_a_wrong_one_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bytes] = []
    check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        checked.append(password)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)

    async def scenario() -> None:
        users, known = Users(), {"alice": HASHED, "carol": HASHED}
        for _ in range(3):
            assert await users.knows(known, "alice", "secret")
        assert len(checked) == 1
        for count, (name, password) in enumerate((("alice", "wrong"), ("bob", "secret"), ("bob", "secret")), 2):
            assert not await users.knows(known, name, password)
            assert len(checked) == count, "a name that is not known costs as much"
        assert await users.knows(known, "carol", "secret")
        assert len(checked) == 5, "what is remembered is of one name"
        other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
        assert not await users.knows({"alice": other}, "alice", "secret"), "and of one hash"
        assert not await users.knows({"carol": HASHED}, "alice", "secret"), "and of a name that is still there"
        assert not any(b"secret" in mark for mark in users._good)
        users.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("password", ["", "secret\0", "s" * 100, "\udcff", "🐎" * 20])
def test_any_password_may_come(password: str) -> None:
    async def scenario() -> None:
        users = Users()
        assert not await users.knows({"alice": HASHED}, "alice", password)
        users.close()

    asyncio.run(scenario())


def test_wrong_passwords_hold_up_nobody_who_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_users, "WAITING", 3)

    async def scenario() -> None:
        users, known = Users(), {"alice": HASHED}
        assert await users.knows(known, "alice", "secret")
        flood = [asyncio.ensure_future(users.knows(known, "alice", str(number))) for number in range(10)]
        await asyncio.sleep(0)
        assert await users.knows(known, "alice", "secret")
        assert sorted(await asyncio.gather(*flood), key=str) == [False] * 3 + [None] * 7
        assert await users.knows(known, "alice", "wrong") is False
        users.close()

    asyncio.run(scenario())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_users, "KEPT", 3)

    async def scenario() -> None:
        users = Users()
        known = {str(number): HASHED for number in range(8)}
        for name in known:
            assert await users.knows(known, name, "secret")
        assert len(users._good) == 3
        users.close()

    asyncio.run(scenario())


def test_a_file_is_read_again_only_when_something_has_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder, f"tls_server_config: {{{PAIR}}}\n")

    async def scenario() -> None:
        security = WebSecurity(str(folder / "web.yml"))
        first = await security.tls()
        assert await security.tls() is first
        os.utime(folder / "server.key", ns=(1, 1))
        second = await security.tls()
        assert second is not first
        assert await security.tls() is second
        (folder / "server.key").chmod(0o640)  # maybe it can be read now; that changes neither its time nor its size
        assert await security.tls() is not second
        security.close()

    asyncio.run(scenario())
