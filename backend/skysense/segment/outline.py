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
        # Plane by plane: contiguous arrays are several times faster here than interleaved ones.
        self._guide = [np.ascontiguousarray(guide[..., c]) for c in range(3)]
        self._mean = [_box_mean(plane) for plane in self._guide]

        def covariance(i: int, j: int) -> NDArray[np.float32]:
            product = _box_mean(self._guide[i] * self._guide[j]) - self._mean[i] * self._mean[j]
            return product + np.float32(EPSILON) if i == j else product

        # Inverse of the symmetric matrix (a b c; b d e; c e f) of each window by cofactors.
        a, b, c = covariance(0, 0), covariance(0, 1), covariance(0, 2)
        d, e, f = covariance(1, 1), covariance(1, 2), covariance(2, 2)
        cofactors = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b]
        scale = np.float32(1) / (a * cofactors[0] + b * cofactors[1] + c * cofactors[2])
        self._inverse: list[NDArray[np.float32]] = [cofactor * scale for cofactor in cofactors]  # 00 01 02 11 12 22, each (h, w)

    def refine(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The mask (h, w), decided anew within the band around its outline."""
        box = box_of(mask, MARGIN_PX)
        if box is None:
            return mask
        part = mask[box].astype(np.float32)
        guide, mean = [plane[box] for plane in self._guide], [plane[box] for plane in self._mean]
        i00, i01, i02, i11, i12, i22 = (plane[box] for plane in self._inverse)
        share = _box_mean(part)
        band = (share > 0) & (share < 1)  # within RADIUS_PX (chessboard) of the outline
        c0, c1, c2 = (_box_mean(g * part) - m * share for g, m in zip(guide, mean))  # covariance of guide and mask
        slope = i00 * c0 + i01 * c1 + i02 * c2, i01 * c0 + i11 * c1 + i12 * c2, i02 * c0 + i12 * c1 + i22 * c2
        offset = share - slope[0] * mean[0] - slope[1] * mean[1] - slope[2] * mean[2]
        filtered = _box_mean(offset)
        for s, g in zip(slope, guide):
            filtered += _box_mean(s) * g
        result = mask.copy()
        result[box] = np.where(band, filtered >= 0.5, mask[box])
        return result


def _box_mean(values: NDArray[np.floating]) -> NDArray[np.float32]:
    side = 2 * RADIUS_PX + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), dtype=np.float32)
