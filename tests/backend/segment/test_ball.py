from __future__ import annotations

import numpy as np

from skysense.segment import ball, graph, superpixels


def test_the_best_ball_is_the_object_around_the_click(roofs):
    rgb, ids = roofs
    regions = graph.build(superpixels.build(rgb, 6), 6)
    for number, (x, y) in {1: (85, 75), 2: (205, 105), 3: (90, 160)}.items():
        near = regions.geodesic(int(regions.nodes.labels[y, x]))
        balls = ball.profile(regions, near, np.array([x, y], float))
        area = balls.area[balls.best()]
        assert 0.8 < area / np.count_nonzero(ids == number) < 1.2


def test_rims_agree_with_counting_them_one_by_one(roofs):
    regions = graph.build(superpixels.build(roofs[0][:60, :60], 6), 6)
    near = regions.geodesic(10)
    centre = np.array([30.0, 20.0])
    balls = ball.profile(regions, near, centre)
    nodes = regions.nodes
    for rank in range(0, len(near) - 1, 7):
        inside = np.isin(np.arange(len(near)), balls.order[: rank + 1])
        rim = inside[regions.first] != inside[regions.second]
        phi = regions.cut[rim].sum() / regions.shared[rim].sum()
        area = nodes.area[inside].sum()
        middle = (nodes.area[inside, None] * nodes.centre[inside]).sum(axis=0) / area
        off = np.hypot(*(middle - centre)) / np.sqrt(area)
        assert np.isclose(balls.looseness[rank], phi + off / 2)
        assert balls.area[rank] == area
