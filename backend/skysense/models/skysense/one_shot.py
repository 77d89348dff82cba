"""One-shot segmentation with SkySense++: an example image with its label map tells what to look for in a query.

Released procedure: `flood3i_1shot.py` and its transforms. Facts: reference sheet, sections 5.5 and 5.6. Nothing here is
random: labels are given out in ascending order, so that the same example and query always give the same answer.

Legend: C channels, T dates, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .normalise import IMAGENET_MEAN, IMAGENET_STD, S1_MEAN, S1_STD, S2_MEAN, S2_STD
from .plus_plus import HR_PIXELS, PromptedPair, SkySensePlusPlus

SIDE = 512  # pixels of one image of the pair
MASK_CELL = 4 * HR_PIXELS  # HR pixels of a cell of the mask
# Data sets of the released loaders whose HR bands are stored as B, G, R, and the one that holds raw counts.
REVERSED, RAW_COUNTS = ("dynamic-mm", "guizhou-mm"), "dynamic-mm"
COUNTS_MEAN, COUNTS_STD = (1085.2941, 944.2718, 689.2493), (1008.4052, 760.9586, 631.4754)


@dataclass(frozen=True)
class Sample:
    """One image with its label map as colours, normalised for the model."""

    hr: Tensor  # (3, 512, 512)
    colours: Tensor  # (3, 512, 512)
    s2: Tensor | None  # (10, T, 16, 16)
    s1: Tensor | None  # (2, T, 16, 16)


def prepare(
    hr: Tensor,
    colours: Tensor,
    s2: Tensor | None = None,
    s1: Tensor | None = None,
    *,
    reversed_bands: bool = False,
    raw_counts: bool = False,
    clamp: bool = True,
) -> Sample:
    """Resize and normalise as the released loaders do.

    Args:
        hr: (3 or more, H, W) integers; bytes, or raw counts.
        colours: (3, H, W) bytes, resized by the nearest pixel.
        s2: (10, T, h, w) integers of the L2A product.
        s1: (2, T, h, w) decibel.
        reversed_bands: the first three bands are stored as B, G, R.
        raw_counts: of `RAW_COUNTS`, with statistics of its own.
        clamp: keep bytes within 0..255 after bicubic resizing; the released code lets them overshoot.
    """
    if reversed_bands:
        hr = hr[:3].flip(0)
    hr = resized(hr, SIDE)
    if clamp and not raw_counts:
        hr = hr.clamp(0, 255)
    if raw_counts:
        hr = _standardise(hr, COUNTS_MEAN, COUNTS_STD)
    else:
        hr = _standardise(hr / 255, IMAGENET_MEAN, IMAGENET_STD)
    colours = F.interpolate(colours[None].float(), size=(SIDE, SIDE), mode="nearest")[0]
    small = SIDE // HR_PIXELS
    return Sample(
        hr=hr,
        colours=_standardise(colours / 255, IMAGENET_MEAN, IMAGENET_STD),
        s2=None if s2 is None else _standardise(resized(s2, small), S2_MEAN, S2_STD),
        s1=None if s1 is None else _standardise(resized(s1, small), S1_MEAN, S1_STD),
    )


def resized(x: Tensor, side: int) -> Tensor:
    """(C, ..., H, W) -> (C, ..., side, side) float, bicubic; integers stay whole numbers."""
    flat = x.reshape(1, -1, *x.shape[-2:]).float()
    y = F.interpolate(flat, size=(side, side), mode="bicubic", align_corners=False, antialias=False)[0]
    y = y if x.is_floating_point() else y.round()
    return y.reshape(*x.shape[:-2], side, side)


def read_query(model: SkySensePlusPlus, example: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """What the queries show, in the example's labels.

    Args:
        model: in evaluation mode.
        example: (3, H, W), normalised; H and W multiples of 128.
        labels: (H, W) int, 0 background, 1..V; the example's.
        queries: (B, 3, H, W), normalised.

    Returns:
        (B, H, W) int: 0 where the model names a label that the example does not have.
    """
    count, (height, width) = len(queries), example.shape[-2:]
    hidden = torch.zeros(count, 2 * height // MASK_CELL, width // MASK_CELL, dtype=torch.int32, device=example.device)
    hidden[:, height // MASK_CELL :] = 1
    unknown = torch.zeros_like(labels)
    pair = PromptedPair(
        hr=torch.cat([example.expand(count, -1, -1, -1), queries], dim=2),
        labels=torch.cat([labels, unknown]).expand(count, -1, -1),
        hidden=hidden,
    )
    said = model(pair).logits[:, :, height:].argmax(dim=1)  # (B, H, W)
    return torch.where(torch.isin(said, torch.unique(labels)), said, 0)


def _standardise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    shape = (-1, *[1] * (x.ndim - 1))
    return (x.float() - torch.tensor(mean, device=x.device).view(shape)) / torch.tensor(std, device=x.device).view(shape)
