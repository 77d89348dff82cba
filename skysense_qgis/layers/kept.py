"""Kept polygons in an editable vector layer: one undo step each."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsVectorLayerUtils,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QMetaType

from .sources import LayerError


@dataclass(frozen=True)
class KeptPolygon:
    """What is known of one kept polygon."""

    wkt: str
    crs: QgsCoordinateReferenceSystem
    class_name: str
    area_m2: float | None
    source: str
    date: str | None
    prompts: int

    @property
    def values(self) -> dict[str, object]:
        """By the names of FIELDS."""
        return {
            "class": self.class_name,
            "area_m2": self.area_m2,
            "source": self.source,
            "date": self.date,
            "prompts": self.prompts,
            "method": METHOD,
        }


FIELDS = (
    ("class", QMetaType.Type.QString),
    ("area_m2", QMetaType.Type.Double),
    ("source", QMetaType.Type.QString),
    ("date", QMetaType.Type.QString),
    ("prompts", QMetaType.Type.Int),
    ("method", QMetaType.Type.QString),
)
METHOD = "SkySense clicks"


def new_layer(crs: QgsCoordinateReferenceSystem, name: str, path: Path | None = None) -> QgsVectorLayer:
    """A layer with the fields of a kept polygon, in edit mode: temporary, or in a GeoPackage beside what that holds.

    Raises:
        LayerError: the file cannot be written, or is there and no GeoPackage.
    """
    if path is None:
        layer = QgsVectorLayer("MultiPolygon", name, "memory")
        layer.setCrs(crs)
        layer.dataProvider().addAttributes(list(_fields()))
        layer.updateFields()
    else:
        table = _write_empty(path, crs)
        layer = QgsVectorLayer(f"{path}|layername={table}", name, "ogr")
    layer.startEditing()
    return layer


def guessed_fields(layer: QgsVectorLayer) -> dict[str, str]:
    """Which field of an existing layer takes which of FIELDS: those of the same name; more may be added."""
    own = {field.name().lower(): field.name() for field in layer.fields()}
    return {name: own[name] for name, _ in FIELDS if name in own}


def keep(
    layer: QgsVectorLayer, polygon: KeptPolygon, class_field: str = "class", field_map: Mapping[str, str] | None = None
) -> None:
    """Add the polygon as one undo step.

    Args:
        layer: a polygon layer; put into edit mode if it is not.
        polygon: what to add; in single-polygon layers each part becomes a feature.
        class_field: field that takes the class.
        field_map: name among FIELDS -> field of the layer. Default: fields of the same name. Others stay empty.

    Raises:
        LayerError: the layer cannot be edited, takes no polygons, refuses this one, or its CRS cannot hold it.
    """
    if layer.geometryType() != Qgis.GeometryType.Polygon:
        raise LayerError(f"{layer.name()} takes no polygons. Choose a polygon layer.")
    if not layer.isEditable() and not layer.startEditing():
        raise LayerError(f"{layer.name()} cannot be edited. Choose another layer or a new one.")
    fields = dict(guessed_fields(layer) if field_map is None else field_map)
    if field_map is None and layer.fields().indexOf(class_field) >= 0:
        fields["class"] = class_field
    attributes = _attributes(layer, {fields[name]: value for name, value in polygon.values.items() if name in fields})
    parts = _parts(layer, polygon)
    layer.beginEditCommand(f"SkySense: {polygon.class_name}")
    for part in parts:
        feature = QgsVectorLayerUtils.createFeature(layer, part, attributes)
        if not layer.addFeature(feature):
            layer.destroyEditCommand()
            raise LayerError(f"{layer.name()} did not take the polygon. Check its fields and constraints.")
    layer.endEditCommand()
    layer.triggerRepaint()


def _parts(layer: QgsVectorLayer, polygon: KeptPolygon) -> list[QgsGeometry]:
    """The polygon in the layer's CRS, as features of the layer's kind."""
    geometry = QgsGeometry.fromWkt(polygon.wkt)
    if polygon.crs.isValid() and layer.crs().isValid() and polygon.crs != layer.crs():
        transform = QgsCoordinateTransform(polygon.crs, layer.crs(), QgsProject.instance().transformContext())
        try:
            geometry.transform(transform)
            fits = geometry.boundingBox().isFinite()  # PROJ gives infinity for some places that a CRS does not know
        except QgsCsException:
            fits = False
        if not fits:
            raise LayerError(
                f"The polygon cannot be expressed in {layer.crs().userFriendlyIdentifier()}, the CRS of {layer.name()}. "
                "Keep it in another layer."
            )
    if QgsWkbTypes.isMultiType(layer.wkbType()):
        return [geometry]
    return [QgsGeometry(part.clone()) for part in geometry.constParts()]


def _attributes(layer: QgsVectorLayer, values: Mapping[str, object]) -> dict[int, object]:
    """Field index -> value as the field stores it; a value that does not fit its field is left out."""
    attributes = {}
    for name, value in values.items():
        index = layer.fields().indexOf(name)
        if index < 0 or value is None:
            continue
        try:
            attributes[index] = layer.fields().at(index).convertCompatible(value)
        except ValueError:  # a class name, say, and a number field
            continue
    return attributes


def _fields() -> QgsFields:
    fields = QgsFields()
    for name, kind in FIELDS:
        fields.append(QgsField(name, kind))
    return fields


def _write_empty(path: Path, crs: QgsCoordinateReferenceSystem) -> str:
    """A new table in a GeoPackage, which is made if it is not there; the table's name."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = path.stem
    if path.exists():
        options.actionOnExistingFile = QgsVectorFileWriter.ActionOnExistingFile.CreateOrOverwriteLayer
        options.layerName = _free_name(path)
    context = QgsProject.instance().transformContext()
    writer = QgsVectorFileWriter.create(str(path), _fields(), QgsWkbTypes.Type.MultiPolygon, crs, context, options)
    if writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
        raise LayerError(f"{path.name} cannot be written: {writer.errorMessage()}. Choose another file.")
    del writer  # closes the file
    return options.layerName


def _free_name(path: Path) -> str:
    """A table's name that the GeoPackage does not have yet: a table of that name would be lost."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            file.execute("SELECT 1 FROM gpkg_contents").fetchall()
            taken = {name.lower() for (name,) in file.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error:
        raise LayerError(f"{path.name} is there already and is no GeoPackage. Choose another file.") from None
    names = (path.stem if number == 1 else f"{path.stem}_{number}" for number in count(1))
    return next(name for name in names if name.lower() not in taken)
