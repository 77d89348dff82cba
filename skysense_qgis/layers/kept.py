"""Kept polygons in an editable vector layer: one undo step each."""

from __future__ import annotations

from dataclasses import dataclass

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsField,
    QgsGeometry,
    QgsProject,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QMetaType

from .sources import LayerError


@dataclass(frozen=True)
class KeptPolygon:
    """What is known of one kept polygon; field names are those of a new layer."""

    wkt: str
    crs: QgsCoordinateReferenceSystem
    class_name: str
    area_m2: float | None
    source: str
    date: str | None
    prompts: int


FIELDS = (
    ("class", QMetaType.Type.QString),
    ("area_m2", QMetaType.Type.Double),
    ("source", QMetaType.Type.QString),
    ("date", QMetaType.Type.QString),
    ("prompts", QMetaType.Type.Int),
)


def new_layer(crs: QgsCoordinateReferenceSystem, name: str) -> QgsVectorLayer:
    """A temporary layer with the fields of a kept polygon, in edit mode."""
    layer = QgsVectorLayer("MultiPolygon", name, "memory")
    layer.setCrs(crs)
    layer.dataProvider().addAttributes([QgsField(field, kind) for field, kind in FIELDS])
    layer.updateFields()
    layer.startEditing()
    return layer


def keep(layer: QgsVectorLayer, polygon: KeptPolygon, class_field: str = "class") -> None:
    """Add the polygon as one undo step; fields that the layer does not have are left out.

    Raises:
        LayerError: the layer cannot be edited or takes no polygons.
    """
    if layer.geometryType() != Qgis.GeometryType.Polygon:
        raise LayerError(f"{layer.name()} takes no polygons. Choose a polygon layer.")
    if not layer.isEditable() and not layer.startEditing():
        raise LayerError(f"{layer.name()} cannot be edited. Choose another layer or a new one.")
    geometry = QgsGeometry.fromWkt(polygon.wkt)
    if polygon.crs.isValid() and layer.crs().isValid() and polygon.crs != layer.crs():
        geometry.transform(QgsCoordinateTransform(polygon.crs, layer.crs(), QgsProject.instance().transformContext()))
    if not QgsWkbTypes.isMultiType(layer.wkbType()):
        parts = [QgsGeometry(part.clone()) for part in geometry.constParts()]
    else:
        parts = [geometry]
    values = {
        class_field: polygon.class_name,
        "area_m2": polygon.area_m2,
        "source": polygon.source,
        "date": polygon.date,
        "prompts": polygon.prompts,
    }
    layer.beginEditCommand(f"SkySense: {polygon.class_name}")
    for part in parts:
        feature = QgsFeature(layer.fields())
        feature.setGeometry(part)
        for name, value in values.items():
            if layer.fields().indexOf(name) >= 0:
                feature[name] = value
        if not layer.addFeature(feature):
            layer.destroyEditCommand()
            raise LayerError(f"{layer.name()} did not take the polygon. Check its fields and constraints.")
    layer.endEditCommand()
    layer.triggerRepaint()
