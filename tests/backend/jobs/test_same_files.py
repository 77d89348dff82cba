"""The shell and the job that the plugin asks for write the same files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from skysense.cli import main
from skysense.jobs import apply_model, detect_change, embed, train_segmentation
from skysense.jobs.describe import describe
from skysense.jobs.report import SilentReport
from skysense.protocol.requests import ApplyModel, DetectChange, EmbedScene, TrainSegmentation
from skysense.protocol.scene_source import Extent, SceneSource
from skysense.protocol.source import acquisition

DATA = Path(__file__).parents[2] / "data"
BEFORE, AFTER = DATA / "naip_wetlands/NAIP_20090818.tif", DATA / "naip_wetlands/NAIP_20200831.tif"
SIDE_M = 160.0


@pytest.fixture(scope="module")
def corner() -> Extent:
    """The north-western corner of the images: one tile."""
    with rasterio.open(BEFORE) as file:
        west, north = file.bounds.left, file.bounds.top
        return Extent(file.crs.to_string(), west, north - SIDE_M, west + SIDE_M, north)


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Of the shell and of the job; both give their files the same names."""
    for name in ("shell", "job"):
        (tmp_path / name).mkdir()
    return tmp_path / "shell", tmp_path / "job"


def scene(image: Path, extent: Extent) -> SceneSource:
    """As the panel and Processing make it, from the description."""
    return SceneSource((acquisition(describe(str(image))),), extent)


def shell(command: str, *arguments: object, extent: Extent) -> None:
    box = [str(value) for value in (extent.west, extent.south, extent.east, extent.north)]
    where = ["--extent", *box, "--extent-crs", extent.crs]
    assert main([command, *(str(argument) for argument in arguments), *where]) == 0


def assert_same_raster(one: Path, other: Path) -> None:
    """Pixels, place, tags of file and bands, and what lies beside it."""
    with rasterio.open(one) as a, rasterio.open(other) as b:
        assert repr(a.profile) == repr(b.profile) and a.descriptions == b.descriptions  # as text, NaN equals NaN
        assert a.tags() == b.tags() and [a.tags(i) for i in a.indexes] == [b.tags(i) for i in b.indexes]
        assert a.read_masks(1).any()  # not two empty files
        np.testing.assert_array_equal(a.read(), b.read())
    beside = [json.loads(Path(f"{path}.json").read_text()) for path in (one, other)]
    assert beside[0] == beside[1]


def assert_same_polygons(one: Path, other: Path) -> None:
    (a, _, shapes, values), (b, _, others, same) = pyogrio.raw.read(one), pyogrio.raw.read(other)
    assert pyogrio.list_layers(one).tolist() == pyogrio.list_layers(other).tolist()
    assert list(a["fields"]) == list(b["fields"]) and a["crs"] == b["crs"] and len(shapes)
    assert shapely.equals_exact(shapely.from_wkb(shapes), shapely.from_wkb(others)).all()
    for column, like in zip(values, same):
        np.testing.assert_array_equal(column, like)


def test_feature_maps(folders, corner):
    ours, theirs = folders
    names = ("features.tif", "picture.tif")
    shell("embed", BEFORE, "--components", 4, "--output", ours / names[0], "--picture", ours / names[1], "--device", "cpu",
          extent=corner)  # fmt: skip
    embed.run(
        EmbedScene(scene(BEFORE, corner), str(theirs / names[0]), str(theirs / names[1]), components=4, device="cpu"),
        SilentReport(),
    )
    for name in names:
        assert_same_raster(ours / name, theirs / name)


def test_change(folders, corner):
    ours, theirs = folders
    names = ("score.tif", "mask.tif", "changed.gpkg")
    shell("change", "--before", BEFORE, "--after", AFTER, "--method", "change-vector", "--score", ours / names[0],
          "--mask", ours / names[1], "--polygons", ours / names[2], "--minimum-area", 20, extent=corner)  # fmt: skip
    detect_change.run(
        DetectChange(
            scene(BEFORE, corner), scene(AFTER, corner), *(str(theirs / name) for name in names), method="change-vector",
            minimum_area_m2=20.0,
        ),
        SilentReport(),
    )  # fmt: skip
    assert_same_raster(ours / names[0], theirs / names[0])
    assert_same_raster(ours / names[1], theirs / names[1])
    assert_same_polygons(ours / names[2], theirs / names[2])


def test_class_maps(folders, corner, tmp_path):
    ours, theirs = folders
    labels, model, names = tmp_path / "labels.gpkg", tmp_path / "halves.safetensors", ("classes.tif", "confidence.tif")
    middle = (corner.west + corner.east) / 2
    halves = [
        shapely.box(corner.west, corner.south, middle, corner.north),
        shapely.box(middle, corner.south, corner.east, corner.north),
    ]
    pyogrio.raw.write(
        labels, shapely.to_wkb(np.array(halves, dtype=object)), [np.array(["west", "east"], object)], ["half"], driver="GPKG",
        geometry_type="Polygon", crs=corner.crs,
    )  # fmt: skip
    train_segmentation.run(
        TrainSegmentation(
            scene(BEFORE, corner), str(labels), None, "half", str(model), "halves", steps=1, batch=1, crop_px=64, device="cpu"
        ),
        SilentReport(),
    )
    shell("apply", BEFORE, "--model", model, "--output", ours / names[0], "--confidence", ours / names[1], "--device", "cpu",
          extent=corner)  # fmt: skip
    apply_model.run(
        ApplyModel(scene(BEFORE, corner), str(model), str(theirs / names[0]), str(theirs / names[1]), device="cpu"),
        SilentReport(),
    )
    for name in names:
        assert_same_raster(ours / name, theirs / name)
