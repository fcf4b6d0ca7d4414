"""check-config: what it says of a good configuration, and what it finds that cannot work on this machine."""

from __future__ import annotations

import select
import socket
from pathlib import Path

import pytest

from tests.core.commands import DEPLOY, address, listener, run
from tests.e2e.servers import serving, wait_for


def test_check_config_says_which_stores_are_written_to(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    table = "[[remote_write]]\nurl = 'http://store:8428/api/v1/write'\nlevels = ['pool']\n"
    file.write_text(table)
    assert "remote write to store:8428 every 10 s: levels pool" in run("check-config", str(file)).stdout
    file.write_text(table + "rename_labels = { pool = 'service' }")
    assert "remote_write (store:8428).rename_labels" in run("check-config", str(file)).stderr


def test_check_config_says_what_the_configuration_means(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        '[sflow]\nlisten = ["127.0.0.1:6343"]\nallow = ["10.0.0.0/8"]\n[gmond]\nlisten = "off"\ncluster = "rest"\n'
        '[web]\nlisten = "127.0.0.1:9343"\n[[pools]]\nname = "web"\nhosts = "web.*"\n'
    )
    result = run("check-config", str(file))
    assert (result.returncode, result.stderr) == (0, "")
    for word in ("127.0.0.1:6343", "10.0.0.0/8", "gmond XML on no port (off)", "127.0.0.1:9343", "web.*", "pool rest"):
        assert word in result.stdout


STORE = "[[remote_write]]\nurl = 'https://store:8428/api/v1/write'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gmond]\nlisten = '0.0.0.0:9343'", "[gmond] listen and [web] listen: 0.0.0.0:9343 and 0.0.0.0:9343"),
        ("[gmond]\nlisten = '127.0.0.1:9343'", "[gmond] listen and [web] listen: 127.0.0.1:9343 and 0.0.0.0:9343"),
        ("[gmetad]\nxml_listen = '[::]:8649'", "[gmond] listen and [gmetad] xml_listen: 0.0.0.0:8649 and [::]:8649"),
        ("[gmetad]\nxml_listen = 'a:1'\ninteractive_listen = 'a:1'", "interactive_listen: a:1 and a:1 cannot both be"),
        ("[web]\nlisten = ['127.0.0.1:1', '127.0.0.1:1']", "[web] listen: 127.0.0.1:1 and 127.0.0.1:1"),
        ("[sflow]\nlisten = [':6343', '127.0.0.1:6343']", "[sflow] listen: 0.0.0.0:6343 and 127.0.0.1:6343"),
        (STORE + "username = 'a'\npassword_file = 'none'", ".password_file: none cannot be read: No such file"),
        (STORE + "bearer_token_file = '.'", "remote_write (store:8428).bearer_token_file: . cannot be read: Is a dir"),
        (STORE + "bearer_token_file = 'lines'", "lines: it must be one line of text"),
        (STORE + "ca_file = 'none'", "remote_write (store:8428).ca_file: none cannot be read"),
        (STORE + "cert_file = 'lines'\nkey_file = 'none'", "(store:8428).key_file: none cannot be read"),
        (STORE + "ca_file = 'lines'", "lines: no good certificate"),
        ("[state]\ndirectory = 'lines'", "[state] directory: lines: lines is a file; name a directory"),
        ("[state]\ndirectory = 'lines/state'", "[state] directory: lines/state: lines is a file"),
    ],
)
def test_check_config_names_what_cannot_work_here(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    (tmp_path / "lines").write_text("two\nlines\n")
    result = run("check-config", "c.toml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert words in line


def test_check_config_has_nothing_against_what_works(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "c.toml").write_text(
        "[sflow]\nlisten = ['0.0.0.0:8649', '[::]:8649']\n[state]\ndirectory = 'state'\n"
        "[web]\nlisten = ['0.0.0.0:9343', '[::]:9343', '127.0.0.1:0', '127.0.0.1:0']\n"
        "[gmetad]\nxml_listen = '127.0.0.1:0'\n" + STORE + "username = 'a'\npassword_file = 'password'\n"
    )
    for file in ("c.toml", DEPLOY / "sflow-gmetrics.toml", DEPLOY / "compose" / "collector.toml"):
        result = run("check-config", str(file), cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, "")


def test_serve_waits_for_a_password_that_check_config_misses(tmp_path: Path) -> None:
    with listener(socket.SOCK_STREAM) as store:
        more = (
            f"[[remote_write]]\nurl = 'http://{address(store)}/'\ninterval = 0.1\nmin_backoff = 0.1\n"
            "max_backoff = 0.1\nusername = 'a'\npassword_file = 'later'\n"
        )
        with serving(tmp_path, more) as ours:
            assert "later cannot be read" in run("check-config", "serve.toml", cwd=tmp_path).stderr
            wait_for("a line about it", lambda: ours.program.search("credentials cannot be read.*No such file"))
            assert not select.select([store], [], [], 0)[0]
            (tmp_path / "later").write_text("secret\n")
            assert select.select([store], [], [], 10)[0]
