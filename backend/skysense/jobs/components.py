"""Principal components of features, fitted on a sample of tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class CovarianceSum:
    """Sums of features and of their products: enough for mean and covariance, in memory that does not grow."""

    def __init__(self, width: int) -> None:
        self._count = 0
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))

    def add(self, features: NDArray[np.float32]) -> None:
        """(N, D) more."""
        wide = features.astype(np.float64)
        self._count += len(wide)
        self._sum += wide.sum(axis=0)
        self._products += wide.T @ wide

    @property
    def count(self) -> int:
        return self._count

    def components(self, count: int) -> Components:
        """The `count` directions of most variance. Signs: the largest weight of each is positive, so that they repeat."""
        mean = self._sum / self._count
        covariance = self._products / self._count - np.outer(mean, mean)
        variances, vectors = np.linalg.eigh(covariance)
        order = np.argsort(variances)[::-1][:count]
        directions = vectors[:, order]
        directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(len(order))])
        share = float(variances[order].sum() / max(variances.sum(), 1e-12))
        return Components(mean.astype(np.float32), directions.astype(np.float32), share)


@dataclass(frozen=True)
class Components:
    mean: NDArray[np.float32]  # (D,)
    directions: NDArray[np.float32]  # (D, K)
    share: float  # of the variance

    def project(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(D, h, w) -> (K, h, w)."""
        depth, height, width = features.shape
        flat = features.reshape(depth, -1) - self.mean[:, None]
        return (self.directions.T @ flat).reshape(-1, height, width)
