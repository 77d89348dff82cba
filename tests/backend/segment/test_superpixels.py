from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from skysense.segment import superpixels


@pytest.mark.parametrize("step", [6, 9])
def test_every_pixel_has_a_label_and_every_label_is_connected(roofs, step):
    rgb, _ = roofs
    nodes = superpixels.build(rgb, step)
    assert nodes.labels.shape == rgb.shape[:2] and nodes.labels.min() == 0
    assert len(nodes.area) == nodes.labels.max() + 1 and (nodes.area > 0).all() and nodes.area.sum() == nodes.labels.size
    connected = [ndimage.label(nodes.labels == n, np.ones((3, 3)))[1] for n in range(0, len(nodes.area), 17)]
    assert set(connected) == {1}
    assert 0.7 < nodes.area.mean() / step**2 < 1.3


def test_superpixels_keep_to_objects(roofs):
    rgb, ids = roofs
    nodes = superpixels.build(rgb, 6)
    share = nodes.mean((ids == 1).astype(np.float32))
    purity = np.maximum(share, 1 - share)
    assert np.average(purity, weights=nodes.area) > 0.98


def test_means_and_centres_are_those_of_the_pixels(roofs):
    rgb, _ = roofs
    nodes = superpixels.build(rgb, 9)
    lab = superpixels.smooth_lab(rgb)
    for n in (0, 100, len(nodes.area) - 1):
        rows, columns = np.nonzero(nodes.labels == n)
        assert np.allclose(nodes.lab[n], lab[rows, columns].mean(axis=0), atol=1e-4)
        assert np.allclose(nodes.centre[n], (columns.mean(), rows.mean()))


def test_lab_is_in_units_of_25():
    white = superpixels.smooth_lab(np.full((4, 4, 3), 255, np.uint8))
    assert np.allclose(white[..., 0], 4.0, atol=0.01) and np.allclose(white[..., 1:], 0, atol=0.01)
