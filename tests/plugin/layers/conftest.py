"""Layers of every kind that the plugin meets."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsFeature, QgsGeometry, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtGui import QColor, QImage

from skysense_qgis.protocol.requests import RasterDescription
from skysense_qgis.protocol.scene_source import BandIndex, BandStretch, Display, Scaling

DATA = Path(__file__).resolve().parents[2] / "data"
WORLD = 20037508.342789244  # half the side of the Web Mercator square


@pytest.fixture
def kampala(qgis_app) -> QgsRasterLayer:
    """A drone image, 512 x 512 pixels."""
    return QgsRasterLayer(str(DATA / "kampala/images/kampala_a.tif"), "kampala")


@pytest.fixture
def tiles(qgis_app, tmp_path) -> QgsRasterLayer:
    """An XYZ layer in a folder: at zoom 1 all quarters of the world but the south-eastern, each in its colour."""
    for x, y, colour in ((0, 0, "#ff0000"), (1, 0, "#00ff00"), (0, 1, "#0000ff")):
        image = QImage(256, 256, QImage.Format.Format_RGB32)
        image.fill(QColor(colour))
        folder = tmp_path / "tiles" / "1" / str(x)
        folder.mkdir(parents=True, exist_ok=True)
        assert image.save(str(folder / f"{y}.png"))
    url = f"file://{tmp_path}/tiles/%7Bz%7D/%7Bx%7D/%7By%7D.png"
    layer = QgsRasterLayer(f"type=xyz&url={url}&zmin=1&zmax=1", "tiles", "wms")
    assert layer.isValid()
    return layer


@pytest.fixture
def nearly_full_disk():
    """`with nearly_full_disk(bytes):` no file may grow beyond so many. Only inside of it: the tests' own log is a file too."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def polygons(qgis_app) -> QgsVectorLayer:
    """An empty polygon layer in memory, in UTM 36 N."""
    return QgsVectorLayer("Polygon?crs=EPSG:32636&field=label:string&field=size:double", "polygons", "memory")


@pytest.fixture
def add_shape():
    """Adds a feature of this geometry and these attributes to a layer."""

    def add(layer: QgsVectorLayer, wkt: str, *attributes: object) -> QgsFeature:
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        feature.setAttributes(list(attributes))
        added, features = layer.dataProvider().addFeatures([feature])
        assert added
        return features[0]

    return add


@pytest.fixture
def utm36() -> QgsCoordinateReferenceSystem:
    return QgsCoordinateReferenceSystem("EPSG:32636")


@pytest.fixture
def description():
    """What the engine would say of a Sentinel-2 file with four bands."""

    def make(path: str, sensor: str | None = "s2", day: str | None = "2020-02-29") -> RasterDescription:
        stretch = BandStretch(1, 0.0, 3000.0)
        return RasterDescription(
            path=path, height=10, width=20, count=4, dtype="uint16", crs="EPSG:32636",
            transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0), gsd_m=10.0, band_labels=("", "", "", ""), sensor=sensor,
            bands=(BandIndex("B2", 1), BandIndex("B3", 2)) if sensor else (), scaling=Scaling(1e-4), date=day,
            reasons=(), display=Display(stretch, stretch, stretch), assigned_crs="", low=300.0, high=3000.0, scale=1.0,
            offset=0.0, processing_baseline="",
        )  # fmt: skip

    return make
