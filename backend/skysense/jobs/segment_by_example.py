"""A few example polygons -> everything in a scene that looks like them: mask, score and polygons.

The scores wait on disk between the passes, so that a layer of any size fits and the threshold is that of the whole scene.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from skysense.change.layer import ScoreLayer
from skysense.change.patches import Patch, PatchFinder, without_small
from skysense.change.threshold import otsu
from skysense.errors import LabelError, RequestError
from skysense.example.examples import Examples, read_examples
from skysense.example.official import official_mask
from skysense.jobs.batches import SceneTiles
from skysense.jobs.encoders import choose_device, model_by_example, stoppable
from skysense.jobs.example_scores import FARTHEST, TileScorer, score_by_prototype
from skysense.jobs.provenance import inputs_of, run_facts, scene_facts
from skysense.jobs.report import FINISHING, Part, Report, telling
from skysense.models.interface import Encoder
from skysense.models.skysense.plus_plus import SkySensePlusPlus
from skysense.models.weights import weights_digest
from skysense.protocol.requests import ExampleFound, SegmentByExample
from skysense.scene.grid import Grid, Window
from skysense.scene.read import SceneReader
from skysense.scene.vector import write_polygons
from skysense.scene.write import OutputSet, RasterWriter, check_outputs, working_folder

NO_DATA = 255
FOUND_COLOUR = (47, 126, 216, 255)
LAYER = "found"
SCORED = 0.8  # share of the job


@dataclass(frozen=True)
class Method:
    """What the result says of how it was made."""

    name: str  # one of EXAMPLE_METHODS
    procedure: str


def run(request: SegmentByExample, report: Report) -> ExampleFound:
    """Score the scene, find the threshold, write what was asked for.

    Raises:
        RequestError: an impossible threshold. LabelError: no examples on the scene, or nothing to tell them from.
        RasterError and its kinds: the scene cannot be read. ModelError: no weights. OutputError: cannot be written.
    """
    started = time.monotonic()
    report.progress(0.0, "Loading the model")
    if request.threshold is not None and not 0 <= request.threshold <= 1:
        raise RequestError(
            f"The threshold {request.threshold:g} is no score.", "Give a number from 0 to 1, or none to have it found."
        )
    inputs = [*inputs_of(request.scene), request.examples_path]
    check_outputs((request.mask_path, request.polygons_path, request.score_path), inputs)
    device = choose_device(request.device)
    model = model_by_example(request.encoder, device, report)
    with ExitStack() as stack:
        scene = stack.enter_context(SceneReader(request.scene))
        examples = read_examples(request.examples_path, request.examples_layer, scene.grid)
        folder = stack.enter_context(working_folder(Path(request.mask_path)))
        layer = ScoreLayer(Path(folder) / "odds", scene.grid.height, scene.grid.width)
        with stoppable(model, report):
            method = _score(model, scene, examples, layer, request, device, Part(report, 0.0, SCORED))
        threshold = request.threshold
        if threshold is None:
            threshold = _threshold(layer, Part(report, SCORED, SCORED + 0.02))
        facts = {
            **scene_facts(request.scene),
            **run_facts(request, "mask_path", "polygons_path", "score_path"),
            "device": str(device),
            "encoder": request.encoder,
            "encoder_digest": model.info.digest if isinstance(model, Encoder) else weights_digest(Path(request.encoder)),
            "examples": len(examples.shapes),
            "method": method.name,
            "procedure": method.procedure,
            "threshold": threshold,
            "threshold_rule": "user" if request.threshold is not None else "automatic",
            "minimum_area_m2": request.minimum_area_m2,
        }
        output = Output(request, scene.grid, layer, threshold, facts, inputs)
        share, polygons = output.write(Part(report, SCORED + 0.02, 1.0))
    return ExampleFound(
        mask_path=request.mask_path,
        polygons_path=request.polygons_path,
        score_path=request.score_path,
        method=method.name,
        procedure=method.procedure,
        threshold=threshold,
        found_share=share,
        polygons=polygons,
        seconds=time.monotonic() - started,
    )


# -- scores ----------------------------------------------------------------------------------------------------------
def _score(
    model: Encoder | SkySensePlusPlus, scene: SceneReader, examples: Examples, layer: ScoreLayer, request: SegmentByExample,
    device: torch.device, report: Report,
) -> Method:  # fmt: skip
    """Fill the layer with log odds by what the model can do."""
    if isinstance(model, SkySensePlusPlus):
        tiles = official_mask(
            model, scene, examples, lambda share, text: report.progress(share, "Asking the model", text), device
        )
        for window, found, valid in tiles:
            odds = np.where(found, FARTHEST, -FARTHEST)
            layer.write(window, np.where(valid, odds, np.nan).astype(np.float32))
        return Method(
            "official",
            "Found by the released one-shot procedure of SkySense++: the 512-pixel window with most example area beside "
            "each part of the scene.",
        )
    tiles_of = SceneTiles(scene, model.info)
    scorer = TileScorer(model, tiles_of, device)
    score_by_prototype(scorer, tiles_of.tiling(request.tile_px), examples, layer, report)
    return Method(
        "prototype",
        f"Found by likeness to the examples in the features of {model.info.label} and in the colours: not the one-shot "
        "procedure of SkySense++, whose weights are not loaded.",
    )


def _threshold(layer: ScoreLayer, report: Report) -> float:
    """Half-way, in log odds, between examples and background of equal weight and Otsu's threshold of the whole scene."""
    scores = layer.histogram(telling(report, "Finding the threshold"))
    if not scores.total:
        raise LabelError("The scene has no valid pixels.", "Choose an extent where the layers have data.")
    return float(_alike(np.array([otsu(scores) / 2], np.float32))[0])


