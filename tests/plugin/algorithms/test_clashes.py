"""No output overwrites an input or another output."""

from __future__ import annotations

import shutil

import pytest
from qgis.core import (
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

IMAGE = "kampala/images/kampala_a.tif"
BEFORE, AFTER = "naip_wetlands/NAIP_20090818.tif", "naip_wetlands/NAIP_20200831.tif"


@pytest.fixture
def saved(points, tmp_path) -> str:
    """The points as one of two layers of a GeoPackage."""
    path = str(tmp_path / "survey größe.gpkg")
    for name in ("points", "other"):
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.layerName = name
        if name == "other":
            options.actionOnExistingFile = QgsVectorFileWriter.ActionOnExistingFile.CreateOrOverwriteLayer
        QgsVectorFileWriter.writeAsVectorFormatV3(points, path, QgsProject.instance().transformContext(), options)
    return path


@pytest.fixture
def refused(provider, context, feedback):
    """Why parameters are refused, and that the work does not begin either where nobody asked before."""

    def refused(name: str, **parameters: object) -> str:
        algorithm = provider.algorithm(name).create()
        fine, reason = algorithm.checkParameterValues(parameters, context)
        assert fine != bool(reason)
        assert bool(algorithm.prepare(parameters, context, feedback)) == fine
        return reason

    return refused


def test_the_points_file_is_no_place_for_the_objects(refused, data, saved, tmp_path):
    layer = QgsVectorLayer(f"{saved}|layername=points", "points", "ogr")
    QgsProject.instance().addMapLayer(layer)
    link = tmp_path / "link.gpkg"
    link.symlink_to(saved)
    parameters = {"LAYER": data(IMAGE), "OUTPUT": saved}
    for value in (
        saved, f"{saved}|layername=points", layer, layer.id(), QgsProcessingFeatureSourceDefinition(layer.id(), False), str(link)
    ):  # fmt: skip
        assert "Objects would overwrite one of the inputs" in refused("segment_points", POINTS=value, **parameters)
    for value in (str(link), str(tmp_path / "." / "survey größe.gpkg"), QgsProcessingOutputLayerDefinition(saved)):
        reason = refused("segment_points", POINTS=layer.id(), **{**parameters, "OUTPUT": value})
        assert "one of the inputs" in reason and "Choose another name" in reason
    assert not refused("segment_points", POINTS=layer.id(), **{**parameters, "OUTPUT": "TEMPORARY_OUTPUT"})
    assert not refused("segment_points", POINTS=layer.id(), **{**parameters, "OUTPUT": str(tmp_path / "new.gpkg")})


def test_rasters_models_and_areas_are_no_places_either(refused, data, labels, tmp_path):
    image, before, after = data(IMAGE), data(BEFORE), data(AFTER)
    assert "one of the inputs" in refused("embed", LAYERS=[before, image], OUTPUT=image)
    assert "one of the inputs" in refused("embed", LAYERS=[image], AREA=labels, OUTPUT=str(tmp_path / "f.tif"), PICTURE=image)
    scenes = {"BEFORE": [before], "AFTER": [after]}
    reason = refused("detect_change", **scenes, AREA=labels, SCORE=str(tmp_path / "s.tif"), POLYGONS=labels)
    assert "Changed areas would overwrite one of the inputs" in reason
    model = tmp_path / "model.tif"
    shutil.copy(image, model)
    assert "one of the inputs" in refused("apply_model", LAYERS=[image], MODEL=str(model), OUTPUT=str(model))


def test_two_outputs_are_two_files(refused, data, tmp_path):
    scenes = {"BEFORE": [data(BEFORE)], "AFTER": [data(AFTER)]}
    score = str(tmp_path / "score.tif")
    reason = refused("detect_change", **scenes, SCORE=score, MASK=score)
    assert "Changed pixels would overwrite another output" in reason
    assert not refused("detect_change", **scenes, SCORE=score, MASK=str(tmp_path / "mask.tif"))
    assert not refused("detect_change", **scenes, SCORE="TEMPORARY_OUTPUT", MASK="TEMPORARY_OUTPUT")


def test_a_layer_of_a_database_is_no_file(provider, context, data, points, saved):
    QgsProject.instance().addMapLayer(points)
    output = f"ogr:dbname='{saved}' table=\"objects\" (geom)"
    parameters = {"LAYER": data(IMAGE), "POINTS": points.id(), "OUTPUT": output}
    fine, reason = provider.algorithm("segment_points").create().checkParameterValues(parameters, context)
    assert not fine and "Give the name of a file" in reason
