"""Ahead of a long job: time from one tile, disk from the grid."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from skysense.errors import OutputError
from skysense.jobs.batches import SceneTiles
from skysense.jobs.encoders import choose_device, encoder_on, stoppable
from skysense.jobs.report import Report
from skysense.models.interface import SceneBatch
from skysense.protocol.requests import CostEstimate, EstimateCost
from skysense.scene.read import SceneReader
from skysense.training.checkpoint import load_segmenter


def run(request: EstimateCost, report: Report) -> CostEstimate:
    """Read and encode the middle tile once to warm up and once on the clock.

    Raises:
        RasterError and its kinds: the scene cannot be read. ModelError: no weights. OutputError: no such folder.
    """
    free_bytes = _free_bytes(request.output_path)
    device = choose_device(request.device)
    model: nn.Module
    forward: Callable[[SceneBatch], object]
    if request.model_path is not None:
        segmenter = load_segmenter(request.model_path, device)
        model, info, forward = segmenter, segmenter.info, segmenter.predict
    else:
        encoder = encoder_on(request.encoder, device)
        model, info, forward = encoder, encoder.info, encoder.forward
    with SceneReader(request.scene) as scene, stoppable(model, report):
        tiles = SceneTiles(scene, info)
        tiling = tiles.tiling(0)
        tile = tiling[len(tiling) // 2]
        for share in (0.1, 0.5):
            report.progress(share, "Timing one tile")
            started = time.perf_counter()
            batch = tiles.read(tile.outer).batch(device)
            with torch.inference_mode():
                forward(batch)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - started
        return CostEstimate(
            height=scene.grid.height,
            width=scene.grid.width,
            tiles=len(tiling),
            seconds=seconds * len(tiling),
            disk_bytes=round(scene.grid.height * scene.grid.width * request.bytes_per_pixel),
            free_bytes=free_bytes,
        )


def _free_bytes(output_path: str | None) -> int:
    folder = Path(output_path).parent if output_path is not None else Path(tempfile.gettempdir())
    if not folder.is_dir():
        raise OutputError(f"There is no folder {folder}.", "Create it, or choose another one.")
    return shutil.disk_usage(folder).free
