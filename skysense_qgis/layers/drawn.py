"""Pictures of layers that only QGIS can draw: made before a job, kept in the cache as long as there is room."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qgis.core import QgsMapLayerStyle, QgsMapSettings, QgsRasterLayer

from ..protocol.requests import RasterDescription
from ..protocol.scene_source import AcquisitionSource, BandIndex, Extent, Scaling
from .crs import crs_from_text
from .extents import transformed_box
from .sheet import Sheet, finest, sheet_beside, sheet_for
from .sources import LayerError, file_path, needs_drawing

BANDS = ("R", "G", "B")
LEFT_BEHIND_S = 3600  # a half-drawn picture of that age belongs to a QGIS that is gone


@dataclass(frozen=True)
class Drawing:
    """One layer, and the GeoTIFF that it becomes."""

    layer_id: str
    name: str
    sheet: Sheet
    path: Path

    def acquisition(self, date: str | None) -> AcquisitionSource:
        """What the picture is to the engine: red, green and blue of 8 bits."""
        bands = tuple(BandIndex(band, index) for index, band in enumerate(BANDS, start=1))
        return AcquisitionSource(str(self.path), "hr", bands, Scaling(1 / 255), date, self.name)


def drawings_for(
    layers: Sequence[QgsRasterLayer],
    descriptions: Mapping[str, RasterDescription],
    extent: Extent | None,
    view: QgsMapSettings,
    folder: Path,
) -> dict[str, Drawing]:
    """What has to be drawn before a job on these layers, by layer id: as finely as the finest file among them, else as
    the map view.

    Args:
        layers: of one scene.
        descriptions: of its files, by path.
        extent: where to work; None for all of the files.
        view: of the map.
        folder: for the pictures.

    Raises:
        LayerError: neither files nor an extent say where, or it is too much to draw.
    """
    drawn = [layer for layer in layers if needs_drawing(layer)]
    if not drawn:
        return {}
    paths = [file_path(layer) for layer in layers if not needs_drawing(layer)]
    beside = finest(descriptions[path] for path in paths if path in descriptions)
    if beside is not None:
        sheet = sheet_beside(beside, extent, None, view.transformContext())
    elif extent is None:
        raise LayerError(
            f"{drawn[0].name()} is drawn by QGIS and has no edges. Choose an area below: what the map shows, or a rectangle."
        )
    else:
        seen = transformed_box(
            view.visibleExtent(), view.destinationCrs(), crs_from_text(extent.crs), view.transformContext()
        )
        sheet = sheet_for(extent, seen.width() / max(view.outputSize().width(), 1))
    return {layer.id(): drawing_of(layer, sheet, folder) for layer in drawn}


def drawing_of(layer: QgsRasterLayer, sheet: Sheet, folder: Path) -> Drawing:
    """Where the picture of a layer lies. The same source, style, place and day give the same file: a second job on it
    draws nothing, and what a service shows tomorrow is drawn tomorrow."""
    style = QgsMapLayerStyle()
    style.readFromLayer(layer)
    box = (sheet.crs.toWkt(), sheet.west, sheet.north, sheet.pixel, sheet.width, sheet.height)
    day = datetime.now(UTC).date().isoformat()
    told = repr((layer.providerType(), layer.source(), style.xmlData(), box, day))
    return Drawing(layer.id(), layer.name(), sheet, folder / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}.tif")


def make_room(folder: Path, limit_bytes: int, kept: set[Path]) -> None:
    """Remove the pictures that were not used for longest until the others fit into the limit.

    Args:
        folder: of the pictures.
        limit_bytes: for all of them.
        kept: pictures of the job at hand; they stay whatever their size.
    """
    found = []
    with suppress(OSError):
        for path in folder.glob("*.tif"):
            half_done = path.name.endswith(".part.tif")
            if half_done and time.time() - path.stat().st_mtime > LEFT_BEHIND_S:
                path.unlink()
            elif not half_done and path not in kept:
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= limit_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
