"""The head on top of an encoder's maps: a small pyramid for segmentation.

Legend: B samples, C channels, h w cells of the finest map.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .interface import FeatureMap

NORM_GROUPS = 8


class SegmentationHead(nn.Module):
    """Feature pyramid: lateral 1 x 1, coarse added to fine, one 3 x 3 a level, all joined on the finest grid.

    Lin et al., "Feature Pyramid Networks", CVPR 2017, joined as in UPerNet (Xiao et al., ECCV 2018), without its
    pooling pyramid and with group norms, which batches of one or two tiles need.
    """

    def __init__(self, channels: Mapping[str, int], classes: int, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.levels = tuple(channels)
        self.laterals = nn.ModuleList(_unit(count, width, kernel_size=1) for count in channels.values())
        self.smoothing = nn.ModuleList(_unit(width, width, kernel_size=3) for _ in channels)
        self.join = _unit(width * len(channels), width, kernel_size=3)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, maps: Mapping[str, FeatureMap]) -> Tensor:
        """Logits (B, classes, h, w) on the grid of the finest map."""
        levels = [lateral(maps[name].values) for lateral, name in zip(self.laterals, self.levels)]
        order = sorted(range(len(levels)), key=lambda i: levels[i].shape[-2] * levels[i].shape[-1])  # coarse to fine
        for coarse, fine in zip(order, order[1:]):
            levels[fine] = levels[fine] + _resize(levels[coarse], levels[fine].shape[-2:])
        levels = [smooth(level) for smooth, level in zip(self.smoothing, levels)]
        return self.classify(self.dropout(self.join(torch.cat(on_finest_grid(levels), dim=1))))


def on_finest_grid(maps: list[Tensor]) -> list[Tensor]:
    """The maps (B, C_i, h_i, w_i), each resized bilinearly to the largest of their grids."""
    size = max((level.shape[-2:] for level in maps), key=lambda size: size[0] * size[1])
    return [_resize(level, size) for level in maps]


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _unit(width: int, width_out: int, kernel_size: int) -> nn.Module:
    convolution = nn.Conv2d(width, width_out, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(NORM_GROUPS, width_out), nn.GELU())
