"""What a job will cost: the size of the output, and the time of the job itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import rasterio
import shapely
from rasterio.shutil import copy

from skysense.errors import OutputError, RequestError
from skysense.jobs import detect_change, embed, estimate, segment_by_example
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.records import from_plain, to_plain
from skysense.protocol.requests import DescribeRaster, DetectChange, EmbedScene, EstimateCost, SegmentByExample
from skysense.protocol.scene_source import SceneSource
from skysense.scene.vector import write_polygons

DATA = Path(__file__).parents[2] / "data"
IMAGE = DATA / "kampala/images/kampala_a.tif"


@pytest.fixture
def job(tmp_path) -> EmbedScene:
    copy(IMAGE, tmp_path / "image.tif", driver="GTiff")
    scene = scene_from_files([str(tmp_path / "image.tif")])
    return EmbedScene(scene, str(tmp_path / "features.tif"), str(tmp_path / "picture.tif"), tile_px=512, device="cpu")


def test_a_feature_map_fits_into_what_was_said(job):
    told = estimate.run(EstimateCost(job), SilentReport())
    started = time.perf_counter()
    written = embed.run(job, SilentReport())
    seconds = time.perf_counter() - started
    assert (told.height, told.width) == (512, 512)
    assert told.tiles == 4
    assert 0.2 * seconds < told.seconds < 5 * seconds
    size = sum(Path(path).stat().st_size for path in (written.path, written.picture_path))
    assert size < told.disk_bytes < 20 * size
    assert told.free_bytes > told.disk_bytes


def test_the_request_travels_with_the_job_in_it(job):
    assert from_plain(to_plain(EstimateCost(job))) == EstimateCost(job)


def test_a_folder_that_is_not_there(job, tmp_path):
    job = EmbedScene(job.scene, str(tmp_path / "none" / "features.tif"), None)
    with pytest.raises(OutputError, match="no folder"):
        estimate.run(EstimateCost(job), SilentReport())


@pytest.mark.parametrize("method", ["change-vector", "deep-features"])
def test_a_change_map_fits_into_what_was_said(tmp_path, method):
    def dated(name: str) -> SceneSource:
        copy(DATA / f"naip_wetlands/{name}.tif", tmp_path / f"{name}.tif", driver="GTiff")
        return scene_from_files([str(tmp_path / f"{name}.tif")])

    job = DetectChange(
        dated("NAIP_20090818"), dated("NAIP_20200831"), str(tmp_path / "score.tif"), str(tmp_path / "mask.tif"), None, method
    )
    told = estimate.run(EstimateCost(job), SilentReport())
    written = detect_change.run(job, SilentReport())
    assert 0.2 * written.seconds < told.seconds < 5 * written.seconds
    size = sum(Path(path).stat().st_size for path in (job.score_path, job.mask_path))
    assert size < told.disk_bytes < 40 * size  # what it takes at most: real scores are compressed well


def test_segmentation_by_example_fits_into_what_was_said(tmp_path):
    copy(IMAGE, tmp_path / "image.tif", driver="GTiff")
    with rasterio.open(IMAGE) as file:
        west, _, _, north = file.bounds
        examples = str(tmp_path / "examples.gpkg")
        write_polygons(examples, "e", [shapely.box(west, north - 5, west + 5, north)], {"n": [1]}, file.crs.to_string())
    scene = scene_from_files([str(tmp_path / "image.tif")])
    job = SegmentByExample(scene, examples, None, str(tmp_path / "m.tif"), None, str(tmp_path / "s.tif"), tile_px=512, device="cpu")
    told = estimate.run(EstimateCost(job), SilentReport())
    written = segment_by_example.run(job, SilentReport())
    assert told.tiles == 4 and 0.2 * written.seconds < told.seconds < 5 * written.seconds
    size = sum(Path(path).stat().st_size for path in (job.mask_path, job.score_path))
    assert size < told.disk_bytes < 40 * size


def test_other_jobs_are_refused(job):
    with pytest.raises(RequestError, match="DescribeRaster"):
        estimate.run(EstimateCost(DescribeRaster("image.tif")), SilentReport())
