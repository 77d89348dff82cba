"""Sinkhorn-Knopp: assign features to centres so that every centre gets the same share of them.

Cuturi, "Sinkhorn Distances", NeurIPS 2013; as used by SkySense (arXiv 2312.10115) for the objects of its contrastive loss
and for its prototypes. In log space, so that a small epsilon does not overflow.

Legend: N features (over all ranks), K centres, D width. Leading axes are problems of their own, solved together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON, ITERATIONS = 0.05, 3

Gather = Callable[[Tensor], Tensor]  # (...) of this rank -> (ranks, ...) of all


def alone(x: Tensor) -> Tensor:
    """Of one process: the only rank's."""
    return x[None]


def mean_over_ranks(losses: Tensor, gather: Gather = alone) -> Tensor:
    """What, averaged over ranks as gradients are, gives the mean over all ranks' losses (N): ranks may differ in N."""
    counts = gather(losses.new_tensor(float(len(losses))))  # (ranks,)
    return losses.sum() * len(counts) / counts.sum().clamp(min=1)


def sinkhorn(
    similarity: Tensor, epsilon: float = EPSILON, iterations: int = ITERATIONS, gather: Gather = alone
) -> Tensor:
    """The transport plan S between features and centres with uniform marginals.

    Args:
        similarity: (..., N of this rank, K), larger is closer.
        epsilon: the smaller, the closer to one centre each.
        iterations: of the two normalisations; rows are exact after each, columns in the limit.
        gather: brings together what the ranks have; the plan does not depend on how many there are.

    Returns:
        (..., N of this rank, K), all ranks together sum to 1: each row 1 / N, each column 1 / K.
    """
    scaled = similarity / epsilon
    own_rows, columns = similarity.shape[-2:]
    rows = gather(similarity.new_tensor(float(own_rows))).sum()
    log_u = similarity.new_zeros(similarity.shape[:-1])
    log_v = similarity.new_zeros(*similarity.shape[:-2], columns)
    for _ in range(iterations):
        of_ranks = gather(torch.logsumexp(scaled + log_u[..., None], dim=-2))  # (ranks, ..., K)
        log_v = -math.log(columns) - torch.logsumexp(of_ranks, dim=0)
        log_u = -rows.log() - torch.logsumexp(scaled + log_v[..., None, :], dim=-1)
    return (scaled + log_u[..., None] + log_v[..., None, :]).exp()


def means(plan: Tensor, features: Tensor, gather: Gather = alone) -> Tensor:
    """Centres: the mean of the features (..., N, D) that the plan (..., N, K) gives to each, (..., K, D).

    Each column of the plan is divided by its sum: with the uniform marginals alone the centres would shrink K-fold.
    """
    sums = gather(plan.mT @ features).sum(dim=0)
    return sums / gather(plan.sum(dim=-2)).sum(dim=0)[..., None]


def cluster(features: Tensor, centres: int, rounds: int = 3) -> Tensor:
    """The plan of each image's features among so many centres of its own.

    Args:
        features: (..., N, D); the centres start at features that are evenly spaced among them.
        centres: K, at most N.
        rounds: of assigning and averaging.

    Returns:
        (..., N, K); without gradients.
    """
    with torch.no_grad():
        start = torch.linspace(0, features.shape[-2] - 1, centres, device=features.device).round().long()
        centre = features[..., start, :]
        plan = features.new_zeros(*features.shape[:-1], centres)
        for _ in range(rounds):
            plan = sinkhorn(F.normalize(features, dim=-1) @ F.normalize(centre, dim=-1).mT)
            centre = means(plan, features)
        return plan
