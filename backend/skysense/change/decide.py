"""From raw scores to what is shown: one score per pixel and the threshold above which it has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysense.change.statistics import Histogram
from skysense.change.threshold import otsu

Scores = NDArray[np.float32]
# One flood event of two had its F1 raised from .67 to .73 by it, the other was as before.
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Decision:
    """How raw scores become the score that is shown, and the threshold on it."""

    score: Callable[..., Scores]  # raw scores (h, w), one array a part -> shown score (h, w)
    threshold: float
    unit: str  # of the shown score, for people
    facts: dict[str, float]


def plain(histogram: Histogram, floor: float, unit: str) -> Decision:
    """The raw score itself, `max(Otsu, floor)`."""
    found = otsu(histogram)
    return Decision(lambda raw: raw, max(found, floor), unit, {"otsu": found, "floor": floor})


def apart(histogram: Histogram) -> Decision:
    """Fall and rise of a signed score, each over its own Otsu threshold; the larger of the two is shown.

    One threshold for both would have to suit both; and Otsu on the signed values splits only once. The values against
    a direction count as zero, so that its threshold is always a change in that direction. Where nothing changed in one
    of them, Otsu splits its noise; but noise is the same in both, so that neither may lie below half of the other.
    """
    fall, rise = otsu(one_sided(histogram, 1)), otsu(one_sided(histogram, -1))
    least = max(LEAST_SHARE * max(fall, rise), 1e-3)
    fall, rise = max(fall, least), max(rise, least)

    def score(raw: Scores) -> Scores:
        return np.asarray(np.maximum(raw / fall, -raw / rise), np.float32)

    facts = {"threshold_fall_db": fall, "threshold_rise_db": rise}
    return Decision(score, 1.0, "multiples of the direction's own threshold", facts)


def summed(optical: Histogram, fall: Histogram) -> Callable[[Scores, Scores], Scores]:
    """Sum of the z-scores of an optical score and of the fall of backscatter.

    Rises stay out: dry land brightens between most dates, and counting it made the sum worse than the optical score
    alone on one of two flood events.
    """
    mean, deviation = optical.mean_deviation()
    mean_fall, deviation_fall = one_sided(fall, 1).mean_deviation()

    def score(raw: Scores, raw_fall: Scores) -> Scores:
        z_fall = (np.maximum(raw_fall, 0.0) - mean_fall) / max(deviation_fall, 1e-6)
        return np.asarray((raw - mean) / max(deviation, 1e-6) + z_fall, np.float32)

    return score


def one_sided(histogram: Histogram, sign: int) -> Histogram:
    """The histogram of `max(sign * value, 0)`."""
    values, counts = histogram.occurring()
    clipped = np.maximum(sign * values, 0.0).astype(np.float16)
    sided = Histogram()
    np.add.at(sided.counts, clipped.view(np.uint16), counts)
    return sided
