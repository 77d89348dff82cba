"""How SkySense++ gives label maps to an encoder: annotation tokens beside the image tokens.

SkySense++ (Nature Machine Intelligence 2025, doi 10.1038/s42256-025-01078-8), masked semantic learning: a label map
becomes tokens of the image's own grid, some of them hidden behind a mask token; image and annotation pass the first
blocks side by side, as one map of twice the width, and are averaged after them.

Legend: B samples, C width, H W pixels, h w tokens, p patch side, V labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SemanticConfig:
    """What masked semantic learning adds to one encoder."""

    vocabulary: int = 64  # labels 1..V; 0 is background or unknown
    merge_after: int = 2  # stages (Swin) or blocks (ViT) that see image and annotation side by side; 0: averaged at once
    attention: tuple[int, ...] = ()  # widths of the global attentions after the first stages or blocks
    attention_heads: int = 16
    positions_on_halves: bool = False  # Swin with absolute positions: added to the pair and again to each half


class AnnotationEmbedding(nn.Module):
    """Label maps to tokens: the mean of the labels' vectors over each patch, weighted by the place in the patch."""

    def __init__(self, vocabulary: int, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.vocabulary_token = nn.Parameter(torch.zeros(vocabulary + 1, width))
        self.vocabulary_weight = nn.Parameter(torch.zeros(1, patch * patch))  # equal weights at the start
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.vocabulary_token, std=0.02)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, labels: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Tokens of the label map.

        Args:
            labels: (B, H, W) int, 0..V; H and W multiples of the patch.
            hidden: (B, h, w), 1 where the annotation is replaced by the mask token.

        Returns:
            (B, h, w, C).
        """
        tokens = self.embed(labels)
        return tokens if hidden is None else torch.where(hidden[..., None] > 0, self.mask_token[None], tokens)

    def embed(self, labels: Tensor) -> Tensor:
        """(B, H, W) -> (B, h, w, C). One histogram of labels a patch, so that no map of H x W x C is ever built."""
        batch, height, width = labels.shape
        p = self.patch
        if height % p or width % p:
            raise ValueError(f"A label map of {height} x {width} pixels does not divide into patches of {p} x {p}.")
        pixels = labels.reshape(batch, height // p, p, width // p, p).transpose(2, 3).flatten(3)  # (B, h, w, p * p)
        weights = torch.softmax(self.vocabulary_weight, dim=1).expand_as(pixels)
        histogram = weights.new_zeros(*pixels.shape[:3], len(self.vocabulary_token))  # (B, h, w, V + 1)
        return histogram.scatter_add(3, pixels, weights) @ self.vocabulary_token


def side_by_side(image: Tensor, annotation: Tensor) -> Tensor:
    """Image left, annotation right: two maps (B, h, w, C) -> (B, h, 2 w, C)."""
    return torch.cat([image, annotation], dim=2)


def average_halves(pair: Tensor) -> Tensor:
    """(B, h, 2 w, C) -> (B, h, w, C)."""
    left, right = pair.chunk(2, dim=2)
    return (left + right) / 2
