"""Point layers as prompts, and their attributes back onto the polygons."""

from __future__ import annotations

from collections.abc import Iterable

from qgis.core import (
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeatureSource,
    QgsField,
    QgsFields,
)
from qgis.PyQt.QtCore import QMetaType

from ..protocol.requests import PointPrompt
from .sources import LayerError
from .vectors import open_polygons, write_polygons

AGAINST = {"0", "false", "no", "n", "negative", "-1", "-"}
_OWN = (
    ("object_id", QMetaType.Type.LongLong),
    ("clicks", QMetaType.Type.Int),
    ("area_m2", QMetaType.Type.Double),
    ("class", QMetaType.Type.QString),
    ("source", QMetaType.Type.QString),
    ("date", QMetaType.Type.QString),
)


def points_of(source: QgsFeatureSource, object_field: str = "", positive_field: str = "") -> tuple[PointPrompt, ...]:
    """Every point, in the order of the layer and in its coordinates.

    Raises:
        LayerError: a field that names no object.
    """
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
        raise LayerError(
            f"The field {object_field} of a point is {value!r}, a whole number was expected. Choose a number field."
        ) from None


def join_attributes(
    draft: str,
    layer_name: str,
    source: QgsFeatureSource,
    object_field: str,
    class_field: str,
    image: str,
    date: str | None,
    path: str,
    transforms: QgsCoordinateTransformContext,
) -> None:
    """Write the engine's polygons to their place, each with the attributes of its object's first point.

    Args:
        draft: what the engine wrote, with object_id, clicks and area_m2.
        layer_name: its layer.
        source: the points.
        object_field: as for `points_of`.
        class_field: field of the points that becomes `class`; empty: a field of that name, if there is one.
        image: name of the layer that was segmented.
        date: its day, None where nobody knows.
        path: file to write, in the format that its name asks for.
        transforms: of the project.

    Raises:
        LayerError: it cannot be written.
    """
    first: dict[int, QgsFeature] = {}
    for feature in source.getFeatures():
        first.setdefault(object_number(feature, object_field), feature)
    names = {field.name().lower(): field.name() for field in source.fields()}
    class_field = class_field or names.get("class", "")
    own = {name for name, _ in _OWN}
    kept = [field for field in source.fields() if field.name().lower() not in {"fid", "ogc_fid", *own}]
    fields = QgsFields()
    for field in (*(QgsField(name, kind) for name, kind in _OWN), *kept):
        fields.append(field)
    polygons = open_polygons(draft, layer_name)

    def rows() -> Iterable[QgsFeature]:
        for polygon in polygons.getFeatures():
            point = first.get(int(polygon["object_id"]))
            label = str(point[class_field]) if point is not None and class_field and point[class_field] else None
            row = QgsFeature(fields)
            row.setGeometry(polygon.geometry())
            known = [polygon["object_id"], polygon["clicks"], polygon["area_m2"], label, image, date]
            row.setAttributes(known + [point[field.name()] if point is not None else None for field in kept])
            yield row

    write_polygons(path, fields, rows(), polygons.crs(), transforms)
