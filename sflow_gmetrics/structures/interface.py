"""Interfaces and ports: sFlow counter records 0:1 to 0:11 and 0:1001 to 0:1005.

Source: sFlow version 5, section 5 (counter formats); sFlow LAG, optical and 802.11 structures.
"""

from __future__ import annotations

from ..operators import Rate
from ..schema import Family, Metric, Role, Structure, counter, enum, gauge, ident
from ..xdr import I32, MAC, OCTETS4, REST, U32, U64, repeated, string

INTERFACE_RECEIVE_PACKETS = Family("sflow_interface_receive_packets_total", "Packets received.", group="interface")
INTERFACE_TRANSMIT_PACKETS = Family("sflow_interface_transmit_packets_total", "Packets sent.", group="interface")
ETHERNET_ERRORS = Family("sflow_interface_ethernet_errs_total", "Ethernet errors (dot3Stats).", group="interface")
SWITCH_CPU = Family("sflow_switch_cpu_ratio", "CPU load of the device over the window.", group="interface")
LANE = (
    ident("lane_index"),
    gauge("tx_bias_current", U32, "uA"),
    gauge("tx_power", U32, "uW"),
    gauge("tx_power_min", U32, "uW"),
    gauge("tx_power_max", U32, "uW"),
    ident("tx_wavelength", U32, "nm"),
    gauge("rx_power", U32, "uW"),
    gauge("rx_power_min", U32, "uW"),
    gauge("rx_power_max", U32, "uW"),
    ident("rx_wavelength", U32, "nm"),
)

IF_COUNTERS = Structure(
    "if_counters",
    0,
    1,
    (
        ident("ifIndex"),
        enum("ifType"),
        ident(
            "ifSpeed",
            U64,
            "bit/s",
            family=Family("sflow_interface_speed_bytes", "Speed in bytes per second.", group="interface"),
            zero_unknown=True,
        ),
        enum("ifDirection"),
        enum("ifStatus"),
        counter(
            "ifInOctets",
            U64,
            "bytes",
            family=Family("sflow_interface_receive_bytes_total", "Bytes received.", group="interface"),
            ganglia=(
                Metric("bytes_in", "interface", "Bytes Received", Rate(), units="bytes/sec", switch="interfaces"),
            ),
        ),
        counter(
            "ifInUcastPkts",
            U32,
            "packets",
            family=INTERFACE_RECEIVE_PACKETS(cast="unicast"),
            ganglia=(
                Metric("pkts_in", "interface", "Packets Received", Rate(), units="packets/sec", switch="interfaces"),
            ),
        ),
        counter(
            "ifInMulticastPkts",
            U32,
            "packets",
            family=INTERFACE_RECEIVE_PACKETS(cast="multicast"),
            ganglia=(
                Metric(
                    "mcast_in",
                    "interface",
                    "Multicast Packets Received",
                    Rate(),
                    units="packets/sec",
                    switch="interfaces",
                ),
            ),
        ),
        counter(
            "ifInBroadcastPkts",
            U32,
            "packets",
            family=INTERFACE_RECEIVE_PACKETS(cast="broadcast"),
            ganglia=(
                Metric(
                    "bcast_in",
                    "interface",
                    "Broadcast Packets Received",
                    Rate(),
                    units="packets/sec",
                    switch="interfaces",
                ),
            ),
        ),
        counter(
            "ifInDiscards",
            U32,
            "packets",
            family=Family("sflow_interface_receive_drop_total", "Packets dropped while receiving.", group="interface"),
            ganglia=(Metric("drops_in", "interface", "Input Drops", Rate(), units="drops/sec", switch="interfaces"),),
        ),
        counter(
            "ifInErrors",
            U32,
            "packets",
            family=Family("sflow_interface_receive_errs_total", "Packets received with errors.", group="interface"),
            ganglia=(Metric("errs_in", "interface", "Input Errors", Rate(), units="errors/sec", switch="interfaces"),),
        ),
        counter(
            "ifInUnknownProtos",
            U32,
            "packets",
            family=Family(
                "sflow_interface_receive_unknown_protos_total",
                "Packets received for unknown protocols.",
                group="interface",
            ),
        ),
        counter(
            "ifOutOctets",
            U64,
            "bytes",
            family=Family("sflow_interface_transmit_bytes_total", "Bytes sent.", group="interface"),
            ganglia=(Metric("bytes_out", "interface", "Bytes Sent", Rate(), units="bytes/sec", switch="interfaces"),),
        ),
        counter(
            "ifOutUcastPkts",
            U32,
            "packets",
            family=INTERFACE_TRANSMIT_PACKETS(cast="unicast"),
            ganglia=(
                Metric("pkts_out", "interface", "Packets Sent", Rate(), units="packets/sec", switch="interfaces"),
            ),
        ),
        counter(
            "ifOutMulticastPkts",
            U32,
            "packets",
            family=INTERFACE_TRANSMIT_PACKETS(cast="multicast"),
            ganglia=(
                Metric(
                    "mcast_out", "interface", "Multicast Packets Sent", Rate(), units="packets/sec", switch="interfaces"
                ),
            ),
        ),
        counter(
            "ifOutBroadcastPkts",
            U32,
            "packets",
            family=INTERFACE_TRANSMIT_PACKETS(cast="broadcast"),
            ganglia=(
                Metric(
                    "bcast_out", "interface", "Broadcast Packets Sent", Rate(), units="packets/sec", switch="interfaces"
                ),
            ),
        ),
        counter(
            "ifOutDiscards",
            U32,
            "packets",
            family=Family("sflow_interface_transmit_drop_total", "Packets dropped while sending.", group="interface"),
            ganglia=(Metric("drops_out", "interface", "Output Drops", Rate(), units="drops/sec", switch="interfaces"),),
        ),
        counter(
            "ifOutErrors",
            U32,
            "packets",
            family=Family("sflow_interface_transmit_errs_total", "Errors while sending.", group="interface"),
            ganglia=(
                Metric("errs_out", "interface", "Output Errors", Rate(), units="errors/sec", switch="interfaces"),
            ),
        ),
        enum(
            "ifPromiscuousMode",
            family=Family(
                "sflow_interface_promiscuous", "Promiscuous mode: 1 on, 2 off (hsflowd: 0 off).", group="interface"
            ),
        ),
    ),
    role=Role.INTERFACE,
)

