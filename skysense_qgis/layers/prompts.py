"""Point layers as prompts, and their attributes back onto the polygons."""

from __future__ import annotations

from qgis.core import (
    NULL,
    QgsFeature,
    QgsFeatureSource,
    QgsField,
    QgsFields,
    QgsProcessingContext,
    QgsProcessingException,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QMetaType

from ..protocol.requests import PointPrompt

AGAINST = {"0", "false", "no", "n", "negative", "-1", "-"}
OWN = ("object_id", "clicks", "area_m2", "source")


def points_of(source: QgsFeatureSource, object_field: str = "", positive_field: str = "") -> tuple[PointPrompt, ...]:
    """Every point, in the order of the layer."""
    prompts = []
    for feature in source.getFeatures():
        if not feature.hasGeometry():
            continue
        number = object_number(feature, object_field)
        positive = not positive_field or str(feature[positive_field]).strip().lower() not in AGAINST
        for vertex in feature.geometry().vertices():
            prompts.append(PointPrompt(number, vertex.x(), vertex.y(), positive))
    return tuple(prompts)


def object_number(feature: QgsFeature, object_field: str) -> int:
    """The object that a point belongs to: its field, or the feature itself."""
    if not object_field:
        return feature.id()
    value = feature[object_field]
    try:
        return int(value)
    except (TypeError, ValueError):
        raise QgsProcessingException(
            f"The field {object_field} of a point is {value!r}, a whole number was expected. Choose a number field."
        ) from None


def join_attributes(
    draft: str,
    layer_name: str,
    source: QgsFeatureSource,
    object_field: str,
    image: str,
    path: str,
    context: QgsProcessingContext,
) -> None:
    """Write the polygons of `draft` to `path`, each with the attributes of its first point."""
    first: dict[int, QgsFeature] = {}
    for feature in source.getFeatures():
        first.setdefault(object_number(feature, object_field), feature)
    polygons = QgsVectorLayer(f"{draft}|layername={layer_name}", "objects", "ogr")
    if not polygons.isValid():
        raise QgsProcessingException(f"The polygons that the engine wrote cannot be opened: {draft}.")
    kept = [field for field in source.fields() if field.name().lower() not in ("fid", "ogc_fid", *OWN)]
    fields = QgsFields()
    for field in (
        QgsField("object_id", QMetaType.Type.LongLong),
        QgsField("clicks", QMetaType.Type.Int),
        QgsField("area_m2", QMetaType.Type.Double),
        QgsField("source", QMetaType.Type.QString),
        *kept,
    ):
        fields.append(field)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = QgsVectorFileWriter.driverForExtension(path.rsplit(".", 1)[-1]) or "GPKG"
    writer = QgsVectorFileWriter.create(
        path, fields, QgsWkbTypes.Type.MultiPolygon, polygons.crs(), context.transformContext(), options
    )
    if writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
        raise QgsProcessingException(f"The output cannot be written: {writer.errorMessage()}. Choose another file.")
    for polygon in polygons.getFeatures():
        point = first.get(int(polygon["object_id"]))
        row = QgsFeature(fields)
        row.setGeometry(polygon.geometry())
        own = [polygon["object_id"], polygon["clicks"], polygon["area_m2"], image]
        row.setAttributes(own + [point[field.name()] if point is not None else NULL for field in kept])
        if not writer.addFeature(row):
            raise QgsProcessingException(f"The output cannot be written: {writer.errorMessage()}. Choose another file.")
    del writer
