"""Labelled crops of one scene as batches: pixels for an encoder that learns, cached features for one that does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysense.errors import LabelError
from skysense.models.interface import SceneBatch
from skysense.objectives.supervised import IGNORE
from skysense.scene.grid import Grid, Window
from skysense.scene.tiles import Tile, Tiling
from skysense.training.augment import jitter, turn, turn_arrays, turn_tensor
from skysense.training.blocks import Blocks
from skysense.training.collate import collate
from skysense.training.labels import Labels
from skysense.training.segmenter import Segmenter
from skysense.training.settings import ENCODED_PIXELS, FEWEST_CROPS

FEWEST_PIXELS = 10  # of a class, on pixels with data
CACHE_BYTES = 1_500_000_000  # of features; a laptop of 8 GB keeps room for the rest


class TileArrays(Protocol):
    """A tile as arrays in the layout of SceneBatch, and which of its pixels count."""

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]: ...

    @property
    def valid(self) -> NDArray[np.bool_]: ...


class TileReader(Protocol):
    """Reads any window of the scene, also beyond its rim."""

    def read(self, window: Window) -> TileArrays: ...


@dataclass(frozen=True)
class Crop:
    """A square of the scene with labels."""

    tile: Tile
    window: Window  # always of full size, perhaps beyond the scene's rim
    train: NDArray[np.uint8]  # (P, P) class indices; IGNORE: unlabelled, held out, or without data
    held_out: NDArray[np.uint8]  # (P, P) the same for validation

    @property
    def context(self) -> Window:
        """The window with the encoder's halo."""
        return self.tile.outer


def find_crops(
    reader: TileReader, labels: Labels, blocks: Blocks, tiling: Tiling, most: int, seed: int
) -> Iterator[tuple[int, Crop | None]]:
    """The crops of a tiling that hold labels, `most` of them at the most: see `choose_places`.

    Yields:
        How many places remain, and the crop; None where the labels lie on pixels without data.
    """
    side = tiling.tile_px
    places = choose_places(blocks, side, most, np.random.default_rng(seed))
    for done, (row, column) in enumerate(places, start=1):
        tile = tiling[row * tiling.columns + column]
        window = Window(tile.core.row, tile.core.column, side, side)
        drawn = labels.draw(tiling.grid.window(window))
        drawn[~reader.read(window).valid] = IGNORE
        train, held_out = blocks.split(drawn, window, IGNORE)
        yield len(places) - done, Crop(tile, window, train, held_out) if (drawn != IGNORE).any() else None


