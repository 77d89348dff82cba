"""Constructor arguments of the released classes: each is read, or the fixture is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Arguments that change nothing in a forward pass of evaluation, or where the weights come from.
WITHOUT_EFFECT = {
    "drop_rate",
    "attn_drop_rate",
    "drop_path_rate",
    "with_cp",
    "frozen_stages",
    "norm_eval",
    "init_cfg",
    "pretrained",
    "type",
}


class Options:
    """Arguments by name; `done` raises ValueError for those that nobody asked for."""

    def __init__(self, kwargs: Mapping[str, Any]) -> None:
        self._left = {name: value for name, value in kwargs.items() if name not in WITHOUT_EFFECT}

    def take(self, name: str, default: Any = None) -> Any:
        return self._left.pop(name, default)

    def need(self, name: str) -> Any:
        if name not in self._left:
            raise ValueError(f"the argument {name!r} is missing")
        return self._left.pop(name)

    def done(self) -> None:
        self._left.pop("_state", None)  # only names a shared file
        if self._left:
            raise ValueError(f"arguments that are not supported: {', '.join(sorted(self._left))}")


def pair(value: Any) -> tuple[int, int]:
    """An int or a list of one or two of them -> (rows, columns)."""
    if isinstance(value, int):
        return value, value
    rows, *rest = value
    return int(rows), int(rest[0]) if rest else int(rows)


def expect(options: Options, name: str, *allowed: Any) -> None:
    """Raise ValueError where the argument is there and is none of the values that our modules stand for."""
    value = options.take(name, allowed[0])
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not supported, only {', '.join(map(repr, allowed))}")
