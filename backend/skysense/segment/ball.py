"""The ball profile: how well the r nodes nearest to the clicks stand apart, for every r.

Growing outwards from the positive clicks, the rim of the ball is crossed by little cut weight where the object ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysense.segment.graph import RegionGraph

LEAST_AREA_PX = 200.0  # a smaller ball is no object
LARGEST_SHARE = 0.35  # nor is one that covers more of the picture


@dataclass(frozen=True)
class BallProfile:
    """Balls of the 1 … N nearest nodes; index r is the ball whose last node is `order[r]`."""

    order: NDArray[np.intp]  # (N,), nodes by geodesic distance
    area: NDArray[np.float64]  # (N,), A
    looseness: NDArray[np.float64]  # (N,), t = phi + off/2: low where the ball is an object around its clicks

    def best(self) -> int:
        """The rank r* of the ball that looks most like an object."""
        fits = (self.area > LEAST_AREA_PX) & (self.area <= LARGEST_SHARE * self.area[-1])
        return int(np.where(fits, self.looseness, np.inf).argmin())


def profile(graph: RegionGraph, positive_distance: NDArray[np.float64], click_centre: NDArray[np.float64]) -> BallProfile:
    """Measure all balls around the positive clicks at once.

    Args:
        graph: the regions.
        positive_distance: gp (N,), geodesic distance to the nearest positive click.
        click_centre: (2,), mean column and row of the positive clicks.
    """
    count = len(positive_distance)
    order = np.argsort(positive_distance, kind="stable")
    rank = np.empty(count, np.intp)
    rank[order] = np.arange(count)
    area = np.cumsum(graph.nodes.area[order])
    # An edge crosses the rims of the balls that hold one end and not the other: from the lower rank on, up to the
    # higher. One difference array over the edges and a running sum give every rim.
    a, b = rank[graph.first], rank[graph.second]
    enter, leave = np.minimum(a, b), np.maximum(a, b)

    def on_rim(weight: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.cumsum(np.bincount(enter, weight, count) - np.bincount(leave, weight, count))

    phi = on_rim(graph.cut) / np.maximum(on_rim(graph.shared), 1)
    moment = np.cumsum(graph.nodes.area[order, None] * graph.nodes.centre[order], axis=0)
    off = np.linalg.norm(moment / area[:, None] - click_centre, axis=1) / np.sqrt(area)
    return BallProfile(order, area, phi + off / 2)
