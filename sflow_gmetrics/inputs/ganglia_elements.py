"""The attributes of one element of Ganglia's XML as a value, checked.

Attributes with a default in the DTD are never looked for there: a parser may pass them on or
not, and a document may come without the DTD.
Source: the DTD of Ganglia 3.7.2; what gmetad does where the DTD is not kept.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from functools import lru_cache

from ..names import safe_metric, safe_value
from ..remote import NUMERIC_TYPES, RemoteCluster, RemoteGrid, RemoteHost, RemoteMetric, RemoteSum

Attributes = Mapping[str, str]

TYPES = {name: name for name in (*NUMERIC_TYPES, "string", "timestamp")}
"""What gmetad knows; it drops metrics of any other type, such as uint64."""
SLOPES = {name: name for name in ("zero", "positive", "negative", "both", "derivative", "unspecified")}

LONGEST_NAME = 1024
LONGEST_TEXT = 1024
"""Characters. A longer name makes its element useless; a longer text is cut."""
LARGEST = (1 << 53) - 1
"""For whole numbers, which are seconds and counts of hosts: what a float can still carry."""

_WHOLE = re.compile(r"[-+]?[0-9]{1,20}(?:\.[0-9]{0,20})?")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,4})?")


class SkippedError(Exception):
    """An element that cannot be used: which one and why, in words of ours."""


def metric_of(attributes: Attributes) -> RemoteMetric:
    """A METRIC, under its raw name and without its EXTRA_DATA. Raises SkippedError."""
    kind = _type(attributes, "METRIC")
    value = _text(attributes, "VAL", "METRIC")
    if kind in NUMERIC_TYPES:
        value = value.strip()  # gmetric takes what wc -l prints, and gmetad reads it
        number(value, "METRIC", "VAL")
    else:
        value = safe_value(value, LONGEST_TEXT)
    return RemoteMetric(
        name=sys.intern(_name(attributes, "METRIC")),
        val=value,
        type=kind,
        units=_shared(attributes.get("UNITS", "")),
        tn=whole(attributes, "TN", "METRIC", 0),
        tmax=whole(attributes, "TMAX", "METRIC", 60),
        dmax=whole(attributes, "DMAX", "METRIC", 0),
        slope=SLOPES.get(attributes.get("SLOPE", "both"), "unspecified"),
        source=_shared(attributes.get("SOURCE", "")) or "gmond",
    )


def host_of(attributes: Attributes, localtime: int) -> RemoteHost:
    """A HOST, under its raw name and without its metrics; `localtime` is its cluster's. Raises SkippedError."""
    reported = whole(attributes, "REPORTED", "HOST")
    return RemoteHost(
        name=_name(attributes, "HOST"),
        ip=safe_value(_text(attributes, "IP", "HOST")),
        reported=reported,
        tn=whole(attributes, "TN", "HOST", max(localtime - reported, 0)),
        tmax=whole(attributes, "TMAX", "HOST", 0),
        dmax=whole(attributes, "DMAX", "HOST", 0),
        location=_said(attributes, "LOCATION"),
        started=whole(attributes, "GMOND_STARTED", "HOST", 0),
        tags=safe_value(attributes.get("TAGS", ""), LONGEST_TEXT),
    )


def sum_of(attributes: Attributes) -> RemoteSum:
    """A METRICS, under its raw name and without its EXTRA_DATA. Raises SkippedError."""
    text = _text(attributes, "SUM", "METRICS")
    kind = _type(attributes, "METRICS")
    if kind not in NUMERIC_TYPES:
        raise SkippedError("METRICS: TYPE is not a number's")
    return RemoteSum(
        name=_name(attributes, "METRICS"),
        sum=number(text, "METRICS", "SUM"),
        num=whole(attributes, "NUM", "METRICS"),
        type=kind,
        units=_shared(attributes.get("UNITS", "")),
        slope=SLOPES.get(attributes.get("SLOPE", "both"), "unspecified"),
        decimals=_decimals(text),
    )


def cluster_of(attributes: Attributes) -> RemoteCluster:
    """A CLUSTER, under its raw name and empty. Raises SkippedError."""
    return RemoteCluster(
        name=_name(attributes, "CLUSTER"),
        localtime=whole(attributes, "LOCALTIME", "CLUSTER", 0),
        owner=_said(attributes, "OWNER"),
        latlong=_said(attributes, "LATLONG"),
        url=_said(attributes, "URL"),
    )


def grid_of(attributes: Attributes) -> RemoteGrid:
    """A GRID, under its raw name and empty. Raises SkippedError."""
    return RemoteGrid(
        name=_name(attributes, "GRID"),
        authority=safe_value(attributes.get("AUTHORITY", ""), LONGEST_TEXT),
        localtime=whole(attributes, "LOCALTIME", "GRID", 0),
    )


def extra_of(attributes: Attributes) -> tuple[str, str]:
    """The name and the value of an EXTRA_ELEMENT, which may stand several times. Raises SkippedError."""
    name = safe_metric(_name(attributes, "EXTRA_ELEMENT"))
    return sys.intern(name), safe_value(_text(attributes, "VAL", "EXTRA_ELEMENT"), LONGEST_TEXT)


def whole(attributes: Attributes, key: str, tag: str, default: int | None = None) -> int:
    """A number of seconds or of hosts; what is negative is 0. Raises SkippedError."""
    text = attributes.get(key)
    if text is None:
        if default is None:
            raise SkippedError(f"{tag}: {key} is missing")
        return default
    if text.isdecimal() and text.isascii() and len(text) < 16:
        return int(text)
    if not _WHOLE.fullmatch(text):
        raise SkippedError(f"{tag}: {key} is no number")
    return min(max(int(text.partition(".")[0]), 0), LARGEST)


def number(text: str, tag: str, key: str) -> float:
    """A value that can be summed, so no infinity. Raises SkippedError."""
    if _NUMBER.fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value
    raise SkippedError(f"{tag}: {key} is no number")


def _decimals(text: str) -> int:
    """How many digits stand after the point."""
    return len(text.lower().partition("e")[0].partition(".")[2])


def _text(attributes: Attributes, key: str, tag: str) -> str:
    text = attributes.get(key)
    if text is None:
        raise SkippedError(f"{tag}: {key} is missing")
    return text


def _name(attributes: Attributes, tag: str) -> str:
    name = attributes.get("NAME")
    if not name:
        raise SkippedError(f"{tag}: NAME is missing")
    if len(name) > LONGEST_NAME:
        raise SkippedError(f"{tag}: NAME is longer than {LONGEST_NAME} characters")
    return name


def _type(attributes: Attributes, tag: str) -> str:
    kind = TYPES.get(_text(attributes, "TYPE", tag))
    if kind is None:
        raise SkippedError(f"{tag}: TYPE is unknown")
    return kind


def _said(attributes: Attributes, key: str) -> str:
    """A text that gmond calls "unspecified" where nothing was said."""
    return safe_value(attributes.get(key, "unspecified"), LONGEST_TEXT)


def _shared(text: str) -> str:
    """A short text that thousands of elements have in common."""
    return _kept(text[:LONGEST_TEXT])


@lru_cache(4096)
def _kept(text: str) -> str:
    return safe_value(text)
