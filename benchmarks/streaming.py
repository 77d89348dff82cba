"""Does a raster of any size pass through embed and apply_model in constant memory, at the encoder's own speed, unseen?

Three figures, each for one thread:

    memory      peak resident memory of the job at 1024 x 1024 and at 4096 x 4096 pixels, each in a process of its own
    throughput  share of forward-only throughput on preloaded tiles that the whole job reaches at 4096 x 4096 pixels,
                reading, writing and sampling included; loading the model and making the COG apart
    seam        features tile by tile against one pass over the whole image: relative error in the interior

    .venv/bin/python benchmarks/streaming.py [--json OUT] [--only memory|throughput|seam]

The raster is the tests' drone picture, mirrored and repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray

from skysense.jobs import apply_model, embed
from skysense.jobs.batches import SceneTiles, TileData
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.catalog import load_encoder
from skysense.models.interface import EncoderInfo
from skysense.protocol.requests import ApplyModel, ClassInfo, EmbedScene, ModelCard
from skysense.scene.read import SceneReader
from skysense.training.checkpoint import load_segmenter, save_segmenter
from skysense.training.segmenter import Segmenter, choose_levels

PICTURE = Path(__file__).parents[1] / "tests/data/kampala/images/kampala_a.tif"
SMALL_PX, LARGE_PX = 1024, 4096
SEAM_PX, SEAM_TILE_PX = 1536, 640
JOBS = ("embed", "apply_model")
LIMITS = {"memory": 0.10, "throughput": 0.85, "seam": 1e-2}
ENCODER = "skysense-nano"


@dataclass
class Clock:
    """A report that keeps when each stage began."""

    began: dict[str, float] = field(default_factory=dict)

    def progress(
        self, fraction: float, stage: str, detail: str = "", points: tuple[object, ...] = (), seconds_left: float | None = None
    ) -> None:
        self.began.setdefault(stage, time.perf_counter())

    def cancelled(self) -> bool:
        return False


def repeated_picture(path: Path, side: int) -> None:
    """The picture and its mirror images, side x side pixels, tiled and compressed as such files are."""
    with rasterio.open(PICTURE) as file:
        pixels, crs, transform = file.read(), file.crs, file.transform
    pixels = np.concatenate([pixels, pixels[:, :, ::-1]], axis=2)
    pixels = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    times = -(-side // pixels.shape[1])
    pixels = np.tile(pixels, (1, times, times))[:, :side, :side]
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=3, dtype="uint8", crs=crs, transform=transform,
        tiled=True, blockxsize=256, blockysize=256, compress="deflate", photometric="rgb",
    ) as file:  # fmt: skip
        file.write(pixels)


def new_model(path: Path) -> None:
    """A segmentation model with an untrained head: as fast as a trained one."""
    encoder = load_encoder(ENCODER)
    classes = tuple(ClassInfo(i, f"class {i}", f"#{40 * i:02x}8080") for i in range(1, 6))
    card = ModelCard(str(path), "segmentation", "benchmark", ("hr",), 0, "", "", None, None, ENCODER, classes)
    save_segmenter(Segmenter(encoder, choose_levels(encoder.info, ("hr",), 1), card), path)


def run_job(job: str, folder: Path, side: int, report: Clock) -> None:
    scene = scene_from_files([str(folder / f"{side}.tif")])
    out = folder / f"{job}_{side}"
    if job == "embed":
        embed.run(EmbedScene(scene, f"{out}.tif", f"{out}_picture.tif", ENCODER, device="cpu"), report)
    else:
        model = str(folder / "model.safetensors")
        apply_model.run(ApplyModel(scene, model, f"{out}.tif", f"{out}_confidence.tif", device="cpu"), report)


def measure_memory(folder: Path) -> list[dict[str, object]]:
    rows = []
    for job in JOBS:
        peaks = []
        for side in (SMALL_PX, LARGE_PX):
            command = [sys.executable, __file__, "--child", job, str(folder), str(side)]
            peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        growth = peaks[1] / peaks[0] - 1
        rows.append({"figure": "memory", "job": job, "small_mb": peaks[0], "large_mb": peaks[1], "value": growth,
                     "passed": growth < LIMITS["memory"]})  # fmt: skip
    return rows


def measure_throughput(folder: Path) -> list[dict[str, object]]:
    """The forward passes run before and after the job: the machine's speed drifts."""
    encoder, segmenter = load_encoder(ENCODER), load_segmenter(folder / "model.safetensors")
    forward: dict[str, tuple[EncoderInfo, Callable[[TileData], object]]] = {
        "embed": (encoder.info, lambda data: encoder(data.batch("cpu"))),
        "apply_model": (segmenter.info, lambda data: segmenter.predict(data.batch("cpu"))),
    }
    rows = []
    for job, (info, pass_forward) in forward.items():
        with SceneReader(scene_from_files([str(folder / f"{LARGE_PX}.tif")])) as scene:
            tiles = SceneTiles(scene, info)
            preloaded = [tiles.read(tile.outer) for tile in tiles.tiling(0)]
        before = _seconds_of(pass_forward, preloaded)
        clock = Clock()
        run_job(job, folder, LARGE_PX, clock)
        first = "Sampling tiles" if job == "embed" else "Classifying tiles"
        whole = clock.began["Finishing the files"] - clock.began[first]
        alone = (before + _seconds_of(pass_forward, preloaded)) / 2
        rows.append({"figure": "throughput", "job": job, "tiles": len(preloaded), "forward_s": alone, "job_s": whole,
                     "mpx_per_s": LARGE_PX**2 / 1e6 / whole, "value": alone / whole,
                     "passed": alone / whole >= LIMITS["throughput"]})  # fmt: skip
    return rows


