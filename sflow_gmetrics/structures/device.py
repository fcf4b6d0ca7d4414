"""Switches and sensors: sFlow counter records 0:1001, 0:3000 to 0:3003 and 4413:1 to 4413:3.

All but `processor` are decoded only.
Source: sFlow version 5, section 5; sFlow.org structure registry; Host sFlow.
"""

from __future__ import annotations

from ..schema import Role, Structure, counter, gauge
from ..xdr import I32, U64
from .vocabulary import HSFLOWD, SECOND_HAND, Families, gauges

SWITCH = Families("sflow_switch_", group="interface")
CPU_RATIO = SWITCH("cpu_ratio", "CPU load of the device over the window.")

PROCESSOR = Structure(
    "processor",
    0,
    1001,
    (
        gauge("five_sec_cpu", unit="1/100 %", family=CPU_RATIO(window="5s")),
        gauge("one_min_cpu", unit="1/100 %", family=CPU_RATIO(window="1m")),
        gauge("five_min_cpu", unit="1/100 %", family=CPU_RATIO(window="5m")),
        gauge("total_memory", U64, "bytes", family=SWITCH("memory_total_bytes", "Memory of the device.")),
        gauge("free_memory", U64, "bytes", family=SWITCH("memory_free_bytes", "Free memory of the device.")),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

# power_factor: 2147483647 for direct current, -2147483647 where it is not known.
ENERGY = Structure(
    "energy",
    0,
    3000,
    (
        gauge("voltage", unit="mV"),
        gauge("current", unit="mA"),
        gauge("real_power", unit="mW"),
        gauge("power_factor", I32, "1/100 %"),
        counter("energy", unit="mJ"),
        counter("errors"),
    ),
    source=SECOND_HAND,
)

# degrees or tenths of them: sources differ.
TEMPERATURE = Structure(
    "temperature", 0, 3001, (gauge("minimum", I32), gauge("maximum", I32), counter("errors")), source=SECOND_HAND
)

HUMIDITY = Structure("humidity", 0, 3002, (gauge("relative", unit="%"),), source=SECOND_HAND)

FANS = Structure("fans", 0, 3003, (gauge("total"), gauge("failed"), gauge("speed", unit="%")), source=SECOND_HAND)

BST_DEVICE_BUFFERS = Structure("bst_device_buffers", 4413, 1, gauges("uc_pc mc_pc", I32, "%"), source=SECOND_HAND)

# The queues behind these four are passed over: agents differ in how they send them.
BST_PORT_BUFFERS = Structure(
    "bst_port_buffers",
    4413,
    2,
    gauges("ingress_uc_pc ingress_mc_pc egress_uc_pc egress_mc_pc", I32, "%"),
    source=SECOND_HAND,
)

HW_TABLES = Structure(
    "hw_tables",
    4413,
    3,
    gauges(
        "bcm_host_entries bcm_host_entries_max bcm_ipv4_entries bcm_ipv4_entries_max"
        " bcm_ipv6_entries bcm_ipv6_entries_max bcm_ipv4_ipv6_entries bcm_ipv4_ipv6_entries_max"
        " bcm_long_ipv6_entries bcm_long_ipv6_entries_max bcm_total_routes bcm_total_routes_max"
        " bcm_ecmp_nexthops bcm_ecmp_nexthops_max bcm_mac_entries bcm_mac_entries_max"
        " bcm_ipv4_neighbors bcm_ipv6_neighbors bcm_ipv4_routes bcm_ipv6_routes"
        " bcm_acl_ingress_entries bcm_acl_ingress_entries_max bcm_acl_ingress_counters bcm_acl_ingress_counters_max"
        " bcm_acl_ingress_meters bcm_acl_ingress_meters_max bcm_acl_ingress_slices bcm_acl_ingress_slices_max"
        " bcm_acl_egress_entries bcm_acl_egress_entries_max bcm_acl_egress_counters bcm_acl_egress_counters_max"
        " bcm_acl_egress_meters bcm_acl_egress_meters_max bcm_acl_egress_slices bcm_acl_egress_slices_max",
        unit="entries",
    ),
    source=HSFLOWD,
)

STRUCTURES = (
    PROCESSOR,
    ENERGY,
    TEMPERATURE,
    HUMIDITY,
    FANS,
    BST_DEVICE_BUFFERS,
    BST_PORT_BUFFERS,
    HW_TABLES,
)
