"""A document of tables into frozen dataclasses: every key known, every value of the type that its field has."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from .config_check import unknown_key
from .errors import ConfigError

T = TypeVar("T")


def build(wanted: type[T], table: Any, place: str = "") -> T:
    """The dataclass that a document's table says; a value that is empty (None) is not there. Raises ConfigError."""
    if not isinstance(table, dict):
        raise ConfigError(f"{place or 'this'} must be a table, not {_describe(table)}")
    fields = {one.name: one for one in dataclasses.fields(wanted)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(wanted)
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{place}.{key}" if place else str(key)
        if key not in fields:
            raise ConfigError(unknown_key(str(key), where, list(fields)))
        if value is not None:
            values[key] = _convert(hints[key], value, where)
    for name, one in fields.items():
        if name not in values and one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{place} needs the key {name!r}")
    return wanted(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        raise ConfigError(f"{where} is too large a number: TOML has 64 bits")
    origin = typing.get_origin(hint)
    if origin is tuple:
        (item, _) = typing.get_args(hint)
        if isinstance(value, str) and item is str:
            value = [value]
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list, not {_describe(value)}")
        return tuple(_convert(item, one, f"{where}[{index}]") for index, one in enumerate(value))
    if origin is dict:
        return _texts(value, where)
    if origin is types.UnionType:
        return value if type(value) in typing.get_args(hint) else _convert(typing.get_args(hint)[0], value, where)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast("type[Any]", hint), value, where)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        words = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
        raise ConfigError(f"{where} must be {words[hint]}, not {_describe(value)}")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    """A table whose keys are free; its values are strings."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table, not {_describe(value)}")
    for key in value:
        if type(key) is not str:
            raise ConfigError(f"{where}: the key must be a string, not {_describe(key)}: put it in quotes")
    return {key: _convert(str, one, f"{where}.{key}") for key, one in value.items() if one is not None}


def _describe(value: Any) -> str:
    kind = {dict: "a table", list: "a list", bool: "true or false", str: "the string", int: "the number"}
    word = kind.get(type(value), type(value).__name__)
    return f"{word} {value!r}" if isinstance(value, str | int) and not isinstance(value, bool) else word
