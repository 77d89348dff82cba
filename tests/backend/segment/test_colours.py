from __future__ import annotations

import numpy as np

from skysense.segment import colours, superpixels


def test_colours_tell_the_object_from_the_rest(roofs):
    rgb, ids = roofs
    nodes = superpixels.build(rgb, 6)
    shares = colours.palette_shares(nodes)
    assert np.allclose(shares.sum(axis=1), 1)
    roof = nodes.mean((ids == 1).astype(np.float32))
    ratio = colours.log_ratio(shares, nodes.area * roof, nodes.area * (1 - roof))
    other_roof = nodes.mean((ids == 2).astype(np.float32)) > 0.9
    ground = nodes.mean((ids == 0).astype(np.float32)) > 0.9
    assert ratio[roof > 0.9].min() > 1  # the roof itself
    assert ratio[other_roof].mean() > 0 and ratio[ground].max() < 0  # one of its colour, and the ground


def test_a_picture_of_one_colour_says_nothing():
    nodes = superpixels.build(np.full((40, 40, 3), 90, np.uint8), 6)
    shares = colours.palette_shares(nodes)
    weight = np.zeros(len(nodes.area))
    weight[0] = 1
    assert np.allclose(colours.log_ratio(shares, weight, 1 - weight), 0, atol=1e-6)
