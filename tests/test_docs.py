"""The documentation says what the program does: tables, keys, commands, links and examples are checked.

`python -m tests.test_docs --update` renews the generated tables, and with them the man pages and completions.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
import sys
import tomllib
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporters.families import EXTRAS
from exporters.runtime_families import RUNTIME
from exporters.web_config import HEADERS, HttpConfig, RateLimitConfig, TlsConfig, read_web_config
from exporters.web_tls import CLIENT_AUTH, CURVES
from sflow_gmetrics import cli
from sflow_gmetrics.config import Config, parse_config
from sflow_gmetrics.pools import PoolMap, ServiceMap
from sflow_gmetrics.schema import Role, tag_text
from sflow_gmetrics.structures import COUNTER_RECORDS
from sflow_gmetrics.tables import families_table, ganglia_table, structure_rows, structures_table
from tests.mixin.promql import families

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
METRICS = ROOT / "docs" / "metrics.md"
DOCUMENTS = (README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "exporters" / "mixin" / "README.md")


# --- generated tables


def short_structures() -> str:
    """Those that describe somebody: tag, name, whom, and how many metrics and families follow from them."""
    rows = [
        (
            tag_text(tag),
            structure.name,
            structure.role.value,
            str(sum(len(one.ganglia) for one in structure.fields)),
            str(len({one.family.name for one in structure.fields if one.family is not None})),
        )
        for tag, structure in sorted(COUNTER_RECORDS.items())
        if structure.role is not Role.NONE
    ]
    lines = (("tag", "structure", "describes a", "Ganglia metrics", "Prometheus families"), ("---",) * 5, *rows)
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


TABLES: Mapping[tuple[Path, str], Callable[[], str]] = {
    (README, "structures in short"): short_structures,
    (METRICS, "structures"): structures_table,
    (METRICS, "metrics"): ganglia_table,
    (METRICS, "families"): lambda: families_table((*EXTRAS, *RUNTIME)),
}


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- table: {re.escape(name)} -->\n)(.*?)(<!-- end of table -->\n)", re.DOTALL)


def update() -> None:
    """Put the tables as they are now into the documents."""
    for (path, name), table in TABLES.items():
        before, begin, _, end, after = _between(name).split(path.read_text("utf-8"), maxsplit=1)
        path.write_text(f"{before}{begin}{table()}{end}{after}", "utf-8")
    from tests import manuals

    manuals.update()  # they are made of the README


@pytest.mark.parametrize(("path", "name"), TABLES, ids=lambda value: value if isinstance(value, str) else value.stem)
def test_a_generated_table_is_current(path: Path, name: str) -> None:
    found = _between(name).search(path.read_text("utf-8"))
    assert found is not None
    assert found[2] == TABLES[path, name](), "run: python -m tests.test_docs --update"


def test_every_marked_table_is_generated() -> None:
    marked = {(path, name) for path in DOCUMENTS for name in re.findall("<!-- table: (.*?) -->", path.read_text())}
    assert marked == set(TABLES)


def test_the_number_of_structures_is_right() -> None:
    assert f"\n{len(structure_rows())} structures are declared" in README.read_text("utf-8")


# --- parts of a document


def section(heading: str) -> str:
    """The README's text from this heading to the next one of its level."""
    level = heading.partition(" ")[0]
    text = README.read_text("utf-8")
    assert text.count(f"\n{heading}\n") == 1
    return re.split(rf"\n#{{1,{len(level)}}} ", text.partition(f"\n{heading}\n")[2])[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the rows of all tables in a text, headings included."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def blocks(language: str) -> list[str]:
    """The code blocks in a language, of all documents."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [block for path in DOCUMENTS for block in pattern.findall(path.read_text("utf-8"))]


# --- the configuration


def config_keys(wanted: type[Any], place: str = "") -> Iterator[tuple[str, str, Any]]:
    """(table, key, default) of every key; MISSING for one that must be given."""
    hints = typing.get_type_hints(wanted)
    for one in dataclasses.fields(wanted):
        inner = f"{place}.{one.name}".lstrip(".")
        hint = hints[one.name]
        item = typing.get_args(hint)[0] if typing.get_args(hint) else hint
        if dataclasses.is_dataclass(item):
            yield from config_keys(typing.cast("type[Any]", item), f"[{inner}]" if hint is not item else inner)
        if place:
            made = one.default_factory
            yield place, one.name, one.default if made is dataclasses.MISSING else made()


def documented_keys() -> Iterator[tuple[str, str, str]]:
    """(table, key, default in TOML) of every row in the README."""
    text = README.read_text("utf-8").partition("<!-- keys -->\n")[2].partition("<!-- end of keys -->\n")[0]
    for part in re.split(r"^#### ", text, flags=re.MULTILINE)[1:]:
        heading = re.match(r"`\[(.*?)\]`: ", part)
        assert heading is not None, f"a heading names its table: {part.splitlines()[0]}"
        for key, default, meaning in list(rows(part))[1:]:
            assert meaning
            yield heading[1], key.strip("`"), default.strip("`")


def _plain(table: str) -> str:
    return table.replace("[", "").replace("]", "")


def test_every_key_is_documented_and_no_other() -> None:
    documented = [(_plain(table), key) for table, key, _ in documented_keys()]
    assert sorted(documented) == sorted((_plain(table), key) for table, key, _ in config_keys(Config))


def test_every_default_is_documented() -> None:
    defaults = {(_plain(table), key): default for table, key, default in config_keys(Config)}
    for table, key, text in documented_keys():
        default = defaults[_plain(table), key]
        if default is dataclasses.MISSING:
            assert text == "", f"{table}.{key} has no default"
        else:
            value = tomllib.loads(f"key = {text}")["key"]
            assert (tuple(value) if isinstance(value, list) else value) == default, f"{table}.{key}"


def test_a_list_of_tables_is_shown_as_one() -> None:
    lists = {table for table, _, _ in documented_keys() if table.startswith("[")}
    assert lists == {"[pools]", "[services.rewrite]", "[gmetad.sources]", "[remote_write]"}


def test_every_toml_block_is_a_configuration() -> None:
    assert len(blocks("toml")) >= 2
    for block in blocks("toml"):
        parse_config(block)


def test_the_rewrite_example_does_what_is_said() -> None:
    (block,) = (block for block in blocks("toml") if "[[services.rewrite]]" in block)
    services = ServiceMap(parse_config(block).services)
    said = re.search(r"`(\S+)` and `(\S+)` both become `(\S+)`", section("### Pools and services"))
    assert said is not None
    assert services.service_of(said[1]) == services.service_of(said[2]) == said[3]
    assert services.service_of("nginx.service") == "nginx.service"
    assert services.service_of("run-1234.service") is None


def test_the_pools_of_the_example_are_what_they_seem() -> None:
    (block,) = (block for block in blocks("toml") if "[[pools]]" in block)
    config = parse_config(block)
    pools = PoolMap(config.pools, config.gmond.cluster)
    assert pools.pool_of("web-01.example.net", "10.1.0.1") == "web"
    assert pools.pool_of("mysql.example.net", "10.2.3.4") == "db"
    assert pools.pool_of("my-web-01.example.net", "10.1.0.1") == "other"


# --- the commands


def arguments(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, str]]:
    """(command, option with its value, or positional argument) of all that the program takes."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield name, ""
                yield from arguments(inner, name)
        elif action.dest != "help":
            name = action.option_strings[-1] if action.option_strings else ""
            value = action.metavar if isinstance(action.metavar, str) else ""
            yield command, f"{name} {value}".strip()


def test_every_command_and_option_is_documented_and_no_other() -> None:
    documented = [(command.strip("`"), what.strip("`")) for command, what, _ in list(rows(section("## Commands")))[1:]]
    assert len(set(documented)) == len(documented)
    commands = {command for command, _ in documented}
    found = {(command.replace("sflow-gmetrics", ""), what) for command, what in documented}
    expected = set(arguments(cli._parser()))
    assert commands == {"sflow-gmetrics"} | {command for command, _ in expected if command}
    assert {one for one in found if one[1]} == {one for one in expected if one[1]}


def test_every_exit_status_is_documented_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "set_up_log", lambda _config: None)
    found = {cli.main(["metrics"]), cli.main(["check-config", "/nowhere"])}
    with pytest.raises(SystemExit) as usage:
        cli.main([])
    monkeypatch.setattr(cli, "_metrics", interrupted)
    assert usage.value.code == 2
    found |= {2, cli.main(["metrics"])}
    documented = re.findall(r"^- `(\d+)`: ", section("## Commands"), re.MULTILINE)
    assert sorted(map(int, documented)) == sorted(found) == [0, 1, 2, 130]


