"""How much a linear head reads from an encoder's maps: cells of labelled pictures, one group left out at a time.

Every kind of features gets the same cells, folds and head (`ridge`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from skysense.errors import LabelError
from skysense.evaluate.folders import (
    LabelledPicture,
    LabelledSet,
    check_sizes,
    find_sets,
    read_bands,
    read_labels,
    read_rgb,
    tile_windows,
)
from skysense.evaluate.hand_features import raw, texture
from skysense.evaluate.lite0 import Lite0Features, find_weights
from skysense.evaluate.ridge import fit_ridge, score
from skysense.models.catalog import load_encoder
from skysense.models.interface import Encoder, SceneBatch
from skysense.models.skysense.model import SkySense
from skysense.models.weights import weights_digest

CELL_PX = 8
TILE_PX = 1024
CELLS_A_PICTURE = 1200
COVERED, CLEAR = 0.75, 0.05  # share of a cell that names it; of the object, at most, in a background cell
UNTRAINED_SEEDS = (0, 1)

Bands = NDArray[np.float32]  # (3 or 4, H, W) of 0..1
Extract = Callable[[Bands], NDArray[np.float32]]  # -> (D, H // 8, W // 8)


@dataclass(frozen=True)
class Tile:
    """One picture, or a whole tile of a larger one, with the cells drawn from it."""

    bands: Bands
    cells: NDArray[np.intp]  # (n, 2) rows and columns
    labels: NDArray[np.intp]  # (n,) index of the class
    labelled: str  # the set's name
    group: str  # over all sets


@dataclass(frozen=True)
class Features:
    """A kind of features as the rows name it."""

    name: str
    extract: Extract
    digest: str | None = None  # of the network's weights
    untrained_seed: int | None = None


def run(
    folders: Sequence[str | Path],
    *,
    seed: int = 0,
    model: str = "skysense-nano",
    weights: str | Path | None = None,
    baselines: bool = False,
    group_by: str | None = None,
) -> list[dict[str, object]]:
    """One row a fold and kind of features, then the mean over folds as group `all`.

    Args:
        folders: labelled folders with the same classes, see `folders`.
        seed: of the draw of cells.
        model: a key of the catalogue.
        weights: a file in place of the bundled one.
        baselines: also texture, raw values, the untrained network, and EfficientNet-Lite0 where its package is installed.
        group_by: regular expression; its group 1 on a file's stem is the group.

    Raises:
        LabelError: fewer than two groups or two classes, or masks of another size than their images.
    """
    sets = find_sets(folders, group_by)
    classes = _classes(sets)
    tiles = list(_tiles(sets, classes, seed))
    groups: dict[str, dict[str, None]] = {}  # group -> the sets that it has pictures in
    for tile in tiles:
        groups.setdefault(tile.group, {})[tile.labelled] = None
    if len(groups) < 2:
        raise LabelError(
            f"The folders hold {len(groups)} group of labelled pictures, leaving one out needs two.",
            "Add a folder, or split the pictures with --group-by.",
        )
    rows: list[dict[str, object]] = []
    for features in _kinds(model, weights, baselines):
        started = perf_counter()
        table = [_on_cells(features.extract(tile.bands), tile) for tile in tiles]
        folds = [_fold(tiles, table, group, len(classes)) for group in groups]
        common = {
            "features": features.name,
            "untrained_seed": features.untrained_seed,
            "dim": table[0].shape[1],
            "seed": seed,
            "seconds": round(perf_counter() - started, 2),
            "model": model,
            "weights_sha256": features.digest,
        }
        rows += [{"set": "+".join(names), "group": group, **fold, **common} for (group, names), fold in zip(groups.items(), folds)]
        every = "+".join(dict.fromkeys(tile.labelled for tile in tiles))
        rows.append({"set": every, "group": "all", **_mean(folds), **common})
    return rows


# -- cells -----------------------------------------------------------------------------------------------------------
def _classes(sets: Sequence[LabelledSet]) -> list[int]:
    found: set[int] = set()
    for labelled in sets:
        for picture in labelled.pictures:
            found |= set(np.unique(_labels(picture)).tolist()) - labelled.ignored
    if len(found) < 2:
        raise LabelError(f"The masks hold the classes {sorted(found)}, a probe needs two.", "Check masks/ and classes.json.")
    return sorted(found)


def _tiles(sets: Sequence[LabelledSet], classes: Sequence[int], seed: int) -> Iterator[Tile]:
    generator = np.random.default_rng(seed)
    for labelled in sets:
        for picture in labelled.pictures:
            bands, labels = _bands(picture), _labels(picture)
            check_sizes(picture.image, bands.shape[1:], labels.shape)
            for window in tile_windows(labels.shape[0], labels.shape[1], TILE_PX, TILE_PX):
                named = cell_labels(labels[window], classes)
                cells = np.argwhere(named >= 0)
                if len(cells) > CELLS_A_PICTURE:
                    cells = cells[np.sort(generator.choice(len(cells), CELLS_A_PICTURE, replace=False))]
                if len(cells):
                    tile = bands[(slice(None), *window)]
                    yield Tile(tile, cells, named[tuple(cells.T)], labelled.name, picture.group)


def cell_labels(labels: NDArray[np.integer], classes: Sequence[int]) -> NDArray[np.intp]:
    """(H, W) -> (H // 8, W // 8): the class that covers the cell, -1 where none does."""
    rows, columns = labels.shape[0] // CELL_PX, labels.shape[1] // CELL_PX
    cells = labels[: rows * CELL_PX, : columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX)
    shares = np.stack([(cells == value).mean(axis=(1, 3)) for value in classes])  # (K, rows, columns)
    named = np.where(shares.max(axis=0) >= COVERED, shares.argmax(axis=0), -1)
    if len(classes) == 2:
        named = np.where((named == 0) & (shares[1] > CLEAR), -1, named)
    return named


def _labels(picture: LabelledPicture) -> NDArray[np.integer]:
    if picture.mask is not None:
        return read_labels(picture.mask)
    return (read_labels(picture.objects) > 0).astype(np.uint8)


def _bands(picture: LabelledPicture) -> Bands:
    bands = read_bands(picture.image)
    if bands.dtype == np.uint8 and len(bands) in (3, 4):
        return bands.astype(np.float32) / np.float32(255)
    return np.moveaxis(read_rgb(picture.image), -1, 0).astype(np.float32) / np.float32(255)


# -- folds -----------------------------------------------------------------------------------------------------------
def _on_cells(features: NDArray[np.float32], tile: Tile) -> NDArray[np.float32]:
    rows, columns = tile.cells.T
    return features[:, rows, columns].T  # (n, D)


def _fold(
    tiles: Sequence[Tile], table: Sequence[NDArray[np.float32]], group: str, classes: int
) -> dict[str, float | None]:
    inside = [i for i, tile in enumerate(tiles) if tile.group == group]
    outside = [i for i, tile in enumerate(tiles) if tile.group != group]
    head = fit_ridge(
        np.concatenate([table[i] for i in outside]), np.concatenate([tiles[i].labels for i in outside]), classes
    )
    return score(
        head.scores(np.concatenate([table[i] for i in inside])), np.concatenate([tiles[i].labels for i in inside])
    )


def _mean(folds: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name in folds[0]:
        values = [value for fold in folds if (value := fold[name]) is not None]
        row[name] = float(np.mean(values)) if values else None
        row[f"{name}_sd"] = float(np.std(values)) if values else None
    return row


# -- features --------------------------------------------------------------------------------------------------------
def _kinds(model: str, weights: str | Path | None, baselines: bool) -> Iterator[Features]:
    encoder = load_encoder(model, Path(weights) if weights else None)
    yield Features(model, _encoded(encoder), encoder.info.digest)
    if not baselines:
        return
    for seed in UNTRAINED_SEEDS:
        untrained = load_encoder(model, untrained=True, seed=seed)
        yield Features("random", _encoded(untrained), None, seed)
        if isinstance(untrained, SkySense) and isinstance(encoder, SkySense) and encoder.config.hr.stem != "patch":
            untrained.hr_encoder.stem.load_state_dict(encoder.hr_encoder.stem.state_dict())
            yield Features("random_stem", _encoded(untrained), None, seed)
    lite0 = find_weights()
    if lite0 is not None:
        network = Lite0Features(lite0)
        yield Features("efficientnet_lite0", lambda bands: network(bands, CELL_PX), weights_digest(lite0))
    yield Features("texture", lambda bands: texture(bands[:3], CELL_PX))
    yield Features("raw", lambda bands: raw(bands, CELL_PX))


def _encoded(encoder: Encoder) -> Extract:
    """The probe levels of the whole picture, padded by replication, on the cells."""
    multiple = encoder.info.tile_multiple["hr"]

    @torch.inference_mode()
    def extract(bands: Bands) -> NDArray[np.float32]:
        height, width = bands.shape[1:]
        x = torch.from_numpy(bands)[None]
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        cells = (x.shape[-2] // CELL_PX, x.shape[-1] // CELL_PX)
        there = torch.arange(4)[None] < len(bands)
        x = torch.cat([x, x.new_zeros(1, 4 - len(bands), *x.shape[-2:])], dim=1)
        maps = encoder(SceneBatch(hr=x, hr_bands=there))
        levels = [maps[name].values for name in encoder.info.probe_levels if name in maps]
        levels = [F.interpolate(level, cells, mode="bilinear", align_corners=False)[0] for level in levels]
        return torch.cat(levels)[:, : height // CELL_PX, : width // CELL_PX].float().numpy()

    return extract
