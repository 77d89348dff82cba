"""How the geo-context prototypes learn: by clustering the fused features of their region, never by gradients.

SkySense (arXiv 2312.10115), section 3.3:
    M = cos(F, P_r), S = Sinkhorn-Knopp(M), P' = S^T F with each column of S divided by its sum,
    P_r <- m P_r + (1 - m) P'

Legend: N features, D width, R regions, K prototypes of a region.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from skysense.objectives.clustering import EPSILON, ITERATIONS, Gather, alone, means, sinkhorn

MOMENTUM = 0.999


@torch.no_grad()
def move_prototypes(
    bank: Tensor,
    features: Tensor,
    regions: Tensor,
    momentum: float = MOMENTUM,
    epsilon: float = EPSILON,
    iterations: int = ITERATIONS,
    gather: Gather = alone,
) -> None:
    """Move the prototypes of every region that was seen, in place; the others stay.

    Args:
        bank: (R, K, D), the same on every rank.
        features: (N of this rank, D).
        regions: (N of this rank,) int, -1 where the place is unknown.
        momentum: m.
        epsilon, iterations: of Sinkhorn-Knopp.
        gather: brings the ranks together; the result does not depend on how many there are.
    """
    counts = torch.bincount(regions[regions >= 0], minlength=len(bank))
    for region in gather(counts).sum(dim=0).nonzero().flatten().tolist():
        seen = features[regions == region].to(bank.dtype)
        prototypes = bank[region]
        similarity = F.normalize(seen, dim=1) @ F.normalize(prototypes, dim=1).T  # M (n, K)
        plan = sinkhorn(similarity, epsilon, iterations, gather)
        prototypes.mul_(momentum).add_(means(plan, seen, gather), alpha=1 - momentum)


def usage_entropy(plan: Tensor) -> float:
    """Entropy of the share of each prototype by nearest assignment, 1 where all are used alike, 0 where one is."""
    share = torch.bincount(plan.argmax(dim=1), minlength=plan.shape[1]) / len(plan)
    used = share[share > 0]
    return float(-(used * used.log()).sum() / torch.tensor(float(plan.shape[1])).log())
