"""Parameters become requests."""

from __future__ import annotations

import pytest
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

from skysense_qgis.layers.dates import set_date
from skysense_qgis.layers.sources import LayerError
from skysense_qgis.protocol.requests import DetectChange, PointPrompt

S2, S1, HR = "treesat_ts/S2_20190622.tif", "treesat_ts/S1ASC_20190501.tif", "treesat_ts/HR_20190701.tif"


def test_sensors_bands_and_dates_are_guessed_as_everywhere(request_of, data, feedback):
    request = request_of("embed", LAYERS=[data(S2), data(S1)], OUTPUT="/tmp/f.tif", COMPONENTS=8)
    assert [(a.sensor, a.date) for a in request.scene.acquisitions] == [("s2", "2019-06-22"), ("s1", "2019-05-01")]
    assert [band.band for band in request.scene.acquisitions[1].bands] == ["VV", "VH"]
    assert (request.output_path, request.picture_path, request.components) == ("/tmp/f.tif", None, 8)
    assert request.scene.extent is None
    assert any("Sentinel-2" in said and "B8A = 8" in said for said in feedback.infos)


def test_lists_of_dates_and_sensors_win_and_a_dash_is_guessed(request_of, data):
    request = request_of(
        "embed", LAYERS=[data(S2), data(HR)], LAYERS_DATES="2020-02-29, -", LAYERS_SENSORS="-,s2", OUTPUT="/tmp/f.tif"
    )
    assert [(a.sensor, a.date) for a in request.scene.acquisitions] == [("s2", "2020-02-29"), ("s2", "2019-07-01")]


def test_a_date_of_the_layer_wins_over_the_files_name(request_of, data):
    layer = QgsRasterLayer(data(S2), "mine")
    set_date(layer, "2018-03-04")
    QgsProject.instance().addMapLayer(layer)
    request = request_of("embed", LAYERS=[layer.id()], OUTPUT="/tmp/f.tif")
    assert (request.scene.acquisitions[0].date, request.scene.acquisitions[0].name) == ("2018-03-04", "mine")


@pytest.mark.parametrize(
    ("parameters", "remedy"),
    [
        ({"LAYERS_DATES": "2020-01-01,2020-01-02"}, "1 layers, but 2 values under LAYERS_DATES"),
        ({"LAYERS_SENSORS": "spot"}, "no sensor spot. Choose among hr, s2, s1, landsat"),
    ],
)
def test_lists_that_do_not_fit_name_a_remedy(request_of, data, parameters, remedy):
    with pytest.raises(QgsProcessingException, match=remedy):
        request_of("embed", LAYERS=[data(S2)], OUTPUT="/tmp/f.tif", **parameters)


def test_the_extent_keeps_its_crs_and_polygons_lie_inside_it(request_of, data, qgis_app):
    layer = QgsRasterLayer(data(S2), "s2")
    box = layer.extent()
    text = f"{box.xMinimum()},{box.center().x()},{box.yMinimum()},{box.yMaximum()} [{layer.crs().authid()}]"
    extent = request_of("embed", LAYERS=[data(S2)], EXTENT=text, OUTPUT="/tmp/f.tif").scene.extent
    assert extent.crs == layer.crs().authid() and extent.east == pytest.approx(box.center().x())
    area = QgsVectorLayer(f"Polygon?crs={layer.crs().authid()}", "area", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromRect(box))
    area.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(area)
    extent = request_of("embed", LAYERS=[data(S2)], AREA=area.id(), OUTPUT="/tmp/f.tif").scene.extent
    assert extent.polygon_wkt.startswith("MultiPolygon") and extent.east == pytest.approx(box.xMaximum())
    both = request_of("embed", LAYERS=[data(S2)], EXTENT=text, AREA=area.id(), OUTPUT="/tmp/f.tif").scene.extent
    assert both.polygon_wkt == extent.polygon_wkt and both.east == pytest.approx(box.center().x())


def test_change_takes_a_threshold_of_zero_and_finds_none_by_itself(request_of, data):
    names = {"BEFORE": [data("naip_wetlands/NAIP_20090818.tif")], "AFTER": [data("naip_wetlands/NAIP_20200831.tif")]}
    request = request_of("detect_change", **names, SCORE="/tmp/s.tif")
    assert isinstance(request, DetectChange) and request.threshold is None and request.method == "auto"
    assert (request.mask_path, request.polygons_path) == (None, None)
    request = request_of(
        "detect_change", **names, SCORE="/tmp/s.tif", THRESHOLD=0.0, METHOD=1, MINIMUM_AREA=50, POLYGONS="/tmp/c.shp"
    )
    assert (request.threshold, request.method, request.minimum_area_m2) == (0.0, "change-vector", 50.0)
    assert request.polygons_path.endswith(".gpkg")  # the engine's draft, turned into the shapefile afterwards


def test_points_become_prompts_in_their_own_crs(request_of, data, points):
    QgsProject.instance().addMapLayer(points)
    request = request_of(
        "segment_points", LAYER=data("kampala/images/kampala_a.tif"), POINTS=points.id(), OBJECT_FIELD="house",
        POSITIVE_FIELD="for", OUTPUT="/tmp/o.gpkg", OBJECT_SIZE=12.5,
    )  # fmt: skip
    assert [(p.object_id, p.positive) for p in request.points] == [(4, True), (4, False), (9, True)]
    first = next(points.getFeatures()).geometry().asPoint()
    assert request.points[0] == PointPrompt(4, first.x(), first.y(), True)
    assert request.points_crs == points.crs().authid() and request.object_size_m == 12.5
    assert request.display is not None


