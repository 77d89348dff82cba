"""A request for every job, on the imagery of tests/data."""

from __future__ import annotations

import json
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"


def draw_labels(folder: Path) -> str:
    """Buildings and ground of the drone image, from its mask."""
    from osgeo import gdal, ogr, osr

    mask = gdal.Open(str(DATA / "kampala/masks/kampala_a.tif"))
    path = str(folder / "labels.gpkg")
    file = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    layer = file.CreateLayer("labels", osr.SpatialReference(mask.GetProjection()), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("value", ogr.OFTInteger))
    gdal.Polygonize(mask.GetRasterBand(1), None, layer, 0)
    layer = file = None
    return path


def draw_points(folder: Path, places: list[tuple[float, float]], code: str) -> str:
    """Points of an EPSG code as GeoJSON."""
    features = [{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": place}} for place in places]
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}
    path = folder / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    return str(path)


def draw_examples(folder: Path, west: float, south: float, east: float, north: float, code: str) -> str:
    """A rectangle of an EPSG code as GeoJSON."""
    ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}
    path = folder / "examples.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    return str(path)


def requests(folder: Path, labels: str, tile_px: int = 0) -> dict[str, object]:
    """By name, in an order that works: the model that is applied is trained before."""
    from osgeo import gdal

    from skysense_qgis.protocol import requests as r
    from skysense_qgis.protocol.scene_source import (
        AcquisitionSource,
        BandIndex,
        Extent,
        Scaling,
        SceneSource,
        ViewSource,
    )

    def scene(name: str, bands: str, date: str) -> SceneSource:
        mapping = tuple(BandIndex(band, index) for index, band in enumerate(bands, 1))
        return SceneSource((AcquisitionSource(str(DATA / name), "hr", mapping, Scaling(1 / 255), date),))

    drone_path = str(DATA / "kampala/images/kampala_a.tif")
    drone = scene("kampala/images/kampala_a.tif", "RGB", "2020-01-01")
    image = gdal.Open(drone_path)
    x, dx, _, y, _, dy = image.GetGeoTransform()
    width, height = image.RasterXSize, image.RasterYSize
    extent = Extent("", x, y + dy * height, x + dx * width, y)
    places = [(x + dx * width * (i + 1) / 12, y + dy * height / 2) for i in range(10)]
    code = image.GetSpatialRef().GetAuthorityCode(None)
    points = draw_points(folder, places, code)
    examples = draw_examples(folder, x + 40 * dx, y + 120 * dy, x + 140 * dx, y + 40 * dy, code)
    model = str(folder / "model.safetensors")
    return {
        "describe": r.DescribeRaster(drone_path),
        "open view": r.OpenView(ViewSource(extent, 900, 900, path=drone_path), str(folder / "mask")),
        "embed": r.EmbedScene(drone, str(folder / "features.tif"), str(folder / "picture.tif"), tile_px=tile_px),
        "segment points": r.SegmentPoints(drone_path, points, None, str(folder / "objects.gpkg")),
        "segment by example": r.SegmentByExample(
            drone, examples, None, str(folder / "found.tif"), str(folder / "found.gpkg"), str(folder / "likeness.tif"),
            tile_px=tile_px,
        ),
        "detect change": r.DetectChange(
            scene("naip_wetlands/NAIP_20090818.tif", "RGBN", "2009-08-18"),
            scene("naip_wetlands/NAIP_20200831.tif", "RGBN", "2020-08-31"),
            str(folder / "score.tif"), str(folder / "mask.tif"), str(folder / "changed.gpkg"),
            tile_px=tile_px,
        ),
        "train": r.TrainSegmentation(drone, labels, None, "value", model, "buildings", steps=60),
        "apply": r.ApplyModel(drone, model, str(folder / "classes.tif"), str(folder / "confidence.tif"), tile_px=tile_px),
        "shards": r.MakeShards(drone, str(folder / "shards")),
    }  # fmt: skip
