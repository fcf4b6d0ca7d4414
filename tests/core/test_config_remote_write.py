"""[[remote_write]]: what can be said of a store, and what is said about mistakes."""

from __future__ import annotations

import pytest

from sflow_gmetrics.config import parse_config
from sflow_gmetrics.errors import ConfigError

STORE = "[[remote_write]]\nurl = 'https://store.example:8428/api/v1/write'\n"


def test_a_url_is_enough() -> None:
    (store,) = parse_config(STORE).remote_write
    assert store.endpoint == "store.example:8428"
    assert store.levels == ("host", "service", "pool", "collector")
    assert (store.external_labels, store.rename_labels, store.headers) == ({}, {}, {})


def test_everything_that_can_be_said_of_a_store() -> None:
    (store, other) = parse_config(
        STORE
        + """
        name = "far"
        interval = 5
        levels = ["pool"]
        groups = ["jvm"]
        include = "sflow_pool_.*"
        external_labels = { region = "eu", instance = "" }
        rename_labels = { pool = "cluster" }
        headers = { X-Scope-OrgID = "tenant" }
        username = "me"
        password_file = "/run/secrets/store"
        ca_file = "/etc/ssl/store.pem"
        cert_file = "/etc/ssl/me.pem"
        [[remote_write]]
        url = "http://[::1]:9090/api/v1/write"
        bearer_token_file = "/run/secrets/token"
        """
    ).remote_write
    assert (store.endpoint, store.interval, store.include) == ("far", 5.0, ("sflow_pool_.*",))
    assert store.external_labels == {"region": "eu", "instance": ""}
    assert other.endpoint == "[::1]:9090"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[remote_write]]", "needs the key 'url'"),
        ("[[remote_write]]\nurl = 'store:9090'", "remote_write[0].url: 'store:9090' is not http://HOST:PORT/PATH"),
        ("[[remote_write]]\nurl = 'ftp://store/'", "is not http://"),
        ("[[remote_write]]\nurl = 'http:///write'", "is not http://"),
        ("[[remote_write]]\nurl = 'http://store:0/'", "is not http://"),
        ("[[remote_write]]\nurl = 'http://store:99999/'", "is not http://"),
        ("[[remote_write]]\nurl = 'http://[::1/'", "is not http://"),
        ("[[remote_write]]\nurl = 'http://me:secret@store/'", "credentials do not stand in the URL"),
        (STORE + STORE, "remote_write[1]: two stores are called 'store.example:8428': give one of them a 'name'"),
        (STORE + "levels = ['pools']", "did you mean 'pool'"),
        (STORE + "groups = ['interfaces']", "did you mean 'interface'"),
        (STORE + "exclude = ['(']", "remote_write[0].exclude"),
        (STORE + "extrenal_labels = {}", "did you mean 'external_labels'"),
        (STORE + "external_labels = ['a']", "external_labels must be a table"),
        (STORE + "external_labels = { region = 1 }", "external_labels.region must be a string"),
        (STORE + "external_labels = { 'a-b' = 'x' }", "'a-b' is no name of a label"),
        (STORE + "external_labels = { __name__ = 'x' }", "'__name__' is no name of a label"),
        (STORE + "rename_labels = { pool = '' }", "'' is no name of a label"),
        (STORE + "rename_labels = { pool = 'a', host = 'a' }", "two labels become 'a'"),
        (STORE + "headers = { 'X Y' = 'a' }", "is no header"),
        (STORE + 'headers = { X = "a\\nb" }', "is no header"),
        (STORE + "headers = { content-type = 'a' }", "is set by remote write itself"),
        (STORE + "headers = { Accept-Encoding = 'a' }", "is set by remote write itself"),
        (STORE + "username = 'me'", "'username' and 'password_file' need each other"),
        (STORE + "password_file = '/x'", "'username' and 'password_file' need each other"),
        (STORE + "username = 'a:b'\npassword_file = '/x'", "has a colon"),
        (STORE + "username = 'me'\npassword_file = '/x'\nbearer_token_file = '/y'", "either 'username' or"),
        (STORE + "bearer_token_file = '/y'\nheaders = { Authorization = 'x' }", "is set from the credentials"),
        (STORE + "key_file = '/x'", "'key_file' needs 'cert_file'"),
        ("[[remote_write]]\nurl = 'http://store/'\ninsecure_skip_verify = true", "needs a url with https"),
        (STORE + "interval = 0", "remote_write[0].interval must be from 0.1"),
        (STORE + "timeout = 0", "remote_write[0].timeout"),
        (STORE + "queue = 0", "remote_write[0].queue"),
        (
            STORE + "queue = 4999",
            "remote_write[0].queue: 4999 has no room for a request of 'max_samples_per_send', 5000",
        ),
        (STORE + "queue = 9\nmax_samples_per_send = 10", "remote_write[0].queue: 9 has no room"),
        (STORE + "max_samples_per_send = 1000000", "remote_write[0].max_samples_per_send"),
        (STORE + "min_backoff = 9\nmax_backoff = 5", "remote_write[0].max_backoff must be from 9"),
    ],
)
def test_a_mistake_is_named_with_its_cure(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(text)
    assert words in str(raised.value)
