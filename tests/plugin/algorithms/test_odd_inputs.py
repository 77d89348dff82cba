"""Rasters and paths that are not as one expects."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

IMAGE, BEFORE = "kampala/images/kampala_a.tif", "naip_wetlands/NAIP_20090818.tif"
ODD = "größe 文 мой $folder"


@pytest.fixture
def run(provider, feedback, qgis_new_project):
    import processing

    def run(name: str, **parameters: object) -> dict:
        return processing.run(f"skysense:{name}", parameters, feedback=feedback)

    return run


@pytest.fixture
def raster(data, tmp_path):
    """The pixels of an aerial image in another place of the world, or in none."""

    def raster(transform: tuple[float, ...] | None, crs: str) -> str:
        pixels = gdal.Open(data(BEFORE)).ReadAsArray()[:3, :128, :96]
        path = str(tmp_path / "aerial_20090818.tif")
        file = gdal.GetDriverByName("GTiff").Create(path, 96, 128, 3, gdal.GDT_Byte)
        if transform is not None:
            file.SetGeoTransform(transform)
        if crs:
            file.SetProjection(QgsCoordinateReferenceSystem(crs).toWkt())
        for band in range(3):
            file.GetRasterBand(band + 1).WriteArray(pixels[band])
            file.GetRasterBand(band + 1).SetColorInterpretation(gdal.GCI_RedBand + band)
        return path

    return raster


def test_a_rotated_raster(run, raster, tmp_path):
    """QGIS shows such a file through a warp with other pixels: the engine works on the file's own."""
    transform = (500_000.0, 8.0, 6.0, 5_000_000.0, 6.0, -8.0)
    results = run(
        "embed", LAYERS=[raster(transform, "EPSG:32631")], LAYERS_SENSORS="hr", COMPONENTS=3, OUTPUT=str(tmp_path / "f.tif")
    )
    file = gdal.Open(results["OUTPUT"])
    assert file.GetSpatialRef().GetAuthorityCode(None) == "32631"
    a, b, c, d, e, f = file.GetGeoTransform()
    values = file.ReadAsArray()
    rows, columns = np.nonzero(np.isfinite(values).all(axis=0))
    east, north = a + (columns + 0.5) * b + (rows + 0.5) * c, d + (columns + 0.5) * e + (rows + 0.5) * f
    corners = [(500_000.0 + 8 * x + 6 * y, 5_000_000.0 + 6 * x - 8 * y) for x in (0, 96) for y in (0, 128)]
    margin = 20 * max(abs(b), abs(f), abs(c), abs(e))
    assert min(x for x, _ in corners) - margin < east.min() and east.max() < max(x for x, _ in corners) + margin
    assert min(y for _, y in corners) - margin < north.min() and north.max() < max(y for _, y in corners) + margin


def test_a_raster_without_crs_stays_in_its_pixels(run, raster, tmp_path):
    results = run("embed", LAYERS=[raster(None, "")], LAYERS_SENSORS="hr", COMPONENTS=3, OUTPUT=str(tmp_path / "f.tif"))
    file = gdal.Open(results["OUTPUT"])
    assert file.GetSpatialRef() is None and file.RasterCount == 3
    assert np.isfinite(file.ReadAsArray()).any()


UTM = (500_000.0, 1.0, 0.0, 5_000_000.0, 0.0, -1.0)


