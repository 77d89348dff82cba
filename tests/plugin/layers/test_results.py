"""Results in the project: groups, styles, dates, metadata."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import QgsPalettedRasterRenderer, QgsProject, QgsRasterLayer, QgsSingleBandPseudoColorRenderer

from skysense_qgis.layers.dates import date_of_layer, day_of
from skysense_qgis.layers.results import add_change, add_classes, add_features
from skysense_qgis.protocol.requests import ChangeWritten, ClassInfo, FeatureMapWritten, LabelMapWritten
from skysense_qgis.protocol.scene_source import AcquisitionSource, BandIndex, Scaling, SceneSource


@pytest.fixture
def project(qgis_new_project) -> QgsProject:
    return QgsProject.instance()


@pytest.fixture
def raster(tmp_path):
    """A small raster of this type."""

    def make(name: str, kind: int = gdal.GDT_Byte, bands: int = 1) -> str:
        path = str(tmp_path / name)
        file = gdal.GetDriverByName("GTiff").Create(path, 8, 8, bands, kind)
        file.SetGeoTransform((0, 1, 0, 8, 0, -1))
        for band in range(bands):
            file.GetRasterBand(band + 1).WriteRaster(0, 0, 8, 8, np.arange(64, dtype=np.uint8).tobytes(), buf_type=gdal.GDT_Byte)
        return path

    return make


@pytest.fixture
def changed(raster, polygons, tmp_path):
    from qgis.core import QgsVectorFileWriter

    path = str(tmp_path / "changes.gpkg")
    options = QgsVectorFileWriter.SaveVectorOptions()
    QgsVectorFileWriter.writeAsVectorFormatV3(polygons, path, QgsProject.instance().transformContext(), options)
    return ChangeWritten(
        raster("score.tif", gdal.GDT_Float32), raster("mask.tif"), path, "deep-features", 2.0, 0.25, 3,
        "2009-08-18", "2020-08-31", (), 1.0,
    )  # fmt: skip


def scene(*days: str | None) -> SceneSource:
    return SceneSource(tuple(AcquisitionSource("/a.tif", "s2", (BandIndex("B2", 1),), Scaling(), day, "a") for day in days))


def names(group) -> list[str]:
    return [child.name() for child in group.children()]


def test_change_comes_with_both_dates_to_switch_between(project, changed, kampala, add_shape):
    project.addMapLayer(kampala)
    layers = add_change(project, changed, [kampala.id()], [kampala.id(), "gone"])
    group = project.layerTreeRoot().findGroup("SkySense").children()[0]
    assert group.name() == "Change 2009-08-18 to 2020-08-31"
    assert names(group) == ["Changed areas", "Changed pixels", "Change score", "After", "Before"]
    assert [child.itemVisibilityChecked() for child in group.children()] == [True, False, False, True, False]
    before, after = group.findGroup("Before").findLayers()[0].layer(), group.findGroup("After").findLayers()[0].layer()
    assert (date_of_layer(before), date_of_layer(after)) == ("2009-08-18", "2020-08-31")
    assert date_of_layer(kampala) is None and project.layerTreeRoot().findLayer(kampala.id()).parent() is not group
    polygons, mask, score = layers
    assert isinstance(score.renderer(), QgsSingleBandPseudoColorRenderer)
    assert score.renderer().classificationMax() == 4.0
    assert [entry.label for entry in mask.renderer().classes()] == ["Changed"]
    span = score.temporalProperties().fixedTemporalRange()
    assert (day_of(span.begin()), day_of(span.end())) == ("2009-08-18", "2020-08-31")
    assert "25.0 % changed" in score.metadata().abstract() and polygons.metadata().title() == "Changed areas"


def test_classes_show_their_names_and_colours_and_no_more(project, raster):
    classes = (ClassInfo(1, "water", "#0000ff"), ClassInfo(2, "wood", "#00aa00"))
    written = LabelMapWritten(raster("classes.tif"), raster("confidence.tif"), classes, (0.25, 0.75), 8, 8, 1.0)
    labels, confidence = add_classes(project, written, "Land cover", scene("2020-02-29", None, "2019-01-01"))
    assert isinstance(labels.renderer(), QgsPalettedRasterRenderer)
    shown = [(entry.value, entry.label, entry.color.name()) for entry in labels.renderer().classes()]
    assert shown == [(1.0, "water", "#0000ff"), (2.0, "wood", "#00aa00")]
    assert confidence.renderer().contrastEnhancement().maximumValue() == 100.0
    assert date_of_layer(labels) == "2019-01-01"
    assert "wood 75.0 %" in labels.metadata().abstract()
    node = project.layerTreeRoot().findLayer(confidence.id())
    assert not node.itemVisibilityChecked() and node.parent().name() == "Land cover"


def test_features_lie_under_their_picture_and_without_dates_stay_without(project, raster):
    written = FeatureMapWritten(raster("f.tif", bands=4), raster("p.tif", bands=3), 4, 8, 8, 0.9, "sha256:0", 1.0)
    picture, features = add_features(project, written, "Features", scene(None))
    group = project.layerTreeRoot().findGroup("Features")
    assert names(group) == ["Picture of the features", "Feature map"]
    assert not group.findLayer(features.id()).itemVisibilityChecked()
    assert date_of_layer(features) is None and isinstance(picture, QgsRasterLayer)
    assert features.metadata().history() == ["Input: a, s2, no date"]
