"""What of everything a page shows: levels, groups of families, pools, a shard of the hosts, families by name.

A selection is a value; where nothing is chosen, everything is shown. The shards of a
selection share nothing, and together they are the whole.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from sflow_gmetrics.config import GROUPS, WEB_LEVELS, Config


@dataclass(frozen=True, slots=True)
class Selection:
    """Which series are wanted.

    `levels` are those of `WEB_LEVELS`: hosts with their agents and interfaces, services on each
    host, pools, and the collector itself. `groups` are switches of families, `shard` is (number
    from 1, of how many). `pools`, `names` (whole family names), `host` (a host's name) and `agent`
    (its address) are empty for all.
    """

    levels: frozenset[str] = frozenset(WEB_LEVELS)
    groups: frozenset[str] = frozenset(GROUPS)
    pools: frozenset[str] = frozenset()
    shard: tuple[int, int] = (1, 1)
    names: frozenset[str] = frozenset()
    host: str = ""
    agent: str = ""
    began: bool = False
    """Whether it is shown when counters began."""

    @classmethod
    def of(cls, config: Config) -> Selection:
        """What a configuration shows to those who choose nothing."""
        return cls(frozenset(config.web.levels), frozenset(config.web.groups), began=config.web.created_series)

    def wants(self, family: str, group: str = "") -> bool:
        """Whether the family of this name is shown."""
        return (not self.names or family in self.names) and (not group or group in self.groups)

    def wants_some(self, families: frozenset[str]) -> bool:
        """Whether any of the families of these names is shown."""
        return not self.names or not self.names.isdisjoint(families)

    @property
    def wants_collector(self) -> bool:
        """Whether the collector's own families are shown: on the first shard."""
        return "collector" in self.levels and self.shard[0] == 1

    def takes_pool(self, pool: str) -> bool:
        """Whether anything of this pool is shown."""
        return not self.pools or pool in self.pools

    @property
    def one_host(self) -> bool:
        """Whether one host is chosen."""
        return bool(self.host or self.agent)

    @property
    def takes_every_host(self) -> bool:
        """Whether no host of a pool that is shown is left out."""
        return self.shard[1] == 1 and not self.one_host

    def takes_host(self, name: str, address: str) -> bool:
        """Whether a host, which is in a pool that is shown, is shown."""
        return self.in_shard(name) and self.host in ("", name) and self.agent in ("", address)

    def in_shard(self, name: str) -> bool:
        """Whether what has this name is in the shard; the same for ever and everywhere."""
        number, shards = self.shard
        return shards == 1 or zlib.crc32(name.encode("utf-8", "surrogatepass")) % shards == number - 1
