"""How much a linear head reads from an encoder's maps: cells of labelled pictures, one group left out at a time.

Every kind of features gets the same cells, folds and head (`ridge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from skysense.evaluate.cells import draw_tiles, find_classes
from skysense.evaluate.folders import find_sets
from skysense.evaluate.folds import leave_one_out, mean_and_deviation, names_of
from skysense.evaluate.picture_features import picture_features
from skysense.evaluate.ridge import fit_ridge, score


def run(
    folders: Sequence[str | Path],
    *,
    seed: int = 0,
    model: str = "skysense-nano",
    weights: str | Path | None = None,
    baselines: bool = False,
    group_by: str | None = None,
) -> list[dict[str, object]]:
    """One row a fold and kind of features, then the mean over folds as group `all`.

    Args:
        folders: labelled folders with the same classes, see `folders`.
        seed: of the draw of cells.
        model: a key of the catalogue.
        weights: a file in place of the bundled one.
        baselines: also texture, raw values, the untrained network, and EfficientNet-Lite0 where its package is installed.
        group_by: regular expression; its group 1 on a file's stem is the group.

    Raises:
        LabelError: fewer than two groups or two classes, or masks of another size than their images.
        RequestError: no such model, or one that does not take pictures. ModelError: its weights cannot be used.
    """
    sets = find_sets(folders, group_by)
    classes = find_classes(sets)
    tiles = draw_tiles(sets, classes, seed)
    folds = leave_one_out(tiles)
    rows: list[dict[str, object]] = []
    for features in picture_features(model, weights, baselines):
        started = perf_counter()
        table = features.table(tiles)
        figures = []
        for fold in folds:
            (x, labels), (x_test, truth) = (
                (np.concatenate([table[i] for i in part]), np.concatenate([tiles[i].labels for i in part]))
                for part in (fold.train, fold.test)
            )
            figures.append(score(fit_ridge(x, labels, len(classes)).scores(x_test), truth))
        common = {
            "features": features.name,
            "untrained_seed": features.untrained_seed,
            "dim": table[0].shape[1],
            "seed": seed,
            "seconds": round(perf_counter() - started, 2),
            "model": model,
            "weights_sha256": features.digest,
        }
        rows += [{"set": names_of(fold), "group": fold.group, **row, **common} for fold, row in zip(folds, figures)]
        rows.append({"set": names_of(*folds), "group": "all", **mean_and_deviation(figures), **common})
    return rows
