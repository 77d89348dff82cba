"""Outputs into the project: named, dated, styled, in a group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qgis.core import QgsLayerTreeGroup, QgsMapLayer, QgsProject, QgsRasterLayer, QgsVectorLayer

from ..protocol.requests import ChangeWritten, ExampleFound, FeatureMapWritten, LabelMapWritten
from ..protocol.scene_source import SceneSource
from .dates import date_of_layer, set_date, set_period
from .styles import (
    FOUND,
    style_changes,
    style_classes,
    style_confidence,
    style_likeness,
    style_mask,
    style_objects,
    style_score,
)

GROUP = "SkySense"


def result_group(project: QgsProject, name: str) -> QgsLayerTreeGroup:
    """A new group for one result, on top of the SkySense group."""
    root = project.layerTreeRoot()
    home = root.findGroup(GROUP) or root.insertGroup(0, GROUP)
    return home.insertGroup(0, name)


# -- into the project ------------------------------------------------------------------------------------------------
def add_features(
    project: QgsProject, written: FeatureMapWritten, name: str, scene: SceneSource | None = None
) -> list[QgsMapLayer]:
    """The picture, if there is one, over the feature map."""
    group = result_group(project, name)
    layers = []
    if written.picture_path:
        picture = QgsRasterLayer(written.picture_path, "Picture of the features")
        finish_features(picture, written, scene)
        layers.append(_add(project, group, picture))
    features = QgsRasterLayer(written.path, "Feature map")
    finish_features(features, written, scene)
    layers.append(_add(project, group, features))
    if written.picture_path:
        group.findLayer(features.id()).setItemVisibilityChecked(False)
    return layers


def add_change(
    project: QgsProject, written: ChangeWritten, before: Sequence[str], after: Sequence[str]
) -> list[QgsMapLayer]:
    """Polygons over changed pixels over the score, and under them the layers of both dates.

    Args:
        project: where to.
        written: what the engine wrote.
        before: ids of the layers of the first date.
        after: ids of those of the second.
    """
    group = result_group(project, change_title(written))
    layers: list[QgsMapLayer] = []
    if written.polygons_path:
        polygons = QgsVectorLayer(written.polygons_path, "Changed areas", "ogr")
        finish_changes(polygons, written)
        layers.append(_add(project, group, polygons))
    if written.mask_path:
        mask = QgsRasterLayer(written.mask_path, "Changed pixels")
        finish_mask(mask, written)
        layers.append(_add(project, group, mask))
        group.findLayer(mask.id()).setItemVisibilityChecked(not written.polygons_path)
    score = QgsRasterLayer(written.score_path, "Change score")
    finish_score(score, written)
    layers.append(_add(project, group, score))
    group.findLayer(score.id()).setItemVisibilityChecked(not (written.polygons_path or written.mask_path))
    add_dates(project, group, written, before, after)
    return layers


def add_classes(
    project: QgsProject, written: LabelMapWritten, name: str, scene: SceneSource | None = None
) -> list[QgsMapLayer]:
    """The class raster, its legend named, over the confidence."""
    group = result_group(project, name)
    classes = QgsRasterLayer(written.path, "Classes")
    finish_classes(classes, written, scene)
    layers = [_add(project, group, classes)]
    if written.confidence_path:
        confidence = QgsRasterLayer(written.confidence_path, "Confidence in per cent")
        finish_confidence(confidence, written, scene)
        layers.append(_add(project, group, confidence))
        group.findLayer(confidence.id()).setItemVisibilityChecked(False)
    return layers


def add_found(project: QgsProject, written: ExampleFound, scene: SceneSource) -> list[QgsMapLayer]:
    """Found areas over found pixels over the score."""
    group = result_group(project, found_title(scene))
    layers: list[QgsMapLayer] = []
    if written.polygons_path:
        polygons = QgsVectorLayer(written.polygons_path, "Found areas", "ogr")
        finish_found(polygons, written, scene)
        layers.append(_add(project, group, polygons))
    mask = QgsRasterLayer(written.mask_path, "Found pixels")
    finish_found_mask(mask, written, scene)
    layers.append(_add(project, group, mask))
    group.findLayer(mask.id()).setItemVisibilityChecked(not written.polygons_path)
    if written.score_path:
        score = QgsRasterLayer(written.score_path, "Likeness")
        finish_likeness(score, written, scene)
        layers.append(_add(project, group, score))
        group.findLayer(score.id()).setItemVisibilityChecked(False)
    return layers


def add_dates(
    project: QgsProject, group: QgsLayerTreeGroup, written: ChangeWritten, before: Sequence[str], after: Sequence[str]
) -> None:
    """Copies of the layers of both dates in groups to switch between; the user's own layers stay where they are."""
    for title, day, ids in (("After", written.after_date, after), ("Before", written.before_date, before)):
        originals = [layer for layer in map(project.mapLayer, ids) if layer is not None]
        if not originals:
            continue
        part = group.addGroup(title)
        for original in originals:
            copy = original.clone()
            if isinstance(copy, QgsRasterLayer) and date_of_layer(copy) is None:
                set_date(copy, day)
            _add(project, part, copy)
        part.setExpanded(False)
        part.setItemVisibilityChecked(title == "After")


