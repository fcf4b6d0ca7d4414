"""What a client can read, from its Accept and Accept-Encoding headers."""

from __future__ import annotations

import math


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header likes OpenMetrics 1.0 at least as much as the text format (as Prometheus' does)."""
    openmetrics = text = 0.0
    for entry in accept.lower().split(","):
        media, *parameters = [part.strip() for part in entry.split(";")]
        settings = dict(part.partition("=")[::2] for part in parameters)
        quality = _quality(settings.get("q", "1"))
        if media == "application/openmetrics-text" and settings.get("version", "1.0.0") == "1.0.0":
            openmetrics = max(openmetrics, quality)
        elif media in ("text/plain", "text/*", "*/*"):
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    for entry in accept_encoding.lower().split(","):
        coding, *parameters = [part.strip() for part in entry.split(";")]
        if coding == "gzip":
            return _quality(dict(part.partition("=")[::2] for part in parameters).get("q", "1")) > 0
    return False


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
