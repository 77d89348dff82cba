"""Rows of the scene table: which layers make up the scene, and what the user corrected. The project remembers them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from qgis.core import QgsProject

from ..protocol.requests import RasterDescription
from ..protocol.scene_source import AcquisitionSource, Extent, SceneSource
from ..protocol.source import acquisition
from .dates import date_of_layer
from .sources import LayerError, file_path

_SCOPE, _KEY = "skysense", "scene"


@dataclass(frozen=True)
class SceneRow:
    """One layer; empty fields leave it to the guess."""

    layer_id: str
    sensor: str = ""
    date: str = ""


def load_rows(project: QgsProject) -> list[SceneRow]:
    """Those of the project's rows whose layers are still there."""
    text, _ = project.readEntry(_SCOPE, _KEY, "[]")
    try:
        rows = [SceneRow(**entry) for entry in json.loads(text)]
    except (ValueError, TypeError):
        return []
    return [row for row in rows if project.mapLayer(row.layer_id) is not None]


def save_rows(project: QgsProject, rows: list[SceneRow]) -> None:
    project.writeEntry(_SCOPE, _KEY, json.dumps([asdict(row) for row in rows]))


def acquisition_of(row: SceneRow, description: RasterDescription, project: QgsProject) -> AcquisitionSource | None:
    """What the row stands for: the user's word, else the layer's own date, else the guess. None without a sensor."""
    layer = project.mapLayer(row.layer_id)
    if layer is None or not (row.sensor or description.sensor):
        return None
    return acquisition(description, row.sensor or None, row.date or date_of_layer(layer), layer.name())


def with_date(row: SceneRow, text: str) -> SceneRow:
    """The row with a date as the user wrote it.

    Raises:
        LayerError: no day of the calendar.
    """
    from datetime import date

    text = text.strip()
    if text:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise LayerError(f"“{text}” is no day. Write year-month-day, for instance 2024-02-29.") from None
    return replace(row, date=text)


def scene_of(
    rows: list[SceneRow], descriptions: dict[str, RasterDescription], project: QgsProject, extent: Extent | None
) -> SceneSource:
    """The scene of these rows.

    Raises:
        LayerError: no rows, a layer that is no file, or one whose sensor is not known.
    """
    if not rows:
        raise LayerError("The scene is empty. Add a layer to the table at the top.")
    acquisitions = []
    for row in rows:
        layer = project.mapLayer(row.layer_id)
        path = file_path(layer)
        if path not in descriptions:
            raise LayerError(f"{layer.name()} is still being read. Try again in a moment.")
        source = acquisition_of(row, descriptions[path], project)
        if source is None:
            raise LayerError(f"The sensor of {layer.name()} is not known. Choose it in the scene table.")
        acquisitions.append(source)
    return SceneSource(tuple(acquisitions), extent)
