"""Label maps as colours: how SkySense++ reads annotations of any data set, and how its answer becomes colours again.

Released: `SkySensePP.convert_target` and `cvt_colors`. Facts: reference sheet, sections 5.2 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .normalise import IMAGENET_MEAN, IMAGENET_STD

GREEN, RED = 256, 256 * 256  # places of a colour's parts in its 24-bit code


@dataclass(frozen=True)
class ColourLabels:
    """Labels of the vocabulary in place of colours."""

    labels: Tensor  # (B, H, W) int, 0..V
    colours: dict[int, int]  # label -> 24-bit code; 0 is black


def colours_to_labels(images: Tensor, vocabulary: Sequence[int], *, truncate: bool = False) -> ColourLabels:
    """Each colour becomes a label: black 0, the others the first labels of the vocabulary, in ascending order.

    Args:
        images: (B, 3, H, W) colour images, normalised as photographs are. One list of labels serves all of them, as
            the released code has it for a batch; give one image for labels of its own.
        vocabulary: labels in the order in which they are given out.
        truncate: cut fractions off as the released code does, which turns a quarter of the values into the next lower
            one; else they are rounded.

    Raises:
        ValueError: more colours than labels.
    """
    mean, std = images.new_tensor(IMAGENET_MEAN), images.new_tensor(IMAGENET_STD)
    values = (images * std[:, None, None] + mean[:, None, None]) * 255
    red, green, blue = (values if truncate else values.round().clamp(0, 255)).long().unbind(dim=1)
    codes = red * RED + green * GREEN + blue  # (B, H, W)
    found, index = torch.unique(codes, return_inverse=True)
    black = bool(found[0] == 0)
    if len(found) - black > len(vocabulary):
        raise ValueError(f"{len(found) - black} colours are more than the {len(vocabulary)} labels of the vocabulary.")
    given = [0] * black + list(vocabulary)[: len(found) - black]
    return ColourLabels(codes.new_tensor(given)[index], dict(zip(given, found.tolist())))


def labels_to_colours(labels: Tensor, colours: dict[int, int]) -> Tensor:
    """(..., H, W) labels -> (..., H, W, 3) bytes; a label without a colour becomes black."""
    table = torch.zeros(max([*colours, int(labels.max())]) + 1, 3, dtype=torch.uint8)
    for label, code in colours.items():
        table[label] = torch.tensor([code // RED, code % RED // GREEN, code % GREEN])
    return table[labels]
