"""Every job on scenes at the edge of sense: smaller than a tile or a cell, without a valid pixel, cut into windows."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import torch
from rasterio.transform import Affine

from skysense.errors import GridError, LabelError, OutputError, RasterError, SkySenseError
from skysense.jobs import apply_model, detect_change, embed, segment_points, train_segmentation
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.catalog import bundled_weights
from skysense.protocol.requests import (
    ApplyModel,
    DetectChange,
    EmbedScene,
    SegmentPoints,
    TrainSegmentation,
)
from skysense.scene.vector import write_polygons

pytestmark = pytest.mark.skipif(bundled_weights("skysense-nano") is None, reason="the bundled weights are not there")
WEST, NORTH = 500_000, 5_000_000
SMALL = [(1, 1), (5, 7)]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def image(path: Path, height: int, width: int, empty: bool = False) -> str:
    """Red, green and blue of 1 m, 0 for no data."""
    values = np.zeros((3, height, width), "uint8")
    if not empty:
        values += np.random.default_rng(0).integers(1, 255, values.shape).astype("uint8")
    with rasterio.open(path, "w", driver="GTiff", count=3, height=height, width=width, dtype="uint8", crs="EPSG:32631",
                       transform=Affine(1, 0, WEST, 0, -1, NORTH), nodata=0) as file:  # fmt: skip
        file.write(values)
    return str(path)


def halves(path: Path, height: int, width: int) -> str:
    """Labels: the western half and the eastern one."""
    middle = WEST + width / 2
    shapes = [shapely.box(WEST, NORTH - height, middle, NORTH), shapely.box(middle, NORTH - height, WEST + width, NORTH)]
    write_polygons(str(path), "labels", shapes, {"kind": ["west", "east"]}, "EPSG:32631")
    return str(path)


def point(path: Path, height: int, width: int) -> str:
    """One in the middle."""
    shapes = np.array([shapely.Point(WEST + width / 2, NORTH - height / 2)], dtype=object)
    pyogrio.raw.write(path, shapely.to_wkb(shapes), [np.array([1])], ["n"], driver="GPKG", geometry_type="Point", crs="EPSG:32631")
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("große Modelle 模型")
    scene = scene_from_files([image(folder / "image.tif", 64, 64)])
    path = str(folder / "die Hälften 一.safetensors")
    labels = halves(folder / "Flächen 一.gpkg", 64, 64)
    train_segmentation.run(TrainSegmentation(scene, labels, None, "kind", path, "halves", steps=2), SilentReport())
    return path


def shape_of(path: str) -> tuple[int, int]:
    with rasterio.open(path) as file:
        return file.height, file.width


@pytest.mark.parametrize(("height", "width"), SMALL)
def test_less_than_a_tile(tmp_path, model, height, width):
    path = image(tmp_path / "small.tif", height, width)
    scene, out = scene_from_files([path]), str(tmp_path / "out.tif")
    features = embed.run(EmbedScene(scene, out, str(tmp_path / "p.tif")), SilentReport())
    assert (features.height, features.width) == shape_of(out) == (1, 1)
    applied = apply_model.run(ApplyModel(scene, model, out, None), SilentReport())
    assert shape_of(out) == (height, width) and sum(applied.shares) == pytest.approx(1.0)
    objects = str(tmp_path / "o.gpkg")
    request = SegmentPoints(path, point(tmp_path / "points.gpkg", height, width), None, objects)
    assert segment_points.run(request, SilentReport()).count == 1
    ((shape,), _, _) = read(objects)
    assert 0 < shape.area <= height * width


def read(path: str):
    meta, _, geometry, values = pyogrio.raw.read(path)
    return shapely.from_wkb(geometry), dict(zip(meta["fields"], values)), meta


def test_labels_on_less_than_a_tile(tmp_path):
    labels, out = halves(tmp_path / "labels.gpkg", 1, 1), str(tmp_path / "m.safetensors")
    scene = scene_from_files([image(tmp_path / "one.tif", 1, 1)])
    with pytest.raises(LabelError, match="at least 10 are needed"):
        train_segmentation.run(TrainSegmentation(scene, labels, None, "kind", out, "m", steps=1), SilentReport())
    scene, labels = scene_from_files([image(tmp_path / "few.tif", 5, 7)]), halves(tmp_path / "few.gpkg", 5, 7)
    trained = train_segmentation.run(TrainSegmentation(scene, labels, None, "kind", out, "m", steps=1), SilentReport())
    assert trained.steps == 1 and Path(out).is_file()


def test_nothing_but_no_data(tmp_path, model):
    path = image(tmp_path / "empty_20200101.tif", 40, 50, empty=True)
    scene, out = scene_from_files([path]), str(tmp_path / "out.tif")
    with pytest.raises(RasterError, match="no valid pixels.*Choose an extent where the layers have data"):
        embed.run(EmbedScene(scene, out, None), SilentReport())
    other = scene_from_files([image(tmp_path / "full_20210101.tif", 40, 50)])
    with pytest.raises(GridError, match="No pixel has data on both dates"):
        detect_change.run(DetectChange(scene, other, out, None, None), SilentReport())
    request = TrainSegmentation(scene, halves(tmp_path / "l.gpkg", 40, 50), None, "kind", str(tmp_path / "m.safetensors"), "m")
    with pytest.raises(LabelError, match="covers 0 pixels"):
        train_segmentation.run(request, SilentReport())
    assert not Path(out).exists() and not Path(request.model_path).exists()
    applied = apply_model.run(ApplyModel(scene, model, out, None), SilentReport())
    assert set(applied.shares) == {0.0}
    with rasterio.open(out) as file:
        assert not file.read().any()
    written = segment_points.run(
        SegmentPoints(path, point(tmp_path / "p.gpkg", 40, 50), None, str(tmp_path / "o.gpkg")), SilentReport()
    )
    assert (written.count, written.empty) == (0, (1,)) and not len(read(written.path)[0])


# -- windows ---------------------------------------------------------------------------------------------------------
def test_windows_give_the_whole_images_features_and_classes(tmp_path, model):
    """Four tiles or one: the halo hides the seams."""
    scene, pixels = scene_from_files([image(tmp_path / "image.tif", 384, 384)]), {}
    for name, tile_px in (("whole", 384), ("windows", 192)):
        features, classes, sure = (str(tmp_path / f"{name} {what}.tif") for what in ("features", "classes", "sure"))
        embed.run(EmbedScene(scene, features, None, components=0, tile_px=tile_px), SilentReport())
        apply_model.run(ApplyModel(scene, model, classes, sure, tile_px=tile_px), SilentReport())
        pixels[name] = [rasterio.open(path).read().astype(np.float64) for path in (features, classes, sure)]
    (whole, classes, sure), (windows, same_classes, same_sure) = pixels["whole"], pixels["windows"]
    assert np.linalg.norm(windows - whole) / np.linalg.norm(whole) < 1e-2
    assert (classes == same_classes).mean() > 0.99 and np.abs(sure - same_sure).max() <= 3


def peak_mb(side: int, folder: Path, model: str, job: str) -> float:
    """Of a process of its own that applies the model, or embeds, at this size."""
    path = image(folder / f"{side}.tif", side, side)
    code = f"""
