"""Where to work, as the protocol says it: from the map view, a layer, a drawn rectangle or a polygon layer."""

from __future__ import annotations

from collections.abc import Iterable

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsCsException,
    QgsFeature,
    QgsGeometry,
    QgsMapLayer,
    QgsRectangle,
    QgsVectorLayer,
)

from ..protocol.scene_source import Extent
from .sources import LayerError


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """The EPSG code where there is one, else WKT; empty without a CRS.

    The engine knows neither a user's own codes, which lie in the QGIS profile, nor all codes of other authorities: its
    PROJ may be older or newer than that of QGIS, and has dropped many of ESRI's.
    """
    if not crs.isValid():
        return ""
    code = crs.authid()
    return code if code.startswith("EPSG:") else crs.toWkt(Qgis.CrsWktVariant.Preferred)


def crs_from_text(text: str) -> QgsCoordinateReferenceSystem:
    """What `crs_text` gave, or the engine."""
    crs = QgsCoordinateReferenceSystem()
    if text:
        crs.createFromUserInput(text)
    return crs


def extent_from_rectangle(
    rectangle: QgsRectangle, crs: QgsCoordinateReferenceSystem, polygon_wkt: str | None = None
) -> Extent:
    """A rectangle, and the polygon inside it if there is one."""
    return Extent(
        crs=crs_text(crs),
        west=rectangle.xMinimum(),
        south=rectangle.yMinimum(),
        east=rectangle.xMaximum(),
        north=rectangle.yMaximum(),
        polygon_wkt=polygon_wkt,
    )


def extent_on_layer(
    rectangle: QgsRectangle,
    crs: QgsCoordinateReferenceSystem,
    layer: QgsMapLayer,
    transforms: QgsCoordinateTransformContext,
) -> Extent:
    """A rectangle of the map (the visible one, or a drawn one) in the layer's CRS, cut to the layer.

    Raises:
        LayerError: the layer does not lie there.
    """
    box = transformed_box(rectangle, crs, layer.crs(), transforms).intersect(layer.extent())
    if box.isEmpty():
        raise LayerError(f"{layer.name()} does not lie in this part of the map. Choose a part that shows the layer.")
    return extent_from_rectangle(box, layer.crs())


def extent_of_layer(layer: QgsMapLayer) -> Extent:
    """The whole layer, raster or vector, as a rectangle in its own CRS."""
    return extent_from_rectangle(layer.extent(), layer.crs())


def extent_of_polygons(layer: QgsVectorLayer) -> Extent:
    """What the polygons of a layer cover, in its CRS; only the selected ones where some are selected.

    Raises:
        LayerError: it holds no polygons.
    """
    features = layer.getSelectedFeatures() if layer.selectedFeatureCount() else layer.getFeatures()
    return extent_of_features(features, layer.crs(), layer.name())


def extent_of_features(features: Iterable[QgsFeature], crs: QgsCoordinateReferenceSystem, name: str) -> Extent:
    """The union of polygons and the rectangle around it.

    Raises:
        LayerError: there are no polygons.
    """
    shapes = [feature.geometry().makeValid() for feature in features if feature.hasGeometry()]
    union = QgsGeometry.unaryUnion(shapes) if shapes else QgsGeometry()
    if union.isEmpty() or union.type() != Qgis.GeometryType.Polygon:
        raise LayerError(f"{name} holds no polygons. Choose a layer with polygons around the area to work in.")
    union.convertToMultiType()
    return extent_from_rectangle(union.boundingBox(), crs, union.asWkt())


def transformed_box(
    box: QgsRectangle,
    crs: QgsCoordinateReferenceSystem,
    target: QgsCoordinateReferenceSystem,
    transforms: QgsCoordinateTransformContext,
) -> QgsRectangle:
    """The box around the box in another CRS; as it is where one of the two is unknown.

    Raises:
        LayerError: it cannot be transformed.
    """
    if not crs.isValid() or not target.isValid() or crs == target:
        return QgsRectangle(box)
    try:
        return QgsCoordinateTransform(crs, target, transforms).transformBoundingBox(box)
    except QgsCsException:
        raise LayerError(
            f"This part of the map cannot be expressed in {target.userFriendlyIdentifier()}. Zoom in and try again."
        ) from None
