"""A simulated host with its Host sFlow agent: the physical host's sample, and datagrams as hsflowd packs them."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field

from ..datagram import COUNTERS_EXPANDED, Datagram, Record, Sample, encode_datagram, encode_sample
from .ledger import NOTHING, Work
from .records import counter_record
from .service import Service

DATAGRAM_BYTES = 1400
SUB_AGENT = 100_001
PHYSICAL_ENTITY = 2
GIB = 1 << 30
MHZ = 2600
_GOLDEN = 0.618
"""Multiples of it lie everywhere between two whole numbers."""
_BUSY_MODES = {"cpu_user": 0.7, "cpu_nice": 0.01, "cpu_system": 0.25, "cpu_sintr": 0.04}
"""How CPU work shows in the host's modes: the shares of what services and the rest of the host use."""
_BACKGROUND, _WAIT, _STEAL = 0.02, 0.01, 0.002
"""Shares of all CPU time: work outside of services, waiting for the disk, stolen."""


@dataclass(slots=True, eq=False)
class Agent:
    """One host. All times are seconds since the fleet's start; `booted` lies before it."""

    name: str
    pool: str
    address: str
    uuid: uuid.UUID
    cpus: int
    memory: int
    services: list[Service]
    ticks: int
    """Ticks in an interval; the host is polled in the tick `slot` and each service in its own."""
    slot: int
    booted: float
    os_release: str
    agent_started: float = 0.0
    """When the agent itself was started last."""
    present: bool = True
    _starts: int = 0
    _sequence: int = 0
    _host_sequence: int = 0
    _net_base: tuple[int, int] = (0, 0)
    _loads: list[float] = field(default_factory=lambda: [0.5, 0.5, 0.5])
    _loads_at: float = 0.0
    _by_slot: list[list[Service]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_slot = [[one for one in self.services if one.slot == slot] for slot in range(self.ticks)]
        self._net_base = self._traffic(self.agent_started)

    # --- what happens to it

    def restart_agent(self, at: float) -> None:
        """The agent starts anew on a host that runs on, somewhat before it first sends."""
        self._starts += 1
        self.agent_started, self._sequence, self._host_sequence = at - self._starts * _GOLDEN % 1, 0, 0
        self._net_base = self._traffic(at)
        for service in self.services:
            service.agent_restarted()

    def leave(self, at: float) -> None:
        """The host goes down: no datagram until it comes back."""
        if self.present:
            self.present = False
            for service in self.services:
                service.host_left(at)

    def come_back(self, at: float) -> None:
        """The host boots: everything counts from 0."""
        if not self.present:
            self.present, self.booted = True, at
            for service in self.services:
                service.host_booted(at)
            self.restart_agent(at)

    # --- what it sends

    def tick(self, number: int, at: float) -> list[bytes]:
        """The datagrams of one tick: of the sources whose turn it is, as few datagrams as they fit in."""
        slot = number % self.ticks
        samples = [self._host_sample(at)] if slot == self.slot else []
        samples += [sample for one in self._by_slot[slot] if (sample := one.sample(at)) is not None]
        header = len(encode_datagram(Datagram(self.address, SUB_AGENT, 0, 0)))
        payloads: list[bytes] = []
        batch: list[bytes] = []
        size = header
        for sample in samples:
            if batch and size + len(sample) >= DATAGRAM_BYTES:
                payloads.append(self._datagram(batch, at))
                batch, size = [], header
            batch.append(sample)
            size += len(sample)
        if batch:
            payloads.append(self._datagram(batch, at))
        return payloads

    def _datagram(self, samples: list[bytes], at: float) -> bytes:
        self._sequence += 1
        uptime = int((at - self.agent_started) * 1000) & 0xFFFF_FFFF
        head = encode_datagram(Datagram(self.address, SUB_AGENT, self._sequence, uptime))
        return head[:-4] + len(samples).to_bytes(4, "big") + b"".join(samples)

    def _host_sample(self, at: float) -> bytes:
        self._host_sequence += 1
        lifetime = self._lifetime(at)
        memory = self._memory(at)
        records = (
            self._node(memory["mem_free"]),
            self._adapters(),
            *self._netstat(at),
            self._disk(lifetime),
            counter_record("host_memory", memory),
            self._cpu(at, lifetime),
            self._net(at),
            self._descr(),
        )
        return encode_sample(
            Sample("counters", COUNTERS_EXPANDED, self._host_sequence, PHYSICAL_ENTITY, 1, records=records)
        )

    def _lifetime(self, at: float) -> Work:
        """The work of all services since the host booted."""
        total = NOTHING
        for service in self.services:
            total = total.plus(service.ended).plus(service.work(at))
        return total

    def _traffic(self, at: float) -> tuple[int, int]:
        """Bytes received and sent since the host booted."""
        work, seconds = self._lifetime(at), at - self.booted
        return int(work.read_bytes * 0.5 + seconds * 2000), int(work.written_bytes * 0.5 + seconds * 1000)

    def _node(self, memory_free: int) -> Record:
        running = sum(service.running for service in self.services)
        values = {"mhz": MHZ, "cpus": self.cpus, "memory": self.memory, "memory_free": memory_free}
        return counter_record("virt_node", values | {"num_domains": running})

    def _adapters(self) -> Record:
        mac = "02:00:" + ":".join(f"{int(octet):02x}" for octet in self.address.split("."))
        adapter = {"ifIndex": 2, "mac": [mac], "num_macs": 1}
        return counter_record("host_adapters", {"adapters": [adapter], "num_adapters": 1})

    def _descr(self) -> Record:
        ident = {"hostname": self.name, "uuid": str(self.uuid), "os_release": self.os_release}
        return counter_record("host_descr", ident | {"machine_type": 3, "os_name": 2})

    def _cpu(self, at: float, lifetime: Work) -> Record:
        seconds = at - self.booted
        everything = int(seconds * 1000) * self.cpus
        busy = lifetime.cpu_ms + everything * _BACKGROUND
        modes = {name: int(busy * share) for name, share in _BUSY_MODES.items()}
        modes |= {"cpu_wio": int(everything * _WAIT), "cpu_steal": int(everything * _STEAL)}
        modes["cpu_idle"] = everything - sum(modes.values())
        now_busy = self.cpus * _BACKGROUND + sum(
            one.profile.cpu_ms * one.load.level(at) / 1000 for one in self.services if one.running
        )
        for index, window in enumerate((60, 300, 900)):
            past = math.exp(-(at - self._loads_at) / window)
            self._loads[index] = self._loads[index] * past + now_busy * (1 - past)
        self._loads_at = at
        values = dict(zip(("load_one", "load_five", "load_fifteen"), self._loads, strict=True)) | modes
        values |= {"proc_run": int(now_busy) + 1, "proc_total": 90 + 6 * len(self.services)}
        values |= {"cpu_num": self.cpus, "cpu_speed": MHZ, "uptime": int(seconds)}
        return counter_record("host_cpu", values | {"interrupts": int(seconds * 900), "contexts": int(seconds * 2100)})

    def _memory(self, at: float) -> dict[str, int]:
        used = sum(service.memory(at) for service in self.services)
        cached, buffers = self.memory // 4, self.memory // 64
        values = {"mem_total": self.memory, "mem_buffers": buffers, "mem_cached": cached}
        pages = int((at - self.booted) * 40)
        return values | {"mem_free": self.memory - used - cached - buffers, "page_in": pages, "page_out": 2 * pages}

    def _disk(self, lifetime: Work) -> Record:
        read, written = lifetime.read_bytes // 5, lifetime.written_bytes // 3
        total = 100 * GIB
        free = total * 6 // 10 - written % (total // 4)
        values = {"disk_total": total, "disk_free": free, "part_max_used": (total - free) * 10_000 // total}
        values |= {"reads": read // 16_384, "bytes_read": read, "read_time": read // 60_000}
        return counter_record(
            "host_disk_io",
            values | {"writes": written // 8192, "bytes_written": written, "write_time": written // 40_000},
        )

    def _net(self, at: float) -> Record:
        received, sent = (now - base for now, base in zip(self._traffic(at), self._net_base, strict=True))
        values = {"bytes_in": received, "pkts_in": received // 700}
        return counter_record("host_net_io", values | {"bytes_out": sent, "pkts_out": sent // 900})

    def _netstat(self, at: float) -> tuple[Record, ...]:
        received, sent = (octets // 800 for octets in self._traffic(at))
        udp = {"udpInDatagrams": received // 50, "udpOutDatagrams": sent // 50}
        tcp = {"tcpRtoAlgorithm": 1, "tcpRtoMin": 200, "tcpRtoMax": 120_000, "tcpMaxConn": 0xFFFF_FFFF}
        tcp |= {"tcpActiveOpens": sent // 300, "tcpPassiveOpens": received // 30, "tcpInSegs": received}
        tcp |= {"tcpOutSegs": sent, "tcpRetransSegs": sent // 5000, "tcpCurrEstab": 4 + len(self.services)}
        ip = {"ipForwarding": 2, "ipDefaultTTL": 64, "ipInReceives": received, "ipInDelivers": received}
        return (
            counter_record("mib2_udp_group", udp),
            counter_record("mib2_tcp_group", tcp),
            counter_record("mib2_icmp_group", {"icmpInMsgs": received // 10_000, "icmpOutMsgs": sent // 10_000}),
            counter_record("mib2_ip_group", ip | {"ipOutRequests": sent}),
        )
