"""Convolutional stem with the layout of the Dynamic World forward model, whose weights it can inherit.

Brown et al., "Dynamic World, Near real-time global 10 m land use land cover mapping", Scientific Data 2022; released
model: google/dynamicworld. Its batch norms are folded into the convolutions. Why a stem: its features tell land cover
apart far better than what a small ViT learns from them in minutes.

Legend: B samples, H W pixels, h w cells of 2 x 2 pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import corner_pad
from .normalise import S2_MEAN, S2_STD

WIDTH = 144
BANDS = (0, 1, 2, 3, 4, 5, 6, 8, 9)  # of the ten: all but B8A
# Published normalisation of integers (reflectance x 10000): sigmoid(5 (ln(0.005 DN + 1) - offset) / scale - 1).
OFFSET = (1.7417268, 1.7261205, 1.6798346, 1.7734969, 2.2891541, 2.3829397, 2.3828939, 2.1952484, 1.5548129)
SCALE = (2.0232987, 2.0389052, 2.1795928, 2.2890068, 2.6171675, 2.7734186, 2.7578333, 2.7890925, 2.4140535)


class Unit(nn.Sequential):
    """Convolution, pointwise or depthwise 3 x 3, then Mish."""

    def __init__(self, width: int, width_out: int, kernel_size: int = 1, groups: int = 1) -> None:
        padding = kernel_size // 2
        super().__init__(nn.Conv2d(width, width_out, kernel_size, padding=padding, groups=groups), nn.Mish(inplace=True))


class Block(nn.Module):
    """Three times pointwise and depthwise, beside a pointwise shortcut."""

    def __init__(self, width: int, width_out: int) -> None:
        super().__init__()
        units = []
        for i in range(3):
            units.append(Unit(width if i == 0 else width_out, width_out))
            units.append(Unit(width_out, width_out, kernel_size=3, groups=width_out))
        self.long = nn.Sequential(*units)
        self.shortcut = Unit(width, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.long(x) + self.shortcut(x)


class DynamicWorldStem(nn.Module):
    """Standardised bands (B, 10, H, W) -> (B, width, ceil(H / 2), ceil(W / 2)).

    The convolutions need every band. A missing one takes its expected value given those that are there, under one
    normal distribution of the standardised bands.
    """

    band_mean: Tensor
    band_covariance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Unit(len(BANDS), 64, kernel_size=3)
        self.blocks = nn.ModuleList((Block(64, 96), Block(96, WIDTH), Block(WIDTH + 48, WIDTH)))
        self.side = nn.Sequential(Unit(64, 48), Unit(48, 48, kernel_size=3, groups=48))
        self.projection = nn.Conv2d(WIDTH, width, kernel_size=1)
        self.register_buffer("band_mean", torch.zeros(len(S2_MEAN)))
        self.register_buffer("band_covariance", torch.eye(len(S2_MEAN)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks_of(self.normalise(corner_pad(x, 2)))
        return self.projection(F.normalize(y, dim=1) * WIDTH**0.5)  # the published head reads unit vectors

    def blocks_of(self, x: Tensor) -> Tensor:
        """Published input (B, 9, H, W) -> (B, 144, H // 2, W // 2)."""
        x = self.first(x)
        size = (x.shape[-2] // 2, x.shape[-1] // 2)
        wide = x.float() if x.itemsize < 4 else x  # antialiasing knows no half precision
        x = F.interpolate(wide, size, mode="bilinear", antialias=True).to(x.dtype)
        y = self.blocks[1](self.blocks[0](x))
        return self.blocks[2](torch.cat([y, self.side(x)], dim=1))

    def normalise(self, x: Tensor) -> Tensor:
        """From the statistics of the S2 encoder to the published input."""
        mean, std = x.new_tensor(S2_MEAN)[:, None, None], x.new_tensor(S2_STD)[:, None, None]
        offset, scale = x.new_tensor(OFFSET)[:, None, None], x.new_tensor(SCALE)[:, None, None]
        integers = (x * std + mean)[:, BANDS].clamp(min=0)
        return torch.sigmoid(5 * (torch.log(0.005 * integers + 1) - offset) / scale - 1)

    def fill(self, x: Tensor, bands: Tensor | None) -> Tensor:
        """(B, 10, H, W) with missing bands, marked in `bands` (B, 10), replaced by their expectation."""
        if bands is None or bool(bands.all()):
            return x
        there = bands.to(self.band_covariance.dtype)
        # E[x | present] = mean + C_.p (C_pp)^-1 (x_p - mean_p), on the full matrix: absent rows become the identity.
        present = there[:, :, None] * there[:, None, :] * self.band_covariance + torch.diag_embed(1 - there)
        gain = torch.linalg.solve(present.float(), (self.band_covariance * there[:, :, None]).float())  # (B, 10, 10)
        centred = torch.where(bands[:, :, None, None], x - self.band_mean[:, None, None], 0)
        expected = torch.einsum("bpc,bphw->bchw", gain.to(x.dtype), centred) + self.band_mean[:, None, None]
        return torch.where(bands[:, :, None, None], x, expected)
