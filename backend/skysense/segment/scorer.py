"""The hand-made scorer: prompts -> log odds of each superpixel to belong to the object.

Part of the score is geodesic (is the node nearer to the positive clicks or to the negative ones, along paths that
avoid strong borders?), part is colour (does it look like the object or like the rest?). Whatever the clicks are, the
rim of the ball that looks most like an object stands in for negative clicks that were not made yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysense.segment import ball, colours
from skysense.segment.graph import RegionGraph

SOFT = 0.05  # keeps log distances finite at the clicks themselves
LIMIT = 7.0  # |z| is clipped here
GEODESIC_WEIGHT = 2.0
COLOUR_WEIGHT = 0.5
COLOUR_ROUNDS = 2  # how often object and colour model are brought to agree


@dataclass(frozen=True)
class PromptState:
    """What is known when a proposal is asked for."""

    positive_distance: NDArray[np.float64]  # gp (N,): geodesic distance to the nearest positive click
    negative_distance: NDArray[np.float64]  # gn (N,): to the nearest negative click; CAP where there is none
    click_centre: NDArray[np.float64]  # (2,): mean column and row of the positive clicks
    box_share: NDArray[np.float64] | None  # (N,): share of each node in the box that holds the object


def scores(graph: RegionGraph, shares: NDArray[np.float64], state: PromptState) -> NDArray[np.float64]:
    """z (N,), clipped to +-7.

    Args:
        graph: the regions of the view.
        shares: (N, P), palette colours of each node.
        state: the prompts, measured on the graph.
    """
    area = graph.nodes.area
    z = fixed = GEODESIC_WEIGHT * _geodesic_odds(graph, state)
    for _ in range(COLOUR_ROUNDS):
        belief = 1 / (1 + np.exp(-z))
        if state.box_share is not None:
            belief = belief * state.box_share
        z = fixed + COLOUR_WEIGHT * colours.log_ratio(shares, area * belief, area * (1 - belief))
    if state.box_share is not None:
        z = np.where(state.box_share > 0.5, z, -LIMIT)
    return np.clip(z, -LIMIT, LIMIT)


def _geodesic_odds(graph: RegionGraph, state: PromptState) -> NDArray[np.float64]:
    """log (gn + s) / (gp + s), where gn is no more than the distance to the mirrored rim of the best ball."""
    gp = state.positive_distance
    if state.box_share is not None and not np.isfinite(state.click_centre).all():
        return np.where(state.box_share > 0.5, 1.0, -LIMIT)  # a box alone: everything inside, until colours say more
    balls = ball.profile(graph, gp, state.click_centre)
    rim = gp[balls.order[balls.best()]]
    gn = np.minimum(state.negative_distance, np.maximum(2 * rim - gp, 0))
    return np.log((gn + SOFT) / (gp + SOFT))
