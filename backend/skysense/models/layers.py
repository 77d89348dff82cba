"""What two or more models share: padding, position tables, fixed scales, the pre-norm transformer block, dropping of bands.

Legend: B samples, N tokens, C width, H W rows and columns.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn


def corner_pad(x: Tensor, multiple: int) -> Tensor:
    """Zeros at the right and the bottom up to a multiple, as the official patch embeddings and mergings pad."""
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, below)) if below or right else x  # (..., H', W')


def resize_positions(table: Tensor, shape: tuple[int, int], grid: tuple[int, int], mode: str = "bicubic") -> Tensor:
    """Learned positions (1, rows * columns of `shape`, C) on another grid: (1, rows * columns of `grid`, C)."""
    if shape == grid:
        return table
    square = table.reshape(1, *shape, table.shape[2]).permute(0, 3, 1, 2)  # (1, C, rows, columns)
    square = square.float() if square.itemsize < 4 else square  # bicubic weights need more than half precision
    resized = F.interpolate(square, size=grid, mode=mode, align_corners=False)
    return resized.to(table.dtype).flatten(2).transpose(1, 2)


def drop_bands(x: Tensor, bands: Tensor | None) -> Tensor:
    """Missing bands leave a patch embedding, the others are scaled up to keep the expected size of its sum.

    Args:
        x: (B, C, H, W), normalised.
        bands: (B, C) bool, or None for all.
    """
    if bands is None:
        return x
    weight = bands.to(x.dtype)
    weight = weight * (bands.shape[1] / weight.sum(dim=1, keepdim=True).clamp(min=1))  # (B, C)
    return torch.where(bands[:, :, None, None], x, 0) * weight[:, :, None, None]


class ChannelAffine(nn.Module):
    """A fixed scale and shift per channel: brings maps to mean 0 and deviation 1 and keeps their magnitudes.

    A LayerNorm would lose the magnitude of each cell; distillation reads features before it.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("shift", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return x * self.scale + self.shift


class TransformerBlock(nn.Module):
    """Pre-norm block of the S2, S1 and fusion encoders.

    Own code instead of timm's `Block` for three differences: stochastic depth acts on the MLP branch alone, one flag
    sets both attention biases, and keys can be masked per sample (ragged series).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_width: int,
        *,
        bias: bool = True,
        norm_eps: float = 1e-5,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.projection = nn.Linear(width, width, bias=bias)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, keys: Tensor | None = None, queries: int | None = None) -> Tensor:
        """One block.

        Args:
            x: (B, N, C).
            keys: (B, N) bool, False where a token is padding and must not be attended to.
            queries: compute only the first so many tokens; None: all.

        Returns:
            (B, N, C), or (B, queries, C).
        """
        x = x[:, :queries] + self.attend(self.norm1(x), keys, queries)
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def attend(self, x: Tensor, keys: Tensor | None = None, queries: int | None = None) -> Tensor:
        """Multi-head self-attention of normalised tokens, without the residual."""
        batch, count, width = x.shape
        split = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (B, heads, N, C / heads)
        mask = None if keys is None else keys[:, None, None, :]  # (B, 1, 1, N)
        y = F.scaled_dot_product_attention(q[:, :, :queries], k, v, attn_mask=mask)
        return self.projection(y.transpose(1, 2).reshape(batch, -1, width))


def initialise_transformer(module: nn.Module) -> None:
    """Official start of ViT and fusion: truncated normal 0.02 for linear weights, zero biases, norms 1 and 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
