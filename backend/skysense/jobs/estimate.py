"""Ahead of a long job: time from one tile, disk from the grid."""

from __future__ import annotations

import shutil
import tempfile
import time

import torch

from skysense.jobs.batches import SceneTiles
from skysense.jobs.encoders import choose_device, encoder_on
from skysense.jobs.report import Report
from skysense.protocol.requests import CostEstimate, EstimateCost
from skysense.scene.read import SceneReader


def run(request: EstimateCost, report: Report) -> CostEstimate:
    """Read and encode the middle tile once to warm up and once on the clock."""
    device = choose_device(request.device)
    encoder = encoder_on(request.encoder, device)
    with SceneReader(request.scene) as scene:
        tiles = SceneTiles(scene, encoder.info)
        tiling = tiles.tiling(0)
        tile = tiling[len(tiling) // 2]
        for _ in range(2):
            report.progress(0.5, "Timing one tile")
            started = time.perf_counter()
            batch = tiles.read(tile.outer).batch(device)
            with torch.inference_mode():
                encoder(batch)
            seconds = time.perf_counter() - started
        pixels = scene.grid.height * scene.grid.width
        return CostEstimate(
            height=scene.grid.height,
            width=scene.grid.width,
            tiles=len(tiling),
            seconds=seconds * len(tiling),
            disk_bytes=round(pixels * request.bytes_per_pixel),
            free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        )
