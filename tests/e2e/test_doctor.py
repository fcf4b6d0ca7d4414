"""The doctor before a real instance whose HTTP port is secured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sflow_gmetrics import cli
from tests.e2e.certificates import DAY, Authority
from tests.e2e.servers import wait_for
from tests.e2e.test_web_security import HASHED, PASSWORD, secured, tls, write

pytestmark = pytest.mark.e2e


def test_it_gets_in_with_certificate_and_password_and_says_what_is_wrong_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    authority.sign("server")
    client = authority.sign("client")
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    trust = ["--cacert", str(authority.cert)]
    pair = [*trust, "--cert", str(client.cert), "--key", str(client.key)]
    user = ["--user", "alice", "--password-file", str(tmp_path / "password")]
    wanted = tls("server", "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: authority.crt")
    wanted += f"basic_auth_users:\n  alice: {HASHED}\n"
    with secured(tmp_path, wanted) as (one, file):

        def ask(*options: str) -> str:
            assert cli.main(["doctor", "--json", "--url", one.web, *options]) == 1
            return "\n".join(found["what"] + found["do"] for found in json.loads(capsys.readouterr().out)["findings"])

        assert "is not trusted" in ask()
        assert "--cert FILE --key FILE" in ask(*trust, *user)
        assert "wants a user and a password." in ask(*pair)
        assert "No datagram has come" in ask(*pair, *user)
        write(file, wanted + "nonsense: true\n")
        wait_for(
            "a page that is newer", lambda: "newest web configuration file could not" in ask(*pair, *user), pause=0.3
        )
        write(file, wanted)
        authority.sign("server", valid=-DAY)
        assert "certificate has expired" in ask(*pair, *user)
