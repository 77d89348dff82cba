"""Figures of a whole layer, taken window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Moments:
    """Mean and deviation of channels, exact whatever the order and size of the windows (Chan et al., 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: NDArray[np.float64] = np.zeros(0)
        self._squares: NDArray[np.float64] = np.zeros(0)  # sum of squared distances from the mean

    def add(self, values: NDArray[np.floating]) -> None:
        """Values (C, N)."""
        number = values.shape[1]
        if number == 0:
            return
        mean = values.mean(axis=1, dtype=np.float64)
        squares = ((values - mean[:, None]) ** 2).sum(axis=1, dtype=np.float64)
        if self.count == 0:
            self.count, self._mean, self._squares = number, mean, squares
            return
        total = self.count + number
        step = mean - self._mean
        self._mean = self._mean + step * number / total
        self._squares = self._squares + squares + step**2 * self.count * number / total
        self.count = total

    @property
    def mean(self) -> NDArray[np.float32]:
        """(C,)"""
        return self._mean.astype(np.float32)

    @property
    def deviation(self) -> NDArray[np.float32]:
        """(C,); infinite for constant channels, which therefore never tell anything."""
        deviation = np.sqrt(self._squares / max(self.count, 1))
        return np.where(deviation > 1e-6 * np.maximum(np.abs(self._mean), 1e-6), deviation, np.inf).astype(np.float32)


class Histogram:
    """How often each 16-bit float occurs.

    Scores are stored with 16 bits, so these are exact counts over any number of windows: no bins have to be chosen,
    and no pass is needed to find the range.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(1 << 16, np.int64)

    def add(self, values: NDArray[np.float16]) -> None:
        """Values of any shape; NaN are left out."""
        bits = values.view(np.uint16).ravel()
        self.counts += np.bincount(bits, minlength=1 << 16)

    def occurring(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The values that occur, ascending, and how often."""
        values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
        there = np.flatnonzero((self.counts > 0) & np.isfinite(values))
        order = there[np.argsort(values[there], kind="stable")]
        return values[order], self.counts[order]

    @property
    def total(self) -> int:
        return int(self.occurring()[1].sum())

    def mean_deviation(self) -> tuple[float, float]:
        values, counts = self.occurring()
        mean = float(np.average(values, weights=counts))
        return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
