"""Flow records: what agents attach to sampled packets and application transactions. Decoded only.

Source: sFlow version 5, section 5 (flow formats); sFlow extension structures of sflow.org.
"""

from __future__ import annotations

from ..schema import Structure, enum, ident
from ..xdr import ADDRESS, IP4, IP6, MAC, REST, U32, U64, XdrType, array, opaque, repeated, string
from .vocabulary import SFLOWTOOL

_CONTEXT = (ident("application", string()), ident("operation", string()), ident("attributes", string()))


def _flow(name: str, format_number: int, *fields: tuple[str, XdrType]) -> Structure:
    return Structure(name, 0, format_number, tuple(ident(field, xdr) for field, xdr in fields), source=SFLOWTOOL)


def _ethernet(name: str, format_number: int) -> Structure:
    return _flow(name, format_number, ("length", U32), ("src_mac", MAC), ("dst_mac", MAC), ("type", U32))


def _ip(name: str, format_number: int, address: XdrType, last: str) -> Structure:
    ports = (("src_port", U32), ("dst_port", U32), ("tcp_flags", U32), (last, U32))
    return _flow(
        name, format_number, ("length", U32), ("protocol", U32), ("src_ip", address), ("dst_ip", address), *ports
    )


def _socket(name: str, format_number: int, address: XdrType) -> Structure:
    ends = (("local_ip", address), ("remote_ip", address), ("local_port", U32), ("remote_port", U32))
    return _flow(name, format_number, ("protocol", U32), *ends)


SAMPLED_HEADER = _flow(
    "sampled_header",
    1,
    ("protocol", U32),
    ("frame_length", U32),
    ("stripped", U32),
    ("header", opaque("header_length")),
)
EXTENDED_GATEWAY = _flow(
    "extended_gateway",
    1003,
    ("nexthop", ADDRESS),
    ("as", U32),
    ("src_as", U32),
    ("src_peer_as", U32),
    ("dst_as_path", repeated("n_segments", ("type", U32), ("as", array(U32, "n")))),
    ("communities", array(U32, "n_communities")),
    ("localpref", U32),
)
APP_OPERATION = Structure(
    "app_operation",
    0,
    2202,
    (
        *_CONTEXT,
        ident("status_descr", string()),
        ident("req_bytes", U64),
        ident("resp_bytes", U64),
        ident("duration_uS", U32, "us"),
        enum("status"),
    ),
    source=SFLOWTOOL,
)
EXTENDED_TCP_INFO = _flow(
    "extended_tcp_info",
    2209,
    *((name, U32) for name in ("dirn", "snd_mss", "rcv_mss", "unacked", "lost", "retrans", "pmtu")),
    *((name, U32) for name in ("rtt", "rttvar", "snd_cwnd", "reordering", "min_rtt")),
)
EXTENDED_ENTITIES = _flow(
    "extended_entities",
    2210,
    ("src_dsClass", U32),
    ("src_dsIndex", U32),
    ("dst_dsClass", U32),
    ("dst_dsIndex", U32),
)

STRUCTURES = (
    SAMPLED_HEADER,
    _ethernet("sampled_ethernet", 2),
    _ip("sampled_ipv4", 3, IP4, "tos"),
    _ip("sampled_ipv6", 4, IP6, "priority"),
    _flow("extended_switch", 1001, ("src_vlan", U32), ("src_priority", U32), ("dst_vlan", U32), ("dst_priority", U32)),
    _flow("extended_router", 1002, ("nexthop", ADDRESS), ("src_mask", U32), ("dst_mask", U32)),
    EXTENDED_GATEWAY,
    _flow(
        "extended_user",
        1004,
        ("src_charset", U32),
        ("src_user", string()),
        ("dst_charset", U32),
        ("dst_user", string()),
    ),
    _flow("extended_url", 1005, ("direction", U32), ("url", string()), ("host", string())),
    _flow(
        "extended_mpls",
        1006,
        ("nexthop", ADDRESS),
        ("in_stack", array(U32, "n_in")),
        ("out_stack", array(U32, "n_out")),
    ),
    _flow("extended_nat", 1007, ("src_address", ADDRESS), ("dst_address", ADDRESS)),
    _flow("extended_mpls_tunnel", 1008, ("tunnel_name", string()), ("tunnel_id", U32), ("tunnel_cos", U32)),
    _flow("extended_mpls_vc", 1009, ("vc_name", string()), ("vll_vc_id", U32), ("vc_cos", U32)),
    _flow("extended_mpls_ftn", 1010, ("ftn_descr", string()), ("ftn_mask", U32)),
    _flow("extended_mpls_ldp_fec", 1011, ("fec_addr_prefix_len", U32)),
    _flow("extended_vlan_tunnel", 1012, ("stack", array(U32, "n"))),
    _flow("extended_80211_payload", 1013, ("cipher_suite", U32), ("data", opaque("length"))),
    _flow(
        "extended_80211_rx",
        1014,
        ("ssid", string()),
        ("bssid", MAC),
        ("version", U32),
        ("channel", U32),
        ("speed", U64),
        ("rsni", U32),
        ("rcpi", U32),
        ("packet_duration", U32),
    ),
    _flow(
        "extended_80211_tx",
        1015,
        ("ssid", string()),
        ("bssid", MAC),
        ("version", U32),
        ("transmissions", U32),
        ("packet_duration", U32),
        ("retrans_duration", U32),
        ("channel", U32),
        ("speed", U64),
        ("power", U32),
    ),
    _flow("extended_80211_aggregation", 1016, ("data", REST)),
    _flow("extended_nat_port", 1020, ("src_port", U32), ("dst_port", U32)),
    _ethernet("extended_l2_tunnel_egress", 1021),
    _ethernet("extended_l2_tunnel_ingress", 1022),
    _ip("extended_ipv4_tunnel_egress", 1023, IP4, "tos"),
    _ip("extended_ipv4_tunnel_ingress", 1024, IP4, "tos"),
    _ip("extended_ipv6_tunnel_egress", 1025, IP6, "priority"),
    _ip("extended_ipv6_tunnel_ingress", 1026, IP6, "priority"),
    _flow("extended_decapsulate_egress", 1027, ("inner_header_offset", U32)),
    _flow("extended_decapsulate_ingress", 1028, ("inner_header_offset", U32)),
    _flow("extended_vni_egress", 1029, ("vni", U32)),
    _flow("extended_vni_ingress", 1030, ("vni", U32)),
    _flow("extended_egress_queue", 1036, ("queue", U32)),
    _flow("extended_function", 1038, ("symbol", string())),
    _flow("extended_transit_delay", 1039, ("transit_delay", U32)),
    _flow("extended_queue_depth", 1040, ("queue_depth", U32)),
    _flow("extended_hw_trap", 1041, ("group", string()), ("trap", string())),
    _flow("extended_linux_drop_reason", 1042, ("reason", string())),
    _flow("extended_timestamp", 1043, ("timestamp", U64)),
    _socket("extended_socket_ipv4", 2100, IP4),
    _socket("extended_socket_ipv6", 2101, IP6),
    _socket("extended_proxy_socket_ipv4", 2102, IP4),
    _socket("extended_proxy_socket_ipv6", 2103, IP6),
    APP_OPERATION,
    Structure("app_parent_context", 0, 2203, _CONTEXT, source=SFLOWTOOL),
    _flow("app_initiator", 2204, ("initiator", string())),
    _flow("app_target", 2205, ("target", string())),
    EXTENDED_TCP_INFO,
    EXTENDED_ENTITIES,
)
