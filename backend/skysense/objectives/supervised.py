"""Segmentation loss on cells that are larger than pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255


def class_areas(labels: Tensor, classes: int, stride: int) -> Tensor:
    """Share of each cell that each class covers.

    Args:
        labels: (B, H, W) uint8 class indices, `IGNORE` where nothing is known.
        classes: K.
        stride: pixels a side of a cell.

    Returns:
        (B, K, ceil(H / stride), ceil(W / stride)); the sum over K is the labelled share of the cell.
    """
    areas = torch.stack([(labels == index).float() for index in range(classes)], dim=1)  # (B, K, H, W)
    if stride == 1:
        return areas
    padded = F.pad(areas, (0, -areas.shape[-1] % stride, 0, -areas.shape[-2] % stride))
    return F.avg_pool2d(padded, stride)


def area_cross_entropy(logits: Tensor, areas: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy against shares of area: `-sum(a_k w_k log p_k) / sum(a_k w_k)` over cells and classes.

    Feature cells are larger than pixels; a cell that two classes share teaches its share of each, and one that is
    labelled in part counts in part. With cells of one pixel it is the usual weighted cross entropy.

    Args:
        logits: (B, K, h, w).
        areas: (B, K, h, w), from `class_areas`.
        weights: (K,).

    Returns:
        A scalar; 0 where nothing is labelled.
    """
    weighted = areas * weights[:, None, None]
    total = -(weighted * F.log_softmax(logits.float(), dim=1)).sum()
    return total / weighted.sum().clamp(min=1e-6)
