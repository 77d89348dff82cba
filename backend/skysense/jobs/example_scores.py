"""Scores of a scene by an encoder: a few tiles tell what the examples are like, then every tile is scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from skysense.change.layer import ScoreLayer
from skysense.example.cells import Mask, Pixels, cell_bands, mean_of_dates, share_in_cells
from skysense.example.examples import Examples
from skysense.example.likeness import CellSample, Likeness, fit
from skysense.jobs.batches import SceneTiles, TileData
from skysense.jobs.pipeline import read_ahead
from skysense.jobs.report import Part, Report, telling
from skysense.models.heads import on_finest_grid
from skysense.models.interface import Encoder
from skysense.scene.grid import Window
from skysense.scene.tiles import Tile, Tiling
from skysense.training.segmenter import choose_levels

EXAMPLE_TILES, OTHER_TILES = 32, 32  # that are looked at before the scoring, at most
EXAMPLE_CELLS, OTHER_CELLS = 4096, 6144  # kept of all of them, about
KEPT_BYTES = 256 * 2**20  # of features that need not be computed again
FARTHEST = 30.0  # log odds beyond it are cut: 16 bits keep them well apart

Item = TypeVar("Item")


@dataclass
class TileScorer:
    """An encoder on the tiles of a scene."""

    encoder: Encoder
    tiles: SceneTiles
    device: torch.device
    levels: tuple[str, ...] = field(init=False)
    stride: int = field(init=False)
    _kept: dict[int, Pixels] = field(default_factory=dict, init=False)
    _kept_bytes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        info, lead = self.encoder.info, self.tiles.lead
        dates = max(len(readers) for readers in self.tiles.series.values())
        self.levels = choose_levels(info, tuple(self.tiles.series), dates)
        self.stride = min(info.strides[lead] if name == "fused" else info.levels[name].stride for name in self.levels)

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [self.encoder.info.levels[name].channels for name in self.levels]

    def features(self, tile: Tile, data: TileData) -> Pixels:
        """The levels (D, h, w) of the tile with its halo, on the finest of their grids."""
        if tile.index in self._kept:
            return self._kept.pop(tile.index)
        with torch.inference_mode():
            maps = self.encoder(data.batch(self.device))
            joined = torch.cat(on_finest_grid([maps[name].values.float() for name in self.levels]), dim=1)[0]
        return joined.cpu().numpy()

    def keep(self, tile: Tile, features: Pixels) -> None:
        """For `features` to give once more, as long as there is room."""
        if self._kept_bytes + features.nbytes <= KEPT_BYTES:
            self._kept[tile.index] = features
            self._kept_bytes += features.nbytes

    def bands(self, data: TileData) -> tuple[Pixels, Mask]:
        """The bands (C, H, W) of the finest sensor, newest or mean of its dates, and validity (H, W)."""
        lead = self.tiles.lead
        values, valid = data.arrays[lead].astype(np.float32, copy=False), data.arrays[f"{lead}_valid"].astype(bool)
        if lead != "hr":
            values, valid = mean_of_dates(values, valid)
        return values[data.arrays[f"{lead}_bands"].astype(bool)], valid


def score_by_prototype(scorer: TileScorer, tiling: Tiling, examples: Examples, layer: ScoreLayer, report: Report) -> None:
    """Write the log odds of every valid pixel to the layer.

    Raises:
        LabelError: the examples hold no data, or nothing is left beside them.
    """
    chosen = _chosen(tiling, examples)
    work = len(chosen) + len(tiling)
    seen = 0.95 * len(chosen) / work
    sample = _sampled(scorer, chosen, examples, Part(report, 0.0, seen))
    likeness = fit(sample, scorer.widths, telling(Part(report, seen, len(chosen) / work), "Learning from the examples"))
    told = Part(report, len(chosen) / work, 1.0)
    with read_ahead(tiling, lambda tile: scorer.tiles.read(tile.outer)) as read:
        for done, (tile, data) in enumerate(read):
            told.progress(done / len(tiling), "Scoring tiles", f"tile {done + 1} of {len(tiling)}")
            valid = data.valid[_inner(tile)]
            if valid.any():
                score = _score(scorer, likeness, tile, data)
                layer.write(tile.core, np.where(valid, np.clip(score, -FARTHEST, FARTHEST), np.float32(np.nan)))


def _score(scorer: TileScorer, likeness: Likeness, tile: Tile, data: TileData) -> NDArray[np.float32]:
    """Log odds (h, w) of the tile's core."""
    values, seen = scorer.bands(data)
    return likeness.score(scorer.features(tile, data), values, seen, scorer.stride)[_inner(tile)]


# -- the sample ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Chosen:
    tiles: list[Tile]
    of_examples: frozenset[int]  # indices of those that hold examples

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[Tile]:
        return iter(self.tiles)


def _chosen(tiling: Tiling, examples: Examples) -> _Chosen:
    """Tiles with examples and tiles spread over the scene."""
    held = [tile.index for tile in tiling if len(examples.near(tile.core))]
    chosen = frozenset(_spread(held, EXAMPLE_TILES))
    return _Chosen([tiling[index] for index in sorted(chosen | set(_spread(range(len(tiling)), OTHER_TILES)))], chosen)


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """So many of them, evenly."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _sampled(scorer: TileScorer, chosen: _Chosen, examples: Examples, report: Report) -> CellSample:
    """Cells in and outside of examples, as many of each tile as of the others."""
    parts = []
    with read_ahead(chosen, lambda tile: scorer.tiles.read(tile.outer)) as read:
        for done, (tile, data) in enumerate(read):
            report.progress(done / len(chosen), "Learning from the examples", f"tile {done + 1} of {len(chosen)}")
            if data.valid[_inner(tile)].any():
                parts.append(_cells_of(scorer, chosen, tile, data, examples))
    if not parts:
        empty = np.zeros((0, 1), np.float32)
        return CellSample(empty, empty, empty, np.zeros(0, np.float32))
    return CellSample.joined(parts)


def _cells_of(scorer: TileScorer, chosen: _Chosen, tile: Tile, data: TileData, examples: Examples) -> CellSample:
    """Some of the cells of the tile's core that hold data, drawn by its index alone."""
    features = scorer.features(tile, data)
    scorer.keep(tile, features)
    values, seen = scorer.bands(data)
    means, deviations = cell_bands(values, seen, scorer.stride)
    inside = np.zeros_like(data.valid)
    inside[_inner(tile)] = data.valid[_inner(tile)]
    valid = share_in_cells(inside, scorer.stride) > 0
    cover = np.where(valid, share_in_cells(examples.draw(tile.outer) & inside, scorer.stride), 0)
    generator = np.random.default_rng(tile.index)
    picked = [
        _some(valid & (cover > 0), EXAMPLE_CELLS // max(len(chosen.of_examples), 1), generator),
        _some(valid & (cover == 0), OTHER_CELLS // len(chosen), generator),
    ]
    rows, columns = (np.concatenate(places) for places in zip(*picked))
    return CellSample(*(array[..., rows, columns].T.astype(np.float32) for array in (features, means, deviations, cover)))


def _some(mask: Mask, most: int, generator: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of at most so many of a mask's cells (h, w)."""
    rows, columns = np.nonzero(mask)
    if len(rows) <= most:
        return rows, columns
    picked = np.sort(generator.choice(len(rows), most, replace=False))
    return rows[picked], columns[picked]


def _inner(tile: Tile) -> tuple[slice, slice]:
    """The core in the tile's own pixels."""
    inner: Window = tile.inner
    return slice(inner.row, inner.row + inner.height), slice(inner.column, inner.column + inner.width)