def choose_places(blocks: Blocks, side_px: int, most: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Row and column of the crops to use, row by row.

    Where there are more than can be used, classes take turns to draw one that holds them, first to learn from and then
    to be judged by, so that rare classes are not lost.
    """
    of_block = [(int(row) * blocks.side_px // side_px, int(column) * blocks.side_px // side_px) for row, column in blocks.corners]
    places = sorted(set(of_block))
    if len(places) <= most:
        return places
    queues = []
    for held in (False, True):
        for index in range(blocks.counts.shape[1]):
            holding = (blocks.counts[:, index] > 0) & (blocks.held_out == held)
            found = sorted({of_block[i] for i in np.flatnonzero(holding)})
            queues.append([found[i] for i in generator.permutation(len(found))])
    chosen: dict[tuple[int, int], None] = {}
    while len(chosen) < most:
        for queue in queues:
            while queue and queue[-1] in chosen:
                queue.pop()
            if queue and len(chosen) < most:
                chosen[queue.pop()] = None
    return sorted(chosen)


def check_pixels(crops: Sequence[Crop], labels: Labels) -> None:
    """Raises LabelError where a class has fewer than ten pixels with data."""
    for index, entry in enumerate(labels.classes):
        pixels = sum(int((crop.train == index).sum() + (crop.held_out == index).sum()) for crop in crops)
        if pixels < FEWEST_PIXELS:
            raise LabelError(
                f"The class {entry.name!r} covers {pixels} pixels of the scene, at least {FEWEST_PIXELS} are needed.",
                "Draw larger polygons or more of them, or leave the class out.",
            )


def class_pixels(crops: Sequence[Crop], classes: int) -> NDArray[np.int64]:
    """Training pixels of each class in each crop (N, K)."""
    return np.stack([np.bincount(crop.train.ravel(), minlength=256)[:classes] for crop in crops])


@dataclass(frozen=True)
class Sample:
    """A crop that was drawn, and the class for which."""

    crop: int
    index: int


# -- batches of pixels -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PixelCrops:
    """Crops that are read when they are needed, turned and in another light each time."""

    reader: TileReader
    crops: Sequence[Crop]

    def batch(self, sampled: Sequence[Sample], generator: np.random.Generator) -> tuple[SceneBatch, Tensor]:
        """The crops as a batch, and their training labels (B, P, P)."""
        tiles, labels = [], []
        for sample in sampled:
            crop, way = self.crops[sample.crop], int(generator.integers(8))
            arrays = jitter(self.reader.read(crop.window).arrays, generator)
            tiles.append(turn_arrays(arrays, way))
            labels.append(turn(crop.train, way))
        return collate(tiles), torch.from_numpy(np.stack(labels))


# -- batches of features ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FeatureCrops:
    """Features of crops, computed once with the context that they will have when the model is applied."""

    features: Sequence[Mapping[str, Tensor]]  # of each crop: level -> (D, h, w), 16 bits
    crops: Sequence[Crop]
    window_cells: int  # of the finest level, a side: larger crops give a window around a labelled pixel

    def batch(self, sampled: Sequence[Sample], generator: np.random.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Levels (B, D, h, w) and training labels (B, P, P), turned together.

        Only their places are turned: what a feature says hardly depends on the direction it was seen from.
        """
        parts: dict[str, list[Tensor]] = {name: [] for name in self.features[0]}
        labels = []
        for sample in sampled:
            maps, train, way = self.features[sample.crop], self.crops[sample.crop].train, int(generator.integers(8))
            top, left, side = self._window(train, sample.index, max(level.shape[-1] for level in maps.values()), generator)
            for name, level in maps.items():
                stride = len(train) // level.shape[-1]
                rows, columns = (slice(start // stride, (start + side) // stride) for start in (top, left))
                parts[name].append(turn_tensor(level[:, rows, columns], way))
            labels.append(turn(train[top : top + side, left : left + side], way))
        return {name: torch.stack(levels) for name, levels in parts.items()}, torch.from_numpy(np.stack(labels))

    def _window(
        self, train: NDArray[np.uint8], index: int, cells: int, generator: np.random.Generator
    ) -> tuple[int, int, int]:
        """Top, left and side in pixels, around a pixel of the class that was drawn, on whole cells of all levels."""
        size = len(train)
        if cells <= self.window_cells:
            return 0, 0, size
        side = size * self.window_cells // cells
        rows, columns = np.nonzero(train == index)
        chosen = int(generator.integers(len(rows)))
        step = size // min(level.shape[-1] for level in self.features[0].values())  # pixels of the coarsest cell
        top, left = (int(np.clip(at[chosen] - side // 2, 0, size - side)) // step * step for at in (rows, columns))
        return top, left, side


def encode_crop(segmenter: Segmenter, reader: TileReader, crop: Crop, device: torch.device) -> dict[str, Tensor]:
    """The levels (D, h, w) over the crop alone, from its window with context; 16 bits, on the CPU."""
    batch = collate([reader.read(crop.context).arrays]).to(device)
    with torch.inference_mode():
        maps = segmenter.encode(batch)
    lead = batch.sensors[0]
    top, left = crop.window.row - crop.context.row, crop.window.column - crop.context.column
    cut = {}
    for name, values in maps.items():
        stride = level_stride(segmenter, name, lead)
        rows = slice(top // stride, (top + crop.window.height) // stride)
        columns = slice(left // stride, (left + crop.window.width) // stride)
        cut[name] = values[0, :, rows, columns].half().cpu().clone()
    return cut


def level_stride(segmenter: Segmenter, name: str, lead: str) -> int:
    """Pixels of the finest sensor per cell of a level."""
    info = segmenter.encoder.info
    return info.strides[lead] if name == "fused" else info.levels[name].stride


def most_crops(segmenter: Segmenter, lead: str, dates: int, tiling: Tiling) -> int:
    """How many crops are worth encoding: they take about half a minute, and their features fit into memory."""
    info = segmenter.encoder.info
    values = sum(info.levels[name].channels / level_stride(segmenter, name, lead) ** 2 for name in segmenter.levels)
    fitting = int(CACHE_BYTES / (2 * values * tiling.tile_px**2))
    outer = tiling.tile_px + 2 * tiling.halo_px
    quick = int(ENCODED_PIXELS[lead] / (outer**2 * dates))
    return max(min(fitting, quick), FEWEST_CROPS)


def fit_scales(segmenter: Segmenter, features: Sequence[Mapping[str, Tensor]]) -> None:
    """Set the segmenter's scales to mean and deviation of each channel over some crops."""
    for name in segmenter.levels:
        flat = torch.cat([maps[name].float().flatten(1) for maps in features], dim=1)  # (D, N)
        segmenter.scales[name].set(flat.mean(dim=1), flat.std(dim=1).clamp(min=1e-4))


def tiling_for(grid: Grid, segmenter: Segmenter, lead: str, crop_px: int) -> Tiling:
    """Crops on the encoder's multiples, with its halo."""
    info = segmenter.encoder.info
    halo, multiple = info.halo[lead], info.tile_multiple[lead]
    return Tiling.of(grid, crop_px + 2 * (-(-halo // multiple) * multiple), halo, multiple)
