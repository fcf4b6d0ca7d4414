"""The commands: each prints what it does, and ends with 0, 1 and one clear line on stderr, or 2 and the usage."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.families import EXTRAS
from exporters.runtime_families import RUNTIME
from exporters.view_files import write_views

from . import __version__
from .app import App, serve
from .config import OFF, Config, LogConfig, load_config, parse_config, split_address
from .config_check import LOG_FORMATS, LOG_LEVELS
from .datagram import decode_datagram
from .demo import CONFIG as DEMO_CONFIG
from .demo import Demo
from .doctor import PROBLEM, Target, report, report_json, visit
from .errors import ConfigError, DecodeError, InputError, SflowGmetricsError
from .inputs.pcap import read_capture
from .inspect import datagram_json
from .logs import set_up as set_up_log
from .ports import Listening, join_address
from .reload import Read
from .replay import open_sender, replay
from .simulation.fleet import Churn, pools_toml
from .simulation.sender import run as run_fleet
from .sizing import describe_files
from .tables import metrics_text
from .trial import try_config

log = logging.getLogger("sflow_gmetrics")


_NO_MORE_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write to standard output can end with, through no fault of ours."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is the result."""
    options = _parser().parse_args(arguments)
    set_up_log(LogConfig())
    try:
        status: int = options.run(options)
        print(end="", flush=True)
    except SflowGmetricsError as error:
        print(f"sflow-gmetrics: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _NO_MORE_OUTPUT:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0
        print(f"sflow-gmetrics: standard output: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sflow-gmetrics",
        description="Collects sFlow from Host sFlow agents and shows hosts and services to Ganglia and Prometheus.",
        epilog="'sflow-gmetrics COMMAND --help' tells what a command takes.",
    )
    parser.add_argument("--version", action="version", version=f"sflow-gmetrics {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        one.set_defaults(run=run)
        return one

    one = command("serve", _serve, "receive sFlow and serve gmond XML and the Prometheus page")
    one.add_argument("--config", metavar="FILE", help="the configuration, in TOML (default: every key's default)")
    one.add_argument("--demo", action="store_true", help="replay a recording of real agents into our own port")
    one.add_argument("--log-format", metavar="FORMAT", choices=LOG_FORMATS, help=f"{', '.join(LOG_FORMATS)}")
    one.add_argument("--log-level", metavar="LEVEL", choices=LOG_LEVELS, help=f"{', '.join(LOG_LEVELS)}")

    one = command("decode", _decode, "print a capture as JSON, one object a datagram")
    one.add_argument("file", metavar="FILE.pcap", help="pcap or pcapng, also gzipped; - is standard input")
    _add_port(one)

    one = command("replay", _replay, "send the datagrams of a capture to a collector")
    one.add_argument("file", metavar="FILE.pcap", help="pcap or pcapng, also gzipped; - is standard input")
    one.add_argument("--to", metavar="HOST:PORT", required=True, help="where to send them")
    one.add_argument(
        "--speed", metavar="N", type=_speed, default=1.0, help="N times as fast as recorded; 'max': at once"
    )
    one.add_argument("--loop", action="store_true", help="begin again at the end, until interrupted")
    _add_port(one)

    one = command("simulate", _simulate, "send what a fleet of hosts with services would send")
    one.add_argument("--to", metavar="HOST:PORT", help="where to send it")
    one.add_argument("--hosts", metavar="N", type=_positive, default=10, help="how many hosts (default: 10)")
    one.add_argument("--services", metavar="M", type=_positive, default=20, help="services a host (default: 20)")
    one.add_argument("--interval", metavar="S", type=_seconds, default=20.0, help="polling interval in s (default: 20)")
    one.add_argument("--duration", metavar="S", type=_seconds, default=math.inf, help="end after S seconds")
    one.add_argument("--seed", metavar="N", type=int, default=1, help="another fleet (default: 1)")
    one.add_argument("--restarts", metavar="R", type=_rate, default=0.0, help="restarts a service and hour")
    one.add_argument("--failures", metavar="R", type=_rate, default=0.0, help="stops a service and hour, hosts leaving")
    one.add_argument("--pools", action="store_true", help="only print the [[pools]] that fit the fleet's host names")

    one = command("check-config", _check_config, "check a configuration and say what it means")
    one.add_argument("file", metavar="FILE", help="the configuration, in TOML")
    one.add_argument("--hosts", metavar="N", type=_positive, default=100, help="the fleet: hosts (default: 100)")
    one.add_argument("--services", metavar="M", type=_positive, default=50, help="services a host (default: 50)")

    one = command("views", _views, "write views and reports for ganglia-web about the services that are there")
    one.add_argument("--output", metavar="DIR", required=True, help="ganglia-web's views directory")
    one.add_argument("--reports", metavar="DIR", help="its graph.d (default: graph.d below the output directory)")
    one.add_argument(
        "--from", dest="source", metavar="URL", default="http://127.0.0.1:9343", help="a running instance's [web] port"
    )
    _add_access(one)

    one = command("doctor", _doctor, "ask a running instance what is wrong, and say what to do")
    one.add_argument(
        "--url", metavar="URL", default="http://127.0.0.1:9343", help="its [web] port (default: %(default)s)"
    )
    _add_access(one)
    one.add_argument("--json", action="store_true", help="the findings as JSON")

    command("metrics", _metrics, "list every structure, Ganglia metric and Prometheus family")
    return parser


def _add_access(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user", metavar="NAME", default="", help="as whom to ask; the URL may hold USER:PASSWORD@ instead"
    )
    parser.add_argument("--password-file", metavar="FILE", default="", help="the file with the password")
    parser.add_argument(
        "--cacert", metavar="FILE", default="", help="the authority that signed its certificate, in PEM"
    )
    parser.add_argument("--cert", metavar="FILE", default="", help="a client certificate, where it wants one")
    parser.add_argument("--key", metavar="FILE", default="", help="and its key")


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        metavar="P",
        type=int,
        default=6343,
        help="the UDP port that is sFlow's; 0: every port (default: 6343)",
    )


# --- arguments


def _number(text: str, least: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _speed(text: str) -> float:
    return 0.0 if text == "max" else _number(text, 1e-6, "a number above 0, or 'max'")


def _seconds(text: str) -> float:
    return _number(text, 1e-3, "a number of seconds above 0")


def _rate(text: str) -> float:
    return _number(text, 0.0, "a number of events an hour")


def _positive(text: str) -> int:
    value = _number(text, 1, "a whole number above 0")
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(value)


# --- commands


def _serve(options: argparse.Namespace) -> int:
    def read() -> Config:
        if options.config:
            config = load_config(options.config)
        else:
            config = _free_ports(parse_config(DEMO_CONFIG)) if options.demo else Config()
        log_format, level = options.log_format or config.log.format, options.log_level or config.log.level
        return replace(config, log=LogConfig(log_format, level))

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # it waits until the program can read its file again
    config = read()
    set_up_log(config.log)
    if options.demo:
        return _demo(config, read if options.config else None)
    serve(config, read=read if options.config else None)
    return 0


def _free_ports(config: Config) -> Config:
    """The demonstration's ports, or others where they are taken."""
    from .inputs.ports import port_or_free

    return replace(
        config,
        sflow=replace(config.sflow, listen=tuple(port_or_free(one, udp=True) for one in config.sflow.listen)),
        gmond=replace(config.gmond, listen=port_or_free(config.gmond.listen)),
        web=replace(config.web, listen=tuple(map(port_or_free, config.web.listen))),
    )


def _demo(config: Config, read: Read | None) -> int:
    from rich.console import Console

    from .live import LiveTable

    if all(address in OFF for address in config.sflow.listen):
        raise InputError("--demo: [sflow] listen is off, so there is nowhere to replay to")
    app = App(config, read=read)
    running: list[Any] = []
    console = Console()

    def started(listening: Listening) -> None:
        head = describe(listening)
        demo = Demo(*listening.sflow[0])
        demo.start()
        running.append(demo)
        if console.is_terminal:
            logging.getLogger().setLevel(logging.WARNING)
            table = LiveTable(app.snapshot, head, console)
            table.start()
            running.append(table)
        else:
            print(head, flush=True)

    try:
        app.run(started)
    finally:
        for one in running:
            one.stop()
    return 0


def describe(listening: Listening) -> str:
    """What runs where, for a person."""
    lines = ["sflow_gmetrics is replaying a recording of real Host sFlow agents to itself.", ""]
    if listening.web is not None:
        page = f"{listening.scheme}://{_reachable(*listening.web)}"
        lines += [f"  landing page     {page}/", f"  Prometheus page  {page}/metrics"]
    if listening.gmond is not None:
        host, _, port = _reachable(*listening.gmond).rpartition(":")
        lines.append(f"  gmond XML        TCP {host}:{port}   (look: nc {host.strip('[]')} {port} | less)")
    lines += [f"  sFlow            UDP {_reachable(host, port)}" for host, port in listening.sflow]
    return "\n".join(lines) + "\n"


def _reachable(host: str, port: int) -> str:
    return join_address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


def _decode(options: argparse.Namespace) -> int:
    status = count = 0
    for packet in read_capture(options.file, options.port or None):
        count += 1
        try:
            print(json.dumps(datagram_json(decode_datagram(packet.payload))))
        except DecodeError as error:
            print(f"sflow-gmetrics: a datagram of {packet.time:.6f} from {packet.source}: {error}", file=sys.stderr)
            status = 1
    _say_nothing_found(options, count)
    return status


def _say_nothing_found(options: argparse.Namespace, count: int) -> None:
    if not count and options.port:
        text = f"no datagram to UDP port {options.port}; --port 0 takes every port"
        print(f"sflow-gmetrics: {options.file}: {text}", file=sys.stderr)


def _replay(options: argparse.Namespace) -> int:
    packets = read_capture(options.file, options.port or None)
    with open_sender(*_target(options.to)) as sender:
        with contextlib.suppress(KeyboardInterrupt):
            replay(packets, sender.send, speed=options.speed, loop=options.loop)
        _say_nothing_found(options, sender.sent + sender.errors)
        print(f"{sender.sent} datagrams sent, {sender.errors} refused", file=sys.stderr)
    return 0


def _target(text: str) -> tuple[str, int]:
    try:
        host, port = split_address(text)
    except ConfigError as error:
        raise InputError(f"--to: {error}") from None
    return host, port


def _simulate(options: argparse.Namespace) -> int:
    if options.pools:
        print(pools_toml())
        return 0
    if options.to is None:
        raise InputError("--to: say where to send, as in --to 127.0.0.1:6343")
    host, port = _target(options.to)
    churn = Churn(restarts=options.restarts, failures=options.failures)
    with contextlib.suppress(KeyboardInterrupt):
        run_fleet(
            host,
            port,
            hosts=options.hosts,
            services=options.services,
            interval=options.interval,
            seed=options.seed,
            churn=churn,
            duration=options.duration,
        )
    return 0


def _check_config(options: argparse.Namespace) -> int:
    config = load_config(options.file)
    try_config(config)
    print(f"{options.file} is a good configuration.")
    listen = ", ".join(one for one in config.sflow.listen if one not in OFF) or "nowhere"
    print(f"  sFlow from UDP {listen}" + (f", agents of {', '.join(config.sflow.allow)}" if config.sflow.allow else ""))
    print(f"  gmond XML on {_where((config.gmond.listen,))}, metrics on {_where(config.web.listen)}")
    for pool in config.pools:
        rule = f"hosts whose name is {pool.hosts}" if pool.hosts else f"agents of {', '.join(pool.addresses)}"
        print(f"  pool {pool.name}: {rule}")
    print(f"  all other hosts: pool {config.gmond.cluster}")
    for store in config.remote_write:
        print(f"  remote write to {store.endpoint} every {store.interval:g} s: levels {', '.join(store.levels)}")
    if config.rrd.root:
        print(describe_files(config, options.hosts, options.services))
    return 0


def _views(options: argparse.Namespace) -> int:
    target = _instance(options, options.source, "--from")
    try:
        files = {name: text.encode("utf-8") for name, text in json.loads(target.fetch("/-/views")[0]).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"--from: {target.url}/-/views: {error}; is 'sflow-gmetrics serve' running there?") from None
    reports = options.reports or os.path.join(options.output, "graph.d")
    changed = write_views(files, Path(options.output), Path(reports))
    print(f"{len(files)} views and reports in {options.output} and {reports}, {changed} of them new or changed")
    return 0


def _instance(options: argparse.Namespace, url: str, option: str) -> Target:
    """A running instance, and how to get in there."""
    return Target.of(
        url,
        options.user,
        options.password_file,
        cacert=options.cacert,
        cert=options.cert,
        key=options.key,
        option=option,
    )


def _doctor(options: argparse.Namespace) -> int:
    about, found = visit(_instance(options, options.url, "--url"))
    print((report_json if options.json else report)(about, found))
    return int(any(one.severity == PROBLEM for one in found))


def _where(listen: tuple[str, ...]) -> str:
    addresses = [one for one in listen if one not in OFF]
    return f"TCP {', '.join(addresses)}" if addresses else "no port (off)"


def _metrics(_options: argparse.Namespace) -> int:
    print(metrics_text((*EXTRAS, *RUNTIME)))
    return 0
