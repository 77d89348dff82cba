"""Peers that the click tool is measured against: OpenCV's GrabCut and scikit-image's random walker."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import random_walker


class GrabCut:
    """GrabCut with 3 iterations a click.

    A disc of 20 px round each positive click is proposed, beside the last mask; each click is a hard disc of 5 px;
    components without a positive click are dropped. Much stronger after one click than GrabCut without a proposal.
    """

    ITERATIONS = 3
    PROPOSED_PX = 20
    HARD_PX = 5

    def open(self, rgb: NDArray[np.uint8]) -> None:
        """Take a new picture (H, W, 3)."""
        self._bgr = np.ascontiguousarray(rgb[..., ::-1])
        self.restart()

    def restart(self) -> None:
        """Forget the clicks."""
        self._clicks: list[tuple[int, int, bool]] = []
        self._mask = np.zeros(self._bgr.shape[:2], bool)

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """The mask (H, W) after all clicks so far."""
        self._clicks.append((x, y, positive))
        classes = np.where(self._mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        if positive:
            cv2.circle(classes, (x, y), self.PROPOSED_PX, cv2.GC_PR_FGD, -1)
        for cx, cy, sign in self._clicks:
            cv2.circle(classes, (cx, cy), self.HARD_PX, cv2.GC_FGD if sign else cv2.GC_BGD, -1)
        for cx, cy, sign in self._clicks:  # a later disc does not take an earlier click's own pixel
            classes[cy, cx] = cv2.GC_FGD if sign else cv2.GC_BGD
        # GrabCut needs pixels of both kinds for its colour models.
        if 0 < np.count_nonzero(classes % 2) < classes.size:
            background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
            whole = (0, 0, 0, 0)  # not used with a mask
            cv2.setRNGSeed(0)  # its k-means draws; a figure can be repeated
            cv2.grabCut(self._bgr, classes, whole, background, foreground, self.ITERATIONS, cv2.GC_INIT_WITH_MASK)
        found = classes % 2 == 1  # GC_FGD 1, GC_PR_FGD 3
        parts, _ = ndimage.label(found)
        held = {int(parts[cy, cx]) for cx, cy, sign in self._clicks if sign} - {0}
        self._mask = np.isin(parts, list(held)) if held else found
        return self._mask


class RandomWalker:
    """Random walker (beta 300, conjugate gradients with Jacobi); clicks are discs of 3 px, the rim is background."""

    BETA = 300.0
    TOLERANCE = 1e-3
    DISC_PX = 3
    RIM_PX = 2

    def open(self, rgb: NDArray[np.uint8]) -> None:
        """Take a new picture (H, W, 3)."""
        self._picture = rgb / 255.0
        self.restart()

    def restart(self) -> None:
        """Forget the clicks."""
        self._clicks: list[tuple[int, int, bool]] = []

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """The mask (H, W) after all clicks so far."""
        self._clicks.append((x, y, positive))
        seeds = np.full(self._picture.shape[:2], 2, np.int32)
        seeds[self.RIM_PX : -self.RIM_PX, self.RIM_PX : -self.RIM_PX] = 0
        rows, columns = np.indices(seeds.shape)
        for cx, cy, sign in self._clicks:
            seeds[(columns - cx) ** 2 + (rows - cy) ** 2 <= self.DISC_PX**2] = 1 if sign else 2
        for cx, cy, sign in self._clicks:
            seeds[cy, cx] = 1 if sign else 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it advises packages that would make it faster
            found = random_walker(
                self._picture, seeds, beta=self.BETA, mode="cg_j", tol=self.TOLERANCE, channel_axis=-1
            )
        return np.asarray(found == 1)
