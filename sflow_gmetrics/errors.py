"""The exceptions of this package. Any other exception that leaves it is a bug.

SflowGmetricsError
├── DecodeError       bytes from the network or a capture are not sFlow v5
├── EncodeError       a value does not fit the field that it was given for
├── DeclarationError  a structure, field or metric is declared wrongly (raised at import)
├── ConfigError       the configuration is wrong; names the key and the cure
├── QueryError        a request for a page has a parameter that cannot be; names the cure
├── InputError        a capture file or a socket cannot be read or opened
├── StateError        a file of the collector's state cannot be used
└── EngineError       an RRD engine or a peer behind an exporter refuses or is away
"""

from __future__ import annotations


class SflowGmetricsError(Exception):
    """The root of every error that this package raises on purpose."""


class DecodeError(SflowGmetricsError):
    """Bytes that are not what the sFlow specification allows.

    `reason` is one of a small, fixed set of words, fit for a metric label;
    `offset` is the place in the payload, in bytes.
    """

    REASONS = ("truncated", "bad_version", "bad_address", "bad_length", "bad_count", "bad_string")

    def __init__(self, reason: str, detail: str, offset: int = 0) -> None:
        super().__init__(f"{detail} (at byte {offset})")
        self.reason = reason
        self.detail = detail
        self.offset = offset


class EncodeError(SflowGmetricsError):
    """A value that its field's XDR type cannot carry."""


class DeclarationError(SflowGmetricsError):
    """A contradiction in the declared structures, found when they are imported."""


class ConfigError(SflowGmetricsError):
    """A configuration that cannot be used. The text names the key and what it should be."""


class QueryError(SflowGmetricsError):
    """A parameter of a request that cannot be used. The text names it and what it should be."""


class InputError(SflowGmetricsError):
    """A file that is no capture, or an address that cannot be listened on."""


class EngineError(SflowGmetricsError):
    """An RRD engine, or another server behind an output, refused a request or is not there."""


class StateError(SflowGmetricsError):
    """A file of state that is damaged, foreign or of a newer version. The text says what is wrong with it."""


def let_go(error: BaseException) -> None:
    """Forget where an exception came from, once it is dealt with.

    It and a future can hold each other, and with them all that was at hand there, such as a page:
    until somebody looks for garbage, which is seldom.
    """
    one: BaseException | None = error
    while one is not None:
        one.__traceback__ = None
        one = one.__context__
