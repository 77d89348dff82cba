"""Coordinate reference systems as the protocol says them."""

from __future__ import annotations

from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsMapLayer


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """The code of an authority, else WKT: a user's own codes are known to this profile alone. Empty without a CRS."""
    if not crs.isValid():
        return ""
    code = crs.authid()
    return code if code and not code.startswith("USER:") else crs.toWkt(Qgis.CrsWktVariant.Preferred)


def crs_from_text(text: str) -> QgsCoordinateReferenceSystem:
    """What `crs_text` gave, or the engine."""
    crs = QgsCoordinateReferenceSystem()
    if text:
        crs.createFromUserInput(text)
    return crs


def assigned_crs(layer: QgsMapLayer) -> str:
    """The CRS that the user gave the layer, as text; empty where it is the file's own."""
    provider = layer.dataProvider()
    return "" if provider is None or layer.crs() == provider.crs() else crs_text(layer.crs())
