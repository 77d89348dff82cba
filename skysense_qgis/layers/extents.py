"""Where to work, as the protocol says it."""

from __future__ import annotations

from qgis.core import QgsCoordinateReferenceSystem, QgsRectangle

from ..protocol.scene_source import Extent


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """Authority code where there is one, else WKT; empty without a CRS."""
    if not crs.isValid():
        return ""
    return crs.authid() or crs.toWkt()


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
