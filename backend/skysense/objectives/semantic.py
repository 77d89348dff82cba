"""Losses of SkySense++'s second stage, masked semantic learning: hidden label maps and codes that sensors share.

Released classes `RecLoss` and `ModalityVAELoss`. Facts: reference sheet, section 5.4.

Legend: B samples, V labels, H W pixels, h w tokens, p patch side, M = 3 sensors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6
SIMILARITY_WEIGHT = 0.05


def annotation_loss(
    logits: Tensor,
    labels: Tensor,
    hidden: Tensor,
    patch: int = 4,
    *,
    balance: bool = True,
    everywhere: bool = True,
    valid: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the label of each pixel; the released model is trained with both options on.

    Args:
        logits: (B, V + 1, H, W).
        labels: (B, H, W) int, 0..V.
        hidden: (B, h, w), 1 where the label map was hidden.
        patch: pixels a side of a token.
        balance: half of the loss from labelled pixels, half from background; else every pixel counts the same.
        everywhere: all pixels count; else the hidden ones alone.
        valid: (B, H, W), 0 where the label is unknown; such pixels do not count as hidden.
    """
    loss = F.cross_entropy(logits, labels, reduction="none")  # (B, H, W)
    counted = hidden_pixels(hidden, patch).to(loss.dtype)
    if valid is not None:
        counted = counted * valid
    if not balance:
        return loss.mean() if everywhere else (loss * counted).sum() / counted.sum()
    among = torch.ones_like(labels, dtype=torch.bool) if everywhere else counted == 1
    return (_mean(loss, (labels > 0) & among) + _mean(loss, (labels == 0) & among)) / 2


def hidden_pixels(hidden: Tensor, patch: int) -> Tensor:
    """Mask of tokens (B, h, w) -> of pixels (B, h * p, w * p)."""
    return hidden.repeat_interleave(patch, dim=1).repeat_interleave(patch, dim=2)


def vocabulary_similarity(vocabulary: Tensor) -> Tensor:
    """Mean of 1 + cosine over all pairs of label vectors (V + 1, C), to be weighted by `SIMILARITY_WEIGHT`."""
    unit = F.normalize(vocabulary, dim=1)
    rows, columns = torch.triu_indices(len(unit), len(unit), offset=1, device=unit.device)
    return (1 + (unit @ unit.T)[rows, columns]).mean()


def completion_loss(
    features: Sequence[Tensor], decoded: Sequence[Tensor], present: Tensor, divergence: Tensor
) -> Tensor:
    """Each sensor that is there is decoded from its own codes, and the sensors agree on the codes.

    Args:
        features: of each sensor (B, D, h, w).
        decoded: what its autoencoder made of it, same shapes.
        present: (B, M) bool.
        divergence: of `ModalityCompletion`.
    """
    total = divergence.new_zeros(())
    for m, (target, made) in enumerate(zip(features, decoded)):
        error = (made - target).square().mean(dim=(1, 2, 3))  # (B,)
        there = present[:, m].to(error.dtype)
        total = total + (error * there).sum() / (there.sum() + EPSILON)
    return total / len(features) + divergence


def _mean(loss: Tensor, where: Tensor) -> Tensor:
    return loss[where].sum() / (where.sum() + EPSILON)
