"""A scene -> its dense feature map, tile by tile in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from skysense.errors import RasterError, RequestError
from skysense.jobs.batches import SceneTiles, TileData
from skysense.jobs.components import Components, CovarianceSum
from skysense.jobs.encoders import choose_device, encoder_on, stoppable
from skysense.jobs.pipeline import WriteBehind, read_ahead
from skysense.jobs.provenance import inputs_of, run_facts, scene_facts
from skysense.jobs.report import FINISHING, Part, Report, telling
from skysense.models.interface import Encoder
from skysense.protocol.requests import EmbedScene, FeatureMapWritten
from skysense.scene.grid import Window
from skysense.scene.read import SceneReader
from skysense.scene.tiles import Tile, Tiling
from skysense.scene.write import OutputSet, RasterWriter, check_outputs

SAMPLED_TILES = 64  # at most, and a sixteenth of all, but at least
LEAST_SAMPLED = 4
KEPT_TILES = 4  # of the sampled: their features, some ten megabytes each, wait to be written
NODATA = -32768.0  # exact in 16 bits
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0


@dataclass(frozen=True)
class Cells:
    """Features of a tile's core."""

    window: Window  # on the grid of cells
    features: NDArray[np.float32]  # (D, h, w)
    valid: NDArray[np.bool_]  # (h, w): any valid pixel in the cell


@dataclass(frozen=True)
class Sample:
    """What a few tiles tell of the whole scene."""

    components: Components
    stretch: NDArray[np.float32]  # (3, 2): low and high of each colour of the picture
    encoded: int  # tiles that it took
    tiles: dict[int, Cells]  # the cells of some of them, by index: they need not be encoded again


def run(request: EmbedScene, report: Report) -> FeatureMapWritten:
    """Encode the scene and write components, all features, and the picture, as asked.

    Raises:
        RequestError: an impossible number of components. RasterError and its kinds: the scene cannot be read.
        ModelError: no weights. OutputError: cannot be written.
    """
    started = time.monotonic()
    report.progress(0.0, "Loading the model")
    inputs = inputs_of(request.scene)
    check_outputs((request.output_path, request.picture_path), inputs)
    device = choose_device(request.device)
    encoder = encoder_on(request.encoder, device, report)
    _check(request, encoder)
    with SceneReader(request.scene) as scene, stoppable(encoder, report), ExitStack() as stack:
        tiles = SceneTiles(scene, encoder.info)
        tiling = tiles.tiling(request.tile_px)
        sample = _sample(encoder, tiles, tiling, request.components, report, device)
        components = sample.components
        grid = scene.grid.coarsen(tiles.stride)
        count = request.components or encoder.info.fused_channels
        facts = {
            **scene_facts(request.scene),
            **run_facts(request, "output_path", "picture_path"),
            "device": str(device),
            "encoder": encoder.info.key,
            "encoder_digest": encoder.info.digest,
            "components": request.components,
            "explained_variance": components.share if request.components else None,
            "tile_px": tiling.tile_px + 2 * tiling.halo_px,
        }
        names = [f"component {i + 1}" if request.components else f"feature {i + 1}" for i in range(count)]
        files = stack.enter_context(OutputSet())
        output = stack.enter_context(
            RasterWriter(
                request.output_path, grid, names, "float32", NODATA, inputs=inputs, facts=facts,
                finishing=telling(Part(report, 0.96, 1.0), FINISHING), together=files,
            )
        )  # fmt: skip
        picture = None
        if request.picture_path is not None:
            picture = stack.enter_context(
                RasterWriter(
                    request.picture_path, grid, ("red", "green", "blue"), "uint8", 0, inputs=inputs, facts=facts,
                    finishing=telling(Part(report, 0.95, 0.96), FINISHING), together=files,
                )
            )  # fmt: skip

        def write(cells: Cells) -> None:
            projected = components.project(cells.features)
            values = projected if request.components else cells.features
            output.write(cells.window, np.where(cells.valid, values[:count], np.float32(NODATA)))
            if picture is not None:
                picture.write(cells.window, _colours(projected[:3], sample.stretch, cells.valid))

        left = [tile for tile in tiling if tile.index not in sample.tiles]
        with WriteBehind(write) as writer, _encoded(encoder, tiles, left, device) as encoded:
            while sample.tiles:
                writer.put(sample.tiles.popitem()[1])
            work = sample.encoded + len(left)
            for done, (_, cells) in enumerate(encoded, start=sample.encoded):
                report.progress(0.95 * done / work, "Encoding tiles", f"tile {done + 1} of {work}")
                writer.put(cells)
        report.progress(0.95, FINISHING)
    return FeatureMapWritten(
        path=request.output_path,
        picture_path=request.picture_path,
        bands=count,
        height=grid.height,
        width=grid.width,
        explained_variance=components.share if request.components else None,
        encoder_digest=encoder.info.digest,
        seconds=time.monotonic() - started,
    )


