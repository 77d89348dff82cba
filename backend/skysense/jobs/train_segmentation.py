"""Polygons of classes over a scene -> a fine-tuned model file with its card."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from skysense.errors import Cancelled, RequestError
from skysense.jobs.batches import SceneTiles
from skysense.jobs.capabilities import memory
from skysense.jobs.encoders import choose_device, loading
from skysense.jobs.provenance import inputs_of
from skysense.jobs.report import Report
from skysense.models import catalog
from skysense.protocol.messages import Series
from skysense.protocol.requests import ClassAccuracy, ModelCard, ModelTrained, TrainSegmentation
from skysense.scene.read import SceneReader
from skysense.scene.write import check_target
from skysense.training.blocks import Blocks, find_blocks
from skysense.training.checkpoint import save_segmenter
from skysense.training.fine_tune import FineTuning, Moment
from skysense.training.labels import Labels, read_labels
from skysense.training.samples import Crop, check_pixels, find_crops, most_crops, tiling_for
from skysense.training.segmenter import Segmenter, choose_levels
from skysense.training.settings import LARGEST_CROP_PX, FineTuneSettings

MODES = {"head": "the head alone", "last-blocks": "the head and the encoder's last blocks", "all": "head and encoder"}


def run(request: TrainSegmentation, report: Report) -> ModelTrained:
    """Train and write the model. When it is cancelled after the first validation, or its loss is no number any more, the
    best model so far is kept.

    Raises:
        LabelError: labels that cannot be used. RequestError: settings that make no sense. RasterError and its kinds,
        ModelError, DeviceError, OutputError. Cancelled: before there was anything to keep.
    """
    started = time.monotonic()
    report.progress(0.0, "Reading labels")
    settings = _settings(request)
    device = choose_device(request.device)
    path = Path(request.model_path)
    check_target(path, [request.labels_path, *inputs_of(request.scene)])
    with SceneReader(request.scene) as scene:
        labels = read_labels(request.labels_path, request.labels_layer, request.class_field, scene.grid)
        report.progress(0.01, "Loading the model")
        # A copy of its own: training may change it.
        encoder = catalog.load_encoder(request.encoder, device=device, progress=loading(report, at=0.01))
        tiles = SceneTiles(scene, encoder.info)
        dates = max(len(readers) for readers in tiles.series.values())
        torch.manual_seed(settings.seed)  # the head's first weights
        sensors = tuple(tiles.series)
        segmenter = Segmenter(encoder, choose_levels(encoder.info, sensors, dates), _first_card(request, labels, sensors))
        tiling = tiling_for(scene.grid, segmenter, tiles.lead, min(request.crop_px, LARGEST_CROP_PX[tiles.lead]))
        report.progress(0.02, "Choosing blocks")
        blocks = find_blocks(labels, scene.grid, tiling.tile_px, request.validation_share, settings.seed)
        most = most_crops(segmenter, tiles.lead, dates, tiling)
        crops = []
        for left, crop in find_crops(tiles, labels, blocks, tiling, most, settings.seed):
            report.progress(0.02, "Reading labels", f"{left} places left")
            crops += [] if crop is None else [crop]
        check_pixels(crops, labels)
        tuning = FineTuning(segmenter, tiles, crops, settings, device)
        stopped = _drive(tuning.run(), tuning, report)
        if stopped == "cancelled" and tuning.best_step == 0:
            raise Cancelled()
        if tuning.diverged and tuning.best_step == 0:
            raise RequestError(
                f"The loss was no number any more after {tuning.step} steps, before there was a model to keep.",
                f"Choose a lower learning rate than {request.learning_rate:g}.",
            )
        tuning.restore_best()
        if stopped == "finished":
            stopped = _drive(tuning.judge_kept(), tuning, report)
    if tuning.diverged and stopped == "finished":
        stopped = "diverged"
    segmenter.card = _card(tuning, request, labels, blocks, crops)
    card = save_segmenter(segmenter, path)
    return ModelTrained(
        card=card,
        steps=tuning.step,
        batch=tuning.batch,
        best_step=tuning.best_step,
        stopped=stopped,
        seconds=time.monotonic() - started,
    )


def _settings(request: TrainSegmentation) -> FineTuneSettings:
    if request.tune not in MODES:
        raise RequestError(f"There is no way to train called {request.tune!r}.", f"Choose one of {', '.join(MODES)}.")
    if request.steps < 1 or request.batch < 1 or request.crop_px < 16 or request.learning_rate <= 0:
        raise RequestError(
            f"Training with {request.steps} steps of {request.batch} crops of {request.crop_px} px at a rate of "
            f"{request.learning_rate:g} makes no sense.",
            "Use at least one step, one crop a step, 16 px a crop, and a positive rate.",
        )
    if not 0 <= request.validation_share <= 0.8:
        raise RequestError(
            f"A share of {request.validation_share:g} of the blocks cannot be held out.", "Choose a share from 0 to 0.8."
        )
    if not request.model_path.endswith(".safetensors"):
        raise RequestError(f"{Path(request.model_path).name} has another ending than .safetensors.", "Add it to the name.")
    return FineTuneSettings(
        tune=request.tune,
        steps=request.steps,
        batch=request.batch,
        learning_rate=request.learning_rate,
        seed=request.seed,
        crop_px=request.crop_px,
        validation_share=request.validation_share,
    )


# -- progress --------------------------------------------------------------------------------------------------------
def _drive(moments: Iterator[Moment], tuning: FineTuning, report: Report) -> str:
    """Go to the end or until cancelled: "finished" or "cancelled"."""
    clock = Clock()
    try:
        for moment in moments:
            points = []
            if moment.loss is not None:
                points.append(Series("loss", moment.done, moment.loss))
            if moment.mean_iou is not None:
                points.append(Series("mean IoU", moment.done, moment.mean_iou))
            report.progress(_fraction(moment), moment.stage, _detail(tuning, moment), tuple(points), clock.left(moment))
    except Cancelled:
        return "cancelled"
    return "finished"


def _fraction(moment: Moment) -> float:
    share = moment.done / moment.total
    start, stop = {"Encoding crops": (0.03, 0.33), "Judging the kept model": (0.95, 1.0)}.get(moment.stage, (0.33, 0.95))
    return start * (1 - share) + stop * share


@dataclass
class Clock:
    """Seconds left of the training, from the pace since its begin; before it nobody knows the pace."""

    begun: float | None = None
    first: int = 0

    def left(self, moment: Moment) -> float | None:
        if moment.stage == "Encoding crops":
            return None
        now = time.monotonic()
        if self.begun is None:
            self.begun, self.first = now, moment.done
        done = moment.done - self.first
        return (now - self.begun) / done * (moment.total - moment.done) if done else None


def _detail(tuning: FineTuning, moment: Moment) -> str:
    """Steps, device, batch and free memory in one line."""
    parts = [f"{moment.done} of {moment.total}", tuning.device.type.upper(), f"batch {moment.batch}"]
    free = _free_bytes(tuning.device)
    return " · ".join([*parts, f"{free / 1e9:.1f} GB free"] if free else parts)


def _free_bytes(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else memory()[1]


# -- card ------------------------------------------------------------------------------------------------------------
def _first_card(request: TrainSegmentation, labels: Labels, sensors: tuple[str, ...]) -> ModelCard:
    return ModelCard(
        key=request.model_path,
        kind="segmentation",
        label=request.name,
        sensors=sensors,
        parameters=0,
        licence=f"that of its labels and images; {catalog.entry(request.encoder).licence}",
        description=f"{len(labels.classes)} classes: {', '.join(entry.name for entry in labels.classes)}",
        path=None,
        digest=None,
        encoder=request.encoder,
        classes=labels.classes,
    )


def _card(
    tuning: FineTuning, request: TrainSegmentation, labels: Labels, blocks: Blocks, crops: list[Crop]
) -> ModelCard:
    """The card with what was measured on the held-out blocks, by the weights that are kept."""
    segmenter, confusion = tuning.segmenter, tuning.confusion
    accuracy: tuple[ClassAccuracy, ...] = ()
    matrix: tuple[tuple[int, ...], ...] = ()
    if confusion is not None:
        figures = zip(labels.classes, confusion.iou(), confusion.precision(), confusion.recall(), confusion.pixels)
        accuracy = tuple(
            ClassAccuracy(entry.name, iou, precision, recall, int(pixels))
            for entry, iou, precision, recall, pixels in figures
        )
        matrix = tuple(tuple(int(count) for count in row) for row in confusion.counts)
    head = sum(parameter.numel() for parameter in segmenter.head.parameters())
    return replace(
        segmenter.card,
        parameters=segmenter.encoder.info.parameters + head,
        accuracy=accuracy,
        confusion=matrix,
        mean_iou=None if confusion is None else confusion.mean_iou(),
        notes=tuple(_notes(tuning, request, labels, blocks, crops)),
    )


def _notes(
    tuning: FineTuning, request: TrainSegmentation, labels: Labels, blocks: Blocks, crops: list[Crop]
) -> list[str]:
    """Data, dates, recipe and what to be careful with: one sentence each."""
    images = [
        f"{acquisition.name or Path(acquisition.path).name} ({acquisition.date or 'no date'})"
        for acquisition in request.scene.acquisitions
    ]
    pixels = int(blocks.counts.sum())
    notes = [
        f"Images: {', '.join(images)}.",
        f"Labels: {len(labels.shapes)} polygons of {Path(request.labels_path).name}, field {request.class_field}, "
        f"{pixels:,} pixels; {len(crops)} crops of {crops[0].window.height} px were used.",
        f"Trained: {MODES[request.tune]}, {tuning.step} of {request.steps} steps, batch {tuning.batch}, "
        f"rate {request.learning_rate:g}, seed {request.seed}; the weights are those of step {tuning.best_step}.",
    ]
    if tuning.diverged:
        notes.append(f"Training stopped after step {tuning.step}: the loss was no number any more. Try a lower rate.")
    held = int(blocks.held_out.sum())
    if held and tuning.judged < tuning.held_out:
        notes.append(
            f"Accuracy: on {tuning.judged} of the {tuning.held_out} crops with held-out labels (seed {request.seed}), since "
            "training was stopped; it is of this scene, other places and dates may differ."
        )
    elif held:
        notes.append(
            f"Accuracy: on {held} of {len(blocks.held_out)} labelled blocks of {blocks.side_px} px that were held out "
            f"whole (seed {request.seed}); it is of this scene, other places and dates may differ."
        )
    else:
        notes.append("Accuracy: unknown, the labels fill too few blocks to hold one out.")
    in_blocks = (blocks.counts > 0).sum(axis=0)
    seen = tuning.confusion.pixels if tuning.confusion is not None else None
    for index, entry in enumerate(labels.classes):
        if held and in_blocks[index] == 1:
            notes.append(f"All pixels of {entry.name} lie in one block: its accuracy is unknown. Label it in other places.")
        elif held and seen is not None and not seen[index]:
            notes.append(f"No held-out block holds {entry.name}: its accuracy is unknown.")
    return notes
