"""Targets for Prometheus' HTTP service discovery: this collector's page in parts, by shard, pool, host or agent.

Each target is this collector under the name by which it was asked; labels that Prometheus gives
a meaning to say which part of it is meant, so that no relabelling is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sflow_gmetrics.errors import QueryError
from sflow_gmetrics.snapshot import Pool, Snapshot

from .query import choose_pools, collect_parameters, parse_shard, single, unknown

Targets = list[dict[str, Any]]
BY = ("shard", "pool", "host", "agent")
PARAMETERS = ("by", "shards", "pool")


def describe_targets(
    parameters: Iterable[tuple[str, str]], snapshot: Snapshot, address: str, secure: bool = False
) -> Targets:
    """The targets as http_sd wants them in JSON; `address` is this collector's. Raises QueryError."""
    given = collect_parameters(parameters, PARAMETERS)
    by = single(given, "by", "one of " + ", ".join(BY))
    if by not in BY:
        raise QueryError(unknown("value", by, f"?by={by}", BY))
    if by != "shard" and "shards" in given:
        raise QueryError("?shards= goes with ?by=shard")
    if by in ("shard", "pool") and "pool" in given:
        raise QueryError("?pool= goes with ?by=host and ?by=agent")
    choose_pools(given, snapshot.config)
    scheme = {"__scheme__": "https"} if secure else {}
    return [{"targets": [address], "labels": scheme | labels} for labels in _LABELS[by](snapshot, given, address)]


def agent_addresses(snapshot: Snapshot) -> frozenset[str]:
    """The addresses of all agents that have a host."""
    return frozenset(host.address for host in snapshot.hosts() if host.address)


def _shards(_snapshot: Snapshot, given: Mapping[str, list[str]], address: str) -> Iterable[dict[str, str]]:
    text = single(given, "shards", "how many parts the page is to have")
    _, shards = parse_shard(f"1/{text}")
    for number in range(1, shards + 1):
        part = f"{number}/{shards}"
        yield {"__param_shard": part, "instance": f"{address} {part}"}


def _pools(snapshot: Snapshot, _given: Mapping[str, list[str]], address: str) -> Iterable[dict[str, str]]:
    """Each pool, and the collector itself."""
    yield {"__param_level": "collector", "instance": address}
    for pool in snapshot.pools:
        yield {"__param_pool": pool.name, "__meta_sflow_pool": pool.name, "instance": f"{address} {pool.name}"}


def _hosts(snapshot: Snapshot, given: Mapping[str, list[str]], _address: str) -> Iterable[dict[str, str]]:
    addresses = agent_addresses(snapshot)
    for pool in _chosen(snapshot, given):
        for host in pool.hosts:
            target = host.address if host.name in addresses else host.name
            yield _probe(target, pool.name, host.name, host.address)


def _agents(snapshot: Snapshot, given: Mapping[str, list[str]], _address: str) -> Iterable[dict[str, str]]:
    for pool in _chosen(snapshot, given):
        for host in pool.hosts:
            if host.address:
                yield _probe(host.address, pool.name, host.name, host.address)


def _chosen(snapshot: Snapshot, given: Mapping[str, list[str]]) -> Sequence[Pool]:
    wanted = choose_pools(given, snapshot.config)
    return [pool for pool in snapshot.pools if not wanted or pool.name in wanted]


def _probe(target: str, pool: str, host: str, agent: str) -> dict[str, str]:
    return {
        "__metrics_path__": "/probe",
        "__param_target": target,
        "__meta_sflow_pool": pool,
        "__meta_sflow_host": host,
        "__meta_sflow_agent": agent,
        "instance": target,
    }


_LABELS = {"shard": _shards, "pool": _pools, "host": _hosts, "agent": _agents}
