"""From scores to changed or not: Otsu's threshold over a whole layer, with the floors that were measured."""

from __future__ import annotations

import numpy as np

from skysense.change.statistics import Histogram

CLIP = (0.0005, 0.9995)  # quantiles; a few saturated pixels must not draw the threshold
# Measured on one date against itself, shifted 0.8 px, recoloured and blurred: below these no change can be told.
DEEP_FLOOR = 1.0  # flags 1 % there instead of 37 %
PER_DATE_FLOOR = 0.8  # change vectors of dates that were standardised one by one: 1 % instead of 23 %


def otsu(scores: Histogram) -> float:
    """The value above which scores are changed: greatest variance between the two classes, half-way to the next score.

    Otsu, "A threshold selection method from gray-level histograms", 1979, on values clipped at the quantiles `CLIP`.
    All values equal: that value, so that nothing is above it.

    Raises:
        ValueError: no scores.
    """
    values, counts = scores.occurring()
    if not len(values):
        raise ValueError("no scores to find a threshold for")
    below = np.cumsum(counts)
    low, high = values[np.searchsorted(below, np.array(CLIP) * below[-1])]
    clipped = np.clip(values, low, high)
    share = below / below[-1]  # of the lower class, if it ends with this value
    partial = np.cumsum(clipped * counts) / below[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (partial[-1] * share - partial) ** 2 / (share * (1 - share))
    between[~np.isfinite(between)] = 0.0
    if between.max() <= 0:
        return float(values[-1])
    best = int(np.argmax(between))
    return float((values[best] + values[best + 1]) / 2)
