"""Frozen dataclasses to plain JSON values and back, strictly.

An unknown or a missing field is an error, and so is a value of another type: a message either means exactly what its
class says or is refused. Numbers: a float field takes an integer, never the other way round; NaN and infinities are
refused, since JSON has none.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing

from .messages import MESSAGES
from .requests import REQUESTS, RESULTS

DEEPEST = 32  # lists and objects in one another; our own messages have ten

_NAMED: dict[str, type] = {**MESSAGES, **REQUESTS, **{result.__name__: result for result in RESULTS.values()}}


class RecordError(ValueError):
    """The value does not fit the record; the text says where, what was expected and what came."""


def to_plain(record: object) -> dict[str, object]:
    """The record as JSON values, its class under "kind" (also for records held in `object` fields)."""
    plain = _plain(record, at=type(record).__name__)
    if not isinstance(plain, dict):
        raise RecordError(f"expected a record, got {type(record).__name__}")
    return {"kind": type(record).__name__, **plain}


def from_plain(plain: object) -> object:
    """The record that `to_plain` wrote.

    Raises:
        RecordError: unknown kind, unknown or missing field, wrong type, nested absurdly deep.
    """
    if _is_deep(plain):
        raise RecordError(f"expected at most {DEEPEST} lists and objects in one another")
    return _named(plain)


def _is_deep(plain: object) -> bool:
    """Asked without recursion, which is what must not run out."""
    level = [plain]
    for _ in range(DEEPEST):
        inner = [list(item.values()) if isinstance(item, dict) else item for item in level if isinstance(item, (dict, list))]
        if not inner:
            return False
        level = [value for values in inner for value in values]
    return True


def _named(plain: object) -> object:
    """The record of the plain object's kind."""
    if not isinstance(plain, dict) or not isinstance(plain.get("kind"), str):
        raise RecordError(f"expected an object with a kind, got {_show(plain)}")
    kind = plain["kind"]
    if kind not in _NAMED:
        raise RecordError(f"unknown kind {kind!r}")
    return _record(_NAMED[kind], {key: value for key, value in plain.items() if key != "kind"}, at=kind)


def _plain(value: object, at: str) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        fields = {}
        for name, hint in hints.items():
            inner = getattr(value, name)
            fields[name] = to_plain(inner) if hint is object else _plain(inner, f"{at}.{name}")
        return fields
    if isinstance(value, (list, tuple)):
        return [_plain(item, at) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"{at}: expected a finite number, got {value}")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise RecordError(f"{at}: {type(value).__name__} cannot be sent")


def _record(cls: type, plain: object, at: str) -> object:
    if not isinstance(plain, dict):
        raise RecordError(f"{at}: expected an object, got {_show(plain)}")
    hints = _hints(cls)
    unknown = sorted(set(plain) - set(hints))
    missing = sorted(set(hints) - set(plain))
    if unknown or missing:
        raise RecordError(f"{at}: unknown fields {unknown}, missing fields {missing}")
    return cls(**{name: _value(hint, plain[name], f"{at}.{name}") for name, hint in hints.items()})


def _value(hint: typing.Any, plain: object, at: str) -> object:
    if hint is object:
        return _named(plain)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        choices = typing.get_args(hint)
        if plain is None and type(None) in choices:
            return None
        return _value(next(choice for choice in choices if choice is not type(None)), plain, at)
    if origin is tuple:
        return _tuple(typing.get_args(hint), plain, at)
    if dataclasses.is_dataclass(hint):
        return _record(typing.cast(type, hint), plain, at)
    if hint is float and type(plain) in (int, float) and _is_finite(typing.cast(float, plain)):
        return float(typing.cast(float, plain))
    if hint in (bool, int, str) and type(plain) is hint:
        return plain
    raise RecordError(f"{at}: expected {getattr(hint, '__name__', hint)}, got {_show(plain)}")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float holds
        return False


def _tuple(items: tuple[typing.Any, ...], plain: object, at: str) -> tuple[object, ...]:
    if not isinstance(plain, list):
        raise RecordError(f"{at}: expected a list, got {_show(plain)}")
    if items[-1] is Ellipsis:
        return tuple(_value(items[0], item, f"{at}[{i}]") for i, item in enumerate(plain))
    if len(plain) != len(items):
        raise RecordError(f"{at}: expected {len(items)} values, got {len(plain)}")
    return tuple(_value(hint, item, f"{at}[{i}]") for i, (hint, item) in enumerate(zip(items, plain)))


@functools.cache
def _hints(cls: type) -> dict[str, typing.Any]:
    return typing.get_type_hints(cls)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
