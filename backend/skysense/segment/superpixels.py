"""Superpixels by marker watershed, and what is known of each: the nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LAB_UNIT = 25.0  # CIE Lab is divided by this, so that a clear difference is about 1


@dataclass(frozen=True)
class Superpixels:
    """N superpixels of a picture (h, w)."""

    labels: NDArray[np.int32]  # (h, w), 0 … N-1
    area: NDArray[np.float64]  # (N,), pixels
    centre: NDArray[np.float64]  # (N, 2), column and row of the centroid
    lab: NDArray[np.float64]  # (N, 3), mean Lab / 25
    gradient: NDArray[np.float32]  # (h, w), magnitude of the Lab gradient

    def mean(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """The mean of a map (h, w) over each superpixel (N,)."""
        return np.bincount(self.labels.ravel(), values.ravel(), len(self.area)) / self.area


def build(rgb: NDArray[np.uint8], step: int) -> Superpixels:
    """Cut a picture into superpixels.

    Args:
        rgb: (h, w, 3).
        step: pixels between the seeds; a superpixel has about step * step pixels.
    """
    lab = smooth_lab(rgb)
    gradient = _gradient(lab * np.float32(LAB_UNIT))
    labels = _watershed(rgb, gradient, step)
    flat = labels.ravel()
    area = np.bincount(flat).astype(np.float64)
    count = len(area)

    def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.bincount(flat, values.ravel(), count) / area

    rows = np.broadcast_to(np.arange(labels.shape[0], dtype=np.float32)[:, None], labels.shape)
    columns = np.broadcast_to(np.arange(labels.shape[1], dtype=np.float32), labels.shape)
    return Superpixels(
        labels=labels,
        area=area,
        centre=np.stack([mean(columns), mean(rows)], axis=1),
        lab=np.stack([mean(lab[..., c]) for c in range(3)], axis=1),
        gradient=gradient,
    )


def smooth_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture (h, w, 3) in CIE Lab / 25 after a Gaussian of one pixel."""
    smooth = cv2.GaussianBlur(rgb / np.float32(255), (0, 0), 1.0)
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2Lab), dtype=np.float32) / np.float32(LAB_UNIT)


def _gradient(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """sqrt of the sum of squared Sobel responses over channels and both directions, (h, w)."""
    across = cv2.Sobel(lab, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(lab, cv2.CV_32F, 0, 1)
    return np.sqrt((across * across + down * down).sum(axis=2), dtype=np.float32)


def _watershed(rgb: NDArray[np.uint8], gradient: NDArray[np.float32], step: int) -> NDArray[np.int32]:
    """Labels 0 … N-1; each seed of the grid is first moved to the least gradient within step/4.

    A seed keeps its own pixel and no two meet, so that every label has pixels.
    """
    height, width = gradient.shape
    rows = np.arange(min(step // 2, height - 1), height, step)
    columns = np.arange(min(step // 2, width - 1), width, step)
    reach = np.arange(-(step // 4), step // 4 + 1)
    # (rows, columns, offsets, offsets): the gradient around each seed
    near_rows = np.clip(rows[:, None] + reach, 0, height - 1)
    near_columns = np.clip(columns[:, None] + reach, 0, width - 1)
    around = gradient[near_rows[:, None, :, None], near_columns[None, :, None, :]]
    best = around.reshape(len(rows), len(columns), -1).argmin(axis=2)
    seed_rows = np.take_along_axis(near_rows, best // len(reach), axis=1)
    seed_columns = np.take_along_axis(near_columns, (best % len(reach)).T, axis=1).T

    # OpenCV leaves the picture's rim unlabelled: one more pixel on each side keeps that outside.
    smooth = cv2.GaussianBlur(rgb, (0, 0), 1.0)
    picture = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    markers = np.zeros((height + 2, width + 2), np.int32)
    markers[seed_rows.ravel() + 1, seed_columns.ravel() + 1] = np.arange(1, best.size + 1)
    cv2.watershed(picture, markers)
    labels = markers[1:-1, 1:-1].astype(np.float32)  # dilate has no int32; exact below 2**24
    while (lines := labels <= 0).any():
        labels[lines] = cv2.dilate(labels, np.ones((3, 3), np.uint8))[lines]
    return labels.astype(np.int32) - 1
