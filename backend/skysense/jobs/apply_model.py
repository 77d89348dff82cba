"""A fine-tuned model over a whole scene -> class raster and confidence, tile by tile in bounded memory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from skysense.jobs.batches import SceneTiles, TileData, check_sensors
from skysense.jobs.encoders import choose_device, loading, stoppable
from skysense.jobs.pipeline import WriteBehind, read_ahead
from skysense.jobs.provenance import inputs_of, run_facts, scene_facts
from skysense.jobs.report import FINISHING, Part, Report, telling
from skysense.protocol.requests import ApplyModel, LabelMapWritten
from skysense.scene.grid import Window
from skysense.scene.read import SceneReader
from skysense.scene.tiles import Tile
from skysense.scene.write import OutputSet, RasterWriter, check_outputs
from skysense.training.checkpoint import Segmenter, load_segmenter

NO_CLASS = 0
NO_CONFIDENCE = 255


@dataclass(frozen=True)
class Labels:
    """What the model says of a tile's core."""

    window: Window
    classes: NDArray[np.uint8]  # (h, w), values of the legend, 0 without data
    confidence: NDArray[np.uint8]  # (h, w), per cent, 255 without data


def run(request: ApplyModel, report: Report) -> LabelMapWritten:
    """Classify every pixel of the scene.

    Raises:
        BandError: other sensors than the model needs. ModelError: no model, or one of another encoder. RasterError and its kinds. OutputError.
    """
    started = time.monotonic()
    report.progress(0.0, "Loading the model")
    inputs = [*inputs_of(request.scene), request.model_path]
    check_outputs((request.output_path, request.confidence_path), inputs)
    device = choose_device(request.device)
    segmenter = load_segmenter(request.model_path, device, loading(report))
    values = np.array([entry.value for entry in segmenter.classes], np.uint8)
    counts = np.zeros(256, np.int64)
    facts = {
        **scene_facts(request.scene),
        **run_facts(request, "output_path", "confidence_path"),
        "device": str(device),
        "model": request.model_path,
        "model_digest": segmenter.card.digest,
    }
    with SceneReader(request.scene) as scene, stoppable(segmenter, report), ExitStack() as stack:
        tiles = SceneTiles(scene, segmenter.info)
        check_sensors(tiles, segmenter.card)
        tiling = tiles.tiling(request.tile_px)
        legend = {entry.value: _rgba(entry.colour) for entry in segmenter.classes}
        files = stack.enter_context(OutputSet())
        output = stack.enter_context(
            RasterWriter(
                request.output_path, scene.grid, ("class",), "uint8", NO_CLASS, inputs=inputs, facts=facts,
                palette={NO_CLASS: (0, 0, 0, 0), **legend}, finishing=telling(Part(report, 0.97, 1.0), FINISHING), together=files,
            )
        )  # fmt: skip
        confidence = None
        if request.confidence_path is not None:
            confidence = stack.enter_context(
                RasterWriter(
                    request.confidence_path, scene.grid, ("confidence in per cent",), "uint8", NO_CONFIDENCE,
                    inputs=inputs, facts=facts, finishing=telling(Part(report, 0.95, 0.97), FINISHING), together=files,
                )
            )  # fmt: skip

        def write(labels: Labels) -> None:
            output.write(labels.window, labels.classes[None])
            if confidence is not None:
                confidence.write(labels.window, labels.confidence[None])

        with WriteBehind(write) as writer, read_ahead(tiling, lambda tile: tiles.read(tile.outer)) as read:
            for done, (tile, data) in enumerate(read):
                report.progress(0.95 * done / len(tiling), "Classifying tiles", f"tile {done + 1} of {len(tiling)}")
                labels = classify(segmenter, data, tile, values, device)
                counts += np.bincount(labels.classes.ravel(), minlength=256)
                writer.put(labels)
        report.progress(0.95, FINISHING)
        height, width = scene.grid.height, scene.grid.width
    total = max(int(counts[values].sum()), 1)
    return LabelMapWritten(
        path=request.output_path,
        confidence_path=request.confidence_path,
        classes=segmenter.classes,
        shares=tuple(float(counts[value] / total) for value in values),
        height=height,
        width=width,
        seconds=time.monotonic() - started,
    )


def classify(
    segmenter: Segmenter, data: TileData, tile: Tile, values: NDArray[np.uint8], device: torch.device
) -> Labels:
    """Most probable class of each pixel of the tile's core, and its probability."""
    inner = tile.inner
    rows, columns = slice(inner.row, inner.row + inner.height), slice(inner.column, inner.column + inner.width)
    valid = data.valid[rows, columns]
    if not valid.any():
        return Labels(tile.core, np.full(valid.shape, NO_CLASS, np.uint8), np.full(valid.shape, NO_CONFIDENCE, np.uint8))
    with torch.inference_mode():
        logits = segmenter.predict(data.batch(device))[0, :, rows, columns].float()  # (K, h, w)
        probability, best = logits.softmax(dim=0).max(dim=0)
    classes = np.where(valid, values[best.cpu().numpy()], NO_CLASS).astype(np.uint8)
    percent = np.rint(100 * probability.cpu().numpy())
    return Labels(tile.core, classes, np.where(valid, percent, NO_CONFIDENCE).astype(np.uint8))


def _rgba(colour: str) -> tuple[int, int, int, int]:
    """"#rrggbb" -> red, green, blue, 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue, 255