def _seconds_of(pass_forward: Callable[[TileData], object], preloaded: list[TileData]) -> float:
    with torch.inference_mode():
        pass_forward(preloaded[0])
        started = time.perf_counter()
        for data in preloaded:
            pass_forward(data)
    return time.perf_counter() - started


def measure_seam(folder: Path) -> list[dict[str, object]]:
    """Error of each cell's feature vector, relative to the vectors' mean length; "value" over all of the interior."""
    encoder = load_encoder(ENCODER)
    with SceneReader(scene_from_files([str(folder / f"{SEAM_PX}.tif")])) as scene:
        tiles = SceneTiles(scene, encoder.info)
        whole, tiled = (_features(encoder, tiles, px) for px in (4 * SEAM_PX, SEAM_TILE_PX))
    margin = encoder.info.halo["hr"] // tiles.stride
    inside = np.s_[:, margin:-margin, margin:-margin]
    difference, truth = (tiled - whole)[inside], whole[inside]
    cells = np.linalg.norm(difference, axis=0) / np.linalg.norm(truth, axis=0).mean()
    value = float(np.linalg.norm(difference) / np.linalg.norm(truth))
    return [{"figure": "seam", "job": "embed", "p999": float(np.quantile(cells, 0.999)), "worst": float(cells.max()),
             "value": value, "passed": value < LIMITS["seam"]}]  # fmt: skip


def _features(encoder: torch.nn.Module, tiles: SceneTiles, tile_px: int) -> NDArray[np.float32]:
    """(D, h, w) of the whole scene."""
    grid = tiles.scene.grid.coarsen(tiles.stride)
    features = np.zeros((tiles.info.fused_channels, grid.height, grid.width), np.float32)
    for tile in tiles.tiling(tile_px):
        cells = embed.encode_tile(encoder, tiles.read(tile.outer), tile, tiles.stride, torch.device("cpu"))
        at = cells.window
        features[:, at.row : at.row + at.height, at.column : at.column + at.width] = cells.features
    return features


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=("memory", "throughput", "seam"))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.child:
        job, folder, side = options.child
        run_job(job, Path(folder), int(side), Clock())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in (SMALL_PX, LARGE_PX, SEAM_PX):
            repeated_picture(folder / f"{side}.tif", side)
        new_model(folder / "model.safetensors")
        for figure, measure in (("memory", measure_memory), ("throughput", measure_throughput), ("seam", measure_seam)):
            if options.only in (None, figure):
                for row in measure(folder):
                    rows.append(row)
                    details = "  ".join(f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float))
                    print(f"{figure:11} {row['job']:12} {'ok ' if row['passed'] else 'NO '} {details}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
