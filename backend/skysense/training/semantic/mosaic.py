"""Mosaics: eight examples of one class as one picture, so that labels that are shown tell of those that are hidden.

Facts: reference sheet, section 5.5. Boxes are shares of the ground, not pixels: pictures, series and label maps of any
size are cut along the same lines.

Legend: C channels, H W pixels of an HR picture, h w of a Sentinel one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skysense.models.skysense.plus_plus import HR_PIXELS
from skysense.training.semantic.settings import SemanticSettings

ROWS, COLUMNS = 4, 2  # of examples in a mosaic


@dataclass(frozen=True)
class Annotated:
    """An example, or a mosaic of them: images of one date and their label map, over the same ground."""

    hr: Tensor  # (4, H, W), 0..1
    labels: Tensor  # (H, W) int; 0 background or unknown, which is 255 in shards
    s2: Tensor | None = None  # (10, h, w) reflectance
    s1: Tensor | None = None  # (2, h, w) decibel


@dataclass(frozen=True)
class Box:
    """Sides as shares 0..1 of the ground; the left one right of the right one: mirrored."""

    top: float
    left: float
    bottom: float
    right: float

    def mirrored(self) -> Box:
        return Box(self.top, self.right, self.bottom, self.left)


def draw_mosaic(examples: Sequence[Annotated], settings: SemanticSettings, generator: np.random.Generator) -> Annotated:
    """Examples cut and mirrored by chance, tiled, and a part of all cut out: twice as high as wide.

    Args:
        examples: eight, row by row, of the same sensors.
        settings: of the run.
        generator: of all draws.

    Raises:
        ValueError: another number of examples, or a sensor that only some of them have.
    """
    if len(examples) != ROWS * COLUMNS:
        raise ValueError(f"A mosaic is made of {ROWS * COLUMNS} examples, not of {len(examples)}.")
    if len({(example.s2 is None, example.s1 is None) for example in examples}) > 1:
        raise ValueError("The examples of a mosaic are not of the same sensors; take those of one data set.")
    side = settings.tile_px
    tiles = []
    for example in examples:
        box = draw_box(settings.example_area, generator)
        tiles.append(cut(example, box.mirrored() if generator.random() < 0.5 else box, (side, side)))
    s2, s1 = [x for tile in tiles if (x := tile.s2) is not None], [x for tile in tiles if (x := tile.s1) is not None]
    whole = Annotated(
        hr=tiled([tile.hr for tile in tiles]),
        labels=tiled([tile.labels for tile in tiles]),
        s2=tiled(s2) if s2 else None,
        s1=tiled(s1) if s1 else None,
    )
    return cut(whole, draw_box(settings.mosaic_area, generator), (2 * side, side))


def draw_box(area: tuple[float, float], generator: np.random.Generator) -> Box:
    """A part of the ground with its shape and a share of its area within these bounds."""
    side = math.sqrt(generator.uniform(*area))
    top, left = generator.uniform(0, 1 - side, size=2)
    return Box(top, left, top + side, left + side)


def cut(example: Annotated, box: Box, size: tuple[int, int]) -> Annotated:
    """The part inside a box, resized to so many HR rows and columns."""
    small = (size[0] // HR_PIXELS, size[1] // HR_PIXELS)
    return Annotated(
        hr=resample(example.hr, box, size),
        labels=nearest(example.labels, box, size),
        s2=None if example.s2 is None else resample(example.s2, box, small),
        s1=None if example.s1 is None else resample(example.s1, box, small),
    )


def tiled(parts: Sequence[Tensor]) -> Tensor:
    """Eight of (..., H, W), row by row -> (..., 4 H, 2 W)."""
    rows = [torch.cat(list(parts[start : start + COLUMNS]), dim=-1) for start in range(0, len(parts), COLUMNS)]
    return torch.cat(rows, dim=-2)


def resample(image: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """Bicubic, never beyond the values of each channel: (C, H, W) -> (C, *size)."""
    image = image.float()
    y, x = (2 * places - 1 for places in _centres(box, size))
    grid = torch.stack([x.expand(size), y[:, None].expand(size)], dim=-1).float()
    found = F.grid_sample(image[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False)[0]
    return torch.clamp(found, image.amin(dim=(1, 2), keepdim=True), image.amax(dim=(1, 2), keepdim=True))


def nearest(labels: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """The label of the pixel in which each new pixel's middle lies: (H, W) -> size."""
    rows, columns = ((places * count).long().clamp(0, count - 1) for places, count in zip(_centres(box, size), labels.shape))
    return labels[rows[:, None], columns]


def _centres(box: Box, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where the middles of rows and columns lie, as shares of the ground."""
    rows, columns = ((torch.arange(count, dtype=torch.float64) + 0.5) / count for count in size)
    return box.top + (box.bottom - box.top) * rows, box.left + (box.right - box.left) * columns
