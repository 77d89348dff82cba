"""Geo-context prototypes: what a region of the Earth looks like, attended to by the fused feature.

SkySense (arXiv 2312.10115), section 3.3: a bank P in R^{N_R x N_p x D}; the region r follows from latitude and
longitude; the context softmax(F_mm P_r^T / sqrt(D)) P_r is concatenated to F_mm. The paper does not publish its
region function. Ours: equal-area cells, side x side in longitude x sin(latitude); 64 x 64 gives its N_R = 4096.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def region_of(lonlat: Tensor, side: int) -> Tensor:
    """Index of the equal-area cell, row-major from the north-west; -1 where the location is unknown.

    Args:
        lonlat: (B, 2) degrees. Longitudes of any turn are wrapped, so that 180 and -180 are one meridian.
        side: cells along each axis.
    """
    known = torch.isfinite(lonlat).all(dim=1)
    lon, lat = torch.where(known[:, None], lonlat, 0).double().unbind(dim=1)
    row = ((1 - torch.sin(torch.deg2rad(lat.clamp(-90, 90)))) / 2 * side).long().clamp(0, side - 1)
    column = (torch.remainder(lon + 180, 360) / 360 * side).long().clamp(0, side - 1)
    return torch.where(known, row * side + column, -1)


class GeoContext(nn.Module):
    """The bank. Prototypes are a buffer: moved by clustering in pretraining, never by gradients."""

    bank: Tensor

    def __init__(self, side: int, prototypes: int, width: int) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("bank", torch.zeros(side * side, prototypes, width))

    def forward(self, fused: Tensor, lonlat: Tensor | None) -> Tensor:
        """(B, D, h, w) -> (B, D, h, w), the context; zeros where the location is unknown."""
        if lonlat is None:
            return torch.zeros_like(fused)
        region = region_of(lonlat, self.side)
        known = (region >= 0)[:, None, None]
        prototypes = self.bank[region.clamp(min=0)].to(fused.dtype)  # (B, N_p, D)
        query = fused.flatten(2).transpose(1, 2)  # (B, h * w, D)
        attended = F.scaled_dot_product_attention(query, prototypes, prototypes)  # softmax(Q P^T / sqrt(D)) P
        context = torch.where(known, attended, 0)
        return context.transpose(1, 2).reshape_as(fused)