def encode_tile(encoder: Encoder, data: TileData, tile: Tile, stride: int, device: torch.device) -> Cells:
    """Features of one tile's core; zeros, at no cost, where nothing of it is valid."""
    inner = tile.inner
    top, left = inner.row // stride, inner.column // stride
    height, width = -(-inner.height // stride), -(-inner.width // stride)
    window = Window(tile.core.row // stride, tile.core.column // stride, height, width)
    core = data.valid[inner.row : inner.row + inner.height, inner.column : inner.column + inner.width]
    valid = any_in_cells(core, stride)
    if not valid.any():
        return Cells(window, np.zeros((encoder.info.fused_channels, height, width), np.float32), valid)
    with torch.inference_mode():
        fused = encoder(data.batch(device))["fused"].values[0]  # (D, h, w)
    features = fused[:, top : top + height, left : left + width].float().cpu().numpy()
    return Cells(window, features, valid)


def any_in_cells(valid: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    """(H, W) -> (ceil(H / stride), ceil(W / stride)): whether a cell holds a valid pixel."""
    height, width = valid.shape
    padded = np.pad(valid, ((0, -height % stride), (0, -width % stride)))
    rows, columns = padded.shape[0] // stride, padded.shape[1] // stride
    return np.logical_or.reduce(padded.reshape(rows, stride, columns, stride), axis=(1, 3))


@contextmanager
def _encoded(
    encoder: Encoder, tiles: SceneTiles, chosen: list[Tile], device: torch.device
) -> Iterator[Iterator[tuple[Tile, Cells]]]:
    """The cells of each tile; the next tiles are read meanwhile."""
    with read_ahead(chosen, lambda tile: tiles.read(tile.outer)) as read:
        yield ((tile, encode_tile(encoder, data, tile, tiles.stride, device)) for tile, data in read)


def _sample(
    encoder: Encoder, tiles: SceneTiles, tiling: Tiling, count: int, report: Report, device: torch.device
) -> Sample:
    """Components and stretch from a few tiles spread evenly."""
    total = len(tiling)
    count_sampled = min(total, SAMPLED_TILES, max(LEAST_SAMPLED, total // 16))
    sampled = [tiling[i] for i in np.unique(np.linspace(0, total - 1, count_sampled).round().astype(int))]
    work = total + max(0, len(sampled) - KEPT_TILES)
    sums = CovarianceSum(encoder.info.fused_channels)
    seen: list[NDArray[np.float32]] = []
    kept: dict[int, Cells] = {}
    with _encoded(encoder, tiles, sampled, device) as encoded:
        for done, (tile, cells) in enumerate(encoded):
            report.progress(0.95 * done / work, "Sampling tiles", f"tile {done + 1} of {len(sampled)}")
            if len(kept) < KEPT_TILES:
                kept[tile.index] = cells
            features = cells.features[:, cells.valid].T  # (N, D)
            if len(features):
                sums.add(features)
                seen.append(features[:: max(1, len(features) // 256)])
    if not sums.count:
        raise RasterError("The scene has no valid pixels.", "Choose an extent where the layers have data.")
    components = sums.components(max(count, 3))
    colours = (np.concatenate(seen) - components.mean) @ components.directions[:, :3]
    stretch = np.percentile(colours, (LOW_PERCENT, HIGH_PERCENT), axis=0).T.astype(np.float32)
    return Sample(components, stretch, len(sampled), kept)


def _check(request: EmbedScene, encoder: Encoder) -> None:
    if not 0 <= request.components <= encoder.info.fused_channels:
        raise RequestError(
            f"{request.components} components were asked for, {encoder.info.label} has {encoder.info.fused_channels} features.",
            "Choose fewer components, or 0 for all features.",
        )


def _colours(values: NDArray[np.float32], stretch: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(3, h, w) -> 1..255, 0 without data."""
    low, high = stretch[:, 0, None, None], stretch[:, 1, None, None]
    scaled = 1.0 + 254.0 * np.clip((values - low) / np.maximum(high - low, 1e-6), 0.0, 1.0)
    return np.where(valid, np.rint(scaled), 0).astype(np.uint8)
