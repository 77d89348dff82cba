"""Coordinate reference systems as the protocol says them."""

from __future__ import annotations

from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsMapLayer


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


def assigned_crs(layer: QgsMapLayer) -> str:
    """The CRS that the user gave the layer, as text; empty where it is the file's own."""
    provider = layer.dataProvider()
    return "" if provider is None or layer.crs() == provider.crs() else crs_text(layer.crs())
