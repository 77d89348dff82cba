"""Point layers as prompts, and their attributes back onto the polygons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qgis.core import (
    NULL,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeedback,
    QgsField,
    QgsFields,
)
from qgis.PyQt.QtCore import QMetaType

from ..protocol.requests import PointPrompt
from .snapshot import Snapshot
from .sources import LayerError
from .vectors import OWN_OF_GEOPACKAGES, open_polygons, write_polygons

AGAINST = {"0", "false", "no", "n", "negative", "-1", "-"}
_OWN = (
    ("object_id", QMetaType.Type.LongLong),
    ("clicks", QMetaType.Type.Int),
    ("area_m2", QMetaType.Type.Double),
    ("class", QMetaType.Type.QString),
    ("source", QMetaType.Type.QString),
    ("date", QMetaType.Type.QString),
)


def points_of(points: Snapshot, object_field: str = "", positive_field: str = "") -> tuple[PointPrompt, ...]:
    """Every point, in the order of the layer and in its coordinates; features without a geometry are passed over.

    Raises:
        LayerError: a field that names no object.
    """
    prompts = []
    for feature in points.features():
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
    points: Snapshot,
    object_field: str,
    class_field: str,
    image: str,
    date: str | None,
    path: str,
    transforms: QgsCoordinateTransformContext,
    feedback: QgsFeedback,
) -> None:
    """Write the engine's polygons to their place, each with the attributes of its object's first point.

    Args:
        draft: what the engine wrote, with object_id, clicks and area_m2.
        layer_name: its layer.
        points: those that `points_of` was given; a field whose name a polygon has for itself goes behind `point_`.
        object_field: as for `points_of`.
        class_field: field of the points that becomes `class`; empty: a field of that name, if there is one.
        image: name of the layer that was segmented.
        date: its day, None where nobody knows.
        path: file to write, in the format that its name asks for.
        transforms: of the project.
        feedback: asked between the polygons whether to go on.

    Raises:
        LayerError: it cannot be written, or it was cancelled.
    """
    first: dict[int, QgsFeature] = {}
    for feature in points.features():
        if feature.hasGeometry():
            first.setdefault(object_number(feature, object_field), feature)
    class_field = class_field or next((field.name() for field in points.fields if field.name().lower() == "class"), "")
    passed_on = {"object_id": object_field, "class": class_field}  # what a polygon already has from its point
    kept = [
        field
        for field in points.fields
        if field.name().lower() not in OWN_OF_GEOPACKAGES and passed_on.get(field.name().lower()) != field.name()
    ]
    fields = QgsFields()
    for name, kind in _OWN:
        fields.append(QgsField(name, kind))
    for field, name in zip(kept, _free_names([field.name() for field in kept])):
        named = QgsField(field)
        named.setName(name)
        fields.append(named)
    polygons = open_polygons(draft, layer_name)

    def rows() -> Iterable[QgsFeature]:
        for polygon in polygons.getFeatures():
            point = first.get(int(polygon["object_id"]))
            label = point[class_field] if point is not None and class_field else None
            row = QgsFeature(fields)
            row.setGeometry(polygon.geometry())
            known = [polygon["object_id"], polygon["clicks"], polygon["area_m2"], _text(label), image, date]
            row.setAttributes(known + [point[field.name()] if point is not None else None for field in kept])
            yield row

    write_polygons(path, fields, rows(), polygons.crs(), transforms, feedback)


def _free_names(names: Sequence[str]) -> list[str]:
    """The names, each that is one of a polygon's own behind `point_`, as often as it takes to be a new one."""
    own = {name for name, _ in _OWN}
    taken = own | {name.lower() for name in names}
    free = []
    for name in names:
        if name.lower() in own:
            while name.lower() in taken:
                name = f"point_{name}"
            taken.add(name.lower())
        free.append(name)
    return free


def _text(value: object) -> str | None:
    """A class as text: 0 is one, no value is none."""
    return None if value is None or value == NULL or value == "" else str(value)
