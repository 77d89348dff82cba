"""Where to work, as the protocol says it: from the map view, a layer, a drawn rectangle or a polygon layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
from .crs import crs_text
from .sources import LayerError

LARGEST_AREA_CORNERS = 15_000  # united in a fifth of a second


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


def extent_of_layer(layer: QgsMapLayer) -> Extent:
    """The whole layer, raster or vector, as a rectangle in its own CRS."""
    return extent_from_rectangle(layer.extent(), layer.crs())


def extent_of_polygons(layer: QgsVectorLayer) -> Extent:
    """What the polygons of a layer cover, in its CRS; only the selected ones where some are selected.

    Raises:
        LayerError: it holds no polygons, or so many that QGIS would stand still meanwhile.
    """
    features = layer.getSelectedFeatures() if layer.selectedFeatureCount() else layer.getFeatures()
    return extent_of_features(_few(features, layer.name()), layer.crs(), layer.name())


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


def _few(features: Iterable[QgsFeature], name: str) -> Iterator[QgsFeature]:
    """The same features, as long as they have few corners in all."""
    corners = 0
    for feature in features:
        corners += feature.geometry().constGet().nCoordinates() if feature.hasGeometry() else 0
        if corners > LARGEST_AREA_CORNERS:
            raise LayerError(
                f"The polygons of {name} have more than {LARGEST_AREA_CORNERS} corners. Select a few of them, or dissolve and "
                "simplify the layer; the algorithms in the Processing toolbox take it as it is."
            )
        yield feature


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
