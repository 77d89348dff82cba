"""A model's configuration as plain values, for the card of a weights file that no preset describes."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .model import SkySenseConfig
from .plus_plus import PlusPlusConfig

Config = TypeVar("Config", SkySenseConfig, PlusPlusConfig)
# A hostile card must not make us build for hours: sizes that no model of this kind comes near.
MOST_BLOCKS, WIDEST_WINDOW = 256, 64


def to_plain(config: SkySenseConfig | PlusPlusConfig) -> dict[str, Any]:
    """JSON values."""
    return asdict(config)


def from_plain(kind: type[Config], plain: object) -> Config:
    """The configuration.

    Raises:
        ValueError: a field is missing, unknown, of another type or absurd.
    """
    config: Config = _read(kind, plain, kind.__name__)
    blocks = [*config.hr.depths, config.s2.depth, config.s1.depth, config.fusion.depth]
    windows = config.hr.window if isinstance(config.hr.window, tuple) else (config.hr.window,)
    if max(blocks) > MOST_BLOCKS or max(windows) > WIDEST_WINDOW or min(*blocks, *windows) < 1 or len(config.hr.depths) > 8:
        raise ValueError(f"{kind.__name__} has absurd sizes")
    return config


def _read(kind: Any, value: object, where: str) -> Any:
    if is_dataclass(kind):
        return _read_record(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        for option in arguments:
            try:
                return _read(option, value, where)
            except ValueError:
                continue
    elif origin is tuple and isinstance(value, list | tuple):
        items = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(items) == len(value):
            return tuple(_read(item, entry, where) for item, entry in zip(items, value))
    elif kind is type(None) and value is None:
        return None
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif kind in (int, str, bool) and type(value) is kind:
        return value
    raise ValueError(f"{where} cannot be {value!r}")


def _read_record(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is no table")
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    given = set(map(str, value))
    if not needed <= given <= names:  # an older card lacks what came later: that has a default
        raise ValueError(f"{where} lacks or adds: {', '.join(sorted((needed - given) | (given - names)))}")
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in given})
