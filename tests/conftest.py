"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable

import hypothesis
import pytest

SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "here")


def end_in_order() -> None:
    """End by SIGTERM as by SIGINT, so that the servers that have been started are ended, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_configure() -> None:
    """Before the first test."""
    end_in_order()


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """A function from a program's name to its path, /usr/sbin included.

    Where the program is missing the test is skipped; in CI it fails, for there it must run.
    """

    def find(name: str) -> str:
        path = shutil.which(name, path=SYSTEM_PATH)
        if path is not None:
            return path
        reason = f"{name} is not installed; `tools/setup-system test` installs what the tests start"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return find
