"""Sharpening a mask's outline along the picture's edges.

Colour guided filter (He, Sun, Tang: Guided Image Filtering, 2013, section 3.4), applied to the mask in a narrow band
around its outline: there the mask becomes a local linear function of the colours.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from skysense.segment.components import box_of

RADIUS_PX = 5  # of the windows, and of the band on either side of the outline
EPSILON = 0.02  # contrast (Lab/25, squared) below which the filter only smooths
MARGIN_PX = 20


class OutlineFilter:
    """The filter for one picture; what depends on the picture alone is computed once."""

    def __init__(self, guide: NDArray[np.float32]) -> None:
        """Prepare the windows' statistics.

        Args:
            guide: (h, w, 3), Lab / 25.
        """
        self._guide = guide
        self._mean = _box_mean(guide)  # (h, w, 3)
        pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
        products = np.stack([guide[..., i] * guide[..., j] for i, j in pairs], axis=2)
        means = np.stack([self._mean[..., i] * self._mean[..., j] for i, j in pairs], axis=2)
        rr, rg, rb, gg, gb, bb = np.moveaxis(_box_mean(products) - means, 2, 0)
        rr, gg, bb = rr + EPSILON, gg + EPSILON, bb + EPSILON
        # Inverse of the symmetric 3 x 3 matrices (covariance + epsilon) by cofactors.
        inverse = np.stack(
            [gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb, rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg],
            axis=2,
        )
        determinant = rr * inverse[..., 0] + rg * inverse[..., 1] + rb * inverse[..., 2]
        self._inverse = inverse / determinant[..., None]  # (h, w, 6)

    def refine(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The mask (h, w), decided anew within the band around its outline."""
        box = box_of(mask, MARGIN_PX)
        if box is None:
            return mask
        part = mask[box].astype(np.float32)
        guide, mean, inverse = self._guide[box], self._mean[box], self._inverse[box]
        share = _box_mean(part)
        band = (share > 0) & (share < 1)  # within RADIUS_PX (chessboard) of the outline
        with_guide = _box_mean(guide * part[..., None]) - mean * share[..., None]  # covariance of guide and mask
        c0, c1, c2 = with_guide[..., 0], with_guide[..., 1], with_guide[..., 2]
        i = np.moveaxis(inverse, 2, 0)
        slope = np.stack(
            [i[0] * c0 + i[1] * c1 + i[2] * c2, i[1] * c0 + i[3] * c1 + i[4] * c2, i[2] * c0 + i[4] * c1 + i[5] * c2], axis=2
        )
        offset = share - (slope * mean).sum(axis=2)
        filtered = (_box_mean(slope) * guide).sum(axis=2) + _box_mean(offset)
        result = mask.copy()
        result[box] = np.where(band, filtered >= 0.5, mask[box])
        return result


def _box_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    side = 2 * RADIUS_PX + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), dtype=np.float32)
