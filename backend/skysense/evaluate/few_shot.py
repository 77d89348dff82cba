"""How much a linear head learns from a few labelled regions: the dense probe with little to learn from.

Cells, groups, folds, features and head are those of `dense_probe`; every fold is tested on the same cells as there. It
learns from the cells of n regions a class, drawn from all regions of the other groups, each as likely. In each of ten
draws the same regions serve every kind of features, and those of a smaller n are among those of a larger one.

- A region is what `regions` says. Its cells are those that the dense probe drew, at most 1,200 a picture; a region
  without any, too small or too thin to fill a cell, is no example that could be drawn.
- A class with fewer than n regions gives all it has: `least_regions` is the smallest number that a class with any gives,
  over all folds of the row. A class that only the test group holds cannot be learnt and counts as missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from skysense.evaluate.cells import Tile, draw_tiles, find_classes
from skysense.evaluate.folders import find_sets
from skysense.evaluate.folds import Figures, Fold, leave_one_out, mean, mean_and_deviation, names_of
from skysense.evaluate.picture_features import picture_features
from skysense.evaluate.regions import cell_regions
from skysense.evaluate.ridge import fit_ridge, score

SHOTS = (1, 5, 20)  # regions a class
DRAWS = 10
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Cells:
    """Those of all tiles, one tile after the other: N cells."""

    labels: Indices  # (N,) index of the class
    regions: Indices  # (N,) number of the region, of all tiles
    tiles: Indices  # (N,) index of the tile
    classes: int


@dataclass(frozen=True)
class Task:
    """One fold: which regions may be learnt from, which cells are judged."""

    fold: Fold
    regions: tuple[Indices, ...]  # of each class, in the training groups
    train: Indices  # indices of cells
    test: Indices

    def examples(self, cells: Cells, shots: int, generator: np.random.Generator) -> Indices:
        """The cells of so many regions a class; the same generator gives more of the same for more shots."""
        drawn = np.concatenate([generator.permutation(numbers)[:shots] for numbers in self.regions])
        return self.train[np.isin(cells.regions[self.train], drawn)]

    def least(self, shots: int) -> int:
        """The fewest regions that a class gives, of those that have any."""
        return min(min(len(numbers), shots) for numbers in self.regions if len(numbers))


def run(
    folders: Sequence[str | Path],
    *,
    seed: int = 0,
    model: str = "skysense-nano",
    weights: str | Path | None = None,
    baselines: bool = False,
    group_by: str | None = None,
) -> list[dict[str, object]]:
    """One row a kind of features, number of shots and fold, and as group `all` that of the mean over folds: mean and
    standard deviation of each figure over the draws.

    Args and errors are those of `dense_probe.run`; `seed` is that of the draw of cells and of the draw of regions.
    """
    sets = find_sets(folders, group_by)
    classes = find_classes(sets)
    tiles = draw_tiles(sets, classes, seed)
    cells = _cells(tiles, classes)
    tasks = list(_tasks(tiles, cells))
    rows: list[dict[str, object]] = []
    for features in picture_features(model, weights, baselines):
        started = perf_counter()
        table = np.concatenate(features.table(tiles))
        found = [row for shots in SHOTS for row in _rows(tasks, cells, table, shots, seed)]
        common = {
            "features": features.name,
            "untrained_seed": features.untrained_seed,
            "dim": table.shape[1],
            "seed": seed,
            "seconds": round(perf_counter() - started, 2),
            "model": model,
            "weights_sha256": features.digest,
        }
        rows += [{**row, **common} for row in found]
    return rows


def _rows(tasks: Sequence[Task], cells: Cells, table: NDArray[np.float32], shots: int, seed: int) -> list[dict[str, object]]:
    draws = []  # the figures of every fold
    for draw in range(DRAWS):
        learnt = [task.examples(cells, shots, np.random.default_rng([seed, draw])) for task in tasks]
        heads = [fit_ridge(table[examples], cells.labels[examples], cells.classes) for examples in learnt]
        draws.append([score(head.scores(table[task.test]), cells.labels[task.test]) for head, task in zip(heads, tasks)])
    rows = [_row(task.fold.group, [task], shots, mean_and_deviation(figures)) for task, figures in zip(tasks, zip(*draws))]
    return [*rows, _row("all", tasks, shots, mean_and_deviation([mean(of_folds) for of_folds in draws]))]


def _row(group: str, tasks: Sequence[Task], shots: int, figures: Figures) -> dict[str, object]:
    return {
        "set": names_of(*(task.fold for task in tasks)),
        "group": group,
        "shots": shots,
        "least_regions": min(task.least(shots) for task in tasks),
        **figures,
    }


# -- what is drawn from ----------------------------------------------------------------------------------------------
def _cells(tiles: Sequence[Tile], classes: Sequence[int]) -> Cells:
    regions: list[Indices] = []
    count = 0
    for tile in tiles:
        regions.append(cell_regions(tile, classes) + count)
        count = int(regions[-1].max()) + 1
    return Cells(
        labels=np.concatenate([tile.labels for tile in tiles]),
        regions=np.concatenate(regions),
        tiles=np.repeat(np.arange(len(tiles)), [len(tile.cells) for tile in tiles]),
        classes=len(classes),
    )


def _tasks(tiles: Sequence[Tile], cells: Cells) -> Iterator[Task]:
    for fold in leave_one_out(tiles):
        train, test = (np.flatnonzero(np.isin(cells.tiles, part)) for part in (fold.train, fold.test))
        regions = tuple(np.unique(cells.regions[train][cells.labels[train] == index]) for index in range(cells.classes))
        yield Task(fold, regions, train, test)
