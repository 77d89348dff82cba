"""Files on the command line -> a SceneSource, by the same guesses that the plugin shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date as calendar_date

from skysense.errors import BandError, DateError, RequestError
from skysense.jobs.describe import describe
from skysense.protocol.bands import parse_bands
from skysense.protocol.requests import RasterDescription
from skysense.protocol.scene_source import AcquisitionSource, Extent, SceneSource
from skysense.protocol.sensors import SENSORS
from skysense.protocol.source import acquisition

GUESSED = "-"


def scene_from_files(
    files: Sequence[str], dates: Sequence[str] = (), sensors: Sequence[str] = (), extent: Extent | None = None,
    bands: Sequence[str] = (),
) -> SceneSource:  # fmt: skip
    """One acquisition a file.

    Args:
        files: rasters of one place.
        dates: one a file, "-" for the guess; empty: all guessed.
        sensors: likewise.
        extent: where to work.
        bands: one a file, like "R=1 G=2 B=3", "-" for the guess; empty: all guessed.

    Raises:
        RequestError: as many dates, sensors or band mappings as files were expected.
        BandError: a file whose sensor cannot be guessed, bands that do not exist.
        DateError: a date that is no day.
    """
    for what, values in (("dates", dates), ("sensors", sensors), ("bands", bands)):
        if values and len(values) != len(files):
            raise RequestError(f"{len(files)} files but {len(values)} {what}.", f"Give one of the {what} a file; - is guessed.")
    acquisitions = []
    for i, file in enumerate(files):
        sensor = sensors[i] if sensors and sensors[i] != GUESSED else None
        date = _day(dates[i]) if dates and dates[i] != GUESSED else None
        mapping = bands[i] if bands and bands[i] != GUESSED else None
        acquisitions.append(_acquisition(describe(file), sensor, date, mapping))
    return SceneSource(tuple(acquisitions), extent)


def _day(text: str) -> str:
    """The day as requests write it, YYYY-MM-DD; 20200131 is taken too."""
    try:
        return calendar_date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise DateError(f"{text!r} is no date.", "Write it as YYYY-MM-DD; - is guessed.") from error


def _acquisition(
    description: RasterDescription, sensor: str | None, date: str | None, bands: str | None
) -> AcquisitionSource:
    if sensor is not None and sensor not in SENSORS:
        raise BandError(f"There is no sensor {sensor!r}.", f"Choose one of {', '.join(SENSORS)}.")
    if sensor is None and description.sensor is None:
        raise BandError(f"The sensor of {description.path} cannot be told from its bands.", "Name it with --sensors.")
    source = acquisition(description, sensor=sensor, date=date)
    if bands is None:
        return source
    try:
        return replace(source, bands=parse_bands(bands, source.sensor, description.count))
    except ValueError as error:
        raise BandError(f"{source.name}: {error}", "Correct it under --bands.") from None
