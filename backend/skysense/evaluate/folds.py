"""Leaving one group out: what is trained on, what is tested on, and figures over several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skysense.evaluate.cells import Tile

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Fold:
    """One group left out; indices of tiles."""

    group: str
    sets: tuple[str, ...]  # those that the group has pictures in
    train: tuple[int, ...]
    test: tuple[int, ...]


def leave_one_out(tiles: Sequence[Tile]) -> list[Fold]:
    """One fold a group, in the order of the tiles."""
    folds = []
    for group in dict.fromkeys(tile.group for tile in tiles):
        test = tuple(i for i, tile in enumerate(tiles) if tile.group == group)
        train = tuple(i for i, tile in enumerate(tiles) if tile.group != group)
        folds.append(Fold(group, tuple(dict.fromkeys(tiles[i].labelled for i in test)), train, test))
    return folds


def names_of(*folds: Fold) -> str:
    """The sets of some folds, as the column `set` has them."""
    return "+".join(dict.fromkeys(name for fold in folds for name in fold.sets))


def mean(figures: Sequence[Figures]) -> dict[str, float | None]:
    """Of each figure, over those that have it."""
    return {name: _over([row[name] for row in figures], np.mean) for name in figures[0]}


def mean_and_deviation(figures: Sequence[Figures]) -> dict[str, float | None]:
    """As `mean`, each followed by its standard deviation as `<name>_sd`."""
    row: dict[str, float | None] = {}
    for name in figures[0]:
        row[name] = _over([figure[name] for figure in figures], np.mean)
        row[f"{name}_sd"] = _over([figure[name] for figure in figures], np.std)
    return row


def _over(values: Sequence[float | None], take: Callable[[list[float]], np.floating]) -> float | None:
    there = [value for value in values if value is not None]
    return float(take(there)) if there else None
