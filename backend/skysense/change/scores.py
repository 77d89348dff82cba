"""How different two dates are, pixel by pixel. Each method sees the whole layer once, then scores it by windows.

Formulas and the choice of defaults: measured on floods (Sentinel-1 and -2) and on very-high-resolution pairs; no
normalisation where units agree, since a global fit takes much change for light.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from skysense.change.pair import PixelPair
from skysense.change.statistics import Moments

SIGMA_PX = 2.0
MEDIAN_PX = 7


class Method(Protocol):
    """A change score."""

    halo_px: int  # what a window needs around the pixels that count

    def observe(self, pair: PixelPair) -> None:
        """First pass: every counted pixel of the layer once."""
        ...

    def score(self, pair: PixelPair) -> NDArray[np.float32]:
        """Second pass: (h, w); halo and invalid pixels hold anything."""
        ...


class ChangeVector:
    """Length of the change vector: `sqrt(mean_b ((A_b - B_b) / sd_b)^2)`, smoothed with a Gaussian of 2 px.

    sd_b is taken over both dates. With `per_date` each date is standardised by its own mean and deviation first: for
    dates in different units only.
    """

    halo_px = round(4 * SIGMA_PX)

    def __init__(self, per_date: bool = False) -> None:
        self.per_date = per_date
        self._before, self._after, self._both = Moments(), Moments(), Moments()

    def observe(self, pair: PixelPair) -> None:
        before, after = pair.before[:, pair.counted], pair.after[:, pair.counted]
        self._before.add(before)
        self._after.add(after)
        self._both.add(np.concatenate([before, after], axis=1))

    def score(self, pair: PixelPair) -> NDArray[np.float32]:
        if self.per_date:
            steps = standardise(pair.after, self._after) - standardise(pair.before, self._before)
        else:
            steps = (pair.after - pair.before) / self._both.deviation[:, None, None]
        return smooth(np.sqrt((steps**2).mean(axis=0)), pair.valid)


class LogRatio:
    """Fall of backscatter in dB: `med7(before) - med7(after)`, mean over polarisations. Positive: darker now.

    The sign is kept. A flood darkens, while dry land often brightens between two dates, so that the plain size of the
    ratio is near chance.
    """

    halo_px = MEDIAN_PX // 2

    def __init__(self) -> None:
        self._before, self._after = Moments(), Moments()

    def observe(self, pair: PixelPair) -> None:
        self._before.add(pair.before[:, pair.counted])
        self._after.add(pair.after[:, pair.counted])

    def score(self, pair: PixelPair) -> NDArray[np.float32]:
        fall = [
            _median(before, pair.valid, mean_before) - _median(after, pair.valid, mean_after)
            for before, after, mean_before, mean_after in zip(pair.before, pair.after, self._before.mean, self._after.mean)
        ]
        return np.mean(fall, axis=0, dtype=np.float32)


def standardise(values: NDArray[np.float32], moments: Moments) -> NDArray[np.float32]:
    """(C, h, w) with mean 0 and deviation 1 over the layer."""
    return (values - moments.mean[:, None, None]) / moments.deviation[:, None, None]


def smooth(score: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Gaussian over the valid pixels alone: gaps neither lower nor raise what lies beside them."""
    size = 2 * ChangeVector.halo_px + 1
    weight = cv2.GaussianBlur(valid.astype(np.float32), (size, size), SIGMA_PX)
    total = cv2.GaussianBlur(np.where(valid, score, 0).astype(np.float32), (size, size), SIGMA_PX)
    return np.asarray(total / np.maximum(weight, 1e-6))


def _median(values: NDArray[np.float32], valid: NDArray[np.bool_], filling: np.float32) -> NDArray[np.float32]:
    return np.asarray(median_filter(np.where(valid, values, filling), MEDIAN_PX))
