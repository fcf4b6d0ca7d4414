"""Sensors and switch hardware: sFlow counter records 0:3000 to 0:3003 and 4413:1 to 4413:3. Decoded only.

The forms of 0:3000 to 0:3003, 4413:1 and 4413:2 are second-hand and not checked against an agent.
Source: sFlow.org structure registry; Host sFlow.
"""

from __future__ import annotations

from ..schema import Role, Structure, counter, gauge
from ..xdr import I32, U32

ENERGY = Structure(
    "energy",
    0,
    3000,
    (
        gauge("voltage", U32, "mV"),
        gauge("current", U32, "mA"),
        gauge("real_power", U32, "mW"),
        gauge("power_factor", I32, "1/100 %"),
        counter("energy", U32, "mJ"),
        counter("errors"),
    ),
    role=Role.NONE,
)

TEMPERATURE = Structure(
    "temperature",
    0,
    3001,
    (
        gauge("minimum", I32),
        gauge("maximum", I32),
        counter("errors"),
    ),
    role=Role.NONE,
)

HUMIDITY = Structure(
    "humidity",
    0,
    3002,
    (gauge("relative", U32, "%"),),
    role=Role.NONE,
)

FANS = Structure(
    "fans",
    0,
    3003,
    (
        gauge("total"),
        gauge("failed"),
        gauge("speed", U32, "%"),
    ),
    role=Role.NONE,
)

BST_DEVICE_BUFFERS = Structure(
    "bst_device_buffers",
    4413,
    1,
    (
        gauge("uc_pc", I32, "%"),
        gauge("mc_pc", I32, "%"),
    ),
    role=Role.NONE,
)

BST_PORT_BUFFERS = Structure(
    "bst_port_buffers",
    4413,
    2,
    (
        gauge("ingress_uc_pc", I32, "%"),
        gauge("ingress_mc_pc", I32, "%"),
        gauge("egress_uc_pc", I32, "%"),
        gauge("egress_mc_pc", I32, "%"),
    ),
    role=Role.NONE,
)

HW_TABLES = Structure(
    "hw_tables",
    4413,
    3,
    (
        gauge("bcm_host_entries", U32, "entries"),
        gauge("bcm_host_entries_max", U32, "entries"),
        gauge("bcm_ipv4_entries", U32, "entries"),
        gauge("bcm_ipv4_entries_max", U32, "entries"),
        gauge("bcm_ipv6_entries", U32, "entries"),
        gauge("bcm_ipv6_entries_max", U32, "entries"),
        gauge("bcm_ipv4_ipv6_entries", U32, "entries"),
        gauge("bcm_ipv4_ipv6_entries_max", U32, "entries"),
        gauge("bcm_long_ipv6_entries", U32, "entries"),
        gauge("bcm_long_ipv6_entries_max", U32, "entries"),
        gauge("bcm_total_routes", U32, "entries"),
        gauge("bcm_total_routes_max", U32, "entries"),
        gauge("bcm_ecmp_nexthops", U32, "entries"),
        gauge("bcm_ecmp_nexthops_max", U32, "entries"),
        gauge("bcm_mac_entries", U32, "entries"),
        gauge("bcm_mac_entries_max", U32, "entries"),
        gauge("bcm_ipv4_neighbors", U32, "entries"),
        gauge("bcm_ipv6_neighbors", U32, "entries"),
        gauge("bcm_ipv4_routes", U32, "entries"),
        gauge("bcm_ipv6_routes", U32, "entries"),
        gauge("bcm_acl_ingress_entries", U32, "entries"),
        gauge("bcm_acl_ingress_entries_max", U32, "entries"),
        gauge("bcm_acl_ingress_counters", U32, "entries"),
        gauge("bcm_acl_ingress_counters_max", U32, "entries"),
        gauge("bcm_acl_ingress_meters", U32, "entries"),
        gauge("bcm_acl_ingress_meters_max", U32, "entries"),
        gauge("bcm_acl_ingress_slices", U32, "entries"),
        gauge("bcm_acl_ingress_slices_max", U32, "entries"),
        gauge("bcm_acl_egress_entries", U32, "entries"),
        gauge("bcm_acl_egress_entries_max", U32, "entries"),
        gauge("bcm_acl_egress_counters", U32, "entries"),
        gauge("bcm_acl_egress_counters_max", U32, "entries"),
        gauge("bcm_acl_egress_meters", U32, "entries"),
        gauge("bcm_acl_egress_meters_max", U32, "entries"),
        gauge("bcm_acl_egress_slices", U32, "entries"),
        gauge("bcm_acl_egress_slices_max", U32, "entries"),
    ),
    role=Role.NONE,
)

STRUCTURES = (
    ENERGY,
    TEMPERATURE,
    HUMIDITY,
    FANS,
    BST_DEVICE_BUFFERS,
    BST_PORT_BUFFERS,
    HW_TABLES,
)
