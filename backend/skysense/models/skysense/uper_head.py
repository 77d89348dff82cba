"""UPerNet, the decoder of SkySense++ and of SkySense's published fine-tuning.

Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018 (arXiv 1807.10221), in the form of
mmsegmentation 0.30. Facts: reference sheet, section 5.4.

Legend: B samples, C channels, h w cells of the finest level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class UPerHeadConfig:
    """Sizes of the decoder."""

    widths: tuple[int, ...]  # channels of its inputs, the finest first
    classes: int
    channels: int = 512
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    dropout: float = 0.1
    align_corners: bool = False
    # True as released with SkySense++: pooled maps are rounded to bfloat16, which moves logits by up to 6e-4.
    round_pooled: bool = False


class ConvUnit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, width: int, width_out: int, kernel_size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width_out, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(width_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.convolution(x)))


class UPerHead(nn.Module):
    """Pooling pyramid on the last input, top-down sums, one 3 x 3 a level, all joined on the finest grid."""

    def __init__(self, config: UPerHeadConfig) -> None:
        super().__init__()
        self.config = config
        *finer, top = config.widths
        channels = config.channels
        self.pooled = nn.ModuleList(ConvUnit(top, channels, 1) for _ in config.pool_scales)
        self.bottleneck = ConvUnit(top + len(config.pool_scales) * channels, channels, 3)
        self.laterals = nn.ModuleList(ConvUnit(width, channels, 1) for width in finer)
        self.smoothing = nn.ModuleList(ConvUnit(channels, channels, 3) for _ in finer)
        self.join = ConvUnit(len(config.widths) * channels, channels, 3)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classify = nn.Conv2d(channels, config.classes, 1)
        nn.init.normal_(self.classify.weight, std=0.01)
        if self.classify.bias is not None:
            nn.init.zeros_(self.classify.bias)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """[(B, C_i, h_i, w_i)], the finest first -> logits (B, classes, h, w)."""
        maps = [lateral(level) for lateral, level in zip(self.laterals, levels)]
        maps.append(self.bottleneck(self.pool(levels[-1])))
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + self._resize(maps[i], maps[i - 1])
        maps = [*(smooth(x) for smooth, x in zip(self.smoothing, maps)), maps[-1]]
        joined = torch.cat([maps[0], *(self._resize(x, maps[0]) for x in maps[1:])], dim=1)
        return self.classify(self.dropout(self.join(joined)))

    def pool(self, x: Tensor) -> Tensor:
        """The input and its means over 1, 2 x 2, 3 x 3 and 6 x 6 parts: (B, C + scales * channels, h, w)."""
        return torch.cat([x, *self.pooled_maps(x)], dim=1)

    def pooled_maps(self, x: Tensor) -> list[Tensor]:
        maps = []
        for scale, unit in zip(self.config.pool_scales, self.pooled):
            pooled = self._resize(unit(F.adaptive_avg_pool2d(x, scale)), x)
            maps.append(pooled.bfloat16().to(x.dtype) if self.config.round_pooled else pooled)
        return maps

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        align = self.config.align_corners
        return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=align)
