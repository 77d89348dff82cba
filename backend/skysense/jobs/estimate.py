"""What a long job will cost, told from one of its tiles."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from skysense.change.scene_pairs import on_one_grid
from skysense.errors import OutputError, RequestError
from skysense.jobs.batches import SceneTiles, check_sensors
from skysense.jobs.change_scores import Scoring, choose_parts
from skysense.jobs.change_warnings import check_dates
from skysense.jobs.encoders import choose_device, encoder_on, loading, model_by_example, stoppable
from skysense.jobs.example_scores import EXAMPLE_TILES, OTHER_TILES
from skysense.jobs.report import Report
from skysense.models.interface import Encoder, EncoderInfo, SceneBatch
from skysense.models.skysense.one_shot import SIDE, read_query
from skysense.protocol.requests import ApplyModel, CostEstimate, DetectChange, EmbedScene, EstimateCost, SegmentByExample
from skysense.scene.grid import Grid
from skysense.scene.read import SceneReader
from skysense.scene.write import BLOCK_PX
from skysense.training.checkpoint import Segmenter, load_segmenter

OVERVIEWS = 4 / 3  # a raster with its overviews, by the raster alone
# Bytes of a value while its file is finished: as it is written first, and in the final file beside it.
FLOAT_BYTES = 4 + 2 * OVERVIEWS
BYTE_BYTES = 1 + OVERVIEWS


WRITING_S = 5e-7  # a pixel, on one core, for what follows the scores of a map: decision, outlines, files


@dataclass(frozen=True)
class _Work:
    """The model of a job that goes from tile to tile, and what it writes."""

    model: nn.Module
    info: EncoderInfo
    forward: Callable[[SceneBatch], object]
    bytes_per_cell: float  # of all outputs
    stride: bool  # whether a cell is a cell of the model, else a pixel
    sampled: int = 0  # tiles that are looked at before all are, at most
    seconds_per_pixel: float = 0.0  # for what follows the model


def run(request: EstimateCost, report: Report) -> CostEstimate:
    """Do one tile of the job, with the clock running.

    Raises:
        RequestError: no such job to estimate. RasterError and its kinds: the scene cannot be read.
        ModelError: no weights. OutputError: no such folder.
    """
    job = request.job
    if isinstance(job, DetectChange):
        return _change(job, report)
    if isinstance(job, SegmentByExample):
        return _example(job, report)
    if isinstance(job, EmbedScene | ApplyModel):
        return _tiles(job, _work(job, choose_device(job.device), report), report)
    raise RequestError(
        f"The cost of {type(job).__name__} cannot be estimated.",
        "Ask for EmbedScene, ApplyModel, SegmentByExample or DetectChange.",
    )


def _tiles(job: EmbedScene | ApplyModel | SegmentByExample, work: _Work, report: Report) -> CostEstimate:
    """Read and encode the middle tile once to warm up and once on the clock."""
    free_bytes = _free_bytes(job.mask_path if isinstance(job, SegmentByExample) else job.output_path)
    device = choose_device(job.device)
    with SceneReader(job.scene) as scene, stoppable(work.model, report):
        tiles = SceneTiles(scene, work.info)
        if isinstance(work.model, Segmenter):
            check_sensors(tiles, work.model.card)
        tiling = tiles.tiling(job.tile_px)
        tile = tiling[len(tiling) // 2]
        seconds = _timed(lambda: work.forward(tiles.read(tile.outer).batch(device)), device, report)
        written = scene.grid.coarsen(tiles.stride) if work.stride else scene.grid
        pixels = sum(other.outer.height * other.outer.width for other in tiling)
        again = min(work.sampled, len(tiling)) / len(tiling)
        return CostEstimate(
            height=scene.grid.height,
            width=scene.grid.width,
            tiles=len(tiling),
            seconds=(1 + again) * seconds * pixels / (tile.outer.height * tile.outer.width)
            + work.seconds_per_pixel * scene.grid.height * scene.grid.width,
            disk_bytes=round(work.bytes_per_cell * _pixels_in_blocks(written)),
            free_bytes=free_bytes,
        )


def _example(job: SegmentByExample, report: Report) -> CostEstimate:
    """By an encoder tile by tile; by SkySense++ window by window, of which one is asked for on the clock."""
    free_bytes = _free_bytes(job.mask_path)
    device = choose_device(job.device)
    bytes_per_pixel = 2 + BYTE_BYTES + (0.0 if job.score_path is None else FLOAT_BYTES)
    model = model_by_example(job.encoder, device, report)
    if isinstance(model, Encoder):
        work = _Work(
            model, model.info, model.forward, bytes_per_pixel, stride=False, sampled=EXAMPLE_TILES + OTHER_TILES,
            seconds_per_pixel=WRITING_S,
        )  # fmt: skip
        return _tiles(job, work, report)
    picture, labels = torch.zeros(3, SIDE, SIDE, device=device), torch.zeros(SIDE, SIDE, dtype=torch.long, device=device)
    with SceneReader(job.scene) as scene, stoppable(model, report):
        seconds = _timed(lambda: read_query(model, picture, labels, picture[None]), device, report)
        windows = -(-scene.grid.height // SIDE) * -(-scene.grid.width // SIDE)
        return CostEstimate(
            height=scene.grid.height,
            width=scene.grid.width,
            tiles=windows,
            seconds=windows * seconds + WRITING_S * scene.grid.height * scene.grid.width,
            disk_bytes=round(bytes_per_pixel * _pixels_in_blocks(scene.grid)),
            free_bytes=free_bytes,
        )


def _timed(work: Callable[[], object], device: torch.device, report: Report) -> float:
    """Seconds of the work, done once before to warm up."""
    seconds = 0.0
    for share in (0.1, 0.5):
        report.progress(share, "Timing one tile")
        started = time.perf_counter()
        with torch.inference_mode():
            work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
    return seconds


def _change(job: DetectChange, report: Report) -> CostEstimate:
    free_bytes = _free_bytes(job.score_path)
    check_dates(job.before, job.after)
    parts = choose_parts(job)
    with SceneReader(on_one_grid(job.before, job.after)) as scene:
        scorings = [Scoring.of(sensor, method, scene, job, report) for sensor, method in parts]
        seconds = sum(scoring.seconds(report) for scoring in scorings)
        bytes_per_pixel = FLOAT_BYTES + 2 * len(parts) + (0.0 if job.mask_path is None else BYTE_BYTES)
        return CostEstimate(
            height=scene.grid.height,
            width=scene.grid.width,
            tiles=sum(len(scoring.windows) for scoring in scorings),
            seconds=seconds + WRITING_S * scene.grid.height * scene.grid.width,
            disk_bytes=round(bytes_per_pixel * _pixels_in_blocks(scene.grid)),
            free_bytes=free_bytes,
        )


def _work(job: EmbedScene | ApplyModel, device: torch.device, report: Report) -> _Work:
    if isinstance(job, ApplyModel):
        segmenter = load_segmenter(job.model_path, device, loading(report))
        rasters = 1 if job.confidence_path is None else 2
        return _Work(segmenter, segmenter.info, segmenter.predict, rasters * BYTE_BYTES, stride=False)
    encoder = encoder_on(job.encoder, device, report)
    features = (job.components or encoder.info.fused_channels) * FLOAT_BYTES
    picture = 0.0 if job.picture_path is None else 3 * BYTE_BYTES
    return _Work(encoder, encoder.info, encoder.forward, features + picture, stride=True)


def _pixels_in_blocks(grid: Grid) -> int:
    """Files are made of whole blocks."""
    return -(-grid.height // BLOCK_PX) * -(-grid.width // BLOCK_PX) * BLOCK_PX**2


def _free_bytes(output_path: str) -> int:
    folder = Path(output_path).parent
    if not folder.is_dir():
        raise OutputError(f"There is no folder {folder}.", "Create it, or choose another one.")
    return shutil.disk_usage(folder).free
