"""Colour models of object and background over a palette of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skysense.segment.superpixels import Superpixels

PALETTE = 32  # colours


def palette_shares(nodes: Superpixels) -> NDArray[np.float64]:
    """How much each superpixel has of each palette colour, (N, P); rows sum to 1.

    The palette is found by a few rounds of k-means from evenly spaced quantiles, so that it never depends on chance.
    """
    lab, area = nodes.lab, nodes.area
    count = min(PALETTE, len(lab))
    by_lightness = np.argsort(lab @ np.array([1.0, 0.5, 0.25]), kind="stable")
    palette = lab[by_lightness[np.linspace(0, len(lab) - 1, count).astype(int)]]
    for _ in range(6):
        nearest = _squared_distance(lab, palette).argmin(axis=1)
        weight = np.bincount(nearest, area, count)
        for channel in range(3):
            moved = np.bincount(nearest, area * lab[:, channel], count)
            palette[:, channel] = np.where(weight > 0, moved / np.maximum(weight, 1), palette[:, channel])
    squared = _squared_distance(lab, palette)
    width = max(float(np.average(squared.min(axis=1), weights=area)), 1e-4)
    closeness = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / (2 * width))
    return closeness / closeness.sum(axis=1, keepdims=True)


def log_ratio(
    shares: NDArray[np.float64], object_weight: NDArray[np.float64], background_weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """log of the likelihood of each node under the object's colours against the background's, (N,).

    Args:
        shares: (N, P), from `palette_shares`.
        object_weight: (N,), pixels of each node that are taken for the object.
        background_weight: (N,), pixels that are taken for the background.
    """
    prior = shares.mean(axis=0)

    def histogram(weight: NDArray[np.float64]) -> NDArray[np.float64]:
        colours = np.einsum("n,np->p", weight, shares)
        return colours / max(float(colours.sum()), 1e-9) + 0.02 * prior

    # einsum, not @: the threads of a matrix library keep spinning after each small product.
    likelihoods = np.einsum("np,kp->kn", shares, np.stack([histogram(object_weight), histogram(background_weight)]))
    return np.log(likelihoods[0] / likelihoods[1])


def _squared_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3), (P, 3) -> (N, P)."""
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)
