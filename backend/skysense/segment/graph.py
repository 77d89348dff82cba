"""The graph of neighbouring superpixels: how far it is from one to another, and what a cut between them costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from skysense.segment.superpixels import Superpixels

FURTHEST = 14.0  # geodesic distance at which the search stops
CAP = 12.0  # what lies further counts as this far
SAME = 4.5  # log odds that two neighbours without any contrast belong together
DIFFERENT = 2.5  # what a border of mean contrast takes from them


@dataclass(frozen=True)
class RegionGraph:
    """Superpixels and the E edges between neighbours."""

    nodes: Superpixels
    step: int  # pixels between the seeds
    first: NDArray[np.int32]  # (E,), the edge's lower node
    second: NDArray[np.int32]  # (E,), its higher node
    shared: NDArray[np.float64]  # (E,), n: pixel pairs along the common border
    cut: NDArray[np.float64]  # (E,), k: cost of cutting the edge
    lengths: csr_matrix  # (N, N), c: geodesic length of each edge, both ways

    def geodesic(self, node: int) -> NDArray[np.float64]:
        """Shortest path from a node to every node (N,), capped."""
        return np.minimum(dijkstra(self.lengths, indices=node, limit=FURTHEST), CAP)


def build(nodes: Superpixels, step: int) -> RegionGraph:
    """Join neighbouring superpixels; strong and coloured borders are long and cheap to cut."""
    count = len(nodes.area)
    first, second, shared, edge_gradient = _borders(nodes.labels, nodes.gradient, count)
    contrast = np.linalg.norm(nodes.lab[first] - nodes.lab[second], axis=1)
    same = _log_odds_same(contrast, edge_gradient)
    length = np.log1p(np.exp(-same)) + 0.03
    probability = 1 / (1 + np.exp(-same))
    cut = shared * np.clip(-np.log(1 - probability + 0.001), 0.02, 5)
    both = np.concatenate([first, second]), np.concatenate([second, first])
    lengths = csr_matrix((np.concatenate([length, length]), both), shape=(count, count))
    return RegionGraph(nodes, step, first, second, shared, cut, lengths)


def _log_odds_same(contrast: NDArray[np.float64], edge_gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """z: log odds that two neighbours belong to one object, from their contrast and the gradient between them.

    Both are measured against the picture's own mean, so that hazy and crisp pictures are cut alike.
    """
    if not len(contrast):
        return np.zeros(0)
    relative = 0.5 * contrast / max(contrast.mean(), 1e-6) + 0.5 * edge_gradient / max(edge_gradient.mean(), 1e-6)
    return np.clip(SAME - DIFFERENT * relative, -8, 8)


def _borders(
    labels: NDArray[np.int32], gradient: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Pairs of neighbours, their shared pixel pairs n, and e: the mean over those of the larger gradient."""
    lows, highs, strengths = [], [], []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = labels[here], labels[there]
        border = a != b
        a, b = a[border], b[border]
        lows.append(np.minimum(a, b))
        highs.append(np.maximum(a, b))
        strengths.append(np.maximum(gradient[here][border], gradient[there][border]))
    low, high, strength = np.concatenate(lows), np.concatenate(highs), np.concatenate(strengths)
    pairs = coo_matrix((np.ones(len(low)), (low, high)), shape=(count, count)).tocsr()
    sums = coo_matrix((strength.astype(np.float64), (low, high)), shape=(count, count)).tocsr()
    pairs.sort_indices()
    sums.sort_indices()  # same pattern, same order
    edges = pairs.tocoo()
    return edges.row.astype(np.int32), edges.col.astype(np.int32), pairs.data, sums.data / pairs.data
