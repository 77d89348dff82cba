"""The plugin as QGIS would find it, real data for it, and an event loop to wait in."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[:3]]  # every_job, gaps, the plugin

from installed import DATA, Profile, vector  # noqa: E402


@pytest.fixture(scope="session")
def qgis(tmp_path_factory) -> Profile:
    return Profile(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A copy of tests/data: QGIS may write statistics beside what it opens."""
    folder = tmp_path_factory.mktemp("inputs") / "data"
    shutil.copytree(DATA, folder, ignore=shutil.ignore_patterns("skysense", "*.aux.xml"))
    return folder


@pytest.fixture(scope="session")
def houses(data) -> Path:
    """A point in each of the drone image's buildings, with an attribute of its own."""
    ids = gdal.Open(str(data / "kampala/instances/kampala_a.tif"))
    values, (x0, dx, _, y0, _, dy) = ids.ReadAsArray(), ids.GetGeoTransform()
    path = data / "houses.gpkg"
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = file.CreateLayer("houses", osr.SpatialReference(ids.GetProjection()), ogr.wkbPoint)
    layer.CreateField(ogr.FieldDefn("house", ogr.OFTInteger))
    for number in np.unique(values[values > 0]):
        rows, columns = np.nonzero(values == number)
        middle = np.argmin(np.abs(rows - rows.mean()) + np.abs(columns - columns.mean()))
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["house"] = int(number)
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POINT({x0 + (columns[middle] + 0.5) * dx} {y0 + (rows[middle] + 0.5) * dy})"))
        layer.CreateFeature(feature)
    file = layer = None
    return path


@pytest.fixture(scope="session")
def labels(data) -> Path:
    """Polygons of buildings and ground, from the drone image's mask."""
    mask = gdal.Open(str(data / "kampala/masks/kampala_a.tif"))
    path = data / "labels.gpkg"
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = file.CreateLayer("labels", osr.SpatialReference(mask.GetProjection()), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("value", ogr.OFTInteger))
    layer.CreateField(ogr.FieldDefn("kind", ogr.OFTString))
    gdal.Polygonize(mask.GetRasterBand(1), None, layer, 0)
    for feature in layer:
        feature["kind"] = "building" if feature["value"] else "ground"
        layer.SetFeature(feature)
    file = layer = None
    return path


@pytest.fixture(scope="session")
def roofs(data, labels) -> Path:
    """Three of the buildings as examples."""
    path = data / "roofs.gpkg"
    chosen = sorted((f.GetGeometryRef().Area(), f.GetFID()) for f in vector(labels) if f["kind"] == "building")[-3:]
    where = f"fid IN ({', '.join(str(number) for _, number in chosen)})"
    gdal.VectorTranslate(str(path), str(labels), where=where, layerName="roofs")
    return path


@pytest.fixture
def wait(qgis_app):
    """Runs the event loop until the condition holds; gives its value."""
    from qgis.PyQt.QtCore import QCoreApplication, QEventLoop

    def wait(condition, seconds: float = 60.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
            value = condition()
            if value:
                return value
            time.sleep(0.005)
        raise AssertionError(f"not within {seconds} seconds")

    return wait
