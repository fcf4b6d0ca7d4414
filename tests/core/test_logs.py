"""The log in its three forms: an event is one line that can be read back, whatever is in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sflow_gmetrics import events
from sflow_gmetrics.config import LogConfig, parse_config
from sflow_gmetrics.errors import ConfigError
from sflow_gmetrics.events import EventLog
from sflow_gmetrics.logs import set_up
from tests.e2e.servers import CONFIG, command, environment, running, wait_for

HOSTILE = 'x" y=\\z\n2026-01-01 INFO forged\r\x1b[2J\u2028\x85\udcff é 🐎\0'
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str], form: str, level: str = "info") -> list[str]:
    """What is written of an event, a plain message, a fault and something for developers only."""
    set_up(LogConfig(form, level))
    log = logging.getLogger("sflow_gmetrics")
    EventLog().say(f"agent {HOSTILE}", "new 7", HOSTILE, 3)
    log.debug("for developers only")
    log.error("plain %d", 1)
    try:
        raise RuntimeError("a line\nand another")
    except RuntimeError:
        log.exception("a fault")
    return capsys.readouterr().err.splitlines()


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    event, plain, fault, traceback, *_ = lines(capsys, "text")
    assert re.fullmatch(
        rf"{TIME}[+-]\d{{4}} INFO agent x\" y=\\z\\n2026-01-01 INFO forged.* é 🐎\\x00 \(3 times\)", event
    )
    assert re.fullmatch(rf"{TIME}\S+ ERROR plain 1", plain)
    assert fault.endswith("ERROR a fault")
    assert traceback == "Traceback (most recent call last):"


def logfmt(line: str) -> dict[str, str]:
    """The pairs of a line in logfmt."""
    pair = r'([a-z]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)'
    assert re.fullmatch(rf"{pair}(?: {pair})*", line)
    return {key: json.loads(value) if value.startswith('"') else value for key, value in re.findall(pair, line)}


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_what_programs_read(capsys: pytest.CaptureFixture[str], form: str) -> None:
    found = lines(capsys, form)
    assert len(found) == 3, "one line each"
    event, plain, fault = map(json.loads if form == "json" else logfmt, found)
    for one in (event, plain, fault):
        assert re.fullmatch(rf"{TIME}\.\d{{3}}[+-]\d\d:\d\d", one.pop("time"))
    assert {**event, "count": int(event["count"])} == {
        "level": "info",
        "subject": f"agent {HOSTILE}",
        "event": "new",
        "count": 3,
        "msg": HOSTILE,
    }
    assert plain == {"level": "error", "msg": "plain 1"}
    assert fault["msg"] == "a fault"
    assert fault["error"].startswith("Traceback (most recent call last):\n")


def test_a_level_leaves_out_what_is_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["level"] for one in map(json.loads, lines(capsys, "json", "error"))] == ["error", "error"]
    assert len(lines(capsys, "json", "debug")) == 4


def test_a_form_that_is_not_known_is_named() -> None:
    assert parse_config('[log]\nformat = "json"\nlevel = "debug"\n').log == LogConfig("json", "debug")
    with pytest.raises(ConfigError, match=r"log\.format.*did you mean 'logfmt'"):
        parse_config('[log]\nformat = "logfm"\n')
    with pytest.raises(ConfigError, match=r"log\.level.*did you mean 'warning'"):
        parse_config('[log]\nlevel = "warn"\n')


@pytest.mark.e2e
def test_serve_logs_as_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(f'{CONFIG}[log]\nformat = "json"\n', "utf-8")
    for more, read in (((), json.loads), (("--log-format", "logfmt"), logfmt)):
        arguments = command("serve", "--config", str(file), *more)
        with running(arguments, tmp_path / "serve.log", env=environment()) as program:
            wait_for("the ports", lambda: program.search("landing page on http"))
        found = [read(line) for line in program.said().splitlines()]
        assert found[-1]["msg"] == "ending"
        assert {one["level"] for one in found} == {"info"}


# --- how often


def test_an_event_of_a_subject_is_logged_once_a_minute_and_then_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("sflow_gmetrics.events.time.monotonic", lambda: now)
    log = EventLog()
    assert log.may_say("agent a", "new")
    now += events.INTERVAL / 2
    assert log.may_say("agent b", "new")
    assert log.may_say("agent a", "gone")
    assert not log.may_say("agent a", "new")
    now += events.INTERVAL / 2
    assert log.may_say("agent a", "new")
    assert not log.may_say("agent b", "new")
    for n in range(10 * events.SUBJECTS):
        log.may_say(f"agent {n}", "new")
        assert len(log._logged) <= events.SUBJECTS
    now += events.INTERVAL
    assert log.may_say("agent a", "new")
    assert len(log._logged) == 1
