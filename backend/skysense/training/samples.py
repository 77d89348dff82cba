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
from skysense.training.labels import Labels
from skysense.training.segmenter import Segmenter

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
    """The crops of a tiling that hold labels, `most` of them at the most, chosen by chance.

    Yields:
        How many places remain, and the crop; None where the labels lie on pixels without data.
    """
    side = tiling.tile_px
    places = sorted({(row * blocks.side_px // side, column * blocks.side_px // side) for row, column in blocks.corners})
    if len(places) > most:
        chosen = np.random.default_rng(seed).choice(len(places), most, replace=False)
        places = [places[i] for i in sorted(chosen)]
    for done, (row, column) in enumerate(places, start=1):
        tile = tiling[row * tiling.columns + column]
        window = Window(tile.core.row, tile.core.column, side, side)
        drawn = labels.draw(tiling.grid.window(window))
        drawn[~reader.read(window).valid] = IGNORE
        train, held_out = blocks.split(drawn, window, IGNORE)
        yield len(places) - done, Crop(tile, window, train, held_out) if (drawn != IGNORE).any() else None


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


# -- batches of pixels -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PixelCrops:
    """Crops that are read when they are needed, turned and in another light each time."""

    reader: TileReader
    crops: Sequence[Crop]

    def batch(self, indices: Sequence[int], draw: np.random.Generator) -> tuple[SceneBatch, Tensor]:
        """The crops as a batch, and their training labels (B, P, P)."""
        tiles, labels = [], []
        for index in indices:
            crop, way = self.crops[index], int(draw.integers(8))
            arrays = jitter(self.reader.read(crop.window).arrays, draw)
            tiles.append(turn_arrays(arrays, way))
            labels.append(turn(crop.train, way))
        return collate(tiles), torch.from_numpy(np.stack(labels))


def collate(tiles: Sequence[Mapping[str, NDArray[np.generic]]]) -> SceneBatch:
    """Tiles as one batch. Arrays of a coarser sensor differ by a frame in size: smaller ones are filled up, not valid."""
    fields: dict[str, Tensor] = {}
    for name in tiles[0]:
        arrays = [tile[name] for tile in tiles]
        shape = tuple(max(sides) for sides in zip(*(array.shape for array in arrays)))
        padded = [np.pad(array, [(0, full - own) for own, full in zip(array.shape, shape)]) for array in arrays]
        fields[name] = torch.from_numpy(np.stack(padded))
    return SceneBatch(**fields)


# -- batches of features ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FeatureCrops:
    """Features of crops, computed once with the context that they will have when the model is applied."""

    features: Sequence[Mapping[str, Tensor]]  # of each crop: level -> (D, h, w), 16 bits
    crops: Sequence[Crop]

    def batch(self, indices: Sequence[int], draw: np.random.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Levels (B, D, h, w) and training labels (B, P, P), turned together.

        Only their places are turned: what a feature says hardly depends on the direction it was seen from.
        """
        ways = [int(draw.integers(8)) for _ in indices]
        maps = {
            name: torch.stack([turn_tensor(self.features[i][name], way) for i, way in zip(indices, ways)])
            for name in self.features[0]
        }
        labels = [turn(self.crops[i].train, way) for i, way in zip(indices, ways)]
        return maps, torch.from_numpy(np.stack(labels))


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


def most_crops(segmenter: Segmenter, lead: str, side_px: int, steps: int, batch: int) -> int:
    """How many crops are worth encoding: each is seen about ten times, and their features fit into memory."""
    info = segmenter.encoder.info
    values = sum(info.levels[name].channels / level_stride(segmenter, name, lead) ** 2 for name in segmenter.levels)
    fitting = int(CACHE_BYTES / (2 * values * side_px**2))
    return max(8, min(fitting, steps * batch // 10, 1000))


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