def test_rasters_whose_crs_the_user_set(run, raster, tmp_path):
    """Where the file has none or a wrong one: outputs lie where QGIS shows the layer, and extents, labels and points in
    other projections meet it."""
    path = raster(UTM, "")
    crs, degrees = QgsCoordinateReferenceSystem("EPSG:32631"), QgsCoordinateReferenceSystem("EPSG:4326")
    layer = QgsRasterLayer(path, "aerial")
    layer.setCrs(crs)
    QgsProject.instance().addMapLayer(layer)
    whole = gdal.Open(run("embed", LAYERS=[layer.id()], COMPONENTS=3, OUTPUT=str(tmp_path / "f.tif"))["OUTPUT"])
    assert whole.GetSpatialRef().GetAuthorityCode(None) == "32631" and whole.GetGeoTransform()[0] == UTM[0]
    to_degrees = QgsCoordinateTransform(crs, degrees, QgsProject.instance())
    box = to_degrees.transformBoundingBox(QgsRectangle(UTM[0], UTM[3] - 64, UTM[0] + 64, UTM[3]))
    text = f"{box.xMinimum()},{box.xMaximum()},{box.yMinimum()},{box.yMaximum()} [EPSG:4326]"
    part = gdal.Open(run("embed", LAYERS=[layer.id()], EXTENT=text, COMPONENTS=3, OUTPUT=str(tmp_path / "p.tif"))["OUTPUT"])
    assert 64 // 8 <= part.RasterXSize <= whole.RasterXSize - 2 and part.GetSpatialRef().IsSame(whole.GetSpatialRef())
    labels = QgsVectorLayer("Polygon?crs=EPSG:4326&field=kind:string", "labels", "memory")
    points = QgsVectorLayer("Point?crs=EPSG:4326", "points", "memory")
    for number, kind in enumerate(("west", "east")):
        feature = QgsFeature(labels.fields())
        west = UTM[0] + 48 * number
        shape = QgsGeometry.fromRect(QgsRectangle(west, UTM[3] - 128, west + 48, UTM[3]))
        shape.transform(to_degrees)
        feature.setGeometry(shape)
        feature["kind"] = kind
        labels.dataProvider().addFeatures([feature])
        feature = QgsFeature(points.fields())
        feature.setGeometry(shape.centroid())
        points.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayers([labels, points])
    model = str(tmp_path / "m.safetensors")
    run("train_segmentation", LAYERS=[layer.id()], LABELS=labels.id(), CLASS_FIELD="kind", STEPS=1, BATCH=1, MODEL=model)
    objects = run("segment_points", LAYER=layer.id(), POINTS=points.id(), OUTPUT=str(tmp_path / "o.gpkg"))
    assert objects["COUNT"] == 2 and QgsVectorLayer(objects["OUTPUT"], "objects", "ogr").crs() == crs


def test_change_between_rasters_whose_crs_the_user_set(run, raster, tmp_path):
    """One without, one with a wrong one."""
    layers = []
    for name, wrong in (("before_20090818", ""), ("after_20200831", "EPSG:32731")):
        path = Path(raster(UTM, wrong))
        layer = QgsRasterLayer(str(path.rename(tmp_path / f"{name}.tif")), name)
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32631"))
        layers.append(layer)
    QgsProject.instance().addMapLayers(layers)
    before, after = layers
    results = run(
        "detect_change", BEFORE=[before.id()], AFTER=[after.id()], METHOD=1, SCORE=str(tmp_path / "s.tif"),
        POLYGONS=str(tmp_path / "c.geojson"),
    )  # fmt: skip
    score = gdal.Open(results["SCORE"])
    assert score.GetSpatialRef().GetAuthorityCode(None) == "32631" and score.GetGeoTransform() == UTM
    assert np.nanmax(score.ReadAsArray()) == 0 and QgsVectorLayer(results["POLYGONS"], "changes", "ogr").featureCount() == 0


def test_any_letters_in_the_names_of_points_labels_models_and_outputs(run, data, points, labels, tmp_path):
    folder = tmp_path / ODD
    folder.mkdir()
    image = str(folder / "снимок 2.tif")
    shutil.copy(data(IMAGE), image)
    clicks, fields = str(folder / "ponto é 点.gpkg"), str(folder / "étiquettes 标签.gpkg")
    QgsVectorFileWriter.writeAsVectorFormatV3(
        points, clicks, QgsProject.instance().transformContext(), QgsVectorFileWriter.SaveVectorOptions()
    )
    shutil.copy(labels, fields)
    objects = str(folder / "objekte ß 物.gpkg")
    run("segment_points", LAYER=image, POINTS=clicks, OBJECT_FIELD="house", POSITIVE_FIELD="for", OUTPUT=objects)
    assert [house["owner"] for house in QgsVectorLayer(objects, "objects", "ogr").getFeatures()] == ["Ada"]
    model = str(folder / "модель 模.safetensors")
    run("train_segmentation", LAYERS=[image], LABELS=fields, CLASS_FIELD="kind", STEPS=2, BATCH=2, MODEL=model)
    classes = run("apply_model", LAYERS=[image], MODEL=model, OUTPUT=str(folder / "klassen 类.tif"))["OUTPUT"]
    assert gdal.Open(classes).RasterCount == 1
    names = {path.name for path in folder.iterdir()}
    assert {Path(path).name for path in (objects, model, classes)} <= names
    assert not any("partial" in name for name in names)
