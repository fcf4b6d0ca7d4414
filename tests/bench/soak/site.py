"""All that takes part in a soak: the collector with every output on, and real programs at each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from sflow_gmetrics import Config
from sflow_gmetrics.simulation import pools_toml
from tests.e2e.gmetads import gmetad_of
from tests.e2e.levels import Level, level
from tests.e2e.rrdcached import Daemon, rrdcached
from tests.e2e.servers import HOME, Gmetad, Program, Prometheus, free_port, is_listening, prometheus, running, wait_for
from tests.e2e.stores import victoria_metrics

from .plan import POLL, Plan

ARCHIVE = "AVERAGE:0.5:1:120"
_GMOND = """
globals {{ daemonize = no  setuid = no  send_metadata_interval = 5  override_hostname = "real-gmond" }}
cluster {{ name = "others" }}
udp_send_channel {{ host = 127.0.0.1  port = {udp}  ttl = 1 }}
udp_recv_channel {{ port = {udp}  bind = 127.0.0.1 }}
tcp_accept_channel {{ port = {tcp}  bind = 127.0.0.1 }}
modules {{ module {{ name = "core_metrics" }} }}
collection_group {{ collect_once = yes  time_threshold = 5  metric {{ name = "heartbeat" }} }}
"""
_CONFIG = """
[sflow]
listen = ["{home}:0"]
forget_after = {plan.forget_after}
[gmond]
listen = "{home}:0"
netstat = true
[web]
listen = ["{home}:0"]
groups = ["app", "gpu", "http", "interface", "jvm", "memcached", "netstat", "state", "vdi"]
[log]
format = "json"
[gmetad]
xml_listen = "{home}:0"
interactive_listen = "{home}:0"
grid = "soak"
[[gmetad.sources]]
name = "others"
addresses = ["{home}:{source}"]
interval = {poll}
[rrd]
root = "{folder}/rrds"
rrdcached = "{rrdcached}"
step = 5
write_every = 10
rra = ["{archive}"]
service_rra = ["{archive}"]
[views]
directory = "{folder}/views"
[services]
series = {plan.series}
[[remote_write]]
url = "http://{home}:{store}/api/v1/write"
interval = 2
{pools}
"""


@dataclass(frozen=True)
class Site:
    """The running programs."""

    collector: Level
    gmetad: Gmetad
    prometheus: Prometheus
    store: Prometheus
    rrdcached: Daemon

    @property
    def pid(self) -> int:
        """The collector's process."""
        return self.collector.served.program.process.pid


@contextlib.contextmanager
def site(plan: Plan, folder: Path, find: Callable[[str], str]) -> Iterator[Site]:
    """Start everything; `find` knows where a program is."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        daemon = stack.enter_context(rrdcached(find("rrdcached"), folder, folder / "rrds", write_after=60))
        store = stack.enter_context(victoria_metrics(find("victoria-metrics"), folder / "store", port))
        text = _CONFIG.format(
            home=HOME,
            plan=plan,
            folder=folder,
            rrdcached=daemon.address,
            archive=ARCHIVE,
            source=stack.enter_context(_gmond(find("gmond"), folder)),
            poll=POLL,
            store=port,
            pools=pools_toml(),
        )
        if "state" in {one.name for one in fields(Config)}:
            text += f'[state]\ndirectory = "{folder}/state"\ninterval = 10\n'
        (folder / "views").mkdir()
        collector = stack.enter_context(level(folder / "collector", text))
        sources = {"soak": [collector.served.gmond]}
        above = stack.enter_context(
            gmetad_of(find("gmetad"), folder / "gmetad", sources, step=int(POLL), archives=[ARCHIVE])
        )
        scraper = stack.enter_context(
            prometheus(find("prometheus"), folder, collector.served.web, interval=f"{POLL:g}s")
        )
        yield Site(collector, above, scraper, store, daemon)


@contextlib.contextmanager
def _gmond(path: str, folder: Path) -> Iterator[int]:
    """A gmond of another cluster, and its port."""
    udp, tcp = free_port(), free_port()
    config = folder / "gmond.conf"
    config.write_text(_GMOND.format(udp=udp, tcp=tcp), "ascii")
    with running([path, "-c", str(config)], folder / "gmond.log") as program:
        wait_for("gmond", lambda: _listens(program, tcp))
        yield tcp


def _listens(program: Program, port: int) -> bool:
    return program.runs() and is_listening(port)
