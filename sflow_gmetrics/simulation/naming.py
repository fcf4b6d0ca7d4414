"""Who is in the fleet: roles, host and service names, addresses, and Host sFlow's rules for identity.

Source: Host sFlow's mod_systemd.c (type-5 UUID) and hsflowd.c (dsIndex by hash).
"""

from __future__ import annotations

import hashlib
import ipaddress
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

FIRST_SERVICE_INDEX = 100_000
SERVICE_INDEXES = 50_000


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of host: its pool's name, its share of the fleet, its main services, its size."""

    name: str
    share: int
    services: tuple[str, ...]
    cpus: tuple[int, ...]
    memory_gib: tuple[int, ...]


ROLES = (
    Role("web", 4, ("nginx", "php8.2-fpm", "varnish"), (2, 4), (4, 8)),
    Role("app", 3, ("app-server", "queue-worker@1", "queue-worker@2"), (4, 8), (8, 16)),
    Role("db", 2, ("postgresql@15-main", "pgbouncer", "walg-archive"), (8, 16), (32, 64)),
    Role("cache", 1, ("redis-server", "memcached"), (2, 4), (16, 32)),
)
COMMON_SERVICES = (
    "ssh",
    "systemd-journald",
    "dbus",
    "cron",
    "rsyslog",
    "hsflowd",
    "chrony",
    "systemd-logind",
    "systemd-udevd",
    "prometheus-node-exporter",
    "unattended-upgrades",
    "polkit",
    "postfix@-",
    "fail2ban",
    r"system-getty\x2dproxy",
)


def service_names(role: Role, count: int) -> list[str]:
    """`count` unit names: the role's own, what every host runs, then numbered batch workers."""
    names = [*role.services, *COMMON_SERVICES]
    names += [f"batch-worker@{number:02d}" for number in range(1, count - len(names) + 1)]
    return [name + ".service" for name in names[:count]]


def host_roles(count: int, roles: tuple[Role, ...] = ROLES) -> list[tuple[Role, int]]:
    """The role and the number within it of each of `count` hosts; every role comes early in the list."""
    turns = [role for turn in range(max(role.share for role in roles)) for role in roles if turn < role.share]
    numbers = dict.fromkeys((role.name for role in roles), 0)
    hosts = []
    for index in range(count):
        role = turns[index % len(turns)]
        numbers[role.name] += 1
        hosts.append((role, numbers[role.name]))
    return hosts


def host_address(pool: int, number: int) -> str:
    """10.<pool>.x.y for the number-th host of a pool, both counted from 1."""
    return str(ipaddress.IPv4Address((10 << 24 | (pool & 0xFF) << 16) + number))


def host_uuid(name: str) -> uuid.UUID:
    """A UUID that stays the same for a host name."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, name)


def service_uuid(host: uuid.UUID, unit: str, address: str) -> uuid.UUID:
    """The UUID that Host sFlow gives to a systemd unit: SHA-1 over host UUID, unit name and agent address."""
    digest = hashlib.sha1(host.bytes + unit.encode() + ipaddress.ip_address(address).packed, usedforsecurity=False)
    return uuid.UUID(bytes=digest.digest()[:16], version=5)


def service_index(service: uuid.UUID, used: Iterable[int]) -> int:
    """The dsIndex of a service: FNV-1a over the UUID's bytes as signed char, the next free one after it."""
    value = 0x811C_9DC5
    for octet in service.bytes:
        signed = octet | (0xFFFF_FF00 if octet & 0x80 else 0)
        value = (value ^ signed) * 0x0100_0193 & 0xFFFF_FFFF
    offset = value % SERVICE_INDEXES
    taken = set(used)
    while FIRST_SERVICE_INDEX + offset in taken:
        offset = (offset + 1) % SERVICE_INDEXES
    return FIRST_SERVICE_INDEX + offset
