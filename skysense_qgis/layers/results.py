"""Outputs into the project: named, dated, styled, in a group."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsColorRampShader,
    QgsFillSymbol,
    QgsLayerTreeGroup,
    QgsMapLayer,
    QgsProject,
    QgsRasterLayer,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
    QgsSingleSymbolRenderer,
    QgsStyle,
    QgsVectorLayer,
)

from ..protocol.requests import ChangeWritten, FeatureMapWritten, LabelMapWritten
from .dates import set_date

GROUP = "SkySense"


def result_group(project: QgsProject, name: str) -> QgsLayerTreeGroup:
    """A new group for one result, on top of the SkySense group."""
    root = project.layerTreeRoot()
    home = root.findGroup(GROUP) or root.insertGroup(0, GROUP)
    return home.insertGroup(0, name)


def add_features(project: QgsProject, written: FeatureMapWritten, name: str) -> list[QgsMapLayer]:
    """The picture, if there is one, over the feature map."""
    group = result_group(project, name)
    layers = []
    if written.picture_path:
        layers.append(_add(project, group, QgsRasterLayer(written.picture_path, "Picture of the features")))
    features = QgsRasterLayer(written.path, "Feature map")
    layers.append(_add(project, group, features))
    if written.picture_path:
        group.findLayer(features.id()).setItemVisibilityChecked(False)
    return layers


def add_change(
    project: QgsProject, written: ChangeWritten, before: list[str], after: list[str]
) -> list[QgsMapLayer]:
    """Polygons over changed pixels over the score, and the layers of both dates in the same group.

    Args:
        project: where to.
        written: what the engine wrote.
        before: ids of the layers of the first date.
        after: ids of those of the second.
    """
    group = result_group(project, f"Change {written.before_date} to {written.after_date}")
    layers: list[QgsMapLayer] = []
    if written.polygons_path:
        polygons = QgsVectorLayer(written.polygons_path, "Changed areas", "ogr")
        symbol = QgsFillSymbol.createSimple({"color": "242,143,28,40", "outline_color": "#f28f1c", "outline_width": "0.5"})
        polygons.setRenderer(QgsSingleSymbolRenderer(symbol))
        layers.append(_add(project, group, polygons))
    if written.mask_path:
        mask = QgsRasterLayer(written.mask_path, "Changed pixels")
        set_date(mask, written.after_date)
        layers.append(_add(project, group, mask))
        group.findLayer(mask.id()).setItemVisibilityChecked(not written.polygons_path)
    score = QgsRasterLayer(written.score_path, "Change score")
    style_score(score, written.threshold)
    set_date(score, written.after_date)
    layers.append(_add(project, group, score))
    group.findLayer(score.id()).setItemVisibilityChecked(False)
    for title, ids in (("After", after), ("Before", before)):
        part = group.addGroup(title)
        for layer_id in ids:
            layer = project.mapLayer(layer_id)
            if layer is not None:
                part.addLayer(layer)
    return layers


def add_classes(project: QgsProject, written: LabelMapWritten, name: str) -> list[QgsMapLayer]:
    """The class raster, its legend named, over the confidence."""
    group = result_group(project, name)
    classes = QgsRasterLayer(written.path, "Classes")
    names = {entry.value: entry.name for entry in written.classes}
    renderer = classes.renderer()
    if hasattr(renderer, "setLabel"):
        for value, label in names.items():
            renderer.setLabel(value, label)
    layers = [_add(project, group, classes)]
    if written.confidence_path:
        confidence = QgsRasterLayer(written.confidence_path, "Confidence in per cent")
        layers.append(_add(project, group, confidence))
        group.findLayer(confidence.id()).setItemVisibilityChecked(False)
    return layers


def style_score(layer: QgsRasterLayer, threshold: float) -> None:
    """Dark below the threshold, glowing above it."""
    ramp = QgsStyle.defaultStyle().colorRamp("Inferno")
    shader = QgsColorRampShader(0.0, max(2.0 * threshold, 1e-6), ramp, Qgis.ShaderInterpolationMethod.Linear)
    shader.classifyColorRamp(9)
    raster_shader = QgsRasterShader()
    raster_shader.setRasterShaderFunction(shader)
    layer.setRenderer(QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, raster_shader))


def _add(project: QgsProject, group: QgsLayerTreeGroup, layer: QgsMapLayer) -> QgsMapLayer:
    project.addMapLayer(layer, False)
    group.addLayer(layer)
    return layer
