"""Debian's ganglia-web for tests: a mended copy under PHP's own web server, set up with what is in ganglia/conf."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.servers import HOME, ROOT, Program, free_port, is_listening, running, wait_for

PACKAGED = Path("/usr/share/ganglia-webfrontend")
CONF = ROOT / "ganglia" / "conf"
WORKERS = 3
PNG = b"\x89PNG\r\n\x1a\n"
_GRAPH = re.compile(r"""<img[^>]*?src=["']([^"'>]*?(?:graph|stacked)\.php\?[^"'>]*)["']""", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What the web server said to a request."""

    url: str
    status: int
    type: str
    body: bytes

    @property
    def is_graph(self) -> bool:
        """Whether it is a picture with something on it."""
        return self.status == 200 and self.type == "image/png" and self.body.startswith(PNG) and len(self.body) > 2000


@dataclass(frozen=True)
class GangliaWeb:
    """A running ganglia-web."""

    program: Program
    url: str
    errors: Path

    def get(self, url: str) -> Answer:
        """Any URL of it, also one that fails."""
        url = urllib.parse.urljoin(self.url, url)
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return Answer(url, answer.status, answer.headers.get_content_type(), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(url, error.code, error.headers.get_content_type(), error.read())

    def page(self, **query: str) -> str:
        """A page. Fails where it is not whole, or says that something is wrong."""
        answer = self.get("?" + urllib.parse.urlencode(query))
        text = answer.body.decode("utf-8", "replace")
        assert answer.status == 200, (answer.url, answer.status)
        assert text.rstrip().endswith("</html>"), (answer.url, text[-500:])
        wrong = re.search("Fatal error|There was an error collecting|cannot find a data|Errors were", text)
        assert not wrong, (answer.url, wrong)
        return text

    def graphs_on(self, page: str) -> list[str]:
        """The URLs of the graphs that a page shows."""
        found = {url.replace("&amp;", "&").replace(" ", "%20") for url in _GRAPH.findall(page)}
        return sorted(urllib.parse.urljoin(self.url, url) for url in found)

    def get_all(self, urls: list[str]) -> list[Answer]:
        """The answers to many URLs, as many at a time as there are workers."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(self.get, urls))

    def numbers(self, url: str) -> dict[str, list[float]]:
        """The known values of each line of a graph; none where it has no data yet, which makes PHP fail."""
        answer = self.get(f"{url}&json=1")
        lines = json.loads(answer.body) or [] if answer.status == 200 else []
        return {
            line["metric_name"].strip(): [
                point[0] for point in line.get("datapoints", ()) if isinstance(point[0], (int, float))
            ]
            for line in lines
        }

    def php_errors(self) -> list[str]:
        """What PHP has found fatal, apart from numbers of a graph without data."""
        found = re.findall(r".*PHP (?:Fatal|Parse) error.*", self.errors.read_text("utf-8", "replace"))
        return [one for one in found if "member function count() on null" not in one]


def mended_copy(root: Path) -> Path:
    """Make the copy, with the reports of ganglia/conf in it, and a web root around it; the result is its graph.d."""
    target = root / "ganglia"
    root.mkdir()
    subprocess.run([sys.executable, CONF / "mend_ganglia_web.py", PACKAGED, target], check=True)
    (root / "javascript").symlink_to("/usr/share/javascript")
    for report in (CONF / "graph.d").iterdir():
        shutil.copy(report, target / "graph.d")
    packaged = (target / "conf.php").read_text()
    assert '"/etc/ganglia-webfrontend/conf.php"' in packaged
    (target / "conf.php").write_text(packaged.replace('"/etc/ganglia-webfrontend/conf.php"', "getenv('SITE_CONF')"))
    return target / "graph.d"


def _site(folder: Path, conf: str, settings: dict[str, object]) -> Path:
    """A site's conf.php: the lines of a file in ganglia/conf, and what is different here."""
    for place in ("conf", "dwoo/compiled", "dwoo/cache", "sessions"):
        (folder / place).mkdir(parents=True)
    shutil.copy(CONF / "default.json", folder / "conf")
    (folder / "conf" / "event_color.json").write_text("[]")
    (folder / "conf" / "events.json").write_text("[]")
    here = {
        "conf_dir": folder / "conf",
        "overlay_events_file": folder / "conf/events.json",
        "overlay_events_color_map_file": folder / "conf/event_color.json",
        "dwoo_compiled_dir": folder / "dwoo/compiled",
        "dwoo_cache_dir": folder / "dwoo/cache",
        "cachefile": folder / "dwoo/ganglia_metrics.cache",
        "cachetime": 2,
        "ganglia_ip": HOME,
        **settings,
    }
    lines = [f"$conf['{key}'] = {json.dumps(value, default=str)};" for key, value in here.items()]
    file = folder / "site.php"
    file.write_text("\n".join([(CONF / conf).read_text(), *lines, ""]))
    return file


@contextlib.contextmanager
def ganglia_web(php: str, root: Path, folder: Path, conf: str, **settings: object) -> Iterator[GangliaWeb]:
    """ganglia-web from a `mended_copy`, with the lines of `conf`, a file in ganglia/conf; `settings` go over them."""
    port = free_port()
    site = _site(folder, conf, settings)
    errors = folder / "php.log"
    errors.touch()
    options = {
        "display_errors": "0",
        "log_errors": "1",
        "error_log": str(errors),
        "error_reporting": "1",
        "memory_limit": "512M",
        "session.save_path": str(folder / "sessions"),
        "date.timezone": "UTC",
    }
    arguments = [php, *(f"-d{key}={value}" for key, value in options.items()), "-S", f"{HOME}:{port}", "-t", str(root)]
    environment = {**os.environ, "PHP_CLI_SERVER_WORKERS": str(WORKERS), "SITE_CONF": str(site)}
    with running(arguments, folder / "web.log", env=environment, start_new_session=True) as program:
        try:
            wait_for("ganglia-web", lambda: program.runs() and is_listening(port))
            yield GangliaWeb(program, f"http://{HOME}:{port}/ganglia/", errors)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.process.pid, signal.SIGTERM)  # the workers do not end with the first process