import resource, torch
from skysense.jobs import apply_model, embed
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.requests import ApplyModel, EmbedScene
torch.set_num_threads(1)
scene = scene_from_files([{path!r}])
if {job!r} == "apply":
    apply_model.run(ApplyModel(scene, {model!r}, {str(folder / "out.tif")!r}, None, tile_px=128), SilentReport())
else:
    embed.run(EmbedScene(scene, {str(folder / "out.tif")!r}, None, components=4, tile_px=128), SilentReport())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts otherwise")
@pytest.mark.parametrize("job", ["apply", "embed"])
def test_memory_does_not_grow_with_the_raster(tmp_path, model, job):
    """A tenth at most from 9 to 36 tiles; benchmarks/streaming.py measures larger ones."""
    small, large = (peak_mb(side, tmp_path, model, job) for side in (384, 768))
    assert large < 1.10 * small, f"{small:.0f} MB, {large:.0f} MB"


# -- places that cannot be written -----------------------------------------------------------------------------------
def requests(folder: Path, out: Path) -> dict[str, tuple[object, object]]:
    """Jobs that write vector files and models: run, request."""
    scene = scene_from_files([image(folder / "image_20200101.tif", 64, 64)])
    return {
        "polygons": (
            segment_points.run,
            SegmentPoints(scene.acquisitions[0].path, point(folder / "p.gpkg", 64, 64), None, str(out / "o.gpkg")),
        ),
        "model": (
            train_segmentation.run,
            TrainSegmentation(scene, halves(folder / "l.gpkg", 64, 64), None, "kind", str(out / "m.safetensors"), "m", steps=1),
        ),
    }


@pytest.mark.parametrize("what", ["polygons", "model"])
def test_a_folder_that_is_not_there_or_is_a_file(tmp_path, what):
    (tmp_path / "file").write_text("")
    for folder in ("nowhere", "file"):
        run, request = requests(tmp_path, tmp_path / folder)[what]
        with pytest.raises(OutputError, match="no folder"):
            run(request, SilentReport())


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
@pytest.mark.parametrize("what", ["polygons", "model"])
def test_a_full_disk_leaves_nothing(tmp_path, what):
    """The kernel's limit on file size stands in for the disk's end."""
    out = tmp_path / "out"
    out.mkdir()
    run, request = requests(tmp_path, out)[what]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(SkySenseError, match="cannot be written") as failure:
            run(request, SilentReport())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(failure.value, OutputError) and "free space" in failure.value.remedy
    assert not list(out.iterdir())
    run(replace(request), SilentReport())  # and with space it works
    written = {path.name for path in out.iterdir()}
    assert written == ({"o.gpkg", "o.gpkg.json"} if what == "polygons" else {"m.safetensors"})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no read-only folders of this kind")
def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    """Root may write anywhere: what the system says of its rights stands in for another user."""
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr("os.access", lambda path, mode, **more: Path(path) != out)
    for run, request in requests(tmp_path, out).values():
        with pytest.raises(OutputError, match="read-only. Choose a folder that you may write to"):
            run(request, SilentReport())
