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

from skysense.objectives.contrastive import INFO_NCE_TEMPERATURE, info_nce

ALPHA, BETA = 1.0, 0.1


def alignment(features: Mapping[str, Tensor], temperature: float = INFO_NCE_TEMPERATURE) -> Tensor:
    """Sum over ordered pairs of sensors i != j of the contrast between their samples.

    Args:
        features: of each sensor (B, T, D, h, w) on one grid, the student's; means over dates and cells are compared.
        temperature: of the contrast.

    Returns:
        A scalar, 0 for one sensor.
    """
    pooled = {name: x.mean(dim=(1, 3, 4)) for name, x in features.items()}  # (B, D)
    losses = [info_nce(pooled[i], pooled[j], temperature) for i, j in itertools.permutations(pooled, 2)]
    first = next(iter(pooled.values()))
    return torch.stack(losses).sum() if losses else first.sum() * 0


def total(multi_granularity: Tensor, aligned: Tensor, alpha: float = ALPHA, beta: float = BETA) -> Tensor:
    """L = alpha L_MGCL + beta L_align."""
    return alpha * multi_granularity + beta * aligned
