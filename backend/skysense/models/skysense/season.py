"""What a series does over the year: harmonics of its features, which a mean over dates cannot tell.

Harmonic analysis of time series, as for vegetation (Roerink et al., "Reconstructing cloudfree NDVI composites using Fourier
analysis of time series", IJRS 2000), of features instead of an index. Not part of SkySense.

Legend: B samples, T dates, D width, h w cells, K harmonics.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

DAYS_OF_YEAR = 365.25


def harmonics(feature: Tensor, seen: Tensor, days: Tensor | None, count: int) -> Tensor:
    """How much of each feature swings once, twice, … a year, and when: (B, 2 K D, h, w).

    For k = 1 … K the mean over dates of sqrt(2) (F - mean F) cos(2 pi k day / year), then with sin. Zero where there is
    nothing to tell: a single date, dates that nobody knows.

    Args:
        feature: (B, T, D, h, w).
        seen: (B, T, h, w) bool, where the ground was seen at a date.
        days: (B, T) day of the year, 0 = unknown; None: all unknown.
        count: K.
    """
    batch, dates, width, height, columns = feature.shape
    if dates < 2 or days is None or not bool(days.any()):
        return feature.new_zeros(()).expand(batch, 2 * count * width, height, columns)
    weight = (seen & (days > 0)[..., None, None])[:, :, None].to(feature.dtype)  # (B, T, 1, h, w)
    weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
    swing = torch.where(weight > 0, feature, 0)
    swing = (swing - (swing * weight).sum(dim=1, keepdim=True)) * weight
    parts = []
    for k in range(1, count + 1):
        phase = 2 * math.pi * k * days.to(feature.dtype) / DAYS_OF_YEAR  # (B, T)
        for wave in (torch.cos(phase), torch.sin(phase)):
            parts.append(math.sqrt(2) * torch.einsum("btdhw,bt->bdhw", swing, wave))
    return torch.cat(parts, dim=1)
