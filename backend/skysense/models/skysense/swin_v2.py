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

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from ..layers import ChannelAffine, corner_pad, resize_positions
from .lite0_stem import STEM_WIDTHS, Lite0Stem
from .window_attention import WindowAttention, from_windows, shift_mask, to_windows


@dataclass(frozen=True)
class SwinV2Config:
    """Sizes of one Swin V2; see `presets.py`."""

    width: int  # of the first stage; doubles from stage to stage
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    channels: int = 3
    window: int | tuple[int, ...] = 8  # one for all stages, or one each
    pretrained_window: tuple[int, ...] | None = None  # window that the position bias was trained with; None: its own
    extra_norm_every: int = 0  # a third norm after every so many blocks of a stage; 0: none
    levels: tuple[int, ...] = (0, 1, 2, 3)  # stages whose maps are returned
    stem: str = "patch"  # "patch": the official patch embedding; "lite0": convolutions, strides 8 and 16
    patch: int = 4  # side of a patch
    merging_norm_last: bool = True  # False: the norm of a patch merging stands before its projection, as in Swin V1
    output: str = "norm"  # what a returned map passes: "norm", "affine" (fixed scale and shift) or "none"
    position_grid: tuple[int, int] | None = None  # rows, columns of a table of learned absolute positions; None: none
    position_mode: str = "bicubic"  # how that table is resized
    pad_small_maps: bool = True  # False as in the released code: a map smaller than the window is refused
    residual_gain: float = 1.0  # start of the gain of the post-norms; 0 starts every block as the identity
    drop_path: float = 0.0

    @property
    def stem_stride(self) -> int:
        return 8 if self.stem == "lite0" else self.patch

    def level_width(self, stage: int) -> int:
        return self.width * 2**stage

    def level_stride(self, stage: int) -> int:
        return self.stem_stride * 2**stage

    def stage_window(self, stage: int) -> int:
        return self.window if isinstance(self.window, int) else self.window[stage]


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
        """Attention in the windows of the padded and cyclically shifted map: (B, H, W, C) -> (B, H, W, C)."""
        height, width = x.shape[1:3]
        shift = self.shift_of(height, width)
        y = from_windows(self.attend_windows(x, shift), self.window)
        if shift:
            y = torch.roll(y, (shift, shift), dims=(1, 2))
        return y[:, :height, :width]

    def attend_windows(self, x: Tensor, shift: int) -> Tensor:
        """(B, H, W, C) -> (B, rows, columns, N, C): the windows of the shifted map, attended."""
        height, width = x.shape[1:3]
        # Padded tokens take part as keys, as in the official code: its weights were trained so.
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        if not shift:
            windows = to_windows(x, self.window)
            return self.attention(windows.flatten(0, 2)).view_as(windows)
        x = torch.roll(x, (-shift, -shift), dims=(1, 2))
        return self._attend_shifted(to_windows(x, self.window), shift)

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

    def shift_of(self, height: int, width: int) -> int:
        """Tokens by which a map of this size is shifted; raises ValueError where it is too small."""
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
    """Patches of p x p pixels, linear, LayerNorm: (B, C, H, W) -> (B, ceil(H / p), ceil(W / p), width)."""

    def __init__(self, channels: int, width: int, patch: int = 4) -> None:
        super().__init__()
        self.patch = patch
        self.projection = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.projection(corner_pad(x, self.patch)).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """2 x 2 neighbours become one token. Channel-major: value 4c + k is channel c of neighbour k (00, 01, 10, 11)."""

    def __init__(self, width: int, width_out: int, *, norm_last: bool = True) -> None:
        super().__init__()
        self.norm_last = norm_last
        self.reduction = nn.Linear(4 * width, width_out, bias=False)
        self.norm = nn.LayerNorm(width_out if norm_last else 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), width_out)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 5, 2, 4)
        x = x.reshape(batch, height // 2, width // 2, 4 * channels)
        return self.norm(self.reduction(x)) if self.norm_last else self.reduction(self.norm(x))


class SwinStage(nn.Module):
    """Patch merging (not in the first stage), then blocks, every second of them shifted.

    Beside a stem that hands the second stage a map of its own, the merged tokens start with the gain of the blocks.
    """

    def __init__(self, config: SwinV2Config, stage: int, drop_path: list[float]) -> None:
        super().__init__()
        width = config.level_width(stage)
        every = config.extra_norm_every
        self.merging = PatchMerging(width // 2, width, norm_last=config.merging_norm_last) if stage else None
        if self.merging is not None and config.stem == "lite0":
            nn.init.constant_(self.merging.norm.weight, config.residual_gain)
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

    def forward(self, x: Tensor, joining: Tensor | None = None) -> Tensor:
        """(B, H, W, C) -> (B, H', W', C'); `joining`, of that shape, is added before the blocks."""
        if self.merging is not None:
            x = self.merging(x)
        if joining is not None:
            x = x + joining
        for block in self.blocks:
            x = block(x)
        return x


class SwinV2(nn.Module):
    """Swin Transformer V2 with every pyramid level."""

    def __init__(self, config: SwinV2Config) -> None:
        super().__init__()
        self.config = config
        if config.stem == "lite0":
            if (config.width, 2 * config.width) != STEM_WIDTHS:
                raise ValueError(f"The stem lite0 gives {STEM_WIDTHS[0]} channels, the first stage has {config.width}.")
            self.stem: nn.Module = Lite0Stem(config.channels)
        else:
            self.stem = PatchEmbedding(config.channels, config.width, config.patch)
        self.positions = None
        if config.position_grid is not None:
            self.positions = nn.Parameter(torch.empty(1, math.prod(config.position_grid), config.width))
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
        if isinstance(self.stem, Lite0Stem):
            first, second = self.stem(x)
            return self.through_stages(self.add_positions(first), second)
        return self.through_stages(self.add_positions(self.stem(x)))

    def add_positions(self, x: Tensor) -> Tensor:
        """(B, H, W, C), the table of absolute positions added where there is one."""
        if self.positions is None or self.config.position_grid is None:
            return x
        grid = (x.shape[1], x.shape[2])
        table = resize_positions(self.positions, self.config.position_grid, grid, self.config.position_mode)
        return x + table.view(1, *grid, -1)

    def through_stages(self, x: Tensor, second: Tensor | None = None) -> list[tuple[int, Tensor]]:
        """Each level's tokens, from those that enter the first stage and what joins them in the second."""
        tokens = []
        for stage, blocks in enumerate(self.stages):
            x = self.after_stage(stage, blocks(x, second if stage == 1 else None))
            if stage in self.config.levels:
                tokens.append((stage, x))
        return tokens

    def after_stage(self, stage: int, x: Tensor) -> Tensor:
        """What happens to the tokens between two stages: nothing here; SkySense++ joins and attends."""
        return x


def _output(kind: str, width: int) -> nn.Module:
    if kind == "norm":
        return nn.LayerNorm(width)
    return ChannelAffine(width) if kind == "affine" else nn.Identity()