# -- what a finished layer is given, wherever it was loaded ----------------------------------------------------------
def change_title(written: ChangeWritten) -> str:
    return f"Change {written.before_date} to {written.after_date}"


def found_title(scene: SceneSource) -> str:
    """By the layer that was searched, and how many more there are."""
    first, *others = (source.name or Path(source.path).stem for source in scene.acquisitions)
    return f"Like the examples in {first}" + (f" and {len(others)} more" if others else "")


def finish_found(layer: QgsVectorLayer, written: ExampleFound, scene: SceneSource) -> None:
    """Style and origin of found areas."""
    style_objects(layer)
    _describe(layer, _found_origin(written), scene)


def finish_found_mask(layer: QgsRasterLayer, written: ExampleFound, scene: SceneSource) -> None:
    style_mask(layer, "Like the examples", FOUND)
    _set_dates_of(layer, scene)
    _describe(layer, _found_origin(written), scene)


def finish_likeness(layer: QgsRasterLayer, written: ExampleFound, scene: SceneSource) -> None:
    style_likeness(layer)
    _set_dates_of(layer, scene)
    _describe(layer, _found_origin(written), scene)


def finish_features(layer: QgsRasterLayer, written: FeatureMapWritten, scene: SceneSource | None = None) -> None:
    """Dates and origin of a feature map or its picture."""
    _set_dates_of(layer, scene)
    _describe(layer, f"Features of {written.bands} bands by the encoder {written.encoder_digest}.", scene)


def finish_score(layer: QgsRasterLayer, written: ChangeWritten) -> None:
    """Style, period and origin of a change score."""
    style_score(layer, written.threshold)
    set_period(layer, written.before_date, written.after_date)
    _describe(layer, _change_origin(written))


def finish_mask(layer: QgsRasterLayer, written: ChangeWritten) -> None:
    style_mask(layer, "Changed")
    set_period(layer, written.before_date, written.after_date)
    _describe(layer, _change_origin(written))


def finish_changes(layer: QgsVectorLayer, written: ChangeWritten) -> None:
    style_changes(layer)
    _describe(layer, _change_origin(written))


def finish_classes(layer: QgsRasterLayer, written: LabelMapWritten, scene: SceneSource | None = None) -> None:
    """Legend, dates and origin of a class raster."""
    style_classes(layer, written.classes)
    _set_dates_of(layer, scene)
    shares = ", ".join(f"{entry.name} {100 * share:.1f} %" for entry, share in zip(written.classes, written.shares))
    _describe(layer, f"Classes: {shares}.", scene)


def finish_confidence(layer: QgsRasterLayer, written: LabelMapWritten, scene: SceneSource | None = None) -> None:
    style_confidence(layer)
    _set_dates_of(layer, scene)
    _describe(layer, "Probability of the class in per cent.", scene)


def _found_origin(written: ExampleFound) -> str:
    return f"{written.procedure} Threshold {written.threshold:.2f}: {100 * written.found_share:.1f} % of the pixels."


def _change_origin(written: ChangeWritten) -> str:
    return (
        f"Change from {written.before_date} to {written.after_date} by {written.method}, "
        f"threshold {written.threshold:.4g}: {100 * written.changed_share:.1f} % changed."
    )


def _set_dates_of(layer: QgsRasterLayer, scene: SceneSource | None) -> None:
    days = sorted(source.date for source in scene.acquisitions if source.date) if scene is not None else []
    if days:
        set_period(layer, days[0], days[-1])


def _describe(layer: QgsMapLayer, abstract: str, scene: SceneSource | None = None) -> None:
    """The layer's metadata: what it is, and what it was made from."""
    metadata = layer.metadata()
    metadata.setTitle(layer.name())
    metadata.setAbstract(abstract)
    for source in scene.acquisitions if scene is not None else ():
        metadata.addHistoryItem(f"Input: {source.name}, {source.sensor}, {source.date or 'no date'}")
    layer.setMetadata(metadata)


def _add(project: QgsProject, group: QgsLayerTreeGroup, layer: QgsMapLayer) -> QgsMapLayer:
    project.addMapLayer(layer, False)
    group.addLayer(layer)
    return layer


def hide(layer: QgsMapLayer, project: QgsProject) -> None:
    """Uncheck a layer in the tree."""
    node = project.layerTreeRoot().findLayer(layer.id())
    if node is not None:
        node.setItemVisibilityChecked(False)
