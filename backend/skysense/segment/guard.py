"""The guard: a click changes the mask only around itself.

The click lies inside the wrong region, and its distance to the old outline bounds how far the error reaches. Nothing
may follow the guard: any filter after it could undo what earlier clicks agreed on.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FURTHEST_PX = 160.0  # d is at most this
PAINT = 0.6  # share of d that the click turns without asking the proposal


def guard(
    mask: NDArray[np.bool_], proposal: NDArray[np.bool_], x: int, y: int, positive: bool
) -> NDArray[np.bool_]:
    """The old mask M with only those pixels of the proposal Q that the click p may change.

    Args:
        mask: M (H, W), the mask before the click, at full resolution.
        proposal: Q (H, W), the mask that the method proposes after it.
        x: column of the click.
        y: row of the click.
        positive: whether the click says that p belongs to the object.

    Returns:
        (H, W), M with a connected region around p turned.
    """
    wrong = ~mask if positive else mask  # the side that the click says is wrong
    if not wrong[y, x]:
        return mask.copy()
    reach = int(_radius(FURTHEST_PX)) + 1  # nothing beyond can change
    top, left = max(y - reach, 0), max(x - reach, 0)
    window = np.s_[top : y + reach + 1, left : x + reach + 1]
    wrong = wrong[window]
    rows = np.arange(wrong.shape[0])[:, None] - (y - top)
    columns = np.arange(wrong.shape[1]) - (x - left)
    distance = np.sqrt(rows * rows + columns * columns)

    to_outline = distance[~wrong].min(initial=np.inf)
    least = np.clip(0.12 * np.sqrt(np.count_nonzero(mask)), 3, 6)
    d = min(max(to_outline, least), FURTHEST_PX)
    asked = proposal[window] if positive else ~proposal[window]
    candidates = wrong & (asked & (distance <= _radius(d)) | (distance <= PAINT * d))
    turned = candidates & _part_with(candidates, y - top, x - left)
    result = mask.copy()
    result[window][turned] = positive
    return result


def _radius(d: float) -> float:
    """How far from the click the mask may follow the proposal, by the distance to the old outline."""
    return min(3 * d, 25 + 1.5 * d)


def _part_with(candidates: NDArray[np.bool_], row: int, column: int) -> NDArray[np.bool_]:
    """The 4-connected part that holds the pixel, after gaps of a pixel or two are bridged by a 3 x 3 dilation."""
    bridged = cv2.dilate(candidates.astype(np.uint8), np.ones((3, 3), np.uint8))
    _, parts = cv2.connectedComponents(bridged, connectivity=4, ltype=cv2.CV_32S)
    return np.asarray(parts == parts[row, column])
