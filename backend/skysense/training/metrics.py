"""Figures of a segmentation from its confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysense.objectives.supervised import IGNORE


@dataclass
class Confusion:
    """Pixel counts (K, K): rows are the reference, columns what was predicted."""

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, classes: int) -> Confusion:
        return cls(np.zeros((classes, classes), np.int64))

    def add(self, reference: NDArray[np.uint8], predicted: NDArray[np.integer]) -> None:
        """Two arrays of class indices of one shape; reference pixels of 255 are left out."""
        known = reference != IGNORE
        pairs = reference[known].astype(np.int64) * len(self.counts) + predicted[known]
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """(K,): of each class in the reference."""
        return self.counts.sum(axis=1)

    def iou(self) -> list[float | None]:
        """Of each class; None where the reference does not hold it."""
        union = self.counts.sum(axis=0) + self.pixels - np.diag(self.counts)
        return self._per_class(union)

    def recall(self) -> list[float | None]:
        return self._per_class(self.pixels)

    def precision(self) -> list[float | None]:
        """None also where the class was never predicted."""
        return self._per_class(self.counts.sum(axis=0))

    def mean_iou(self) -> float | None:
        """Over the classes that the reference holds; None where it holds none."""
        values = [value for value in self.iou() if value is not None]
        return float(np.mean(values)) if values else None

    def _per_class(self, below: NDArray[np.int64]) -> list[float | None]:
        right, pixels = np.diag(self.counts), self.pixels
        return [float(right[k] / below[k]) if pixels[k] and below[k] else None for k in range(len(right))]
