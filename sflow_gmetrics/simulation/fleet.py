"""The fleet: agents, when each of them is due, and what goes wrong on the way."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .agent import GIB, Agent
from .ledger import Ledger
from .load import PEAK, random_load
from .naming import ROLES, Role, host_address, host_roles, host_uuid, service_index, service_names, service_uuid
from .service import Profile, Service

OS_RELEASE = "6.1.0-28-amd64"
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Churn:
    """How often things happen by chance, each time per hour.

    `restarts`: a service restarts quickly, and an agent restarts. `failures`: a service stops,
    and a host goes away, in both cases for about `outage` seconds. `renewals`: a host goes for
    good, and another one takes its place, with a name, an address and a service of its own.
    """

    restarts: float = 0.0
    failures: float = 0.0
    outage: float = 120.0
    renewals: float = 0.0


class Fleet:
    """`hosts` agents with `services` each, which poll every `interval` seconds from `start` on.

    The same arguments give the same datagrams at the same times, however the calls of
    `datagrams` divide the time. `ledger` holds the true work by pool and service name; the
    pool of a host is its role, the part of its name before the dash.
    """

    def __init__(
        self,
        hosts: int,
        services: int,
        interval: float = 20.0,
        *,
        seed: int = 1,
        start: float = 0.0,
        churn: Churn | None = None,
        roles: Sequence[Role] = ROLES,
    ) -> None:
        if hosts < 1 or services < 0 or interval <= 0:
            raise ValueError(f"no fleet of {hosts} hosts with {services} services every {interval} s")
        self.interval = interval
        self.start = start
        self.now = start
        self.churn = churn or Churn()
        self.ledger = Ledger()
        self._ticks = max(1, round(interval))
        self._step = interval / self._ticks
        self._rngs: list[random.Random] = []
        self._returns: list[dict[Service | None, float]] = []
        self._due: list[tuple[float, int, int]] = []
        self._agents: list[Agent] = []
        self._roles = {role.name: role for role in roles}
        self.numbers = dict.fromkeys(self._roles, 0)
        """How many hosts of each role there have been."""
        self._services = services
        for index, (role, number) in enumerate(host_roles(hosts, tuple(roles))):
            rng = random.Random(f"{seed} {index}")
            self._rngs.append(rng)
            self.numbers[role.name] = number
            self._agents.append(self._agent(rng, role, number, service_names(role, services)))
            self._returns.append({})
            self._due.append((rng.uniform(0, self._step), index, 0))
        heapq.heapify(self._due)
        self._by_name = {agent.name: agent for agent in self._agents}

    @property
    def agents(self) -> Sequence[Agent]:
        """The hosts, in the order of their making."""
        return self._agents

    @property
    def next_due(self) -> float:
        """When `datagrams` will have something new at the earliest."""
        return self.start + self._due[0][0]

    def _agent(self, rng: random.Random, role: Role, number: int, units: list[str], at: float = 0.0) -> Agent:
        """A host that joins the fleet `at` this second, and has run for long."""
        pool = list(self._roles).index(role.name) + 1
        name, address = f"{role.name}-{number:03d}", host_address(pool, number)
        cpus, memory = rng.choice(role.cpus), rng.choice(role.memory_gib) * GIB
        age = rng.uniform(0.1, 60) * DAY
        owner = host_uuid(name)
        used: set[int] = set()
        made = []
        for unit, profile in zip(units, _profiles(rng, len(units), cpus, memory), strict=True):
            ident = service_uuid(owner, unit, address)
            ds_index = service_index(ident, used)
            used.add(ds_index)
            made.append(
                Service(
                    unit,
                    str(ident),
                    ds_index,
                    profile,
                    random_load(rng),
                    self.ledger.account(role.name, unit),
                    memory,
                    OS_RELEASE,
                    rng.randrange(self._ticks),
                    at - age * rng.uniform(0.05, 1),
                )
            )
        slot = rng.randrange(self._ticks)
        return Agent(name, role.name, address, owner, cpus, memory, made, self._ticks, slot, at - age, OS_RELEASE, at)

    def datagrams(self, now: float) -> Iterator[tuple[float, bytes]]:
        """Time and payload of every datagram that is due up to `now` and was not given before, in order."""
        while self.next_due <= now:
            at, index, number = self._due[0]
            self._chance(index, self._agents[index], at)
            agent = self._agents[index]
            payloads = agent.tick(number, at) if agent.present else []
            heapq.heapreplace(self._due, (at + self._step, index, number + 1))
            self.now = max(self.now, self.start + at)
            for payload in payloads:
                yield self.start + at, payload
        self.now = max(self.now, now)

    # --- by chance

    def _chance(self, index: int, agent: Agent, at: float) -> None:
        """What befalls a host in one tick."""
        returns, churn, rng = self._returns[index], self.churn, self._rngs[index]
        for what in [what for what, when in returns.items() if when <= at]:
            del returns[what]
            if what is None:
                agent.come_back(at)
            elif agent.present:
                what.start(at)
        if not agent.present or not (churn.restarts or churn.failures or churn.renewals):
            return
        rates = churn.restarts, churn.failures, churn.renewals
        restart, failure, renewal = (rate * self._step / 3600 for rate in rates)
        for service in agent.services:
            if service.running and rng.random() < failure:
                service.stop(at, rng.randint(1, 3))
                returns[service] = at + churn.outage * rng.uniform(0.5, 1.5)
            elif service.running and rng.random() < restart:
                service.restart(at)
        if rng.random() < failure:
            agent.leave(at)
            returns.clear()
            returns[None] = at + churn.outage * rng.uniform(0.5, 1.5)
        elif rng.random() < restart:
            agent.restart_agent(at)
        elif renewal and rng.random() < renewal:
            self._renew(index, at)

    def _renew(self, index: int, at: float) -> None:
        """A host goes for good; the one in its place also runs something that nobody has run before."""
        old = self._agents[index]
        old.leave(at)
        self._returns[index].clear()
        role = self._roles[old.pool]
        number = self.numbers[role.name] = self.numbers[role.name] + 1
        units = [*service_names(role, self._services), f"run-r{number:06d}.service"]
        self._agents[index] = new = self._agent(self._rngs[index], role, number, units, at)
        del self._by_name[old.name]
        self._by_name[new.name] = new

    # --- on demand, at the time up to which datagrams were given

    def restart_service(self, host: str, service: str) -> None:
        """A quick restart: one poison sample, counters from 0, the sequence goes on."""
        self._service(host, service).restart(self._at)

    def stop_service(self, host: str, service: str, poison: int = 1) -> None:
        """A stop: `poison` poison samples, then silence."""
        self._service(host, service).stop(self._at, poison)

    def start_service(self, host: str, service: str) -> None:
        """A start after a stop: sequence and counters from the beginning."""
        self._service(host, service).start(self._at)

    def restart_agent(self, host: str) -> None:
        """The agent starts anew: uptime, sequences, network and byte counters from the beginning, CPU goes on."""
        self._by_name[host].restart_agent(self._at)

    def remove_host(self, host: str) -> None:
        """The host goes down without a word."""
        self._by_name[host].leave(self._at)

    def return_host(self, host: str) -> None:
        """The host boots: everything from 0."""
        self._by_name[host].come_back(self._at)

    def renew_host(self, host: str) -> str:
        """The host goes for good. The name of the one that takes its place."""
        index = self._agents.index(self._by_name[host])
        self._renew(index, self._at)
        return self._agents[index].name

    @property
    def _at(self) -> float:
        return self.now - self.start

    def _service(self, host: str, service: str) -> Service:
        return next(one for one in self._by_name[host].services if one.name == service)


def _profiles(rng: random.Random, count: int, cpus: int, memory: int) -> list[Profile]:
    """What each service of a host uses: the first ones most, and all of them at their peak less than there is."""
    weights = [rng.uniform(0.5, 1.5) / (place + 1) ** 1.2 for place in range(count)]
    whole = sum(weights)
    cpu_ms = cpus * 1000 * rng.uniform(0.15, 0.75) / PEAK
    used = memory * rng.uniform(0.2, 0.5) / PEAK
    profiles = []
    for weight in weights:
        share = weight / whole
        octets = share * cpu_ms * rng.uniform(500, 30_000)
        profiles.append(Profile(share * cpu_ms, octets, octets * rng.uniform(0.1, 1.0), share * used))
    return profiles


def pools_toml(roles: Sequence[Role] = ROLES) -> str:
    """The [[pools]] of a configuration that fit the fleet's host names."""
    return "".join(f'[[pools]]\nname = "{role.name}"\nhosts = "{role.name}-.*"\n\n' for role in roles)