def test_training_reads_its_settings(request_of, data, labels):
    request = request_of(
        "train_segmentation", LAYERS=[data("kampala/images/kampala_a.tif")], LABELS=labels, CLASS_FIELD="kind", TUNE=1,
        STEPS=7, BATCH=2, LEARNING_RATE=0.01, SEED=3, MODEL="/tmp/roofs.safetensors",
    )  # fmt: skip
    assert (request.labels_path, request.labels_layer, request.class_field) == (labels, None, "kind")
    assert (request.tune, request.steps, request.batch, request.learning_rate) == ("last-blocks", 7, 2, 0.01)
    assert (request.model_path, request.name, request.seed) == ("/tmp/roofs.safetensors", "roofs", 3)


def test_a_layer_without_a_file_is_drawn_at_the_pixels_of_the_file_beside_it(request_of, data, feedback):
    path = data("naip_wetlands/NAIP_20090818.tif")
    uri = (
        "?crs=EPSG:26914&extent=486900,5206967,488500,5208247&width=320&height=256&formula=%22a@1%22"
        f"&a:uri={path}&a:provider=gdal"
    )
    virtual = QgsRasterLayer(uri, "sum", "virtualraster")
    assert virtual.isValid()
    QgsProject.instance().addMapLayer(virtual)
    request = request_of("embed", LAYERS=[path, virtual.id()], LAYERS_DATES="-,2012-01-01", OUTPUT="/tmp/f.tif")
    drawn = request.scene.acquisitions[1]
    assert (drawn.name, drawn.sensor, drawn.date) == ("sum", "hr", "2012-01-01")
    described = QgsRasterLayer(drawn.path, "drawn")
    assert (described.width(), described.height()) == (320, 256)
    assert any("drawn by QGIS: 320 x 256 pixels of 5" in said for said in feedback.infos)
    with pytest.raises(LayerError, match="needs an extent and a pixel size"):
        request_of("embed", LAYERS=[virtual.id()], OUTPUT="/tmp/f.tif")
    alone = request_of(
        "embed", LAYERS=[virtual.id()], EXTENT="486900,487900,5207247,5208247 [EPSG:26914]", PIXEL_SIZE=10,
        LAYERS_DATES="2012-01-01", OUTPUT="/tmp/f.tif",
    )  # fmt: skip
    assert QgsRasterLayer(alone.scene.acquisitions[0].path, "drawn").width() == 100


def test_a_remote_file_is_refused_before_anything_starts(provider, context, feedback):
    layer = QgsRasterLayer("/vsicurl/https://example.org/image.tif", "remote")
    QgsProject.instance().addMapLayer(layer)
    algorithm = provider.algorithm("segment_points").create()
    with pytest.raises(QgsProcessingException):
        algorithm.prepareAlgorithm({"LAYER": layer.id()}, context, feedback)


def test_points_on_a_tile_layer_have_it_drawn_around_them(request_of, points, data):
    path = data("kampala/images/kampala_a.tif")
    image = QgsRasterLayer(path, "image")
    box, crs = image.extent(), image.crs().authid()
    uri = (
        f"?crs={crs}&extent={box.xMinimum()},{box.yMinimum()},{box.xMaximum()},{box.yMaximum()}&width=512&height=512"
        f"&formula=%22a@1%22&a:uri={path}&a:provider=gdal"
    )
    virtual = QgsRasterLayer(uri, "red", "virtualraster")
    QgsProject.instance().addMapLayers([virtual, points])
    points.setSubsetString("owner = 'Ada'")
    parameters = {"LAYER": virtual.id(), "POINTS": points.id(), "OUTPUT": "/tmp/o.gpkg"}
    with pytest.raises(LayerError, match="give the pixel size"):
        request_of("segment_points", **parameters)
    request = request_of("segment_points", **parameters, PIXEL_SIZE=0.25)
    drawn = QgsRasterLayer(request.path, "drawn")
    assert drawn.extent().contains(points.extent()) and drawn.rasterUnitsPerPixelX() == pytest.approx(0.25)


def test_an_extent_without_area_is_refused(provider, context, data):
    for text in ("5,5,5,5 [EPSG:26914]", "5,9,5,5 [EPSG:26914]"):
        parameters = {"LAYERS": [data(S2)], "EXTENT": text, "OUTPUT": "/tmp/f.tif"}
        with pytest.raises(QgsProcessingException, match="extent has no area. Give a larger one, or leave it empty"):
            provider.algorithm("embed").create().prepareAlgorithm(parameters, context, QgsProcessingFeedback(False))


def test_an_extent_without_crs_is_meant_in_that_of_the_first_layer(request_of, data):
    """Where no project says another: as qgis_process has it."""
    layer = QgsRasterLayer(data(S2), "s2")
    box = layer.extent()
    text = f"{box.xMinimum()},{box.xMaximum()},{box.yMinimum()},{box.yMaximum()}"
    assert not QgsProject.instance().crs().isValid()
    assert request_of("embed", LAYERS=[data(S2)], EXTENT=text, OUTPUT="/tmp/f.tif").scene.extent.crs == layer.crs().authid()


def test_selected_points_alone_and_their_filter_count(request_of, data, points):
    QgsProject.instance().addMapLayer(points)
    points.selectByExpression("house = 9")
    parameters = {"LAYER": data("kampala/images/kampala_a.tif"), "OBJECT_FIELD": "house", "OUTPUT": "/tmp/o.gpkg"}
    source = QgsProcessingFeatureSourceDefinition(points.id(), True)
    assert [p.object_id for p in request_of("segment_points", POINTS=source, **parameters).points] == [9]
    source = QgsProcessingFeatureSourceDefinition(points.id(), False, 1)
    source.filterExpression = '"for" = 1'
    assert [p.object_id for p in request_of("segment_points", POINTS=source, **parameters).points] == [4]
