"""Raster layers as files that the engine can read."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsMapLayer, QgsProviderRegistry, QgsRasterLayer


class LayerError(Exception):
    """A layer cannot be used; the text says what to do."""


def is_file_layer(layer: QgsMapLayer | None) -> bool:
    """Whether the layer is a raster file on this computer (not WMS, XYZ, virtual, in memory, remote)."""
    try:
        file_path(layer)
    except LayerError:
        return False
    return True


def needs_drawing(layer: QgsMapLayer | None) -> bool:
    """Whether the layer is a picture that only QGIS can draw: WMS, XYZ, WCS, virtual, in memory."""
    return isinstance(layer, QgsRasterLayer) and layer.providerType() != "gdal"


def file_path(layer: QgsMapLayer | None) -> str:
    """The layer's file.

    Raises:
        LayerError: no raster, or not a local file.
    """
    if not isinstance(layer, QgsRasterLayer):
        raise LayerError("This is no raster layer. Choose a raster.")
    if layer.providerType() != "gdal":
        raise LayerError(
            f"{layer.name()} is drawn by QGIS ({layer.providerType()}) and is no file. "
            "Save it as a GeoTIFF (Export > Save as), then use that."
        )
    parts = QgsProviderRegistry.instance().decodeUri("gdal", layer.source())
    path = str(parts.get("path") or layer.source())
    if parts.get("vsiPrefix") or path.startswith("/vsi") or "://" in path:
        raise LayerError(f"{layer.name()} lies in an archive or on a server. Save it as a GeoTIFF on this computer.")
    if parts.get("layerName") or not Path(path).is_absolute():
        raise LayerError(
            f"{layer.name()} is one of several rasters in a file. Save it as a GeoTIFF (Export > Save as), then use that."
        )
    if not Path(path).is_file():
        raise LayerError(f"The file of {layer.name()} is not there: {path}. Repair the layer's source.")
    return path
