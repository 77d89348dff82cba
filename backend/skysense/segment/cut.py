"""Minimum cut: node scores and the graph -> which nodes are the object."""

from __future__ import annotations

import maxflow
import numpy as np
from numpy.typing import NDArray

from skysense.segment.graph import RegionGraph

OUT_OF_QUESTION = -5.5  # nodes with a lower score are background without being asked
CLICKED = 50.0  # score of a clicked node
SMOOTHNESS = 1.0  # weight of the borders against the scores


def minimum_cut(
    graph: RegionGraph, scores: NDArray[np.float64], positive: list[int], negative: list[int]
) -> NDArray[np.bool_]:
    """The nodes (N,) on the object's side of the cheapest cut.

    Args:
        graph: the regions.
        scores: z (N,), log odds of belonging to the object.
        positive: clicked nodes of the object.
        negative: clicked nodes of the background.
    """
    z = scores.copy()
    z[negative] = -CLICKED
    z[positive] = CLICKED
    asked = z > OUT_OF_QUESTION
    asked[negative] = True
    place = np.cumsum(asked) - 1  # node -> place among those asked
    inside = asked[graph.first] & asked[graph.second]
    pairwise = SMOOTHNESS * graph.cut[inside] / graph.step
    # A border with a node out of question counts as a border with the background.
    rim = asked[graph.first] != asked[graph.second]
    at_rim = np.where(asked[graph.first], graph.first, graph.second)[rim]
    to_background = np.bincount(place[at_rim], SMOOTHNESS * graph.cut[rim] / graph.step, int(asked.sum()))

    weight = np.sqrt(graph.nodes.area[asked]) / graph.step
    unary = np.where(np.abs(z[asked]) >= CLICKED, z[asked], z[asked] * weight)
    flow = maxflow.GraphFloat(len(unary), len(pairwise))
    ids = flow.add_nodes(len(unary))
    flow.add_edges(place[graph.first[inside]], place[graph.second[inside]], pairwise, pairwise)
    flow.add_grid_tedges(ids, np.maximum(unary, 0), np.maximum(-unary, 0) + to_background)
    flow.maxflow()
    result = np.zeros(len(z), bool)
    result[asked] = ~flow.get_grid_segments(ids)  # False is the source's side
    return result
