"""Necks of SkySense++'s fine-tuning: levels brought to one width, and dates fused at each level.

Released classes `MultiLevelNeck` (mmsegmentation) and `FusionMultiLevelNeck`. Facts: reference sheet, section 5.7.

Legend: B samples, T dates, C channels, h w cells.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .fusion import FusionConfig, FusionTransformer


class MultiLevelNeck(nn.Module):
    """1 x 1 convolution, bilinear resize by the level's scale, 3 x 3 convolution."""

    def __init__(self, widths: tuple[int, ...], width_out: int, scales: tuple[float, ...]) -> None:
        super().__init__()
        self.scales = scales
        self.laterals = nn.ModuleList(nn.Conv2d(width, width_out, 1) for width in widths)
        self.smoothing = nn.ModuleList(nn.Conv2d(width_out, width_out, 3, padding=1) for _ in scales)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """[(B, C_i, h_i, w_i)] -> [(B, D, scale_i * h_i, scale_i * w_i)]; one level serves all scales."""
        maps = [lateral(level) for lateral, level in zip(self.laterals, levels)]
        if len(maps) == 1:
            maps = maps * len(self.scales)
        resized = (
            F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for x, scale in zip(maps, self.scales)
        )
        return [smooth(x) for smooth, x in zip(self.smoothing, resized)]


class TemporalNeck(nn.Module):
    """A `MultiLevelNeck`, then one fusion transformer for all levels: the dates of each cell become its tokens."""

    def __init__(
        self, widths: tuple[int, ...], width_out: int, scales: tuple[float, ...], dates: int, fusion: FusionConfig
    ) -> None:
        super().__init__()
        self.dates = dates
        self.levels = MultiLevelNeck(widths, width_out, scales)
        self.fusion = FusionTransformer(fusion)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """[(B * T, C_i, h_i, w_i)], dates fastest -> [(B, D, h_i', w_i')]."""
        return [self._fuse(level) for level in self.levels(levels)]

    def _fuse(self, x: Tensor) -> Tensor:
        _, width, height, columns = x.shape
        x = x.reshape(-1, self.dates, width, height, columns)
        tokens = x.permute(0, 3, 4, 1, 2).flatten(0, 2)  # (B * h * w, T, D)
        return self.fusion(tokens).reshape(len(x), height, columns, -1).permute(0, 3, 1, 2)
