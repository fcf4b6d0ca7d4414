"""An agent that sends what the simulated fleet does not: every kind of application, a machine, interfaces and GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sflow_gmetrics import Collector, Config
from sflow_gmetrics.datagram import COUNTERS_EXPANDED, Record, Sample
from sflow_gmetrics.schema import Kind
from tests.core.builders import BY_NAME, HOST_STRUCTURES, Sender, record

HOST = "web-everything"
HOST_PARTS = (*HOST_STRUCTURES, "virt_node", "nvidia_gpu", "mib2_tcp_group", "mib2_udp_group", "mib2_ip_group")
SERVICES = {
    "machine": ("host_descr", "virt_cpu", "virt_memory", "virt_disk_io", "virt_net_io"),
    "java": ("host_descr", "virt_cpu", "virt_memory", "jmx_runtime", "jmx_statistics"),
    "memcached": ("host_descr", "virt_cpu", "virt_memory", "memcache_counters"),
    "httpd": ("host_descr", "virt_cpu", "http_counters", "app_operations", "app_workers"),
}
SOME = 1000
"""What every gauge says."""
GROWTH = 7
"""By how much every counter grows from one sample to the next."""
NEW_STRUCTURE = Record(4_300 << 12 | 99, 4, raw=b"\0\0\0\0")
NO_SFLOW = b"GET / HTTP/1.1\r\n\r\n"


class Everything:
    """The agent: a datagram a second, and beside it one that is no sFlow."""

    def __init__(self, start: float) -> None:
        self._agent = Sender(Collector(Config()), "10.99.0.1", now=start)
        self._number = 0

    def datagrams(self, now: float) -> Iterator[tuple[float, bytes]]:
        """What is due up to `now`."""
        while self._agent.now <= now:
            self._number += 1
            for samples in self._samples():
                yield self._agent.now, self._agent.payload(*samples)
            yield self._agent.now, NO_SFLOW
            self._agent.tick(1.0)

    def _samples(self) -> Iterator[list[Sample]]:
        yield [self._sample(2, 1, HOST_PARTS, {"hostname": HOST, "cpu_num": 64, "device_count": 2})]
        yield [self._sample(0, 2, ("if_counters",), {"ifIndex": 2})]
        for index, (name, parts) in enumerate(SERVICES.items(), 100_001):
            yield [self._sample(3, index, parts, {"hostname": name, "application": name, "state": 1})]

    def _sample(self, ds_class: int, ds_index: int, parts: Iterable[str], fields: dict[str, Any]) -> Sample:
        records = [self._record(name, fields) for name in parts]
        return Sample(
            "counters", COUNTERS_EXPANDED, self._number, ds_class, ds_index, records=(*records, NEW_STRUCTURE)
        )

    def _record(self, name: str, fields: dict[str, Any]) -> Record:
        declared = BY_NAME[name].fields
        numbers: dict[str, Any] = {one.name: self._number * GROWTH for one in declared if one.is_counter}
        numbers |= {one.name: SOME for one in declared if one.kind is Kind.GAUGE}
        numbers |= {one.name: fields[one.name] for one in declared if one.name in fields}
        return record(name, **numbers)
