"""Man pages and completions: current, without a fault, and real shells complete with them."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sflow_gmetrics import cli
from sflow_gmetrics.config import Config
from tests import manuals
from tests.test_docs import arguments, config_keys

Programs = Callable[[str], str]
PAGES = [path for path in manuals.FILES if path.parent.name == "man"]
COMPLETIONS = manuals.ROOT / "completions"


@pytest.mark.parametrize("path", manuals.FILES, ids=lambda path: path.name)
def test_a_generated_file_is_current(path: Path) -> None:
    assert path.read_text("utf-8") == manuals.FILES[path](), "run: make docs"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_without_fault(path: Path, require_program: Programs) -> None:
    lint = subprocess.run(
        [require_program("mandoc"), "-T", "lint", "-W", "warning", path], capture_output=True, text=True, check=False
    )
    assert [line for line in lint.stdout.splitlines() if "missing date" not in line] == []
    groff = subprocess.run(
        [require_program("groff"), "-ww", "-man", "-Tutf8", path], capture_output=True, text=True, check=True
    )
    assert groff.stderr == ""


def shown(mandoc: str, name: str) -> str:
    """A page as its reader sees it, without the breaks of lines and words."""
    page = next(path for path in PAGES if path.name == name)
    text = subprocess.run(
        [mandoc, "-T", "ascii", "-O", "width=1000", page], capture_output=True, text=True, check=True
    ).stdout
    return " ".join(re.sub(r".\x08", "", text).split())


def test_the_reader_sees_every_command_and_option(require_program: Programs) -> None:
    page = shown(require_program("mandoc"), "sflow-gmetrics.1")
    for command, what in arguments(cli._parser()):
        assert f" {what or command} " in page, (command, what)


def test_a_default_is_filled_in() -> None:
    assert not [path for path in manuals.FILES if "%(" in path.read_text("utf-8")]


def test_the_reader_sees_every_key_and_its_default(require_program: Programs) -> None:
    page = shown(require_program("mandoc"), "sflow-gmetrics.toml.5")
    for table, key, _ in config_keys(Config):
        assert f" {key} " in page, (table, key)
    assert ' cluster (default: "unspecified") the pool of hosts' in page
    assert r"match = '(.+)@.*\.service' replace = '$1@.service'" in page


@pytest.mark.parametrize(("source", "roff"), [(".dot", "\\&.dot"), ("a\\.b", "a\\(rs.b"), ("'x", "\\(aqx")])
def test_no_text_is_taken_for_a_macro(source: str, roff: str) -> None:
    assert manuals.escape(source) == roff


# --- completions


def typed(shell: Sequence[str], prepare: str, keys: str, wanted: str) -> str:
    """What a shell on a terminal of its own shows, until `wanted` is seen, when these keys are typed."""
    terminal, its_side = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "PS1": "ready> ", "HISTFILE": ""}
    process = subprocess.Popen(
        shell, stdin=its_side, stdout=its_side, stderr=its_side, env=environment, start_new_session=True
    )
    os.close(its_side)
    seen = ""
    try:
        for text, until in ((prepare + "; echo pre''pared\n", "prepared\r\n"), (keys, wanted)):
            seen = ""
            os.write(terminal, text.encode())
            deadline = time.monotonic() + 20
            while until not in seen and time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.2)[0]:
                    seen += os.read(terminal, 4096).decode("utf-8", "replace").replace("\a", "")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return seen


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f"source {COMPLETIONS}/sflow-gmetrics.bash"),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"PS1='ready> '; fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("sflow-gmetrics simu\t", "sflow-gmetrics simulate "),
        ("sflow-gmetrics simulate --inter\t", "simulate --interval"),
        (f"sflow-gmetrics check-config {manuals.ROOT}/CHANGE\t", "/CHANGELOG.md "),
    ],
    ids=["command", "option", "file"],
)
def test_a_shell_completes(shell: str, keys: str, wanted: str, require_program: Programs) -> None:
    require_program(shell)
    command, prepare = SHELLS[shell]
    assert wanted in typed(command, prepare, keys, wanted)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("sflow-gmetrics simu", {"simulate"}),
        ("sflow-gmetrics simulate --inter", {"--interval"}),
        (f"sflow-gmetrics check-config {manuals.ROOT}/CHANGE", {f"{manuals.ROOT}/CHANGELOG.md"}),
    ],
)
def test_fish_completes(line: str, wanted: set[str], tmp_path: Path, require_program: Programs) -> None:
    script = f"source {COMPLETIONS}/sflow-gmetrics.fish; complete -C '{line}'"
    said = subprocess.run(
        [require_program("fish"), "--no-config", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert wanted <= {one.partition("\t")[0] for one in said.stdout.splitlines()}
