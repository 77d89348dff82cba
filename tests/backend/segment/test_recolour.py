from __future__ import annotations

import cv2
import numpy as np

from skysense.segment.recolour import BAND_PX, recolour


def test_the_outline_moves_to_the_colours_within_the_band_only(roofs):
    rgb, ids = roofs
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    truth = ids == 1
    off = np.roll(truth, 2, axis=1)
    result = recolour(bgr, off, [(85, 75)], [])
    assert np.count_nonzero(result != truth) < 0.5 * np.count_nonzero(off != truth)
    square = np.ones((2 * BAND_PX + 1, 2 * BAND_PX + 1), np.uint8)
    band = cv2.dilate(off.astype(np.uint8), square) != cv2.erode(off.astype(np.uint8), square)
    assert not ((result != off) & ~band).any()


def test_clicks_keep_their_pixels(roofs):
    rgb, ids = roofs
    result = recolour(np.ascontiguousarray(rgb[..., ::-1]), ids == 1, [(85, 75), (48, 75)], [(60, 50), (51, 80)])
    assert result[75, 85] and result[75, 48] and not result[80, 51] and not result[50, 60]


def test_a_mask_without_outside_or_inside_stays(roofs):
    bgr = np.ascontiguousarray(roofs[0][..., ::-1])
    for value in (False, True):
        mask = np.full(bgr.shape[:2], value)
        assert np.array_equal(recolour(bgr, mask, [], []), mask)


def test_chance_has_no_part(roofs):
    rgb, ids = roofs
    bgr = np.random.default_rng(0).integers(0, 255, rgb.shape, dtype=np.uint8)  # no structure: k-means could fall anyhow
    first = recolour(bgr, ids == 1, [], [])
    for seed in range(5):
        cv2.setRNGSeed(seed + 100)
        assert np.array_equal(recolour(bgr, ids == 1, [], []), first)