def shell_commands() -> list[list[str]]:
    """The words of every call of the program in the shell blocks."""
    calls = re.findall(r"(?:^|[|/] ?)sflow-gmetrics (.*?)$", "\n".join(blocks("sh")), re.MULTILINE)
    return [shlex.split(call, comments=True) for call in calls]


def test_the_calls_that_are_shown_are_understood() -> None:
    assert len(shell_commands()) >= 5
    for words in shell_commands():
        cli._parser().parse_args(words)


def test_the_make_targets_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert {"run", "test", "setup"} <= set(shown) <= targets


# --- names


def test_every_family_that_is_named_exists() -> None:
    named = set(re.findall(r"\bsflow_[a-z0-9_]+\b", "\n".join([*blocks("promql"), section("## Limits and sizes")])))
    named |= set(re.findall(r"`(sflow_[a-z0-9_]+)`", README.read_text("utf-8")))
    assert len(named) > 10
    assert named <= families()


def test_the_web_configuration_of_the_example_is_one(tmp_path: Path) -> None:
    (block,) = (block for block in blocks("yaml") if "basic_auth_users" in block)
    (tmp_path / "web.yml").write_text(block, "utf-8")
    found = read_web_config(tmp_path / "web.yml")
    assert found.basic_auth_users
    assert {path.suffix for path in found.files(tmp_path)} == {".crt", ".key"}


