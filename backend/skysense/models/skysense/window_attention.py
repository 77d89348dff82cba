"""Attention inside windows, as the high-resolution encoder needs it: cosine attention with a continuous position bias.

Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022 (arXiv 2111.09883), section 3.

Legend: B samples, C width, H W rows and columns of tokens, W window side, N = W * W tokens of a window.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOGIT_SCALE_MAX = math.log(1 / 0.01)  # temperature of the cosine attention never falls below 0.01
BIAS_MLP_WIDTH = 512
BIAS_RANGE = 16.0  # 16 * sigmoid(·) bounds the position bias


# -- windows ---------------------------------------------------------------------------------------------------------
def to_windows(x: Tensor, side: int) -> Tensor:
    """(B, H, W, C), H and W multiples of `side`, -> (B, rows, columns, N, C)."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(batch, height // side, width // side, side * side, channels)


def from_windows(windows: Tensor, side: int) -> Tensor:
    """Inverse of `to_windows`: (B, rows, columns, N, C) -> (B, H, W, C)."""
    batch, rows, columns, _, channels = windows.shape
    x = windows.reshape(batch, rows, columns, side, side, channels)
    return x.transpose(2, 3).reshape(batch, rows * side, columns * side, channels)


@lru_cache(maxsize=64)
def shift_mask(side: int, shift: int, split_rows: bool, split_columns: bool, device: torch.device) -> Tensor:
    """0 where two tokens of a window were neighbours before the cyclic shift, -100 where they were not: (N, N).

    Only windows of the last row (`split_rows`) and of the last column (`split_columns`) hold tokens from two sides
    of the map, so that four masks serve a map of any size.
    """
    after = torch.arange(side, device=device) >= side - shift
    region = 2 * (after & split_rows)[:, None].long() + (after & split_columns)[None, :].long()  # (W, W)
    region = region.flatten()
    return torch.where(region[:, None] == region[None, :], 0.0, -100.0)


# -- attention -------------------------------------------------------------------------------------------------------
def relative_offsets(window: tuple[int, int], pretrained: tuple[int, int]) -> Tensor:
    """Log-spaced offsets between two tokens of a window, equation 4 of the paper: (2 Wh - 1, 2 Ww - 1, 2).

    Computed in float32 whatever the model's type: the official table is, and in float64 the outputs would differ.
    """
    axes = []
    for side, trained in zip(window, pretrained):
        offset = torch.arange(-(side - 1), side, dtype=torch.float32)
        axes.append(offset / ((trained if trained > 0 else side) - 1) * 8)
    table = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return torch.sign(table) * torch.log2(table.abs() + 1.0) / math.log2(8)


def relative_index(window: tuple[int, int]) -> Tensor:
    """Row of the flattened offset table that belongs to each pair of tokens: (N, N)."""
    rows, columns = torch.meshgrid(torch.arange(window[0]), torch.arange(window[1]), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None, :] + window[0] - 1
    along = columns[:, None] - columns[None, :] + window[1] - 1
    return down * (2 * window[1] - 1) + along


class WindowAttention(nn.Module):
    """Scaled cosine attention with continuous position bias (equations 2 to 4 of Swin V2)."""

    offsets: Tensor
    index: Tensor

    def __init__(
        self,
        width: int,
        heads: int,
        window: tuple[int, int],
        *,
        bias: bool = True,
        pretrained_window: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.heads = heads
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.bias_mlp = nn.Sequential(
            nn.Linear(2, BIAS_MLP_WIDTH), nn.ReLU(), nn.Linear(BIAS_MLP_WIDTH, heads, bias=False)
        )
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.v_bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.projection = nn.Linear(width, width)
        self.window, self.pretrained_window = window, pretrained_window
        self.register_buffer("offsets", relative_offsets(window, pretrained_window), persistent=False)
        self.register_buffer("index", relative_index(window), persistent=False)
        self._kept_bias: tuple[tuple[object, ...], Tensor] | None = None

    def forward(self, windows: Tensor, mask: Tensor | None = None) -> Tensor:
        """(n, N, C) -> (n, N, C); `mask` (N, N) is added to the logits of every window."""
        count, tokens, width = windows.shape
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        split = F.linear(windows, self.qkv.weight, bias).reshape(count, tokens, 3, self.heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (n, heads, N, C / heads)
        q = F.normalize(q, dim=-1) * self.logit_scale.clamp(max=LOGIT_SCALE_MAX).exp()
        k = F.normalize(k, dim=-1)
        logits = self.position_bias() if mask is None else self.position_bias() + mask  # (heads, N, N)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=logits.to(q.dtype)[None], scale=1.0)
        return self.projection(y.transpose(1, 2).reshape(count, tokens, width))

    def rebuild_buffers(self) -> None:
        """Compute the tables anew: a model that was laid out without memory has none, and no file holds them."""
        with torch.device("cpu"):
            self.offsets = relative_offsets(self.window, self.pretrained_window)
            self.index = relative_index(self.window)

    def position_bias(self) -> Tensor:
        """16 sigmoid(MLP(offset)) for each pair of tokens: (heads, N, N). Kept between calls without gradients."""
        if torch.is_grad_enabled():
            return self._position_bias()
        state = tuple((p.data_ptr(), p._version, p.dtype) for p in self.bias_mlp.parameters())
        if self._kept_bias is None or self._kept_bias[0] != state:
            self._kept_bias = (state, self._position_bias())
        return self._kept_bias[1]

    def _position_bias(self) -> Tensor:
        table = self.bias_mlp(self.offsets.to(self.qkv.weight.dtype)).flatten(0, 1)  # (offsets, heads)
        return BIAS_RANGE * torch.sigmoid(table[self.index].permute(2, 0, 1))
