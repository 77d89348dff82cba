"""Vector files from one format into another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFields,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

from .sources import LayerError

_OWN_OF_GEOPACKAGES = ("fid", "ogc_fid")  # kept, they make rows fail or double in the next file


def open_polygons(path: str, layer_name: str | None = None) -> QgsVectorLayer:
    """A vector file that the engine wrote.

    Raises:
        LayerError: it cannot be opened.
    """
    layer = QgsVectorLayer(f"{path}|layername={layer_name}" if layer_name else path, Path(path).stem, "ogr")
    if not layer.isValid():
        raise LayerError(f"The polygons that the engine wrote cannot be opened: {path}. Try again with another output.")
    return layer


def write_polygons(
    path: str,
    fields: QgsFields,
    features: Iterable[QgsFeature],
    crs: QgsCoordinateReferenceSystem,
    transforms: QgsCoordinateTransformContext,
) -> None:
    """Write multipolygons in the format that the file's name asks for.

    Raises:
        LayerError: they cannot be written there.
    """
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = QgsVectorFileWriter.driverForExtension(Path(path).suffix) or "GPKG"
    options.layerName = Path(path).stem
    writer = QgsVectorFileWriter.create(path, fields, QgsWkbTypes.Type.MultiPolygon, crs, transforms, options)
    if writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
        raise LayerError(f"{Path(path).name} cannot be written: {writer.errorMessage()}. Choose another file.")
    for feature in features:
        if not writer.addFeature(feature):
            raise LayerError(f"{Path(path).name} cannot be written: {writer.errorMessage()}. Choose another file.")
    if not writer.flushBuffer():
        raise LayerError(f"{Path(path).name} cannot be written: {writer.errorMessage()}. Check free space.")


def convert(draft: str, path: str, transforms: QgsCoordinateTransformContext) -> None:
    """Copy the polygons of the engine's GeoPackage into the file that was asked for."""
    layer = open_polygons(draft)
    kept = [i for i, field in enumerate(layer.fields()) if field.name().lower() not in _OWN_OF_GEOPACKAGES]
    fields = QgsFields()
    for index in kept:
        fields.append(layer.fields().at(index))

    def features() -> Iterable[QgsFeature]:
        for source in layer.getFeatures():
            feature = QgsFeature(fields)
            feature.setGeometry(source.geometry())
            feature.setAttributes([source.attributes()[index] for index in kept])
            yield feature

    write_polygons(path, fields, features(), layer.crs(), transforms)
