"""Datagrams built from the declared structures, and an agent that sends them to a collector.

Every field that a test does not name is 0 or empty. Time is what the test says it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sflow_gmetrics import Collector
from sflow_gmetrics.convoy import ConvoyLayouts
from sflow_gmetrics.datagram import (
    COUNTERS_EXPANDED,
    Datagram,
    Record,
    Sample,
    encode_datagram,
    encode_sample,
    encode_structure,
)
from sflow_gmetrics.schema import Structure
from sflow_gmetrics.snapshot import Host, PoolService, Row, Service, Snapshot
from sflow_gmetrics.source import Source
from sflow_gmetrics.stream import Stream
from sflow_gmetrics.structures import COUNTER_RECORDS
from sflow_gmetrics.xdr import XdrType, text

BY_NAME = {structure.name: structure for structure in COUNTER_RECORDS.values()}
NOT_KNOWN = 0xFFFF_FFFF
NOT_KNOWN_64 = 0xFFFF_FFFF_FFFF_FFFF
NO_UUID = "00000000-0000-0000-0000-000000000000"
START = 1_700_000_000.0
"""A time of day: seconds since the epoch."""
HOST_STRUCTURES = ("host_net_io", "host_cpu", "host_memory", "host_disk_io", "host_descr")
SERVICE_STRUCTURES = ("virt_disk_io", "virt_memory", "virt_cpu", "host_descr")


class NoConvoys(ConvoyLayouts):
    """For a collector that looks at every sample for itself."""

    def form(self, members: Sequence[tuple[Source, int, int]], stream: Stream, payload: bytes) -> None:
        pass


def zero(xdr: XdrType) -> Any:
    """What a field of this type holds when nobody says anything."""
    if xdr.name in ("string", "opaque", "address"):
        return ""
    if xdr.name in ("u32<>", "mac<>", "group<>"):
        return []
    special = {"mac": "000000000000", "ip4": "0.0.0.0", "ip6": "::", "opaque[16]": NO_UUID, "4 x u8": "0,0,0,0"}
    return special.get(xdr.name, 0)


def record(structure: Structure | str, length: int | None = None, **fields: Any) -> Record:
    """A record; `length` is the number of fields that an older agent sends."""
    declared = BY_NAME[structure] if isinstance(structure, str) else structure
    values: dict[str, Any] = {}
    for name, xdr in declared.members[:length]:
        value = fields.get(name, zero(xdr))
        if isinstance(value, bytes):
            value = text(value)
        values[name] = value
        if xdr.count_name:
            values[xdr.count_name] = len(value) // xdr.item_length
    unknown = set(fields) - set(values)
    assert not unknown, f"{declared.name} has no {unknown}"
    return encode_structure(declared, values)


def sample(
    sequence: int, ds_class: int, ds_index: int, structures: Iterable[str], fields: dict[str, Any], tag: int
) -> Sample:
    """A counters sample of these structures; each takes those of the fields that it has."""
    left = dict(fields)
    records = []
    for name in structures:
        own = {key: left.pop(key) for key, _ in BY_NAME[name].members if key in left}
        records.append(record(name, **own))
    assert not left, f"no structure here has {set(left)}"
    return Sample("counters", tag, sequence, ds_class, ds_index, records=tuple(records))


def host(
    sequence: int,
    name: str | bytes = "web-1",
    *,
    structures: Iterable[str] = HOST_STRUCTURES,
    index: int = 1,
    tag: int = COUNTERS_EXPANDED,
    **fields: Any,
) -> Sample:
    """The sample of a physical host with two CPUs."""
    if "host_cpu" in structures:
        fields.setdefault("cpu_num", 2)
    return sample(sequence, 2, index, structures, {"hostname": name, **fields}, tag)


def service(
    sequence: int,
    name: str | bytes = "nginx.service",
    index: int = 100_001,
    *,
    structures: Iterable[str] = SERVICE_STRUCTURES,
    ds_class: int = 3,
    tag: int = COUNTERS_EXPANDED,
    **fields: Any,
) -> Sample:
    """The sample of a systemd service."""
    if "virt_cpu" in structures:
        fields.setdefault("state", 1)
    if "virt_memory" in structures:
        fields.setdefault("memory", 1 << 20)
    return sample(sequence, ds_class, index, structures, {"hostname": name, **fields}, tag)


class Sender:
    """An agent that sends to a collector: it counts its datagrams and its uptime, and the time goes on by `tick`."""

    def __init__(
        self, collector: Collector, address: str = "10.0.0.1", *, now: float = START, uptime: float = 1000.0
    ) -> None:
        self.collector = collector
        self.address = address
        self.now = now
        self.uptime = uptime
        self.sequence = 0
        self.sub_agent = 100_000

    def tick(self, seconds: float) -> None:
        """Time goes on, for the agent too."""
        self.now += seconds
        self.uptime += seconds

    def restart(self, after: float = 1.0) -> None:
        """The agent starts again."""
        self.now += after
        self.uptime = 0.5
        self.now += 0.5
        self.sequence = 0

    def payload(self, *samples: Sample | bytes) -> bytes:
        """The next datagram."""
        self.sequence = (self.sequence + 1) & 0xFFFF_FFFF
        uptime_ms = round(self.uptime * 1000) & 0xFFFF_FFFF
        empty = encode_datagram(Datagram(self.address, self.sub_agent, self.sequence, uptime_ms))
        body = b"".join(one if isinstance(one, bytes) else encode_sample(one) for one in samples)
        return empty[:-4] + len(samples).to_bytes(4, "big") + body

    def send(self, *samples: Sample | bytes, late: float = 0.0) -> bytes:
        """Send the next datagram; it arrives `late` seconds from now."""
        payload = self.payload(*samples)
        self.collector.receive(payload, self.now + late)
        return payload

    def snapshot(self) -> Snapshot:
        """What the collector shows now."""
        return self.collector.snapshot(self.now)


def host_of(snapshot: Snapshot, name: str = "web-1") -> Host:
    """The host of this name."""
    (found,) = [one for one in snapshot.hosts() if one.name == name]
    return found


def services_of(snapshot: Snapshot) -> dict[str, Service]:
    """The services of a snapshot with one host, by name."""
    (only,) = snapshot.hosts()
    names = [one.name for one in only.services]
    assert len(set(names)) == len(names)
    return {one.name: one for one in only.services}


def service_row(snapshot: Snapshot, name: str = "nginx.service") -> Row:
    """The row of a service of a snapshot with one host."""
    return services_of(snapshot)[name].row


def own_row(snapshot: Snapshot, name: str = "web-1") -> Row:
    """The row of a host."""
    row = host_of(snapshot, name).row
    assert row is not None
    return row


def total(row: Row, name: str) -> int | None:
    """A counter's total."""
    (index,) = [at for at, one in enumerate(row.form.counters) if one.name == name]
    return row.totals[index]


def delta(row: Row, name: str) -> int | None:
    """What a counter has added in the row's last interval."""
    (index,) = [at for at, one in enumerate(row.form.counters) if one.name == name]
    return row.deltas[index]


def rate(row: Row, name: str) -> float | None:
    """A counter's increase per second."""
    added = delta(row, name)
    return None if added is None else added / row.elapsed


def value(row: Row, name: str) -> Any:
    """A number of the newest sample."""
    (index,) = [at for at, one in enumerate(row.form.fields) if one.name == name]
    return row.values[index]


def pool_service(snapshot: Snapshot, service_name: str = "nginx.service", pool: str = "unspecified") -> PoolService:
    """A service of a pool."""
    (place,) = [one for one in snapshot.pools if one.name == pool]
    (found,) = [one for one in place.services if one.name == service_name]
    return found


def pool_cpu(snapshot: Snapshot, service_name: str = "nginx.service", pool: str = "unspecified") -> int:
    """The CPU time in ms that a service has used on all hosts of a pool; 0 where there is none."""
    sums = pool_service(snapshot, service_name, pool).sums()
    return sums.get(("sflow_pool_service_cpu_seconds_total", ()), 0)
