"""Example polygons over a scene -> mask, score and polygons."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.features import shapes

from skysense import cli
from skysense.errors import Cancelled, LabelError, OutputError, RequestError
from skysense.jobs import segment_by_example
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.catalog import bundled_weights
from skysense.models.weights import weights_digest
from skysense.protocol.requests import EXAMPLE_METHODS, SegmentByExample
from skysense.protocol.scene_source import Extent
from skysense.scene.vector import write_polygons

DATA = Path(__file__).parents[2] / "data"
IMAGE = str(DATA / "kampala/images/kampala_a.tif")
TRUTH = DATA / "kampala/masks/kampala_a.tif"
pytestmark = pytest.mark.skipif(bundled_weights("skysense-nano") is None, reason="the bundled weights are not there")


def read(path: str | Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.fixture(scope="module")
def roofs(tmp_path_factory) -> str:
    """The three largest roofs of the image."""
    with rasterio.open(DATA / "kampala/instances/kampala_a.tif") as file:
        found = file.read(1)
        transform, crs = file.transform, file.crs.to_string()
    numbers, counts = np.unique(found[found > 0], return_counts=True)
    largest = np.isin(found, numbers[np.argsort(counts)[-3:]])
    outlines = [shapely.geometry.shape(g) for g, _ in shapes(largest.astype(np.uint8), mask=largest, transform=transform)]
    path = tmp_path_factory.mktemp("roofs") / "roofs.gpkg"
    write_polygons(str(path), "roofs", outlines, {"n": list(range(len(outlines)))}, crs)
    return str(path)


@pytest.fixture
def request_of(roofs, tmp_path) -> SegmentByExample:
    paths = (str(tmp_path / name) for name in ("m.tif", "p.gpkg", "s.tif"))
    return SegmentByExample(scene_from_files([IMAGE]), roofs, None, *paths, device="cpu")


def test_what_is_like_the_examples_is_found_and_the_files_agree(request_of):
    result = segment_by_example.run(request_of, SilentReport())
    mask, score, truth = read(result.mask_path), read(result.score_path), read(TRUTH) == 1
    assert result.method == EXAMPLE_METHODS[0] and "not the one-shot procedure" in result.procedure
    assert set(np.unique(mask)) == {0, 1} and score.min() >= 0 and score.max() <= 1
    assert np.array_equal(mask == 1, score > result.threshold)
    assert result.found_share == pytest.approx((mask == 1).mean())
    assert score[truth].mean() > score[~truth].mean() + 0.2
    with rasterio.open(result.mask_path) as file:
        assert file.nodata == 255 and file.colormap(1)[1] == segment_by_example.FOUND_COLOUR
    meta, _, geometry, values = pyogrio.raw.read(result.polygons_path)
    fields = dict(zip(meta["fields"], values))
    assert list(fields) == ["area_m2", "mean_score", "max_score", "date"] and len(geometry) == result.polygons > 0
    pixel = rasterio.open(IMAGE).transform
    assert shapely.area(shapely.from_wkb(geometry)).sum() / (pixel.a * -pixel.e) == pytest.approx((mask == 1).sum())
    facts = json.loads(Path(f"{result.mask_path}.json").read_text())
    assert facts["method"] == "prototype" and facts["threshold_rule"] == "automatic" and facts["examples"] == 3


def test_the_same_request_gives_the_same_files_and_tiles_leave_no_seams(request_of, tmp_path):
    segment_by_example.run(request_of, SilentReport())
    again = replace(request_of, score_path=str(tmp_path / "again.tif"), mask_path=str(tmp_path / "m2.tif"), polygons_path=None)
    segment_by_example.run(again, SilentReport())
    assert np.array_equal(read(again.score_path), read(request_of.score_path))
    tiled = replace(again, tile_px=512)
    segment_by_example.run(tiled, SilentReport())
    step = np.abs(np.diff(read(tiled.score_path), axis=1)).mean(axis=0)
    assert step[127::128].mean() < 1.5 * step.mean()  # at the tiles' borders as elsewhere
    assert (read(tiled.mask_path) == read(request_of.mask_path)).mean() > 0.85  # other cells are drawn


def test_a_threshold_and_a_smallest_area_are_kept_to(request_of):
    strict = replace(request_of, threshold=0.9, minimum_area_m2=2.0)
    result = segment_by_example.run(strict, SilentReport())
    assert result.threshold == 0.9
    mask, score = read(result.mask_path), read(result.score_path)
    assert (score[mask == 1] > 0.9).all() and (mask == 1).sum() <= (score > 0.9).sum()
    _, _, _, (areas,) = pyogrio.raw.read(result.polygons_path, columns=["area_m2"])
    assert (areas >= 2.0).all()


def test_outside_of_the_extents_polygon_there_is_no_data(request_of):
    with rasterio.open(IMAGE) as file:
        west, south, east, north = file.bounds
        crs = file.crs.to_string()
    half = f"POLYGON (({west} {south}, {east} {north}, {west} {north}, {west} {south}))"
    scene = scene_from_files([IMAGE], extent=Extent(crs, west, south, east, north, half))
    segment_by_example.run(replace(request_of, scene=scene), SilentReport())
    mask, score = read(request_of.mask_path), read(request_of.score_path)
    assert mask[10, 10] != 255 and mask[-10, -10] == 255 and np.isnan(score[mask == 255]).all()
    assert 0.45 < (mask != 255).mean() < 0.55


def test_sentinel_scenes_of_several_dates_and_sensors(tmp_path):
    files = sorted(str(path) for path in (DATA / "treesat_ts").glob("S*.tif"))
    with rasterio.open(files[-1]) as file:
        west, south, east, north = file.bounds
        crs = file.crs.to_string()
    examples = str(tmp_path / "e.gpkg")
    write_polygons(examples, "e", [shapely.box(west, south, (west + east) / 2, (south + north) / 2)], {"n": [1]}, crs)
    request = SegmentByExample(
        scene_from_files(files), examples, None, str(tmp_path / "m.tif"), None, str(tmp_path / "s.tif"), device="cpu"
    )
    result = segment_by_example.run(request, SilentReport())
    assert result.polygons_path is None and set(np.unique(read(result.mask_path))) <= {0, 1, 255}


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"threshold": 1.5}, RequestError, "1.5 is no score.*from 0 to 1"),
        ({"encoder": "none"}, RequestError, "none"),
        ({"examples_layer": "none"}, LabelError, "cannot be read as a polygon layer"),
        ({"examples_path": IMAGE}, LabelError, "none of the vector formats"),
        ({"mask_path": IMAGE}, OutputError, "one of the inputs"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(request_of, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        segment_by_example.run(replace(request_of, **settings), SilentReport())
    assert list(tmp_path.iterdir()) == []


def test_examples_that_cover_everything_are_refused(request_of, tmp_path):
    with rasterio.open(IMAGE) as file:
        everything = str(tmp_path / "e.gpkg")
        write_polygons(everything, "e", [shapely.box(*file.bounds)], {"n": [1]}, file.crs.to_string())
    with pytest.raises(LabelError, match="nothing is left of the scene"):
        segment_by_example.run(replace(request_of, examples_path=everything), SilentReport())
    assert [path.name for path in tmp_path.iterdir()] == ["e.gpkg"]


@pytest.mark.parametrize(("height", "width", "side", "empty"), [(40, 50, 2, False), (600, 300, 100, False), (40, 50, 10, True)])
def test_odd_sizes_without_a_crs_and_without_data(tmp_path, height, width, side, empty):
    """Smaller than a tile, larger than one; coordinates are pixels, rows counted downwards from 0."""
    path, examples = str(tmp_path / "image.tif"), str(tmp_path / "e.gpkg")
    values = np.random.default_rng(0).integers(0 if empty else 1, 1 if empty else 255, (3, height, width)).astype(np.uint8)
    with rasterio.open(path, "w", driver="GTiff", count=3, height=height, width=width, dtype="uint8", nodata=0) as file:
        file.write(values)
    write_polygons(examples, "e", [shapely.box(1, -1 - side, 1 + side, -1)], {"n": [1]}, "")
    scene = scene_from_files([path], sensors=["hr"], bands=["R=1 G=2 B=3"])
    request = SegmentByExample(scene, examples, None, str(tmp_path / "m.tif"), str(tmp_path / "p.gpkg"), None, device="cpu")
    if empty:
        with pytest.raises(LabelError, match="None of the examples holds a pixel with data"):
            segment_by_example.run(request, SilentReport())
        return
    segment_by_example.run(request, SilentReport())
    assert read(request.mask_path).shape == (height, width) and set(np.unique(read(request.mask_path))) <= {0, 1}


def test_a_cancel_leaves_no_file(request_of, tmp_path):
    whole = SilentReport()
    segment_by_example.run(replace(request_of, mask_path=str(tmp_path / "first.tif")), whole)
    before = sorted(path.name for path in tmp_path.iterdir())
    for limit in (1, len(whole.fractions) // 2, len(whole.fractions) - 1):
        with pytest.raises(Cancelled):
            segment_by_example.run(request_of, SilentReport(limit))
        assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert whole.fractions == sorted(whole.fractions)


def test_the_shell(roofs, tmp_path, capsys):
    arguments = ["example", IMAGE, "--examples", roofs, "--layer", "roofs", "--mask", str(tmp_path / "m.tif"), "--threshold", "0.5"]
    assert cli.main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["method"] == "prototype" and said["threshold"] == 0.5 and said["score_path"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tif", "m.tif.json"]


def test_a_whole_skysense_plus_plus_is_asked_by_the_released_procedure(request_of):
    model = DATA / "models/random_plus_plus.safetensors"
    result = segment_by_example.run(replace(request_of, encoder=str(model)), SilentReport())
    assert result.method == "official" and "released one-shot procedure" in result.procedure
    mask = read(result.mask_path)
    assert set(np.unique(mask)) <= {0, 1, 255}
    facts = json.loads(Path(result.mask_path + ".json").read_text())
    assert "official" in json.dumps(facts) and weights_digest(model) in json.dumps(facts)
    again = segment_by_example.run(replace(request_of, encoder=str(model)), SilentReport())
    assert np.array_equal(read(again.mask_path), mask)
