from __future__ import annotations

import numpy as np
import pytest

from skysense.segment import graph, superpixels


@pytest.fixture(scope="module")
def regions(roofs) -> graph.RegionGraph:
    return graph.build(superpixels.build(roofs[0], 6), 6)


def test_shared_borders_count_the_pixel_pairs(regions):
    labels = regions.nodes.labels
    pairs: dict[tuple[int, int], int] = {}
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        for low, high in zip(np.minimum(a, b)[a != b].tolist(), np.maximum(a, b)[a != b].tolist()):
            pairs[low, high] = pairs.get((low, high), 0) + 1
    found = dict(zip(zip(regions.first.tolist(), regions.second.tolist()), regions.shared.astype(int).tolist()))
    assert found == pairs


def test_paths_across_an_outline_are_longer_than_those_inside(regions, roofs):
    ids = roofs[1]
    far = regions.geodesic(int(regions.nodes.labels[75, 85]))
    inside = far[regions.nodes.labels[45, 55]]  # 42 px away, same roof
    across = far[regions.nodes.labels[75, 135]]  # 50 px away, ground
    assert far[regions.nodes.labels[75, 85]] == 0
    assert inside < 0.5 * across
    assert far.max() <= graph.CAP and ids[75, 135] == 0


def test_geodesics_are_symmetric(regions):
    assert regions.geodesic(3)[200] == pytest.approx(regions.geodesic(200)[3])


def test_one_superpixel_has_no_edges():
    alone = graph.build(superpixels.build(np.zeros((3, 3, 3), np.uint8), 6), 6)
    assert len(alone.first) == 0 and alone.geodesic(0).tolist() == [0]
