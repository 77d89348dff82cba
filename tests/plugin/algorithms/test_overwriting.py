"""Outputs that would replace what is read, or each other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from qgis.core import (
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

BEFORE, AFTER = "naip_wetlands/NAIP_20090818.tif", "naip_wetlands/NAIP_20200831.tif"
DRONE = "kampala/images/kampala_a.tif"


@pytest.fixture
def check(provider, context):
    """Why an algorithm refuses these parameters; empty where it does not."""

    def check(name: str, **parameters: object) -> str:
        fine, reason = provider.algorithm(name).create().checkParameterValues(parameters, context)
        assert fine == (not reason)
        return reason

    return check


def test_an_output_is_never_an_input(check, data, labels, tmp_path):
    image, again = data(BEFORE), data(AFTER)
    link = tmp_path / "link.tif"
    link.symlink_to(image)
    layer = QgsVectorLayer(f"{labels}|layername=labels", "labels", "ogr")
    QgsProject.instance().addMapLayer(layer)
    change = {"BEFORE": [image], "AFTER": [again], "SCORE": str(tmp_path / "s.tif")}
    refused = [
        check("embed", LAYERS=[image, again], OUTPUT=again),
        check("embed", LAYERS=[image], OUTPUT=os.path.relpath(image)),
        check("embed", LAYERS=[image], OUTPUT=str(link)),
        check("embed", LAYERS=[str(link)], OUTPUT=QgsProcessingOutputLayerDefinition(image)),
        check("embed", LAYERS=[image], AREA=layer.id(), OUTPUT=str(tmp_path / "f.tif"), PICTURE=image),
        check("detect_change", **change, AREA=layer.id(), POLYGONS=labels),
        check("detect_change", **change, AREA=QgsProcessingFeatureSourceDefinition(layer.id(), True), POLYGONS=labels),
        check("detect_change", **change, AREA=labels, POLYGONS=QgsProcessingOutputLayerDefinition(labels)),
        check("segment_points", LAYER=image, POINTS=labels, OUTPUT=labels),
        check("train_segmentation", LAYERS=[image], LABELS=labels, CLASS_FIELD="kind", MODEL=labels),
    ]
    for reason in refused:
        assert "is one of the inputs. Choose another name for the output." in reason


def test_a_model_that_is_applied_is_not_replaced(check, data, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"")
    shutil.copy(data(DRONE), tmp_path / "model.tif")
    parameters = {"LAYERS": [data(DRONE)], "MODEL": str(model)}
    assert "one of the inputs" in check("apply_model", **parameters, OUTPUT=str(tmp_path / "c.tif"), CONFIDENCE=data(DRONE))
    assert not check("apply_model", **parameters, OUTPUT=str(tmp_path / "model.tif"))


def test_two_outputs_never_share_a_file(check, data, tmp_path):
    parameters = {"BEFORE": [data(BEFORE)], "AFTER": [data(AFTER)], "SCORE": str(tmp_path / "s.tif")}
    assert "“Change score” and “Changed pixels” have the same file, s.tif" in check(
        "detect_change", **parameters, MASK=QgsProcessingOutputLayerDefinition(str(tmp_path / "no" / ".." / "s.tif"))
    )
    assert "same file" in check("embed", LAYERS=[data(BEFORE)], OUTPUT="/tmp/f.tif", PICTURE="/tmp/f.tif")
    assert not check("detect_change", **parameters, MASK=str(tmp_path / "m.tif"))
    temporary = {"SCORE": "TEMPORARY_OUTPUT", "MASK": "TEMPORARY_OUTPUT", "POLYGONS": "TEMPORARY_OUTPUT"}
    assert not check("detect_change", **{**parameters, **temporary})
    sinks = {name: QgsProcessingOutputLayerDefinition("TEMPORARY_OUTPUT") for name in temporary}
    assert not check("detect_change", **{**parameters, **sinks})


def test_nothing_is_lost_when_it_is_tried(data, points, provider, feedback, tmp_path, qgis_new_project):
    """The file of the points, which holds another layer too, stays as it was."""
    import processing
    from qgis.core import QgsProcessingException, QgsVectorFileWriter

    path = str(tmp_path / "both.gpkg")
    for name in ("points", "more"):
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.layerName = name
        if Path(path).exists():
            options.actionOnExistingFile = QgsVectorFileWriter.ActionOnExistingFile.CreateOrOverwriteLayer
        QgsVectorFileWriter.writeAsVectorFormatV3(points, path, QgsProject.instance().transformContext(), options)
    layer = QgsVectorLayer(f"{path}|layername=points", "points", "ogr")
    image = QgsRasterLayer(data(DRONE), "image")
    QgsProject.instance().addMapLayers([layer, image])
    before = Path(path).read_bytes()
    with pytest.raises(QgsProcessingException, match="one of the inputs"):
        processing.run("skysense:segment_points", {"LAYER": image.id(), "POINTS": layer.id(), "OUTPUT": path})
    assert Path(path).read_bytes() == before
