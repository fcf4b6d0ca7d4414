"""The configuration: its defaults, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sflow_gmetrics.config import Config, load_config, parse_config, split_address
from sflow_gmetrics.errors import ConfigError


def test_the_defaults_are_those_that_are_promised() -> None:
    config = Config()
    assert config.sflow.listen == ("0.0.0.0:6343",)
    assert config.sflow.receive_buffer == 4_194_304
    assert config.sflow.allow == ()
    assert (config.gmond.listen, config.gmond.cluster) == ("0.0.0.0:8649", "unspecified")
    assert (config.gmond.owner, config.gmond.url, config.gmond.latlong) == ("unspecified",) * 3
    assert config.gmetad.xml_listen == config.gmetad.interactive_listen == ""
    assert (config.rrd.root, config.rrd.step) == ("", 15)
    assert config.web.listen == ("0.0.0.0:9343",)
    assert config.pools == ()
    assert (config.services.include, config.services.exclude, config.services.rewrite) == ((), (), ())
    assert config.services.services_per_host == 500


def test_an_empty_file_is_the_defaults() -> None:
    assert parse_config("") == Config()


def test_everything_that_can_be_said() -> None:
    config = parse_config(
        """
        [sflow]
        listen = ["[::]:6343", "off"]
        allow = ["10.0.0.0/8", "2001:db8::/32"]
        forget_after = 90
        [gmond]
        listen = "off"
        cluster = "my cluster"
        [rrd]
        root = "/tmp/x"
        step = 30
        write_every = 60
        [[pools]]
        name = "web"
        hosts = "web.*"
        [[pools]]
        name = "db"
        addresses = ["10.1.0.0/16"]
        [services]
        include = "ngi.*"
        [[services.rewrite]]
        match = '(.+)@.*'
        replace = "$1"
        """
    )
    assert config.sflow.listen == ("[::]:6343", "off")
    assert config.sflow.forget_after == 90.0
    assert isinstance(config.sflow.forget_after, float)
    assert [pool.name for pool in config.pools] == ["web", "db"]
    assert config.services.include == ("ngi.*",), "one may stand without its list"
    assert config.services.rewrite[0].replace == "$1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sflow]\nlisen = []", ["sflow.lisen", "did you mean 'listen'"]),
        ("[gmnd]", ["gmnd", "did you mean 'gmond'"]),
        ("[gmond]\nclustername = 'x'", ["gmond.clustername", "did you mean 'cluster'"]),
        ("[sflow]\nqqqqq = 1", ["sflow.qqqqq", "known here", "receive_buffer"]),
        ("[[services.rewrite]]\nmatch = 'a'\nreplace = 'b'\nreplce = 'c'", ["replce", "did you mean 'replace'"]),
        ("[[pools]]\nname = 'a'\nhost = 'b'", ["pools[0].host", "did you mean 'hosts'"]),
        ("[web]\ngroups = ['interfaces']", ["interfaces", "did you mean 'interface'"]),
    ],
)
def test_an_unknown_key_names_the_nearest_right_one(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(text)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sflow]\nlisten = 6343", ["sflow.listen", "list", "6343"]),
        ("[sflow]\nlisten = [6343]", ["sflow.listen[0]", "a string", "6343"]),
        ("[sflow]\nreceive_buffer = '4M'", ["sflow.receive_buffer", "a whole number", "'4M'"]),
        ("[sflow]\nreceive_buffer = 1.5", ["sflow.receive_buffer", "a whole number"]),
        ("[sflow]\nforget_after = true", ["sflow.forget_after", "a number", "true or false"]),
        ("[rrd]\nstep = true", ["rrd.step", "a whole number"]),
        ("[gmond]\nnetstat = 1", ["gmond.netstat", "true or false"]),
        ("[gmond]\nnetstat = 'yes'", ["gmond.netstat", "true or false"]),
        ("sflow = 3", ["sflow", "a table"]),
        ("pools = 3", ["pools", "a list"]),
        ("pools = ['web']", ["pools[0]", "a table", "'web'"]),
        ("[[pools]]\nhosts = 'a'", ["pools[0]", "'name'"]),
        ("[[services.rewrite]]\nmatch = 'a'", ["services.rewrite[0]", "'replace'"]),
        ("[services]\ninclude = {}", ["services.include", "a list", "a table"]),
        ("x = ", ["TOML"]),
    ],
)
def test_a_wrong_type_is_named_with_the_right_one(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(text)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "[sflow]\nlisten = ['localhost']",
        "[sflow]\nlisten = ['1.2.3.4:99999']",
        "[sflow]\nlisten = ['1.2.3.4:-1']",
        "[sflow]\nlisten = ['1.2.3.4:٣']",
        "[gmond]\nlisten = '::1:8649'",
        "[web]\nlisten = 'on'",
        "[gmetad]\nxml_listen = '8651'",
        "[gmetad]\ninteractive_listen = 'x:'",
        "[sflow]\nallow = ['10.0.0.1/8']",
        "[sflow]\nallow = ['10.0.0.0/33']",
        "[sflow]\nallow = ['everyone']",
        "[sflow]\nreceive_buffer = 1",
        "[sflow]\nforget_after = 0",
        "[sflow]\nforget_after = nan",
        "[sflow]\nforget_after = inf",
        "[sflow]\nagents = 0",
        "[rrd]\nstep = 0",
        "[services]\nservices_per_host = 0",
        "[services]\ninclude = ['(']",
        "[services]\nexclude = ['*']",
        "[[services.rewrite]]\nmatch = '['\nreplace = 'a'",
        "[[services.rewrite]]\nmatch = 'a(b)'\nreplace = '$2'",
        "[[pools]]\nname = 'a'",
        "[[pools]]\nname = 'a'\nhosts = 'b'\naddresses = ['10.0.0.0/8']",
        "[[pools]]\nname = 'a'\nhosts = 'b('",
        "[[pools]]\nname = 'a'\naddresses = ['10.0.0.1/8']",
        "[[pools]]\nname = ''\nhosts = 'b'",
        "[[pools]]\nname = '../x'\nhosts = 'b'",
        "[[pools]]\nname = 'a/b'\nhosts = 'b'",
        "[[pools]]\nname = 'a..b'\nhosts = 'b'",
        "[[pools]]\nname = '__SummaryInfo__'\nhosts = 'b'",
        "[[pools]]\nname = 'a\"b'\nhosts = 'b'",
        "[[pools]]\nname = 'é'\nhosts = 'b'",
        "[gmond]\ncluster = 'a/b'",
        "[gmond]\ncluster = ''",
        "[gmond]\ncluster = '..'",
        "[gmetad]\ngrid = 'a/b'",
        "[[gmetad.sources]]\nname = 'a'\naddresses = []",
        "[[gmetad.sources]]\nname = 'a'\naddresses = ['off']",
        "[[gmetad.sources]]\nname = 'a'\naddresses = ['']",
        "[[gmetad.sources]]\nname = 'a'\naddresses = ['127.0.0.1:8649', 'off']",
        "[[gmetad.sources]]\nname = 'a/b'\naddresses = ['127.0.0.1:8649']",
        "[[gmetad.sources]]\nname = 'a'\naddresses = ['127.0.0.1:8649']\ninterval = 0",
    ],
)
def test_a_bad_value_is_an_error_that_names_its_key(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(text)
    section = text.split("]")[0].strip("[")
    assert section.split(".")[0] in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sflow.agents = " + "9" * 400, "sflow.agents is too large"),
        ("sflow.forget_after = " + "9" * 400, "sflow.forget_after is too large"),
        ("gmond.cluster = 0x" + "f" * 4000, "gmond.cluster is too large"),
        ("sflow.agents = " + "9" * 5000, "not TOML"),
        ("pools = " + "[" * 5000, "nested too deeply"),
        ("services.rewrite = [{ match = 'a', replace = '$" + "9" * 5000 + "' }]", "has 0 groups"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_huge_is_an_error_too(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text)


@pytest.mark.parametrize("host", ["collector..example.net", ".example", "x" * 64])
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sflow.listen = ['{}']", r"sflow\.listen\[0\]"),
        ("gmond.listen = '{}'", r"gmond\.listen"),
        ("web.listen = ['off', '{}']", r"web\.listen\[1\]"),
        ("gmetad.xml_listen = '{}'", r"gmetad\.xml_listen"),
        ("[[gmetad.sources]]\nname = 'far'\naddresses = ['{}']", r"gmetad\.sources \('far'\): addresses"),
        ("rrd.rrdcached = '{}'", r"rrd\.rrdcached"),
    ],
)
def test_a_host_name_that_cannot_be_is_an_error(text: str, key: str, host: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: '{host}:1': no host can have this name, between its dots are"):
        parse_config(text.format(f"{host}:1"))


@pytest.mark.parametrize("address", ["off", ""])
def test_a_source_cannot_be_off(address: str) -> None:
    with pytest.raises(ConfigError, match=rf"gmetad\.sources \('far'\): addresses: '{address}' is not HOST:PORT"):
        parse_config(f"[[gmetad.sources]]\nname = 'far'\naddresses = ['{address}']")
    assert parse_config("[gmetad]\nxml_listen = 'off'").gmetad.xml_listen == "off"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("127.0.0.1:8649", ("127.0.0.1", 8649)),
        ("[::1]:0", ("::1", 0)),
        (":9343", ("0.0.0.0", 9343)),
        ("host.example:65535", ("host.example", 65_535)),
        ("host_1.exämple.:1", ("host_1.exämple.", 1)),
    ],
)
def test_addresses(value: str, expected: tuple[str, int]) -> None:
    assert split_address(value) == expected


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[sflow]\nlisen = 1\n", "utf-8")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9\n")
    for path in (bad, latin, tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError, match=path.name):
            load_config(path)
    good = tmp_path / "good.toml"
    good.write_text("[gmond]\ncluster = 'x'\n", "utf-8")
    assert load_config(good).gmond.cluster == "x"
