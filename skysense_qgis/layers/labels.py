"""Polygon layers as files that the engine can read."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from .sources import LayerError


def labels_file(layer: QgsVectorLayer, context: QgsProcessingContext | None = None) -> tuple[str, str | None]:
    """Path and layer name. Layers that are no file, filtered, edited or with joined fields are saved as they are now.

    Raises:
        LayerError: it cannot be saved.
    """
    changed = layer.subsetString() or layer.isModified() or any(
        layer.fields().fieldOrigin(i) != Qgis.FieldOrigin.Provider for i in range(layer.fields().count())
    )
    if layer.providerType() == "ogr" and not changed:
        parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
        path = str(parts.get("path", ""))
        if path and not path.startswith("/vsi"):
            return path, str(parts["layerName"]) if parts.get("layerName") else None
    path = QgsProcessingUtils.generateTempFilename("labels.gpkg", context)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = "labels"
    options.attributes = [i for i, field in enumerate(layer.fields()) if field.name().lower() != "fid"]
    transform_context = context.transformContext() if context is not None else layer.transformContext()
    error, message, _, _ = QgsVectorFileWriter.writeAsVectorFormatV3(layer, path, transform_context, options)
    if error != QgsVectorFileWriter.WriterError.NoError:
        raise LayerError(f"{layer.name()} cannot be saved for the engine: {message}. Check free space.")
    return path, "labels"
