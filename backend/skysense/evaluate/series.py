"""How much a linear head reads from what an encoder makes of dated Sentinel series.

The encoder sees the whole series of a site with its dates and its place, tile by tile, as in every job; a pixel's
features are what a head that the training job fits reads, see `series_features`. The head is that of the dense probe.

- Classes by pixel: a site is cut into 4 x 4 blocks. Four folds of four blocks that do not touch are each held out
  whole. The F1 of a fold is the mean over its classes with at least 20 pixels. Pixels beside a block's rim have their
  neighbours in other folds: maps of large fields make this easier than a new place would be. Sites of one set that
  overlap have to share a group.
- Shares of the area by genus: a plot is one sample, its class the genus with the largest share, its features the mean
  over its pixels. Each fold holds out as many plots of each genus as it can, so that what is learnt from stays in
  balance. Genera with one plot are left out. Of a handful of plots the figure says little; `samples` tells how many.

With `--group-by`, groups of whole sites are held out in place of these. `macro_f1` is the mean over folds, `macro_f1_sd`
their standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from skysense.evaluate.folds import mean_and_deviation
from skysense.evaluate.ridge import FEWEST_CELLS, Floats, fit_ridge, macro_f1
from skysense.evaluate.series_features import series_features
from skysense.evaluate.series_samples import Samples, draw_samples
from skysense.evaluate.sites import find_site_sets
from skysense.models.catalog import load_encoder


def run(
    folders: Sequence[str | Path],
    *,
    seed: int = 0,
    model: str = "skysense-nano",
    weights: str | Path | None = None,
    baselines: bool = False,
    group_by: str | None = None,
) -> list[dict[str, object]]:
    """One row a folder and kind of features.

    Args:
        folders: of labelled sites, see `sites`.
        seed: of the draw of pixels where a site has more than 20,000.
        model: a key of the catalogue.
        weights: a file in place of the bundled one.
        baselines: also the raw values and the untrained network.
        group_by: regular expression; its group 1 on a site's name is the group, groups are held out.

    Raises:
        LabelError: no labelled series, fewer than two classes or folds, a label map that does not fit.
        RequestError: no such model. ModelError: its weights cannot be used. BandError: it does not take these sensors.
        RasterError and its kinds: an image cannot be used.
    """
    sets = find_site_sets(folders, group_by)
    encoder = load_encoder(model, Path(weights) if weights else None)
    rows: list[dict[str, object]] = []
    for labelled in sets:
        samples = draw_samples(labelled, encoder.info, seed)
        for features in series_features(model, encoder, samples.sites, baselines):
            started = perf_counter()
            table = samples.table(encoder.info, features.extract)
            rows.append(
                {
                    "set": labelled.name,
                    "features": features.name,
                    **_figures(samples, table),
                    "unit": "pixel" if samples.by_pixel else "plot",
                    "samples": len(samples.labels),
                    "classes": samples.classes,
                    "untrained_seed": features.untrained_seed,
                    "dim": table.shape[1],
                    "seed": seed,
                    "seconds": round(perf_counter() - started, 2),
                    "model": model,
                    "weights_sha256": features.digest,
                }
            )
    return rows


def _figures(samples: Samples, table: NDArray[np.float32]) -> dict[str, float | None]:
    scores = _held_out(samples, table)
    fewest = FEWEST_CELLS if samples.by_pixel else 1
    folds = [samples.folds == fold for fold in np.unique(samples.folds)]
    return mean_and_deviation([{"macro_f1": macro_f1(scores[fold], samples.labels[fold], fewest)} for fold in folds])


def _held_out(samples: Samples, table: NDArray[np.float32]) -> Floats:
    """(N, K): each sample by the head that did not see its fold."""
    scores = np.empty((len(table), samples.classes))
    for fold in np.unique(samples.folds):
        test = samples.folds == fold
        scores[test] = fit_ridge(table[~test], samples.labels[~test], samples.classes).scores(table[test])
    return scores
