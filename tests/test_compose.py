"""The compose file refers to what there is: files, services, ports, images, commands."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import yaml

from sflow_gmetrics import cli
from sflow_gmetrics.config import Config, load_config, split_address

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COLLECTORS = ("collector-1", "collector-2")
KEYS = {"build", "command", "depends_on", "environment", "hostname", "image", "ports", "profiles", "restart", "volumes"}
"""Of what a service is made here, as the Compose specification calls it."""


def _mounts(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted where: place in the container to place outside."""
    pairs = [one.split(":") for one in service.get("volumes", ())]
    return {inside: outside for outside, inside, *_ in pairs}


def test_services_are_of_keys_that_compose_knows() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "volumes"}
    assert set(SERVICES) >= {*COLLECTORS, "victoria-metrics", "grafana"}
    for name, service in SERVICES.items():
        assert set(service) <= KEYS, name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name


def test_every_file_that_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for source in _mounts(service).values():
            if source.startswith("."):
                assert (DEPLOY / source).resolve().exists(), source
            else:
                assert source in COMPOSE["volumes"]
    assert list((DEPLOY / _mounts(SERVICES["grafana"])["/var/lib/grafana/dashboards/sflow"]).glob("*.json"))


def test_images_of_others_have_a_version_and_ours_is_built() -> None:
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    for service in SERVICES.values():
        assert service["image"] in built or service["image"].rpartition(":")[2][0] in "v0123456789"
    build = SERVICES["collector-1"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_no_port_of_the_machine_is_given_away_twice() -> None:
    published = [
        one.rpartition(":")[0] + one.partition("/")[1]
        for service in SERVICES.values()
        for one in service.get("ports", ())
    ]
    assert len(set(published)) == len(published)
    port = split_address(Config().sflow.listen[0])[1]
    assert all(SERVICES[name]["ports"][0].endswith(f":{port}/udp") for name in COLLECTORS)


def test_both_collectors_write_to_the_store_and_grafana_asks_it() -> None:
    assert len({SERVICES[name]["hostname"] for name in COLLECTORS}) == 2
    for name in COLLECTORS:
        (store,) = load_config(DEPLOY / _mounts(SERVICES[name])["/etc/sflow-gmetrics.toml"]).remote_write
        _answers(store.url)
    provided = yaml.safe_load((DEPLOY / "compose" / "datasource.yaml").read_text("utf-8"))
    (source,) = provided["datasources"]
    assert source["type"] == "prometheus"
    _answers(source["url"])
    (provider,) = yaml.safe_load((DEPLOY / "compose" / "dashboards.yaml").read_text("utf-8"))["providers"]
    assert provider["options"]["path"] in _mounts(SERVICES["grafana"])


def _answers(url: str) -> None:
    """A service listens there."""
    parts = urllib.parse.urlsplit(url)
    assert f"-httpListenAddr=:{parts.port}" in SERVICES[str(parts.hostname)]["command"]


def test_the_simulated_fleets_are_sent_to_collectors() -> None:
    fleets = {name: service for name, service in SERVICES.items() if service.get("profiles") == ["demo"]}
    assert len(fleets) == 2
    for service in fleets.values():
        options = cli._parser().parse_args(service["command"])
        host, port = split_address(options.to)
        assert host in COLLECTORS
        assert port == split_address(Config().sflow.listen[0])[1]
