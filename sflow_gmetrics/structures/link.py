"""What particular links count: sFlow counter records 0:3 to 0:11, 0:1002 and 0:1003. Decoded only.

Source: sFlow version 5, section 5 (counter formats); sFlow 802.11, LAG, InfiniBand, optical and PFC structures.
"""

from __future__ import annotations

from ..schema import Field, Structure, counter, enum, gauge, ident
from ..xdr import I32, MAC, OCTETS4, REST, U32, U64, repeated
from .vocabulary import HSFLOWD, SECOND_HAND, SFLOWTOOL, counters, gauges


def _mib(names: str) -> tuple[Field, ...]:
    """Counters of a MIB: frames have 32 bits, octets 64."""
    return tuple(counter(name, U64 if name.endswith("Octets") else U32) for name in names.split())


TOKENRING_COUNTERS = Structure(
    "tokenring_counters",
    0,
    3,
    counters(
        "dot5StatsLineErrors dot5StatsBurstErrors dot5StatsACErrors dot5StatsAbortTransErrors dot5StatsInternalErrors"
        " dot5StatsLostFrameErrors dot5StatsReceiveCongestions dot5StatsFrameCopiedErrors dot5StatsTokenErrors"
        " dot5StatsSoftErrors dot5StatsHardErrors dot5StatsSignalLoss dot5StatsTransmitBeacons dot5StatsRecoverys"
        " dot5StatsLobeWires dot5StatsRemoves dot5StatsSingles dot5StatsFreqErrors"
    ),
    source=HSFLOWD,
)

VG_COUNTERS = Structure(
    "vg_counters",
    0,
    4,
    _mib(
        "dot12InHighPriorityFrames dot12InHighPriorityOctets dot12InNormPriorityFrames dot12InNormPriorityOctets"
        " dot12InIPMErrors dot12InOversizeFrameErrors dot12InDataErrors dot12InNullAddressedFrames"
        " dot12OutHighPriorityFrames dot12OutHighPriorityOctets dot12TransitionIntoTrainings"
        " dot12HCInHighPriorityOctets dot12HCInNormPriorityOctets dot12HCOutHighPriorityOctets"
    ),
    source=HSFLOWD,
)

VLAN_COUNTERS = Structure(
    "vlan_counters",
    0,
    5,
    (
        ident("vlan_id"),
        counter("octets", U64, "bytes"),
        *counters("ucastPkts multicastPkts broadcastPkts discards", unit="packets"),
    ),
    source=HSFLOWD,
)

IEEE80211_COUNTERS = Structure(
    "ieee80211_counters",
    0,
    6,
    (
        *counters(
            "dot11TransmittedFragmentCount dot11MulticastTransmittedFrameCount dot11FailedCount dot11RetryCount"
            " dot11MultipleRetryCount dot11FrameDuplicateCount dot11RTSSuccessCount dot11RTSFailureCount"
            " dot11ACKFailureCount dot11ReceivedFragmentCount dot11MulticastReceivedFrameCount dot11FCSErrorCount"
            " dot11TransmittedFrameCount dot11WEPUndecryptableCount dot11QoSDiscardedFragmentCount"
        ),
        gauge("dot11AssociatedStationCount", unit="stations"),
        *counters(
            "dot11QoSCFPollsReceivedCount dot11QoSCFPollsUnusedCount dot11QoSCFPollsUnusableCount"
            " dot11QoSCFPollsLostCount"
        ),
    ),
    source=SFLOWTOOL,
)

# portState is four octets, not a number: actor admin, actor oper, partner admin, partner oper.
LAG_PORT_STATS = Structure(
    "lag_port_stats",
    0,
    7,
    (
        ident("actorSystemID", MAC),
        ident("partnerSystemID", MAC),
        ident("attachedAggID"),
        enum("portState", OCTETS4),
        *counters(
            "LACPDUsRx markerPDUsRx markerResponsePDUsRx unknownRx illegalRx"
            " LACPDUsTx markerPDUsTx markerResponsePDUsTx"
        ),
    ),
    source=HSFLOWD,
)

SLOW_PATH_COUNTS = Structure(
    "slow_path_counts",
    0,
    8,
    counters("unknown other cam_miss cam_full no_hw_support cntrl", unit="packets"),
    source=SECOND_HAND,
)

IB_COUNTERS = Structure(
    "ib_counters",
    0,
    9,
    (
        *counters("PortXmitPkts PortRcvPkts", U64),
        *counters(
            "SymbolErrorCounter LinkErrorRecoveryCounter LinkDownedCounter PortRcvErrors PortRcvRemotePhysicalErrors"
            " PortRcvSwitchRelayErrors PortXmitDiscards PortXmitConstraintErrors PortRcvConstraintErrors"
            " LocalLinkIntegrityErrors ExcessiveBufferOverrunErrors VL15Dropped"
        ),
    ),
    source=SECOND_HAND,
)

LANE = (
    ident("lane_index"),
    gauge("tx_bias_current", unit="uA"),
    *gauges("tx_power tx_power_min tx_power_max", unit="uW"),
    ident("tx_wavelength", unit="nm"),
    *gauges("rx_power rx_power_min rx_power_max", unit="uW"),
    ident("rx_wavelength", unit="nm"),
)

SFP = Structure(
    "sfp",
    0,
    10,
    (
        ident("module_id"),
        ident("module_total_lanes"),
        gauge("module_supply_voltage", unit="mV"),
        gauge("module_temperature", I32, "mdegC"),
        ident("lanes", repeated("num_lanes", *((one.name, one.type) for one in LANE))),
    ),
    source=HSFLOWD,
)

# Linux knows requests and indications only; the others are all ones.
PFC_COUNTERS = Structure(
    "pfc_counters",
    0,
    11,
    (
        *counters("requests indications"),
        counter("pause_duration", unit="us"),
        *counters("storm_detected storm_restored"),
    ),
    source=HSFLOWD,
)

RADIO_UTILIZATION = Structure(
    "radio_utilization",
    0,
    1002,
    counters("elapsed_time on_channel_time on_channel_busy_time", unit="ms"),
    source=SFLOWTOOL,
)

# Its form is not published with the others: bytes.
QUEUE_LENGTH = Structure("queue_length", 0, 1003, (ident("data", REST),), source=SECOND_HAND)

STRUCTURES = (
    TOKENRING_COUNTERS,
    VG_COUNTERS,
    VLAN_COUNTERS,
    IEEE80211_COUNTERS,
    LAG_PORT_STATS,
    SLOW_PATH_COUNTS,
    IB_COUNTERS,
    SFP,
    PFC_COUNTERS,
    RADIO_UTILIZATION,
    QUEUE_LENGTH,
)
