"""L_align: the sensors' features of one place belong together, those of different places do not.

SkySense (arXiv 2312.10115), section 3.2: the sum over pairs of sensors of a symmetric contrastive loss;
L = alpha L_MGCL + beta L_align with alpha 1.0 and beta 0.1.

Legend: B samples, T dates, D width, h w cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor

from skysense.objectives.clustering import Gather, alone
from skysense.objectives.contrastive import INFO_NCE_TEMPERATURE, info_nce

ALPHA, BETA = 1.0, 0.1


def alignment(
    pooled: Mapping[str, Tensor], temperature: float = INFO_NCE_TEMPERATURE, gather: Gather = alone, rank: int = 0
) -> Tensor:
    """Sum over ordered pairs of sensors i != j of the contrast between their samples.

    Args:
        pooled: the student's features of each sensor, means over dates and cells (B, D), see `pool`.
        temperature: of the contrast.
        gather, rank: bring the ranks' samples together.

    Returns:
        A scalar, 0 for one sensor.
    """
    losses = [info_nce(pooled[i], pooled[j], temperature, gather, rank) for i, j in itertools.permutations(pooled, 2)]
    first = next(iter(pooled.values()))
    return torch.stack(losses).sum() if losses else first.sum() * 0


def pool(feature: Tensor, seen: Tensor | None = None) -> Tensor:
    """(B, T, D, h, w) -> (B, D): the mean over the dates and cells that were seen (B, T, h, w)."""
    if seen is None:
        return feature.mean(dim=(1, 3, 4))
    weight = seen[:, :, None].to(feature.dtype)
    return (feature * weight).sum(dim=(1, 3, 4)) / weight.sum(dim=(1, 3, 4)).clamp(min=1)


def total(multi_granularity: Tensor, aligned: Tensor, alpha: float = ALPHA, beta: float = BETA) -> Tensor:
    """L = alpha L_MGCL + beta L_align."""
    return alpha * multi_granularity + beta * aligned