def test_every_key_of_the_web_configuration_is_documented() -> None:
    text = section("### Secure the web port")
    keys = [one.name for one in dataclasses.fields(TlsConfig)]
    keys += [f"http_server_config.{one.name}" for one in dataclasses.fields(HttpConfig)]
    keys += [f"rate_limit.{one.name}" for one in dataclasses.fields(RateLimitConfig)]
    for word in (*keys, *HEADERS, *set(CLIENT_AUTH) - {"RequireClientCert"}, *CURVES):
        assert f"`{word}`" in text, word


def test_the_dependencies_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [re.match(r"[\w-]+", one)[0] for one in project["dependencies"]]  # type: ignore[index]
    told = [re.sub(r"\[(.*?)\].*", r"\1", row[0]) for row in list(rows(section("## What it is built on")))[1:]]
    assert told == wanted


# --- links


def _anchors(path: Path) -> set[str]:
    """The fragments of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKS = [(path, link) for path in DOCUMENTS for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8"))]


@pytest.mark.parametrize(("path", "link"), [one for one in LINKS if "://" not in one[1]], ids=str)
def test_a_link_leads_somewhere(path: Path, link: str) -> None:
    name, _, fragment = link.partition("#")
    target = (path.parent / name) if name else path
    assert target.is_file()
    assert target.resolve().is_relative_to(ROOT)
    assert not fragment or fragment in _anchors(target)


def test_every_picture_is_shown_and_has_a_text() -> None:
    shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README.read_text("utf-8"))
    there = {f"docs/{path.name}" for path in (ROOT / "docs").iterdir() if path.suffix in (".png", ".svg")}
    assert {name for _, name in shown} == there
    assert all(len(text.split()) > 3 for text, _ in shown)


def test_a_picture_loads_nothing_from_elsewhere() -> None:
    for path in (ROOT / "docs").glob("*.svg"):
        assert not re.search(r"(?:href|src|url)\s*[=(]\s*[\"']?https?:", path.read_text("utf-8"))


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit("usage: python -m tests.test_docs --update")
    update()
