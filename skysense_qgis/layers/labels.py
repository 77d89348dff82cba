"""Polygon layers as files that the engine can read."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsFeedback,
    QgsProcessingContext,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsVectorLayer,
)

from .snapshot import Snapshot
from .vectors import copy_polygons


def labels_file(layer: QgsVectorLayer, context: QgsProcessingContext | None = None) -> tuple[str, str | None]:
    """Path and layer name. Layers that are no file, filtered, edited or with joined fields are saved as they are now.

    Raises:
        LayerError: it cannot be saved.
    """
    return own_file(layer) or save_labels(Snapshot(layer), context or QgsProcessingContext(), QgsFeedback())


def own_file(layer: QgsVectorLayer) -> tuple[str, str | None] | None:
    """Path and layer name of the layer's file; None where that does not hold what the layer shows."""
    changed = layer.subsetString() or layer.isModified() or any(
        layer.fields().fieldOrigin(i) != Qgis.FieldOrigin.Provider for i in range(layer.fields().count())
    )
    if layer.providerType() == "ogr" and not changed:
        parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
        path = str(parts.get("path", ""))
        if path and not path.startswith("/vsi"):
            return path, str(parts["layerName"]) if parts.get("layerName") else None
    return None


def save_labels(labels: Snapshot, context: QgsProcessingContext, feedback: QgsFeedback) -> tuple[str, str]:
    """Path and layer name of a GeoPackage with these labels.

    Raises:
        LayerError: it cannot be written, or it was cancelled.
    """
    path = QgsProcessingUtils.generateTempFilename("labels.gpkg", context)
    copy_polygons(path, labels.fields, labels.features(), labels.crs, context.transformContext(), feedback)
    return path, "labels"