ETHERNET_COUNTERS = Structure(
    "ethernet_counters",
    0,
    2,
    (
        counter("dot3StatsAlignmentErrors", family=ETHERNET_ERRORS(error="alignment")),
        counter("dot3StatsFCSErrors", family=ETHERNET_ERRORS(error="fcs")),
        counter("dot3StatsSingleCollisionFrames", family=ETHERNET_ERRORS(error="single_collision")),
        counter("dot3StatsMultipleCollisionFrames", family=ETHERNET_ERRORS(error="multiple_collision")),
        counter("dot3StatsSQETestErrors", family=ETHERNET_ERRORS(error="sqe_test")),
        counter("dot3StatsDeferredTransmissions", family=ETHERNET_ERRORS(error="deferred_transmissions")),
        counter("dot3StatsLateCollisions", family=ETHERNET_ERRORS(error="late_collisions")),
        counter("dot3StatsExcessiveCollisions", family=ETHERNET_ERRORS(error="excessive_collisions")),
        counter("dot3StatsInternalMacTransmitErrors", family=ETHERNET_ERRORS(error="internal_mac_transmit")),
        counter("dot3StatsCarrierSenseErrors", family=ETHERNET_ERRORS(error="carrier_sense")),
        counter("dot3StatsFrameTooLongs", family=ETHERNET_ERRORS(error="frame_too_longs")),
        counter("dot3StatsInternalMacReceiveErrors", family=ETHERNET_ERRORS(error="internal_mac_receive")),
        counter("dot3StatsSymbolErrors", family=ETHERNET_ERRORS(error="symbol")),
    ),
    role=Role.INTERFACE,
)

