"""The provider with the real engine, and inputs for every algorithm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from osgeo import gdal, ogr, osr
from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsVectorLayer,
)

DATA = Path(__file__).resolve().parents[2] / "data"


class Said(QgsProcessingFeedback):
    """Remembers what was said."""

    def __init__(self) -> None:
        super().__init__(False)
        self.infos: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def pushInfo(self, info: str) -> None:
        self.infos.append(info)

    def reportError(self, error: str, fatalError: bool = False) -> None:
        self.errors.append(error)

    def pushWarning(self, warning: str) -> None:
        self.warnings.append(warning)


@pytest.fixture
def engine(warm_engine):
    return warm_engine


@pytest.fixture
def provider(engine, qgis_processing):
    """Registered as the plugin does it."""
    from skysense_qgis.algorithms.provider import SkySenseProvider

    provider = SkySenseProvider(engine)
    QgsApplication.processingRegistry().addProvider(provider)
    yield provider
    QgsApplication.processingRegistry().removeProvider(provider)


@pytest.fixture
def feedback() -> Said:
    return Said()


@pytest.fixture
def context(qgis_new_project) -> QgsProcessingContext:
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    yield context
    context.temporaryLayerStore().removeAllMapLayers()  # before QGIS ends


@pytest.fixture
def data(tmp_path):
    """A copy of a file of tests/data: QGIS may write statistics beside what it opens."""

    def copy(name: str) -> str:
        target = tmp_path / "data" / Path(name).name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(DATA / name, target)
        return str(target)

    return copy


@pytest.fixture
def request_of(provider, context, feedback):
    """The request that an algorithm makes of these parameters."""

    def make(name: str, **parameters: object):
        algorithm = provider.algorithm(name).create()
        fine, reason = algorithm.checkParameterValues(parameters, context)
        assert fine, reason
        assert algorithm.prepare(parameters, context, feedback)
        return algorithm.request(parameters, context, feedback)

    return make


@pytest.fixture
def points(qgis_app, data):
    """Two objects on the drone image: one with a point for and one against, one far outside."""
    image = gdal.Open(data("kampala/images/kampala_a.tif"))
    x0, dx, _, y0, _, dy = image.GetGeoTransform()
    code = osr.SpatialReference(image.GetProjection()).GetAuthorityCode(None)
    layer = QgsVectorLayer(
        f"Point?crs=EPSG:{code}&field=house:integer&field=for:integer&field=owner:string", "points", "memory"
    )
    features = []
    for column, row, house, sign, owner in ((256, 256, 4, 1, "Ada"), (20, 500, 4, 0, "Ada"), (90_000, 5, 9, 1, "Bob")):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(x0 + column * dx, y0 + row * dy)))
        feature.setAttributes([house, sign, owner])
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    return layer


@pytest.fixture
def labels(tmp_path, data) -> str:
    """Polygons of buildings and ground over the drone image, from its mask."""
    mask = gdal.Open(data("kampala/masks/kampala_a.tif"))
    path = str(tmp_path / "labels.gpkg")
    file = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    layer = file.CreateLayer("labels", osr.SpatialReference(mask.GetProjection()), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("value", ogr.OFTInteger))
    layer.CreateField(ogr.FieldDefn("kind", ogr.OFTString))
    gdal.Polygonize(mask.GetRasterBand(1), None, layer, 0)
    for feature in layer:
        feature["kind"] = "building" if feature["value"] else "ground"
        layer.SetFeature(feature)
    file = layer = None
    return path
