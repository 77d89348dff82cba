"""What made an output stands beside it, whole enough to make it again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely

from skysense.jobs import detect_change, embed, segment_points
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.records import from_plain
from skysense.protocol.requests import DetectChange, EmbedScene, SegmentPoints
from skysense.protocol.scene_source import Extent, SceneSource

DATA = Path(__file__).parents[2] / "data"
IMAGE = DATA / "kampala/images/kampala_a.tif"


def sidecar(path: str) -> dict:
    return json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))


def nameless(scene: SceneSource) -> SceneSource:
    """Layers are called differently in the shell, the toolbox and the panel; files are the same."""
    return replace(scene, acquisitions=tuple(replace(acquisition, name="") for acquisition in scene.acquisitions))


def test_a_raster_can_be_made_again_from_its_sidecar(tmp_path):
    with rasterio.open(IMAGE) as file:
        west, _, _, north = file.bounds
        extent = Extent(file.crs.to_string(), west, north - 100 * file.transform.a, west + 100 * file.transform.a, north)
    request = EmbedScene(scene_from_files([str(IMAGE)], extent=extent), str(tmp_path / "f.tif"), None, components=3, device="cpu")
    embed.run(request, SilentReport())
    told = sidecar(request.output_path)
    assert from_plain(told["request"]) == replace(request, scene=nameless(request.scene), output_path="f.tif")
    assert told["device"] == "cpu" and {"python", "gdal", "torch", "rasterio"} <= set(told["versions"])
    again = replace(from_plain(told["request"]), output_path=str(tmp_path / "again.tif"))
    embed.run(again, SilentReport())
    with rasterio.open(request.output_path) as first, rasterio.open(again.output_path) as second:
        assert np.array_equal(first.read(), second.read())


def test_geopackages_have_a_sidecar(tmp_path):
    before, after = (str(DATA / f"naip_wetlands/NAIP_{day}.tif") for day in ("20090818", "20200831"))
    change = DetectChange(
        before=scene_from_files([before]), after=scene_from_files([after]), score_path=str(tmp_path / "s.tif"),
        mask_path=None, polygons_path=str(tmp_path / "p.gpkg"), method="change-vector",
    )  # fmt: skip
    detect_change.run(change, SilentReport())
    told = sidecar(change.polygons_path)
    assert from_plain(told["request"]) == replace(
        change, before=nameless(change.before), after=nameless(change.after), score_path="s.tif", polygons_path="p.gpkg"
    )
    assert told["method"] == "change-vector" and "written_by" in told

    with rasterio.open(IMAGE) as file:
        point, crs = shapely.Point(file.transform @ (256, 256)), file.crs.to_string()
    pyogrio.raw.write(tmp_path / "points.gpkg", shapely.to_wkb(np.array([point], dtype=object)), [np.array([1])], ["n"],
                      driver="GPKG", geometry_type="Point", crs=crs)  # fmt: skip
    clicks = SegmentPoints(str(IMAGE), str(tmp_path / "points.gpkg"), None, str(tmp_path / "o.gpkg"))
    segment_points.run(clicks, SilentReport())
    assert from_plain(sidecar(clicks.output_path)["request"]) == replace(clicks, output_path="o.gpkg")
