"""What runs the program: systemd units, the user, the image's recipe, and what `make install` puts where."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sflow_gmetrics.activation import PORTS
from sflow_gmetrics.config import Config, load_config

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
SERVICE = DEPLOY / "sflow-gmetrics.service"
SOCKETS = sorted(DEPLOY.glob("*.socket"))
README = (ROOT / "README.md").read_text("utf-8")
GREATEST_EXPOSURE = 2.0
Programs = Callable[[str], str]


def said(*command: object, **options: object) -> str:
    """What a command prints. Fails, with all of it, when the command does."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout
    text: str = done.stdout
    return text


def unit(path: Path) -> configparser.ConfigParser:
    """A unit file; of a key that stands twice the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text("utf-8"))
    return parser


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make install` puts beside the program, below a directory."""
    root = tmp_path_factory.mktemp("root")
    said("make", "--no-print-directory", "-C", ROOT, "install-files", f"DESTDIR={root}", "PREFIX=/usr")
    return root


# --- systemd


def test_the_units_are_good(installed: Path, tmp_path: Path, require_program: Programs) -> None:
    require_program("man")
    units = []
    for path in (installed / "etc/systemd/system").iterdir():
        units.append(tmp_path / path.name)
        units[-1].write_text(path.read_text("utf-8").replace("/usr/bin/sflow-gmetrics", "/bin/true"), "utf-8")
    manuals = {**os.environ, "MANPATH": str(installed / "usr/share/man")}
    assert len(units) == 6
    assert said(require_program("systemd-analyze"), "verify", *units, env=manuals).strip() == ""


def test_a_fault_in_a_unit_would_be_seen(tmp_path: Path, require_program: Programs) -> None:
    wrong = tmp_path / "wrong.service"
    wrong.write_text("[Service]\nExecStart=/bin/true\nProtectSystm=strict\n", "utf-8")
    done = subprocess.run(
        [require_program("systemd-analyze"), "verify", wrong], capture_output=True, text=True, check=False
    )
    assert "ProtectSystm" in done.stderr


def exposure(program: str, path: Path) -> str:
    """The figure of `systemd-analyze security`, between 0 and 10."""
    found = re.search(r"exposure level for \S+: ([\d.]+)", said(program, "security", "--offline=yes", path))
    assert found
    return found[1]


def test_the_service_is_hardened_as_the_readme_says(require_program: Programs) -> None:
    program = require_program("systemd-analyze")
    found = exposure(program, SERVICE)
    assert float(found) < GREATEST_EXPOSURE
    told = re.search(r"exposure of ([\d.]+) \(systemd (\d+)\)", README)
    assert told
    if f"systemd {told[2]} " in said(program, "--version"):  # another version asks for other things
        assert found == told[1]


def test_a_service_that_is_not_hardened_would_be_seen(tmp_path: Path, require_program: Programs) -> None:
    text = SERVICE.read_text("utf-8")
    (tmp_path / SERVICE.name).write_text(re.sub(r"^(Protect|Private|Capab|Restrict).*\n", "", text, flags=re.M))
    assert float(exposure(require_program("systemd-analyze"), tmp_path / SERVICE.name)) > GREATEST_EXPOSURE


