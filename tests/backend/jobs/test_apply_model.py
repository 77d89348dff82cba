"""A model over a scene -> classes and confidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from skysense.errors import ModelError, OutputError
from skysense.jobs import apply_model
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.catalog import load_encoder
from skysense.protocol.requests import ApplyModel, ClassInfo, ModelCard
from skysense.protocol.scene_source import Extent
from skysense.training.checkpoint import save_segmenter
from skysense.training.segmenter import Segmenter, choose_levels

IMAGE = str(Path(__file__).parents[2] / "data/kampala/images/kampala_a.tif")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A head that nobody trained: three classes."""
    encoder = load_encoder()
    classes = tuple(ClassInfo(value, name, colour) for value, name, colour in (
        (3, "roof", "#ff0000"), (7, "road", "#00ff00"), (9, "tree", "#0000ff"),
    ))  # fmt: skip
    path = tmp_path_factory.mktemp("models") / "m.safetensors"
    card = ModelCard(
        key=str(path), kind="segmentation", label="m", sensors=("hr",), parameters=0, licence="", description="",
        path=None, digest=None, encoder="skysense-nano", classes=classes,
    )  # fmt: skip
    torch.manual_seed(0)
    segmenter = Segmenter(encoder, choose_levels(encoder.info, ("hr",), 1), card)
    with torch.no_grad():
        for parameter in segmenter.head.parameters():
            parameter.normal_(0, 0.3)
    save_segmenter(segmenter, path)
    return str(path)


@pytest.fixture
def request_of(model, tmp_path) -> ApplyModel:
    return ApplyModel(scene_from_files([IMAGE]), model, str(tmp_path / "c.tif"), str(tmp_path / "p.tif"), device="cpu")


def read(path: str) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_values_colours_shares_and_confidence(request_of):
    result = apply_model.run(request_of, SilentReport())
    classes, confidence = read(request_of.output_path), read(request_of.confidence_path)
    assert classes.shape == confidence.shape == (result.height, result.width) == (512, 512)
    assert set(np.unique(classes)) <= {3, 7, 9} and len(np.unique(classes)) > 1
    assert confidence.min() >= 33 and confidence.max() <= 100
    assert result.shares == pytest.approx([(classes == entry.value).mean() for entry in result.classes])
    with rasterio.open(request_of.output_path) as file:
        assert file.colormap(1)[7] == (0, 255, 0, 255) and file.nodata == 0


def test_tiles_leave_no_seams(request_of, tmp_path):
    apply_model.run(request_of, SilentReport())
    tiled = replace(request_of, output_path=str(tmp_path / "tiled.tif"), confidence_path=None, tile_px=64)
    apply_model.run(tiled, SilentReport())
    same = read(tiled.output_path) == read(request_of.output_path)
    # Group norms see the tile: of three classes that nobody trained, pixels near a tie may turn, no others.
    sure = read(request_of.confidence_path) >= 50
    assert sure.mean() > 0.5 and same[sure].all() and same.mean() > 0.97


def test_the_extents_polygon_bounds_the_classes(request_of):
    with rasterio.open(IMAGE) as file:
        west, south, east, north = file.bounds
        crs = file.crs.to_string()
    half = f"POLYGON (({west} {south}, {east} {north}, {west} {north}, {west} {south}))"
    extent = Extent(crs, west, south, east, north, half)
    apply_model.run(replace(request_of, scene=scene_from_files([IMAGE], extent=extent)), SilentReport())
    classes, confidence = read(request_of.output_path), read(request_of.confidence_path)
    assert classes[10, 10] and not classes[-10, -10] and (confidence[classes == 0] == 255).all()
    assert 0.45 < (classes > 0).mean() < 0.55


def test_a_missing_model_and_an_input_as_output_are_refused(request_of, tmp_path):
    with pytest.raises(ModelError):
        apply_model.run(replace(request_of, model_path=str(tmp_path / "none.safetensors")), SilentReport())
    with pytest.raises(OutputError, match="one of the inputs"):
        apply_model.run(replace(request_of, output_path=request_of.model_path), SilentReport())
    assert list(tmp_path.iterdir()) == []
