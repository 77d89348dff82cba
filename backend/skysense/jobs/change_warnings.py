"""What a change map depends on, said before anybody trusts it: dates, units, seasons, grids."""

from __future__ import annotations

from datetime import date

from skysense.errors import DateError, RequestError
from skysense.protocol.requests import DetectChange
from skysense.protocol.scene_source import AcquisitionSource, SceneSource
from skysense.protocol.sensors import SENSORS
from skysense.scene.read import SceneReader, day_of_year

SEASON_DAYS = 45  # the sun's path and most plants look alike within this


def check_dates(before: SceneSource, after: SceneSource) -> tuple[str, str]:
    """The last day before and the first day after.

    Raises:
        DateError: an acquisition without a date, or with an impossible one.
        RequestError: no acquisitions, or `before` does not lie before `after`.
    """
    for which, scene in (("before", before), ("after", after)):
        if not scene.acquisitions:
            raise RequestError(f"There is no layer for the date {which}.", "Choose at least one layer for each date.")
        for acquisition in scene.acquisitions:
            day_of_year(acquisition)
            if acquisition.date is None:
                raise DateError(
                    f"{acquisition.name or acquisition.path} has no date.",
                    "Say the day of its acquisition: in the scene table, under Dates in Processing, or by --before-dates and "
                    "--after-dates in the shell. Change is always between two dates.",
                )
    last = max(_day(acquisition) for acquisition in before.acquisitions)
    first = min(_day(acquisition) for acquisition in after.acquisitions)
    if last >= first:
        raise RequestError(
            f"The image before is of {last}, the image after of {first}: they are not in this order.",
            "Swap the two dates, or correct them.",
        )
    return last, first


def _day(acquisition: AcquisitionSource) -> str:
    """YYYY-MM-DD, which sorts by time, however the request wrote it."""
    return date.fromisoformat(acquisition.date or "").isoformat()


def stored_alike(before: SceneSource, after: SceneSource, sensor: str) -> bool:
    """Whether the sensor's values of both dates are in the same units."""
    return len({_unit(acquisition) for acquisition in _of(sensor, before, after)}) == 1


def warnings_for(request: DetectChange, scene: SceneReader, methods: list[str], threshold: float) -> list[str]:
    """One sentence for each thing that can be taken for change."""
    said = []
    sensors = sorted({acquisition.sensor for acquisition in (*request.before.acquisitions, *request.after.acquisitions)})
    if "landsat" in sensors and "s2" in sensors:
        said.append("Landsat is compared with Sentinel-2: their bands differ a little, and so do all their pixels.")
    systems = {reader.dataset.crs for reader in scene.readers}
    if len(systems) > 1:
        names = " and ".join(sorted(str(system) for system in systems))
        said.append(f"The layers lie in different coordinate systems ({names}): they were resampled to one grid.")
    sizes = {round(abs(reader.dataset.transform.a), 9) for reader in scene.readers} if len(systems) == 1 else set()
    if len(sizes) > 1:
        said.append("The layers differ in pixel size: they are compared at the coarser one.")
    for sensor in SENSORS:
        if sensor != "s1" and not stored_alike(request.before, request.after, sensor) and _of(sensor, request.before, request.after):
            said.append(
                f"The two dates of {SENSORS[sensor].label} are stored in different units: each was standardised by "
                "itself, and change of large areas may be taken for light."
            )
    apart = _days_apart_in_year(request)
    if apart > SEASON_DAYS:
        said.append(f"The dates lie {apart} days apart in the year: season, sun and shadow count as change.")
    if request.threshold is None and "deep-features" not in methods:
        said.append("The threshold always finds something: no rule can tell change from none here. Compare with the images.")
    if "deep-features" in methods:
        said.append("Every change of the surface counts. For one kind of object, apply a trained model to both dates.")
    if methods == ["change-vector", "log-ratio"]:
        said.append("Of the radar, only falling backscatter is counted, as by new open water or cleared forest.")
    return said


def _of(sensor: str, *scenes: SceneSource) -> list[AcquisitionSource]:
    keys = ("s2", "landsat") if sensor == "s2" else (sensor,)
    return [acquisition for scene in scenes for acquisition in scene.acquisitions if acquisition.sensor in keys]


def _unit(acquisition: AcquisitionSource) -> str:
    """Radar is decibel in any case. Pictures have a scale of their own; products are reflectance whatever theirs."""
    scale = acquisition.scaling.scale
    if acquisition.sensor == "s1":
        return "decibel"
    if acquisition.sensor == "hr" or abs(255 * scale - 1) < 0.01:
        return f"picture {scale:.4g}"
    return "reflectance"


def _days_apart_in_year(request: DetectChange) -> int:
    """The least distance of the two dates' days in the year, over the turn of the year if that is shorter."""
    last, first = check_dates(request.before, request.after)
    days = abs(date.fromisoformat(last).timetuple().tm_yday - date.fromisoformat(first).timetuple().tm_yday)
    return min(days, 366 - days)
