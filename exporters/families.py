"""The Prometheus families that are not one field of a structure: identity, health, and the collector's own.

Those that are follow from the declarations in `sflow_gmetrics.structures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .sink import Description, Number, Samples, Sink, Timed

HOST = ("pool", "host")
SERVICE = (*HOST, "service", "kind")
INTERFACE = (*HOST, "interface")
POOL_SERVICE = ("pool", "service", "kind")


@dataclass(frozen=True, slots=True)
class Extra:
    """A family: its name, type, help and labels, and the group that switches it on."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()
    group: str = ""

    @property
    def description(self) -> Description:
        """As a sink wants it."""
        return Description(self.name, self.type, self.help)

    def add(self, sink: Sink, values: Iterable[str], number: Number) -> None:
        """One sample, with these values of its labels."""
        if sink.selection.wants(self.name, self.group):
            sink.add(self.description, self.labels, values, number)

    def many(
        self,
        sink: Sink,
        labels: Sequence[Any],
        numbers: Sequence[Number | None],
        key: object = None,
        rows: Timed | None = None,
        began: Sequence[float] | None = None,
    ) -> None:
        """A sample for each of the sink's labels whose number is known; `key` tells the blocks of a family apart."""
        if sink.selection.wants(self.name, self.group):
            samples = Samples(self.name, labels, numbers, unknown=(None,), rows=rows, began=began)
            sink.column((self.name, key), self.description, samples)

    def info(
        self, sink: Sink, places: Sequence[tuple[str, ...]], key: object = None, rows: Timed | None = None
    ) -> None:
        """A sample that is always 1 for each row of label values."""
        if sink.selection.wants(self.name, self.group):
            self.many(sink, sink.labels((self.name, key), self.labels, places), [1] * len(places), key, rows)


HOST_INFO = Extra(
    "sflow_host_info", "gauge", "What the host is; always 1.", (*HOST, "agent", "uuid", "os", "os_release", "machine")
)
HOST_ADAPTOR_INFO = Extra(
    "sflow_host_adaptor_info", "gauge", "A network adaptor of the host; always 1.", (*HOST, "ifindex", "mac"), "adaptor"
)
HOST_UP = Extra("sflow_host_up", "gauge", "Whether samples of the host came within three of its intervals.", HOST)
HOST_LAST_SAMPLE = Extra(
    "sflow_host_last_sample_timestamp_seconds", "gauge", "When the newest sample of the host came.", HOST
)
SERVICE_INFO = Extra("sflow_service_info", "gauge", "What the service is; always 1.", (*SERVICE, "uuid", "ds"))
SERVICE_UP = Extra("sflow_service_up", "gauge", "Whether the agent says that the service runs.", SERVICE)
SERVICE_STATE = Extra(
    "sflow_service_state",
    "gauge",
    "The state that the agent gives the service; 1 for it.",
    (*SERVICE, "state"),
    "state",
)
JVM_INFO = Extra(
    "sflow_jvm_info", "gauge", "What the JVM is; always 1.", (*SERVICE, "runtime", "vendor", "version"), "jvm"
)
INTERFACE_INFO = Extra(
    "sflow_interface_info",
    "gauge",
    "What the interface is; always 1.",
    (*INTERFACE, "ifindex", "type", "duplex"),
    "interface",
)
INTERFACE_ADMIN_UP = Extra(
    "sflow_interface_admin_up", "gauge", "Whether the interface is switched on.", INTERFACE, "interface"
)
INTERFACE_UP = Extra("sflow_interface_up", "gauge", "Whether the interface works.", INTERFACE, "interface")

POOL_HOSTS = Extra("sflow_pool_hosts", "gauge", "Hosts of the pool by state.", ("pool", "state"))
POOL_SERVICE_HOSTS = Extra(
    "sflow_pool_service_hosts", "gauge", "Hosts of the pool on which the service is live.", POOL_SERVICE
)
POOL_SERVICE_MEMORY_MAX = Extra(
    "sflow_pool_service_memory_host_max_bytes",
    "gauge",
    "Memory of the service on the host where it has most.",
    POOL_SERVICE,
)