TOKENRING_COUNTERS = Structure(
    "tokenring_counters",
    0,
    3,
    (
        counter("dot5StatsLineErrors"),
        counter("dot5StatsBurstErrors"),
        counter("dot5StatsACErrors"),
        counter("dot5StatsAbortTransErrors"),
        counter("dot5StatsInternalErrors"),
        counter("dot5StatsLostFrameErrors"),
        counter("dot5StatsReceiveCongestions"),
        counter("dot5StatsFrameCopiedErrors"),
        counter("dot5StatsTokenErrors"),
        counter("dot5StatsSoftErrors"),
        counter("dot5StatsHardErrors"),
        counter("dot5StatsSignalLoss"),
        counter("dot5StatsTransmitBeacons"),
        counter("dot5StatsRecoverys"),
        counter("dot5StatsLobeWires"),
        counter("dot5StatsRemoves"),
        counter("dot5StatsSingles"),
        counter("dot5StatsFreqErrors"),
    ),
    role=Role.NONE,
)

VG_COUNTERS = Structure(
    "vg_counters",
    0,
    4,
    (
        counter("dot12InHighPriorityFrames"),
        counter("dot12InHighPriorityOctets", U64),
        counter("dot12InNormPriorityFrames"),
        counter("dot12InNormPriorityOctets", U64),
        counter("dot12InIPMErrors"),
        counter("dot12InOversizeFrameErrors"),
        counter("dot12InDataErrors"),
        counter("dot12InNullAddressedFrames"),
        counter("dot12OutHighPriorityFrames"),
        counter("dot12OutHighPriorityOctets", U64),
        counter("dot12TransitionIntoTrainings"),
        counter("dot12HCInHighPriorityOctets", U64),
        counter("dot12HCInNormPriorityOctets", U64),
        counter("dot12HCOutHighPriorityOctets", U64),
    ),
    role=Role.NONE,
)

VLAN_COUNTERS = Structure(
    "vlan_counters",
    0,
    5,
    (
        ident("vlan_id"),
        counter("octets", U64, "bytes"),
        counter("ucastPkts", U32, "packets"),
        counter("multicastPkts", U32, "packets"),
        counter("broadcastPkts", U32, "packets"),
        counter("discards", U32, "packets"),
    ),
    role=Role.NONE,
)

IEEE80211_COUNTERS = Structure(
    "ieee80211_counters",
    0,
    6,
    (
        counter("dot11TransmittedFragmentCount"),
        counter("dot11MulticastTransmittedFrameCount"),
        counter("dot11FailedCount"),
        counter("dot11RetryCount"),
        counter("dot11MultipleRetryCount"),
        counter("dot11FrameDuplicateCount"),
        counter("dot11RTSSuccessCount"),
        counter("dot11RTSFailureCount"),
        counter("dot11ACKFailureCount"),
        counter("dot11ReceivedFragmentCount"),
        counter("dot11MulticastReceivedFrameCount"),
        counter("dot11FCSErrorCount"),
        counter("dot11TransmittedFrameCount"),
        counter("dot11WEPUndecryptableCount"),
        counter("dot11QoSDiscardedFragmentCount"),
        gauge("dot11AssociatedStationCount", U32, "stations"),
        counter("dot11QoSCFPollsReceivedCount"),
        counter("dot11QoSCFPollsUnusedCount"),
        counter("dot11QoSCFPollsUnusableCount"),
        counter("dot11QoSCFPollsLostCount"),
    ),
    role=Role.NONE,
)

LAG_PORT_STATS = Structure(
    "lag_port_stats",
    0,
    7,
    (
        ident("actorSystemID", MAC),
        ident("partnerSystemID", MAC),
        ident("attachedAggID"),
        enum("portState", OCTETS4),
        counter("LACPDUsRx"),
        counter("markerPDUsRx"),
        counter("markerResponsePDUsRx"),
        counter("unknownRx"),
        counter("illegalRx"),
        counter("LACPDUsTx"),
        counter("markerPDUsTx"),
        counter("markerResponsePDUsTx"),
    ),
    role=Role.NONE,
)

