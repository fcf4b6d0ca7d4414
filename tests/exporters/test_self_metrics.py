"""What the page says of the collector's limits and of the agents' clocks."""

from __future__ import annotations

from sflow_gmetrics import Collector
from sflow_gmetrics.config import parse_config
from tests.core.builders import Sender, host, service
from tests.exporters.test_prometheus import Series, read


def key(name: str, **labels: str) -> Series:
    return name, tuple(sorted(labels.items()))


def test_a_clock_that_drifts_is_shown() -> None:
    collector = Collector()
    right, slow = Sender(collector), Sender(collector, "10.0.0.2")
    for number in range(1, 40):
        for sender, name in ((right, "web-1"), (slow, "web-2")):
            sender.send(host(number, hostname=name))
            sender.tick(20)
        slow.uptime -= 8
    page = read(right.snapshot())
    assert page[key("sflow_agent_clock_agrees", agent="10.0.0.1")] == 1
    assert page[key("sflow_agent_clock_agrees", agent="10.0.0.2")] == 0


def test_limits_are_shown_with_what_is_used_of_them() -> None:
    text = "[sflow]\nagents = 9\nreceive_buffer = 70000\n[services]\nservices_per_host = 8\nseries = 7000\n"
    collector = Collector(parse_config(text))
    one, two = Sender(collector), Sender(collector, "10.0.0.2")
    one.send(host(1), *(service(1, f"s{n}.service", 100_000 + n) for n in range(3)))
    two.send(host(1, hostname="web-2"), service(1))
    page = read(one.snapshot())
    limits = {
        "sflow.agents": 9,
        "sflow.receive_buffer": 70_000,
        "services.services_per_host": 8,
        "services.series": 7000,
    }
    for name, value in limits.items():
        assert page[key("sflow_collector_limit", key=name)] == value
    assert page[key("sflow_collector_limit_used", key="sflow.agents")] == 2
    assert page[key("sflow_collector_limit_used", key="sflow.memory")] == collector.limits.memory > 0
    assert page[key("sflow_collector_limit_used", key="services.services_per_host")] == 3
    assert page[key("sflow_collector_limit_used", key="services.series")] == collector.limits.series > 0
    assert key("sflow_collector_limit", key="rrd.queue") not in page, "there are no RRD files"
