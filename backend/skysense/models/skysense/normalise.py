"""From canonical units (`protocol.sensors`) to what the encoders were trained on. Values nobody saw become 0.

Statistics: SkySense++ `dataset_colors.py` for Sentinel (L2A integers, decibel), ImageNet for HR.
"""

from __future__ import annotations

import torch
from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # R, G, B of 0..1
S2_SCALE = 10_000.0  # integers per unit of reflectance
S2_MEAN = (
    884.29673756,
    1144.16202635,
    1297.47289228,
    1624.90992062,
    2194.6423161,
    2422.21248945,
    2517.76053101,
    2581.64687018,
    2368.51236873,
    1805.06846033,
)
S2_STD = (
    1155.15170768,
    1183.6292542,
    1368.11351514,
    1370.265037,
    1355.55390699,
    1416.51487101,
    1474.78900051,
    1439.3086061,
    1455.52084939,
    1343.48379601,
)
S1_MEAN, S1_STD = (-12.54847273, -20.19237134), (5.25697717, 5.91150917)


def fill_missing_colours(x: Tensor, bands: Tensor | None) -> Tensor:
    """(B, 4, H, W): a missing R, G or B becomes the mean of those that are there, or N where none is.

    Kernels learnt on photographs mostly read brightness, so that a grey picture serves them better than a black band.
    """
    if bands is None:
        return x
    colours = bands[:, :3, None, None]
    near_infrared = torch.where(bands[:, 3, None, None, None], x[:, 3:], 0)
    count = colours.sum(dim=1, keepdim=True)  # (B, 1, 1, 1)
    mean = torch.where(colours, x[:, :3], 0).sum(dim=1, keepdim=True) / count.clamp(min=1)
    filling = torch.where(count > 0, mean, near_infrared)
    return torch.cat([torch.where(colours, x[:, :3], filling), near_infrared], dim=1)


def standardise_hr(
    x: Tensor, mean: tuple[float, ...], std: tuple[float, ...], bands: Tensor | None, valid: Tensor | None
) -> Tensor:
    """(B, 4, H, W) of 0..1; near infrared takes red's statistics, as its kernel starts from red's."""
    x = _standardise(x, (*mean, mean[0]), (*std, std[0]))
    if bands is not None:
        x = torch.cat([x[:, :3], torch.where(bands[:, 3, None, None, None], x[:, 3:], 0)], dim=1)
    return x if valid is None else torch.where(valid[:, None], x, 0)


def standardise_s2(x: Tensor, bands: Tensor | None, valid: Tensor | None) -> Tensor:
    """(B, T, 10, h, w) reflectance."""
    return _hide(_standardise(x * S2_SCALE, S2_MEAN, S2_STD), bands, valid)


def standardise_s1(x: Tensor, bands: Tensor | None, valid: Tensor | None) -> Tensor:
    """(B, T, 2, h, w) decibel."""
    return _hide(_standardise(x, S1_MEAN, S1_STD), bands, valid)


def _standardise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]


def _hide(x: Tensor, bands: Tensor | None, valid: Tensor | None) -> Tensor:
    if bands is not None:
        x = torch.where(bands[:, None, :, None, None], x, 0)
    return x if valid is None else torch.where(valid[:, :, None], x, 0)
