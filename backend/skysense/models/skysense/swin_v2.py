"""High-resolution encoder: Swin Transformer V2.

Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022 (arXiv 2111.09883), in the form that
SkySense uses (Guo et al., CVPR 2024, arXiv 2312.10115, section 3.1; `SwinTransformerV2` of mmcls 0.25).

Own code instead of timm's `SwinTransformerV2`, because the official weights need: channel-major patch merging,
padding of any size without a padding mask, an extra norm every n blocks, norms on every returned level, and a shift
that is dropped only when the map equals the window.

Legend: B samples, C width, H W rows and columns of tokens, W window side, N = W * W tokens of a window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from ..layers import corner_pad, resize_positions
from .lite0_stem import Lite0Stem

LOGIT_SCALE_MAX = math.log(1 / 0.01)  # temperature of the cosine attention never falls below 0.01
BIAS_MLP_WIDTH = 512
BIAS_RANGE = 16.0  # 16 * sigmoid(·) bounds the position bias


@dataclass(frozen=True)
class SwinV2Config:
    """Sizes of one Swin V2; see `tiny`, `base`, `huge` and `nano` in `model.py`."""

    width: int  # of the first stage; doubles from stage to stage
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    channels: int = 3
    window: int | tuple[int, ...] = 8  # one for all stages, or one each
    pretrained_window: tuple[int, ...] | None = None  # window that the position bias was trained with; None: its own
    extra_norm_every: int = 0  # a third norm after every so many blocks of a stage; 0: none
    levels: tuple[int, ...] = (0, 1, 2, 3)  # stages whose maps are returned
    stem: str = "patch"  # "patch": the official 4 x 4 patch embedding; "lite0": convolutions, stride 8
    output: str = "norm"  # what a returned map passes: "norm", "affine" (fixed scale and shift) or "none"
    position_grid: int | None = None  # side of a table of learned absolute positions; None: no table
    pad_small_maps: bool = True  # False as in the released code: a map smaller than the window is refused
    residual_gain: float = 1.0  # start of the gain of the post-norms; 0 starts every block as the identity
    drop_path: float = 0.0

    @property
    def stem_stride(self) -> int:
        return 8 if self.stem == "lite0" else 4

    def level_width(self, stage: int) -> int:
        return self.width * 2**stage

    def level_stride(self, stage: int) -> int:
        return self.stem_stride * 2**stage

    def stage_window(self, stage: int) -> int:
        return self.window if isinstance(self.window, int) else self.window[stage]


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


class SwinBlock(nn.Module):
    """Residual post-norm block: x + LN(attention(x)), then x + LN(MLP(x))."""

    def __init__(
        self,
        width: int,
        heads: int,
        window: int,
        *,
        shifted: bool,
        extra_norm: bool = False,
        pretrained_window: int = 0,
        pad_small_maps: bool = True,
        residual_gain: float = 1.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.pad_small_maps = pad_small_maps
        self.attention = WindowAttention(
            width, heads, (window, window), pretrained_window=(pretrained_window, pretrained_window)
        )
        self.norm1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width) if extra_norm else None
        # Before the norms, as in the official code: a dropped branch still adds the bias of its norm.
        self.drop_path = DropPath(drop_path)
        nn.init.constant_(self.norm1.weight, residual_gain)
        nn.init.constant_(self.norm2.weight, residual_gain)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = x + self.norm1(self.drop_path(self.attend(x)))
        x = x + self.norm2(self.drop_path(self.mlp(x)))
        return x if self.norm3 is None else self.norm3(x)

    def attend(self, x: Tensor) -> Tensor:
        """Attention in the windows of the padded and cyclically shifted map."""
        height, width = x.shape[1:3]
        side = self.window
        shift = self._shift(height, width)
        # Padded tokens take part as keys, as in the official code: its weights were trained so.
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        if shift:
            x = torch.roll(x, (-shift, -shift), dims=(1, 2))
        windows = to_windows(x, side)
        if shift:
            windows = self._attend_shifted(windows, shift)
        else:
            windows = self.attention(windows.flatten(0, 2)).view_as(windows)
        y = from_windows(windows, side)
        if shift:
            y = torch.roll(y, (shift, shift), dims=(1, 2))
        return y[:, :height, :width]

    def _attend_shifted(self, windows: Tensor, shift: int) -> Tensor:
        inner, last = slice(None, -1), slice(-1, None)
        rows = []
        for down, split_rows in ((inner, False), (last, True)):
            parts = []
            for along, split_columns in ((inner, False), (last, True)):
                part = windows[:, down, along]  # (B, rows, columns, N, C)
                if part.numel():
                    plain = not (split_rows or split_columns)
                    mask = None if plain else shift_mask(self.window, shift, split_rows, split_columns, part.device)
                    part = self.attention(part.flatten(0, 2), mask).view_as(part)
                parts.append(part)
            rows.append(torch.cat(parts, dim=2))
        return torch.cat(rows, dim=1)

    def _shift(self, height: int, width: int) -> int:
        if self.pad_small_maps or min(height, width) > self.window:
            return self.shift
        if min(height, width) == self.window:
            return 0
        raise ValueError(
            f"A map of {height} x {width} tokens is smaller than the window of {self.window} and padding is off. "
            "Use a larger picture, or pad_small_maps=True."
        )


# -- stages ----------------------------------------------------------------------------------------------------------
class PatchEmbedding(nn.Module):
    """4 x 4 patches, linear, LayerNorm: (B, C, H, W) -> (B, H / 4, W / 4, width)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, width, kernel_size=4, stride=4)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.projection(corner_pad(x, 4)).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """2 x 2 neighbours become one token. Channel-major: value 4c + k is channel c of neighbour k (00, 01, 10, 11)."""

    def __init__(self, width: int, width_out: int, *, post_norm: bool = True) -> None:
        super().__init__()
        self.post_norm = post_norm
        self.reduction = nn.Linear(4 * width, width_out, bias=False)
        self.norm = nn.LayerNorm(width_out if post_norm else 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), width_out)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 5, 2, 4)
        x = x.reshape(batch, height // 2, width // 2, 4 * channels)
        return self.norm(self.reduction(x)) if self.post_norm else self.reduction(self.norm(x))


class SwinStage(nn.Module):
    """Patch merging (not in the first stage), then blocks, every second of them shifted."""

    def __init__(self, config: SwinV2Config, stage: int, drop_path: list[float]) -> None:
        super().__init__()
        width = config.level_width(stage)
        every = config.extra_norm_every
        self.merging = PatchMerging(width // 2, width) if stage else None
        self.blocks = nn.ModuleList(
            SwinBlock(
                width,
                config.heads[stage],
                config.stage_window(stage),
                shifted=block % 2 == 1,
                extra_norm=every > 0 and (block + 1) % every == 0,
                pretrained_window=config.pretrained_window[stage] if config.pretrained_window else 0,
                pad_small_maps=config.pad_small_maps,
                residual_gain=config.residual_gain,
                drop_path=drop_path[block],
            )
            for block in range(config.depths[stage])
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H', W', C')."""
        if self.merging is not None:
            x = self.merging(x)
        for block in self.blocks:
            x = block(x)
        return x


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


class SwinV2(nn.Module):
    """Swin Transformer V2 with every pyramid level."""

    def __init__(self, config: SwinV2Config) -> None:
        super().__init__()
        self.config = config
        if config.stem == "lite0":
            self.stem: nn.Module = Lite0Stem(config.channels, config.width)
        else:
            self.stem = PatchEmbedding(config.channels, config.width)
        self.positions = None
        if config.position_grid is not None:
            self.positions = nn.Parameter(torch.empty(1, config.position_grid**2, config.width))
            nn.init.trunc_normal_(self.positions, std=0.02)
        rates = torch.linspace(0, config.drop_path, sum(config.depths), device="cpu").tolist()
        self.stages = nn.ModuleList()
        for stage, depth in enumerate(config.depths):
            self.stages.append(SwinStage(config, stage, rates[:depth]))
            rates = rates[depth:]
        self.outputs = nn.ModuleDict(
            {str(stage): _output(config.output, config.level_width(stage)) for stage in config.levels}
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, channels, H, W), normalised -> one map (B, C_i, ceil(H / stride_i), ceil(W / stride_i)) per level."""
        return [self.outputs[str(stage)](x).permute(0, 3, 1, 2) for stage, x in self.stream(x)]

    def stream(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Each level's stage and its tokens (B, H, W, C) before the output norm."""
        x = self.stem(x)
        if self.positions is not None:
            grid = (x.shape[1], x.shape[2])
            x = x + resize_positions(self.positions, grid).view(1, *grid, -1)
        tokens = []
        for stage, blocks in enumerate(self.stages):
            x = blocks(x)
            if stage in self.config.levels:
                tokens.append((stage, x))
        return tokens


def _output(kind: str, width: int) -> nn.Module:
    if kind == "norm":
        return nn.LayerNorm(width)
    return ChannelAffine(width) if kind == "affine" else nn.Identity()