AGENT_INFO = Extra(
    "sflow_agent_info", "gauge", "Which host an agent address is; always 1.", ("agent", "pool", "host", "sub_agent")
)
AGENT_DATAGRAMS = Extra("sflow_agent_datagrams_total", "counter", "Datagrams received.", ("agent",))
AGENT_LOST = Extra("sflow_agent_datagrams_lost_total", "counter", "Datagrams missing in the sequence.", ("agent",))
AGENT_REORDERED = Extra(
    "sflow_agent_datagrams_reordered_total",
    "counter",
    "Datagrams that came late or twice and were not used.",
    ("agent",),
)
AGENT_SAMPLES_LOST = Extra("sflow_agent_samples_lost_total", "counter", "Samples missing in the sequence.", ("agent",))
AGENT_SAMPLES = Extra("sflow_agent_samples_total", "counter", "Samples received, by type.", ("agent", "type"))
AGENT_RESTARTS = Extra("sflow_agent_restarts_total", "counter", "Restarts of the agent.", ("agent",))
AGENT_CONFLICTS = Extra(
    "sflow_agent_address_conflicts_total",
    "counter",
    "Datagrams of another machine that announces the same agent address; they are not taken.",
    ("agent",),
)
AGENT_LAST_SEEN = Extra(
    "sflow_agent_last_seen_timestamp_seconds", "gauge", "When the agent was heard last.", ("agent",)
)
AGENT_CLOCK_AGREES = Extra(
    "sflow_agent_clock_agrees",
    "gauge",
    "Whether the agent's uptime grows as fast as the collector's clock; rates are of its uptime only then.",
    ("agent",),
)

BUILD_INFO = Extra("sflow_collector_build_info", "gauge", "What runs here; always 1.", ("version", "python"))
DATAGRAMS = Extra("sflow_collector_datagrams_total", "counter", "Datagrams received.")
DATAGRAM_BYTES = Extra("sflow_collector_datagram_bytes_total", "counter", "Bytes of datagrams received.")
KERNEL_DROPS = Extra(
    "sflow_collector_kernel_drops_total",
    "counter",
    "Datagrams that the kernel dropped because the receive buffer was full.",
)
RECEIVE_BUFFER = Extra("sflow_collector_receive_buffer_bytes", "gauge", "Size of the socket's receive buffer.")
SAMPLES = Extra(
    "sflow_collector_samples_total", "counter", "Samples by type; all but counters are passed over.", ("type",)
)
IGNORED_FLOWS = Extra(
    "sflow_collector_ignored_flow_samples_total", "counter", "Samples of packets, which are passed over."
)
RECORDS = Extra("sflow_collector_records_total", "counter", "Records taken, by structure.", ("structure",))
UNKNOWN_RECORDS = Extra(
    "sflow_collector_unknown_records_total", "counter", "Records of unknown structures.", ("enterprise", "format")
)
DECODE_ERRORS = Extra(
    "sflow_collector_decode_errors_total", "counter", "Datagrams and samples that are malformed.", ("reason",)
)
DROPPED = Extra(
    "sflow_collector_dropped_total", "counter", "Datagrams and samples refused by a limit or a rule.", ("reason",)
)
SERIES = Extra("sflow_collector_series", "gauge", "Series on this page.", ("level",))
SERIES_DROPPED = Extra(
    "sflow_collector_series_dropped_total",
    "counter",
    "Series that services would have by themselves, had they not been excluded or folded when they were met.",
    ("reason",),
)
RESETS = Extra(
    "sflow_collector_series_resets_total", "counter", "Steps of counters that are not plain increases.", ("reason",)
)
LIMIT = Extra("sflow_collector_limit", "gauge", "The limits that the configuration sets, by key.", ("key",))
LIMIT_USED = Extra(
    "sflow_collector_limit_used", "gauge", "How much of a limit is used; of a host's, where most is.", ("key",)
)
AGENTS = Extra("sflow_collector_agents", "gauge", "Agents by state.", ("state",))
SERVICES = Extra("sflow_collector_services", "gauge", "Live services.", ("pool",))

EXTRAS = tuple(value for value in list(globals().values()) if isinstance(value, Extra))
