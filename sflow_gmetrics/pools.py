"""Which pool a host belongs to, what a service is called, and what is left out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

from .config import PoolConfig, ServicesConfig, template
from .layout import Form

OVERFLOW = "_other_"
"""The service of a pool into which those are folded that have no name of their own."""
OTHER = "other"
"""Its kind."""
_CACHE = 100_000


class PoolMap:
    """Hosts to pools: the first rule that matches, else the default."""

    def __init__(self, pools: tuple[PoolConfig, ...], default: str) -> None:
        self.default = default
        self._rules = [
            (
                pool.name,
                re.compile(pool.hosts, re.IGNORECASE) if pool.hosts else None,
                [ipaddress.ip_network(network) for network in pool.addresses],
            )
            for pool in pools
        ]

    def pool_of(self, host: str, address: str) -> str:
        """The pool of a host by its name (matched whole, whatever its case) or agent address."""
        for name, pattern, networks in self._rules:
            if pattern is not None:
                if pattern.fullmatch(host):
                    return name
            elif _within(address, networks):
                return name
        return self.default


def _within(address: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether an address is in one of the networks. A port for IPv6 and IPv4 gives ::ffff:10.0.0.1 for 10.0.0.1."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network or parsed in network for network in networks)


class AllowList:
    """The networks whose agents are heard; no network allows all."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def allows(self, address: str) -> bool:
        """Whether an agent with this address is heard."""
        return not self._networks or _within(address, self._networks)


def trusted(networks: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a peer's address may ask: this machine's always, and those of the networks."""
    allowed = AllowList(("127.0.0.0/8", "::1/128", *networks))
    return allowed.allows


class ServiceMap:
    """Unit names to service names: include, exclude, then every rewrite rule in its order."""

    def __init__(self, config: ServicesConfig) -> None:
        self._include = _any_of(config.include)
        self._exclude = _any_of(config.exclude)
        self._rewrite = [(re.compile(rule.match), template(rule.replace)) for rule in config.rewrite]
        self._names: dict[str, str | None] = {}

    def service_of(self, unit: str) -> str | None:
        """The name under which a unit is shown, None if it is left out."""
        if unit not in self._names:
            if len(self._names) >= _CACHE:
                self._names.clear()
            self._names[unit] = self._map(unit)
        return self._names[unit]

    def _map(self, unit: str) -> str | None:
        if self._include is not None and not self._include.fullmatch(unit):
            return None
        if self._exclude is not None and self._exclude.fullmatch(unit):
            return None
        for pattern, replacement in self._rewrite:
            found = pattern.fullmatch(unit)
            if found:
                unit = found.expand(replacement)
        return unit or None


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None


def kind_of(name: str, form: Form, texts: Mapping[str, str], values: tuple[float, ...]) -> str:
    """What sort of virtual node this is: systemd, container, vm, jvm or app.

    The wire does not say; the records and the name do. hsflowd sends network counters and a
    disk size for machines, network counters alone for containers, neither for services.
    """
    names = {structure.name for structure in form.structures}
    if form.is_jvm:
        return "jvm"
    if name.endswith(".service"):
        return "systemd"
    if "hostname" not in texts or not names & {"virt_cpu", "virt_memory", "virt_disk_io", "virt_net_io"}:
        return "app"
    if name.startswith("k8s_"):
        return "container"
    for one, value in zip(form.fields, values, strict=True):
        if one.name == "capacity" and value:
            return "vm"
    return "container"