def _alike(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log odds -> the score 0..1, as its raster stores it; NaN stays."""
    return (1 / (1 + np.exp(-odds))).astype(np.float16).astype(np.float32)


# -- outputs ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Output:
    """The files of one request."""

    request: SegmentByExample
    grid: Grid
    layer: ScoreLayer
    threshold: float
    facts: dict[str, object]
    inputs: list[str]

    def write(self, report: Report) -> tuple[float, int]:
        """Write them all, none if one fails; the share found of the valid pixels and the number of polygons."""
        minimum = self.request.minimum_area_m2
        finder = None
        if self.request.polygons_path is not None or minimum > 0:
            finder = PatchFinder(self.grid)
            for rows, score, found in self._strips(Part(report, 0.0, 0.4), "Outlining"):
                finder.add(rows, found, score)
        patches = finder.patches(minimum, telling(Part(report, 0.4, 0.5), "Outlining")) if finder is not None else []
        keep = iter(finder.kept(minimum)) if finder is not None else None
        found_pixels = counted = 0
        with OutputSet() as files, ExitStack() as stack:
            mask = stack.enter_context(
                RasterWriter(
                    self.request.mask_path, self.grid, ["found"], "uint8", NO_DATA, inputs=self.inputs, facts=self.facts,
                    palette={0: (255, 255, 255, 0), 1: FOUND_COLOUR},
                    finishing=telling(Part(report, 0.9, 1.0), FINISHING), together=files,
                )
            )  # fmt: skip
            raster = None
            if self.request.score_path is not None:
                raster = stack.enter_context(
                    RasterWriter(
                        self.request.score_path, self.grid, ["likeness"], "float32", np.nan, inputs=self.inputs,
                        facts=self.facts, finishing=telling(Part(report, 0.85, 0.9), FINISHING), together=files,
                    )
                )  # fmt: skip
            for rows, score, found in self._strips(Part(report, 0.5, 0.84), "Writing rasters"):
                window = Window(rows.start, 0, rows.stop - rows.start, self.grid.width)
                kept = found if keep is None else without_small(found, next(keep))
                valid = ~np.isnan(score)
                found_pixels, counted = found_pixels + int(kept.sum()), counted + int(valid.sum())
                mask.write(window, np.where(valid, kept, NO_DATA)[None])
                if raster is not None:
                    raster.write(window, score[None])
            share = found_pixels / max(counted, 1)
            mask.note(found_share=share)
            if self.request.polygons_path is not None:
                report.progress(0.84, "Writing polygons")
                self._write_polygons(self.request.polygons_path, patches, files)
            report.progress(0.85, FINISHING)
        return share, len(patches) if self.request.polygons_path is not None else 0

    def _strips(self, report: Report, stage: str) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.uint8]]]:
        """Rows, the score (h, W), and 1 where it lies above the threshold (h, W)."""
        for rows in self.layer.strips():
            report.progress(rows.start / self.grid.height, stage)
            score = _alike(self.layer.read(Window(rows.start, 0, rows.stop - rows.start, self.grid.width)))
            yield rows, score, (score > self.threshold).astype(np.uint8)

    def _write_polygons(self, path: str, patches: list[Patch], files: OutputSet) -> None:
        dates = sorted(source.date for source in self.request.scene.acquisitions if source.date)
        fields: dict[str, list[object]] = {
            "area_m2": [patch.area_m2 for patch in patches],
            "mean_score": [patch.mean_score for patch in patches],
            "max_score": [patch.max_score for patch in patches],
            "date": [dates[-1] if dates else None] * len(patches),
        }
        outlines = [patch.outline for patch in patches]
        write_polygons(path, LAYER, outlines, fields, self.grid.crs_text, self.inputs, files, self.facts)
