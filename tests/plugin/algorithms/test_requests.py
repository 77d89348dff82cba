"""Parameters become requests."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

from skysense_qgis.layers.dates import set_date
from skysense_qgis.layers.sources import LayerError
from skysense_qgis.protocol.requests import DetectChange, SegmentByExample

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


def test_an_extent_without_area_is_not_everything(request_of, data):
    for text in ("5,5,5,5", "5,9,5,5", "5,5,5,5 [EPSG:4326]"):
        with pytest.raises(LayerError, match="The extent has no area"):
            request_of("embed", LAYERS=[data(S2)], EXTENT=text, OUTPUT="/tmp/f.tif")
    assert request_of("embed", LAYERS=[data(S2)], EXTENT="", OUTPUT="/tmp/f.tif").scene.extent is None


def test_an_extent_without_a_crs_is_the_projects_or_else_the_first_layers(request_of, data):
    layer = QgsRasterLayer(data(S2), "s2")
    box = layer.extent()
    text = f"{box.xMinimum()},{box.xMaximum()},{box.yMinimum()},{box.yMaximum()}"
    QgsProject.instance().setCrs(QgsCoordinateReferenceSystem())
    extent = request_of("embed", LAYERS=[data(S2)], EXTENT=text, OUTPUT="/tmp/f.tif").scene.extent
    assert extent.crs == layer.crs().authid() and extent.east == box.xMaximum()
    QgsProject.instance().setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    assert request_of("embed", LAYERS=[data(S2)], EXTENT=text, OUTPUT="/tmp/f.tif").scene.extent.crs == "EPSG:3857"


def test_bands_are_named_by_hand(request_of, data):
    request = request_of(
        "embed", LAYERS=[data(S2), data(HR)], LAYERS_SENSORS="-,hr", LAYERS_BANDS="-; R=3 G=2 B=1", OUTPUT="/tmp/f.tif"
    )
    first, second = request.scene.acquisitions
    assert len(first.bands) == 10 and [(band.band, band.index) for band in second.bands] == [("R", 3), ("G", 2), ("B", 1)]
    for text, words in (("R=9", "no band 9 for R.*Correct it under Bands"), ("-;-", "1 layers, but 2 values under LAYERS_BANDS")):
        with pytest.raises(QgsProcessingException, match=words):
            request_of("embed", LAYERS=[data(HR)], LAYERS_SENSORS="hr", LAYERS_BANDS=text, OUTPUT="/tmp/f.tif")


def test_the_crs_that_the_user_gave_a_layer_goes_to_the_engine(request_of, data, labels, points):
    """Also for labels and points, whose files say something else."""
    image, other = QgsRasterLayer(data(S2), "image"), QgsCoordinateReferenceSystem("EPSG:32731")
    polygons = QgsVectorLayer(labels, "polygons", "ogr")
    QgsProject.instance().addMapLayers([image, polygons, points])
    assert request_of("embed", LAYERS=[image.id()], OUTPUT="/tmp/f.tif").scene.acquisitions[0].crs == ""
    for layer in (image, polygons, points):
        layer.setCrs(other)
    request = request_of(
        "train_segmentation", LAYERS=[image.id()], LABELS=polygons.id(), CLASS_FIELD="kind", MODEL="/tmp/m.safetensors"
    )
    assert request.scene.acquisitions[0].crs == "EPSG:32731" and request.labels_path != labels
    assert QgsVectorLayer(request.labels_path, "saved", "ogr").crs() == other
    request = request_of("segment_points", LAYER=image.id(), POINTS=points.id(), OUTPUT="/tmp/o.gpkg")
    assert request.crs == "EPSG:32731" and QgsVectorLayer(request.points_path, "saved", "ogr").crs() == other


def test_a_users_own_crs_reaches_the_engine_in_full(request_of, data):
    assert QgsApplication.createDatabase()
    own = QgsCoordinateReferenceSystem.fromProj("+proj=aeqd +lat_0=12 +lon_0=22 +datum=WGS84 +units=m")
    own.saveAsUserCrs("own")
    layer = QgsRasterLayer(data(S2), "s2")
    layer.setCrs(own)
    QgsProject.instance().addMapLayer(layer)
    box = layer.extent()
    text = f"{box.xMinimum()},{box.center().x()},{box.yMinimum()},{box.yMaximum()} [{own.authid()}]"
    scene = request_of("embed", LAYERS=[layer.id()], EXTENT=text, OUTPUT="/tmp/f.tif").scene
    assert own.authid().startswith("USER:") and "Azimuthal" in scene.extent.crs and "Azimuthal" in scene.acquisitions[0].crs


def test_the_offset_of_sentinel_2_follows_the_date_that_is_given(request_of, tmp_path):
    """A stack without a date whose darkest pixels allow for an offset of 1000."""
    path = str(tmp_path / "stack.tif")
    file = gdal.GetDriverByName("GTiff").Create(path, 20, 20, 10, gdal.GDT_UInt16)
    for band, name in enumerate(("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"), start=1):
        file.GetRasterBand(band).WriteArray(np.arange(1100, 1500, dtype=np.uint16).reshape(20, 20))
        file.GetRasterBand(band).SetDescription(name)
    file = None
    for day, offset in (("2023-03-01", -0.1), ("2020-03-01", 0.0), ("-", 0.0)):
        (source,) = request_of("embed", LAYERS=[path], LAYERS_DATES=day, OUTPUT="/tmp/f.tif").scene.acquisitions
        assert source.sensor == "s2" and source.scaling.offset == offset


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


def test_points_go_to_the_engine_as_a_file_with_their_fields(request_of, data, points):
    QgsProject.instance().addMapLayer(points)
    request = request_of(
        "segment_points", LAYER=data("kampala/images/kampala_a.tif"), POINTS=points.id(), OBJECT_FIELD="house",
        POSITIVE_FIELD="for", CLASS_FIELD="owner", OUTPUT="/tmp/o.gpkg", OBJECT_SIZE=12.5,
    )  # fmt: skip
    assert (request.object_field, request.positive_field, request.class_field) == ("house", "for", "owner")
    assert (request.output_path, request.name, request.object_size_m) == ("/tmp/o.gpkg", "kampala_a", 12.5)
    saved = QgsVectorLayer(request.points_path, "saved", "ogr")
    assert saved.crs() == points.crs() and saved.fields().names() == ["fid", "house", "for", "owner"]
    there = [(f["house"], f["for"], f["owner"], f.geometry().asWkt(2)) for f in saved.getFeatures()]
    assert there == [(f["house"], f["for"], f["owner"], f.geometry().asWkt(2)) for f in points.getFeatures()]
    assert request.display is not None
    request = request_of("segment_points", LAYER=data("kampala/images/kampala_a.tif"), POINTS=points.id(), OUTPUT="/tmp/o.shp")
    assert request.output_path.endswith(".gpkg")  # a draft that becomes the shapefile


def test_only_the_selected_points_are_used_where_that_is_asked(request_of, data, points):
    QgsProject.instance().addMapLayer(points)
    points.selectByExpression("owner = 'Bob'")
    chosen = QgsProcessingFeatureSourceDefinition(points.id(), selectedFeaturesOnly=True)
    request = request_of("segment_points", LAYER=data("kampala/images/kampala_a.tif"), POINTS=chosen, OUTPUT="/tmp/o.gpkg")
    assert [f["owner"] for f in QgsVectorLayer(request.points_path, "saved", "ogr").getFeatures()] == ["Bob"]


def test_examples_may_be_selected_and_the_threshold_zero(request_of, data, labels):
    image, polygons = data("kampala/images/kampala_a.tif"), QgsVectorLayer(labels, "polygons", "ogr")
    QgsProject.instance().addMapLayer(polygons)
    request = request_of("segment_by_example", LAYERS=[image], EXAMPLES=polygons.id(), MASK="/tmp/m.tif")
    assert isinstance(request, SegmentByExample) and (request.examples_path, request.mask_path) == (labels, "/tmp/m.tif")
    assert (request.threshold, request.polygons_path, request.score_path) == (None, None, None)
    polygons.selectByExpression("kind = 'building'")
    chosen = QgsProcessingFeatureSourceDefinition(polygons.id(), selectedFeaturesOnly=True)
    request = request_of(
        "segment_by_example", LAYERS=[image], EXAMPLES=chosen, THRESHOLD=0.0, MINIMUM_AREA=20, MASK="/tmp/m.tif",
        POLYGONS="/tmp/p.shp", SCORE="/tmp/s.tif",
    )  # fmt: skip
    assert (request.threshold, request.minimum_area_m2, request.score_path) == (0.0, 20.0, "/tmp/s.tif")
    assert request.polygons_path.endswith(".gpkg")  # a draft that becomes the shapefile
    assert {f["kind"] for f in QgsVectorLayer(request.examples_path, "saved", "ogr").getFeatures()} == {"building"}


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
