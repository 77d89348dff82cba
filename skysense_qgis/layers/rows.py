"""Rows of the scene table: which layers make up the scene, and what the user corrected. The project remembers them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from math import isfinite

from qgis.core import QgsProject, QgsRasterLayer

from ..protocol.requests import RasterDescription
from ..protocol.scene_source import AcquisitionSource, BandIndex, Extent, Scaling, SceneSource
from ..protocol.sensors import SENSORS
from ..protocol.source import acquisition
from .crs import assigned_crs
from .dates import date_of_layer
from .drawn import Drawing
from .sources import LayerError, file_path

_SCOPE, _KEY = "skysense", "scene"


@dataclass(frozen=True)
class SceneRow:
    """One layer and what the user said of it; empty fields leave it to the guess."""

    layer_id: str
    sensor: str = ""
    date: str = ""
    bands: tuple[BandIndex, ...] = ()
    scaling: Scaling | None = None


# -- in the project file ---------------------------------------------------------------------------------------------
def row_to_plain(row: SceneRow) -> dict[str, object]:
    """JSON values."""
    return asdict(row)


def row_from_plain(plain: object) -> SceneRow | None:
    """What `row_to_plain` gave. What makes no sense is left to the guess; None where no layer is named."""
    if not isinstance(plain, dict) or not isinstance(plain.get("layer_id"), str):
        return None
    sensor, day = plain.get("sensor"), plain.get("date")
    sensor = sensor if isinstance(sensor, str) and sensor in SENSORS else ""
    return SceneRow(
        plain["layer_id"], sensor, day if _is_day(day) else "", _bands(plain.get("bands"), sensor), _scaling(plain.get("scaling"))
    )


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _bands(plain: object, sensor: str) -> tuple[BandIndex, ...]:
    """All of them, or none where one is wrong: a mapping is right as a whole."""
    sensors = [SENSORS[sensor]] if sensor else SENSORS.values()
    names = {name for entry in sensors for name in entry.band_names}
    bands = []
    for entry in plain if isinstance(plain, list) else ():
        name, index = (entry.get("band"), entry.get("index")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or name not in names or type(index) is not int or index < 1:
            return ()
        bands.append(BandIndex(name, index))
    return tuple(bands)


def _scaling(plain: object) -> Scaling | None:
    if not isinstance(plain, dict):
        return None
    scale, offset, decibel = plain.get("scale"), plain.get("offset"), plain.get("decibel")
    numbers = [value for value in (scale, offset) if type(value) in (int, float) and isfinite(value)]
    if len(numbers) < 2 or not scale or not isinstance(decibel, bool):
        return None
    return Scaling(float(scale), float(offset), decibel)


def load_rows(project: QgsProject) -> list[SceneRow]:
    """Those of the project's rows whose layers are still there."""
    text, _ = project.readEntry(_SCOPE, _KEY, "[]")
    try:
        plain = json.loads(text)
    except ValueError:
        return []
    rows = [row_from_plain(entry) for entry in plain] if isinstance(plain, list) else []
    return [row for row in rows if row is not None and isinstance(project.mapLayer(row.layer_id), QgsRasterLayer)]


def save_rows(project: QgsProject, rows: list[SceneRow]) -> None:
    project.writeEntry(_SCOPE, _KEY, json.dumps([row_to_plain(row) for row in rows]))


# -- what the user corrects ------------------------------------------------------------------------------------------
def with_sensor(row: SceneRow, sensor: str) -> SceneRow:
    """The row with another sensor; bands and scaling of the old one make no sense any more."""
    return row if sensor == row.sensor else replace(row, sensor=sensor, bands=(), scaling=None)


def with_date(row: SceneRow, text: str) -> SceneRow:
    """The row with a date as the user wrote it.

    Raises:
        LayerError: no day of the calendar.
    """
    text = text.strip()
    if text:
        try:
            text = date.fromisoformat(text).isoformat()
        except ValueError:
            raise LayerError(f"“{text}” is no day. Write year-month-day, for instance 2024-02-29.") from None
    return replace(row, date=text)


# -- the scene -------------------------------------------------------------------------------------------------------
def acquisition_of(row: SceneRow, description: RasterDescription, project: QgsProject) -> AcquisitionSource | None:
    """What the row stands for: the user's word, else the layer's own date, else the guess. None without a sensor."""
    layer = project.mapLayer(row.layer_id)
    if layer is None or not (row.sensor or description.sensor):
        return None
    source = acquisition(description, row.sensor or None, row.date or date_of_layer(layer), layer.name())
    source = replace(source, crs=assigned_crs(layer))
    if row.bands:
        source = replace(source, bands=row.bands)
    if row.scaling is not None:
        source = replace(source, scaling=row.scaling)
    return source


def scene_of(
    rows: list[SceneRow],
    descriptions: Mapping[str, RasterDescription],
    project: QgsProject,
    extent: Extent | None,
    drawings: Mapping[str, Drawing] | None = None,
    dates_needed: bool = False,
) -> SceneSource:
    """The scene of these rows.

    Args:
        rows: at least one.
        descriptions: of their files, by path.
        project: where the layers are.
        extent: where to work; None for all.
        drawings: by layer id, of layers that are no files.
        dates_needed: whether the job makes no sense without dates.

    Raises:
        LayerError: no rows, a layer that is no file, one whose sensor is not known, or a date that is missing.
    """
    if not rows:
        raise LayerError("The scene is empty. Add a layer to the table at the top.")
    acquisitions = []
    for row in rows:
        layer = project.mapLayer(row.layer_id)
        if drawings is not None and row.layer_id in drawings:
            source = drawings[row.layer_id].acquisition(row.date or date_of_layer(layer))
        else:
            path = file_path(layer)
            if path not in descriptions:
                raise LayerError(f"{layer.name()} is still being read. Try again in a moment.")
            source = acquisition_of(row, descriptions[path], project)
        if source is None:
            raise LayerError(f"The sensor of {layer.name()} is not known. Choose it in the scene table.")
        if not source.bands:
            raise LayerError(
                f"None of the bands of {layer.name()} is known to be one of {SENSORS[source.sensor].label}. "
                "Name them in the scene table."
            )
        if dates_needed and source.date is None:
            raise LayerError(f"The date of {layer.name()} is not known. Write it into the scene table.")
        acquisitions.append(source)
    return SceneSource(tuple(acquisitions), extent)