SLOW_PATH_COUNTS = Structure(
    "slow_path_counts",
    0,
    8,
    (
        counter("unknown", U32, "packets"),
        counter("other", U32, "packets"),
        counter("cam_miss", U32, "packets"),
        counter("cam_full", U32, "packets"),
        counter("no_hw_support", U32, "packets"),
        counter("cntrl", U32, "packets"),
    ),
    role=Role.NONE,
)

IB_COUNTERS = Structure(
    "ib_counters",
    0,
    9,
    (
        counter("PortXmitPkts", U64),
        counter("PortRcvPkts", U64),
        counter("SymbolErrorCounter"),
        counter("LinkErrorRecoveryCounter"),
        counter("LinkDownedCounter"),
        counter("PortRcvErrors"),
        counter("PortRcvRemotePhysicalErrors"),
        counter("PortRcvSwitchRelayErrors"),
        counter("PortXmitDiscards"),
        counter("PortXmitConstraintErrors"),
        counter("PortRcvConstraintErrors"),
        counter("LocalLinkIntegrityErrors"),
        counter("ExcessiveBufferOverrunErrors"),
        counter("VL15Dropped"),
    ),
    role=Role.NONE,
)

SFP = Structure(
    "sfp",
    0,
    10,
    (
        ident("module_id"),
        ident("module_total_lanes"),
        gauge("module_supply_voltage", U32, "mV"),
        gauge("module_temperature", I32, "mdegC"),
        ident("lanes", repeated("num_lanes", *((one.name, one.type) for one in LANE))),
    ),
    role=Role.NONE,
)

PFC_COUNTERS = Structure(
    "pfc_counters",
    0,
    11,
    (
        counter("requests"),
        counter("indications"),
        counter("pause_duration", U32, "us"),
        counter("storm_detected"),
        counter("storm_restored"),
    ),
    role=Role.NONE,
)

PROCESSOR = Structure(
    "processor",
    0,
    1001,
    (
        gauge("five_sec_cpu", U32, "1/100 %", family=SWITCH_CPU(window="5s")),
        gauge("one_min_cpu", U32, "1/100 %", family=SWITCH_CPU(window="1m")),
        gauge("five_min_cpu", U32, "1/100 %", family=SWITCH_CPU(window="5m")),
        gauge(
            "total_memory",
            U64,
            "bytes",
            family=Family("sflow_switch_memory_total_bytes", "Memory of the device.", group="interface"),
        ),
        gauge(
            "free_memory",
            U64,
            "bytes",
            family=Family("sflow_switch_memory_free_bytes", "Free memory of the device.", group="interface"),
        ),
    ),
    role=Role.HOST,
)

RADIO_UTILIZATION = Structure(
    "radio_utilization",
    0,
    1002,
    (
        counter("elapsed_time", U32, "ms"),
        counter("on_channel_time", U32, "ms"),
        counter("on_channel_busy_time", U32, "ms"),
    ),
    role=Role.NONE,
)

QUEUE_LENGTH = Structure(
    "queue_length",
    0,
    1003,
    (ident("data", REST),),
    role=Role.NONE,
)

OF_PORT = Structure(
    "of_port",
    0,
    1004,
    (
        ident("datapath_id", U64),
        ident("port_no"),
    ),
    role=Role.NONE,
)

PORT_NAME = Structure(
    "port_name",
    0,
    1005,
    (ident("name", string()),),
    role=Role.NONE,
)

STRUCTURES = (
    IF_COUNTERS,
    ETHERNET_COUNTERS,
    TOKENRING_COUNTERS,
    VG_COUNTERS,
    VLAN_COUNTERS,
    IEEE80211_COUNTERS,
    LAG_PORT_STATS,
    SLOW_PATH_COUNTS,
    IB_COUNTERS,
    SFP,
    PFC_COUNTERS,
    PROCESSOR,
    RADIO_UTILIZATION,
    QUEUE_LENGTH,
    OF_PORT,
    PORT_NAME,
)
