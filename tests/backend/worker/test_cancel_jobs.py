"""Every long job stops within two seconds, whatever it is doing, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from skysense.jobs.report import FINISHING
from skysense.models.catalog import bundled_weights, load_encoder
from skysense.protocol.messages import CancelReceived, Failure, Progress, Result
from skysense.protocol.requests import (
    ApplyModel,
    ClassInfo,
    DetectChange,
    ModelCard,
    OpenView,
    SegmentByExample,
    TrainSegmentation,
)
from skysense.protocol.scene_source import (
    AcquisitionSource,
    BandIndex,
    BandStretch,
    Display,
    Extent,
    Scaling,
    SceneSource,
    ViewSource,
)
from skysense.training.checkpoint import save_segmenter
from skysense.training.segmenter import Segmenter, choose_levels

ACKNOWLEDGED_S, STOPPED_S = 1.0, 2.0
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
CLASSES = ClassInfo(1, "a", "#ff0000"), ClassInfo(2, "b", "#00ff00")
needs_weights = pytest.mark.skipif(bundled_weights("skysense-nano") is None, reason="the bundled weights are not there")


def cancelled(worker, request, stage, folder: Path, kinds=(Failure,)) -> object:
    """Cancel the job once it is at the stage; how it was answered."""
    before = sorted(folder.iterdir())
    job = worker.call(request)
    worker.wait_for(Progress, job=job, stage=stage)
    asked = worker.cancel(job)
    at, _ = worker.wait_for(CancelReceived, job=job)
    assert at - asked < ACKNOWLEDGED_S
    at, answer = worker.wait(lambda message: isinstance(message, (Failure, Result)) and message.job == job)
    assert at - asked < STOPPED_S
    assert isinstance(answer, kinds) and (isinstance(answer, Result) or answer.code == "cancelled")
    if isinstance(answer, Failure):
        assert sorted(folder.iterdir()) == before
    return answer


@pytest.fixture(scope="module")
def two_dates(tmp_path_factory) -> tuple[SceneSource, SceneSource]:
    """Noise of 3000 x 3000 pixels: a score that does not compress, and patches everywhere."""
    folder, random, scenes = tmp_path_factory.mktemp("dates"), np.random.default_rng(0), []
    for date in ("2020-05-01", "2021-05-03"):
        path = folder / f"{date}.tif"
        with rasterio.open(path, "w", driver="GTiff", count=1, height=3000, width=3000, dtype="uint8", crs="EPSG:32631",
                           transform=PLACE, tiled=True) as file:  # fmt: skip
            file.write(random.integers(1, 255, (1, 3000, 3000), "uint8"))
        scenes.append(SceneSource((AcquisitionSource(str(path), "s2", (BandIndex("B2", 1),), Scaling(1 / 255), date),)))
    return scenes[0], scenes[1]


@pytest.mark.parametrize("stage", ["Reading Sentinel-2", "Comparing the dates", "Outlining changes"])
def test_change(worker, two_dates, tmp_path, stage):
    request = DetectChange(*two_dates, str(tmp_path / "s.tif"), str(tmp_path / "m.tif"), str(tmp_path / "c.gpkg"))
    cancelled(worker, request, stage, tmp_path)


@pytest.mark.parametrize("stage", ["Writing rasters", FINISHING])
def test_change_while_it_writes(worker, two_dates, tmp_path, stage):
    request = DetectChange(*two_dates, str(tmp_path / "s.tif"), str(tmp_path / "m.tif"), None)
    cancelled(worker, request, stage, tmp_path)


@needs_weights
def test_applying_a_model(worker, large_scene, tmp_path):
    encoder, model = load_encoder(), tmp_path / "m.safetensors"
    card = ModelCard(str(model), "segmentation", "x", ("hr",), 0, "", "", None, None, "skysense-nano", CLASSES)
    save_segmenter(Segmenter(encoder, choose_levels(encoder.info, ("hr",), 1), card), model)
    folder = tmp_path / "out"
    folder.mkdir()
    request = ApplyModel(large_scene, str(model), str(folder / "c.tif"), str(folder / "p.tif"), device="cpu")
    for stage in ("Loading the model", "Classifying tiles"):
        cancelled(worker, request, stage, folder)


@needs_weights
@pytest.mark.parametrize("stage", ["Learning from the examples", "Scoring tiles"])
def test_segmenting_by_example(worker, large_scene, tmp_path, stage):
    path = large_scene.acquisitions[0].path
    with rasterio.open(path) as file:
        left, top, side, crs = file.bounds.left, file.bounds.top, 60 * file.res[0], file.crs.to_string()
    boxes = [shapely.box(left + side * x, top - side, left + side * (x + 0.9), top) for x in range(3)]
    examples = tmp_path / "examples.gpkg"
    pyogrio.raw.write(examples, shapely.to_wkb(np.array(boxes, dtype=object)), [np.arange(3)], ["n"], driver="GPKG",
                      geometry_type="Polygon", crs=crs)  # fmt: skip
    folder = tmp_path / "out"
    folder.mkdir()
    outputs = (str(folder / name) for name in ("m.tif", "p.gpkg", "s.tif"))
    cancelled(worker, SegmentByExample(large_scene, str(examples), None, *outputs, device="cpu"), stage, folder)


@needs_weights
@pytest.mark.parametrize("stage", ["Encoding crops", "Training"])
def test_training(worker, large_scene, tmp_path, stage):
    """Once there is a model worth keeping, it is kept and told as a result."""
    path = large_scene.acquisitions[0].path
    with rasterio.open(path) as file:
        left, top, side, crs = file.bounds.left, file.bounds.top, 100 * file.res[0], file.crs.to_string()
    boxes = [
        shapely.box(left + side * x, top - side * (y + 0.9), left + side * (x + 0.9), top - side * y)
        for x in range(6)
        for y in range(6)
    ]
    labels = tmp_path / "labels.gpkg"
    names = np.array(["a", "b"] * 18, dtype=object)
    pyogrio.raw.write(labels, shapely.to_wkb(np.array(boxes, dtype=object)), [names], ["kind"], driver="GPKG",
                      geometry_type="Polygon", crs=crs)  # fmt: skip
    folder = tmp_path / "out"
    folder.mkdir()
    request = TrainSegmentation(
        large_scene, str(labels), None, "kind", str(folder / "m.safetensors"), "m", steps=100_000, batch=2, crop_px=128,
        device="cpu",
    )  # fmt: skip
    cancelled(worker, request, stage, folder, (Failure,) if stage == "Encoding crops" else (Failure, Result))


def test_opening_a_view_of_a_large_raster_without_overviews(worker, tmp_path):
    side = 15_000
    path = tmp_path / "large.tif"
    with rasterio.open(path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint8", crs="EPSG:32631",
                       transform=PLACE, tiled=True, SPARSE_OK=True) as file:  # fmt: skip
        file.write(np.full((3, 256, 256), 9, "uint8"), window=rasterio.windows.Window(0, 0, 256, 256))
    display = Display(*(BandStretch(index, 0.0, 255.0) for index in (1, 2, 3)))
    extent = Extent("EPSG:32631", 500_000, 5_000_000 - 10 * side, 500_000 + 10 * side, 5_000_000)
    source = ViewSource(extent, 1024, 1024, path=str(path), display=display)
    cancelled(worker, OpenView(source, str(tmp_path / "mask")), "Reading the view", tmp_path)