def test_systemd_waits_for_ready_watches_and_restarts() -> None:
    service = unit(SERVICE)["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["WatchdogSec"]
    assert service["User"] == service["Group"] == service["StateDirectory"] == "sflow-gmetrics"


def addresses() -> dict[str, str]:
    """Which address each socket unit should have: the default of its key, or gmetad's own number."""
    config = Config()
    return {
        "sflow": config.sflow.listen[0],
        "gmond": config.gmond.listen,
        "gmetad-xml": "0.0.0.0:8651",
        "gmetad-interactive": "0.0.0.0:8652",
        "web": config.web.listen[0],
    }


def test_there_is_a_socket_for_every_port() -> None:
    found = {}
    for path in SOCKETS:
        socket = unit(path)["Socket"]
        name = socket["FileDescriptorName"]
        assert path.name == f"sflow-gmetrics-{name}.socket"
        assert socket["Service"] == SERVICE.name
        found[name] = socket["ListenDatagram" if name == "sflow" else "ListenStream"]
        assert unit(path)["Install"]["WantedBy"] == "sockets.target"
    assert found == addresses()
    assert {name: int(address.rpartition(":")[2]) for name, address in found.items()} == PORTS


def test_the_service_is_stopped_before_a_socket_is_started() -> None:
    started = re.findall(r"^(.*)\n(?=.*enable --now \S+\.socket)", README, re.MULTILINE)
    assert started
    assert set(started) == {f"systemctl stop {SERVICE.name}"}


def test_the_user_of_the_service_can_be_made(tmp_path: Path, require_program: Programs) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a user, even below another directory")
    (tmp_path / "etc").mkdir()
    said(require_program("systemd-sysusers"), f"--root={tmp_path}", DEPLOY / "sflow-gmetrics.sysusers")
    (line,) = (tmp_path / "etc/passwd").read_text("utf-8").splitlines()
    name, _, uid, _, _, home, shell = line.split(":")
    assert (name, home, shell) == ("sflow-gmetrics", "/var/lib/sflow-gmetrics", "/usr/sbin/nologin")
    assert int(uid) != 0


# --- installation


def test_everything_is_installed_where_the_readme_says(installed: Path) -> None:
    there = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    told = set(re.findall(r"^\| `/(?:usr/local/)?(\S+)` \|", README.partition("### Run it as a service")[2], re.M))
    found = {path.removeprefix("usr/") for path in there}
    assert told - {"bin/sflow-gmetrics"} == {
        re.sub(r"sflow-gmetrics-[a-z-]+\.socket", "*.socket", one) for one in found
    }


def test_the_installed_configuration_is_one(installed: Path) -> None:
    load_config(installed / "etc/sflow-gmetrics.toml")


def test_a_configuration_that_is_there_stays(installed: Path) -> None:
    mine = installed / "etc/sflow-gmetrics.toml"
    before = mine.read_text("utf-8")
    mine.write_text(before + "# mine\n", "utf-8")
    said("make", "--no-print-directory", "-C", ROOT, "install-files", f"DESTDIR={installed}", "PREFIX=/usr")
    assert mine.read_text("utf-8").endswith("# mine\n")


def test_the_unit_starts_the_installed_program(installed: Path) -> None:
    words = unit(installed / "etc/systemd/system/sflow-gmetrics.service")["Service"]["ExecStart"].split()
    assert words == ["/usr/bin/sflow-gmetrics", "serve", "--config", "/etc/sflow-gmetrics.toml"]


def test_the_wheel_has_all_that_the_program_reads(tmp_path: Path) -> None:
    said(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "-q", "-w", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    for package in ("sflow_gmetrics", "exporters"):
        files = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.is_file()}
        assert {str(path) for path in files if "__pycache__" not in path.parts} <= packed


def python(place: Path, told: str) -> None:
    """A program that passes for a Python, says that it is at `told`, and makes environments as venv does."""
    place.parent.mkdir(parents=True)
    place.write_text(
        f"""#!/bin/sh
case "$2" in *base_prefix*) echo {told} ;; esac
[ "$2" = venv ] || exit 0
mkdir -p "$3/bin"
[ -L "$3/bin/python" ] || ln -s "$0" "$3/bin/python"
""",
        "utf-8",
    )
    place.chmod(0o755)


def path_with(*places: Path) -> dict[str, str]:
    """An environment in which these directories are searched first."""
    return {**os.environ, "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]])}


@pytest.mark.parametrize("home", ["root", "home", "run/user"])
def test_the_service_gets_no_python_that_is_hidden_from_it(tmp_path: Path, home: str) -> None:
    assert unit(SERVICE)["Service"]["ProtectHome"] == "yes"
    hidden, seen = tmp_path / "hidden/python3", tmp_path / "seen/python3"
    python(hidden, f"/{home}/.pyenv/versions/3.13/bin/python3.13")
    python(seen, f"/opt/{home}/bin/python3")
    environment = path_with(hidden.parent, seen.parent)
    setup = ROOT / "tools/setup-system"
    assert said(setup, "python", env=environment).strip() == str(hidden)
    assert said(setup, "service-python", env=environment).strip() == str(seen)


def test_it_is_said_where_no_python_is_left_for_the_service(tmp_path: Path) -> None:
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        python(tmp_path / name / name, f"/home/somebody/{name}")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "env", "sed"):
        (tools / name).symlink_to(shutil.which(name) or "")
    path = os.pathsep.join(map(str, tmp_path.iterdir()))
    words = [str(tools / "bash"), str(ROOT / "tools/setup-system"), "service-python"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": path})
    assert (done.returncode, done.stdout) == (1, "")
    assert "that a service can run" in done.stderr
    assert "Install one for the whole machine" in done.stderr


def test_an_installation_leaves_the_python_of_the_one_before(tmp_path: Path) -> None:
    new, old = tmp_path / "new/python3", tmp_path / "prefix/lib/sflow-gmetrics/bin/python"
    python(new, "/opt/python")
    old.parent.mkdir(parents=True)
    old.symlink_to(tmp_path / "gone")
    words = ["make", "--no-print-directory", "-C", ROOT, "install", f"DESTDIR={tmp_path}", f"PREFIX={tmp_path}/prefix"]
    said(*words, env=path_with(new.parent))
    assert old.resolve() == new
    assert (tmp_path / "prefix/bin/sflow-gmetrics").readlink() == Path("../lib/sflow-gmetrics/bin/sflow-gmetrics")


# --- the image


def instructions() -> Iterator[tuple[str, str]]:
    """The instructions of the Containerfile: word and arguments."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Containerfile").read_text("utf-8"), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def last(word: str) -> str:
    """The arguments of the last instruction of a kind."""
    return [rest for one, rest in instructions() if one == word][-1]


def test_the_recipe_is_without_fault() -> None:
    assert (
        said(Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", DEPLOY / "Containerfile") == ""
    )


def test_a_fault_in_the_recipe_would_be_seen() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "-"], input="FROM python\nRUN cd /x\n", capture_output=True, text=True, check=False
    )
    assert "DL3006" in done.stdout
    assert done.returncode == 1


def test_what_is_copied_exists_and_is_all_that_a_build_needs() -> None:
    copied = set()
    for word, rest in instructions():
        if word == "COPY" and "--from=" not in rest:
            *sources, _ = rest.split()
            assert all((ROOT / one).exists() for one in sources), rest
            copied |= set(sources)
    assert {"pyproject.toml", "README.md", "LICENSE", "sflow_gmetrics", "exporters"} <= copied


def test_the_image_runs_as_nobody() -> None:
    words = list(instructions())
    assert last("USER") == "65534:65534"
    final = words[max(index for index, (word, _) in enumerate(words) if word == "FROM") :]
    after = final[final.index(("USER", "65534:65534")) + 1 :]
    assert not {"RUN", "COPY", "ADD", "USER"} & {word for word, _ in after}, "nothing is done as root any more"


def test_the_user_of_the_image_can_make_the_directory_of_its_state() -> None:
    directory = Path(load_config(DEPLOY / "sflow-gmetrics.toml").state.directory)
    uid, gid = last("USER").split(":")
    words = list(instructions())
    final = words[max(index for index, (word, _) in enumerate(words) if word == "FROM") :]
    commands = [shlex.split(rest) for word, rest in final if word == "RUN"]
    owner = f"--owner={uid} --group={gid} --mode=750".split()
    assert ["install", "--directory", *owner, str(directory.parent)] in commands  # serve makes what is in it


def test_the_ports_of_the_image_are_the_default_ones() -> None:
    config = load_config(DEPLOY / "sflow-gmetrics.toml")
    web = config.web.listen[0]
    wanted = {f"{one.rpartition(':')[2]}/udp" for one in config.sflow.listen}
    assert set(last("EXPOSE").split()) == wanted | {
        f"{one.rpartition(':')[2]}/tcp" for one in (config.gmond.listen, web)
    }
    assert f":{web.rpartition(':')[2]}/-/healthy" in last("HEALTHCHECK")


def test_the_image_starts_the_program() -> None:
    from sflow_gmetrics import cli

    words = json.loads(last("ENTRYPOINT")) + json.loads(last("CMD"))
    assert words[0] == "sflow-gmetrics"
    options = cli._parser().parse_args(words[1:])
    assert any(
        rest == f"deploy/sflow-gmetrics.toml {options.config}" for word, rest in instructions() if word == "COPY"
    )
    check = shlex.split(last("HEALTHCHECK").partition(" CMD ")[2].strip("[]").replace('", "', '" "'))
    compile(check[2], "HEALTHCHECK", "exec")
