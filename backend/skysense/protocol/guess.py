"""What a raster probably is, from its names and tags: sensor, bands, scaling and date, each with its reason.

Everything here is shown to the user and can be changed; nothing is made up. A date that neither a tag nor the file's
name tells stays None: never today's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from .scene_source import BandIndex, Scaling
from .sensors import SENSORS, Sensor

BYTE_SCALE = 1.0 / 255.0
S2_SCALE = 1e-4
# Products of processing baseline 04.00 and later, in use since 2022-01-25, store reflectance + 0.1 (ESA).
S2_OFFSET_SINCE = "2022-01-25"
S2_OFFSET = -0.1
BASELINE_TAG = "PROCESSING_BASELINE"
LANDSAT_C2_SCALING = Scaling(2.75e-5, -0.2)  # collection 2, level 2 (USGS)


@dataclass(frozen=True)
class RasterFacts:
    """What is known of a file without looking at more than its overview."""

    name: str  # file or layer name
    labels: tuple[str, ...]  # of each band: description, else colour interpretation, else ""
    dtype: str  # numpy name
    tags: Mapping[str, str]  # of the file and its bands
    gsd_m: float | None
    low: float  # 2 % and 98 % of the valid values, as stored
    high: float
    scale: float = 1.0  # of the file itself (GDAL's scale and offset)
    offset: float = 0.0


@dataclass(frozen=True)
class Guess:
    sensor: str | None
    bands: tuple[BandIndex, ...]
    scaling: Scaling
    date: str | None
    reasons: tuple[str, ...]


def guess(facts: RasterFacts) -> Guess:
    """All four, in the order in which they depend on each other."""
    day, day_reason = guess_date(facts.name, facts.tags)
    sensor, sensor_reason = guess_sensor(facts)
    reasons = [sensor_reason]
    bands: tuple[BandIndex, ...] = ()
    scaling = Scaling()
    if sensor is not None:
        bands, band_reason = guess_bands(sensor, facts.labels)
        scaling, scaling_reason = guess_scaling(sensor, facts, day)
        reasons += [band_reason, scaling_reason]
    return Guess(sensor, bands, scaling, day, (*reasons, day_reason))


# -- sensor ----------------------------------------------------------------------------------------------------------
_NAMED = (
    ("s1", re.compile(r"(?<![A-Za-z0-9])(S1[A-D]?|SENTINEL-?1[A-D]?|S1ASC|S1DES)(?![A-Za-z0-9])", re.IGNORECASE)),
    ("s2", re.compile(r"(?<![A-Za-z0-9])(S2[A-D]?|SENTINEL-?2[A-D]?|T\d{2}[A-Z]{3})(?![A-Za-z0-9])", re.IGNORECASE)),
    ("landsat", re.compile(r"(?<![A-Za-z0-9])(LANDSAT|L[COTEM]0?[4-9])(?=[^A-Za-z]|$)", re.IGNORECASE)),
    ("hr", re.compile(r"(?<![A-Za-z0-9])(NAIP|HR|ORTHO\w*|SPOT[67]|PLEIADES|WORLDVIEW\d?)(?![A-Za-z0-9])", re.IGNORECASE)),
)
HR_LARGEST_GSD_M = 8.0


def guess_sensor(facts: RasterFacts) -> tuple[str | None, str]:
    """The sensor's key, or None, and why."""
    found = {key: len(_match_labels(SENSORS[key], facts.labels)) for key in SENSORS}
    count = len(facts.labels)
    if found["s1"] and found["s1"] >= count / 2:
        return "s1", "Sentinel-1: the bands are called VV or VH."
    for key, pattern in _NAMED:
        hit = pattern.search(facts.name)
        if hit and (found[key] or key in ("hr", "s2", "s1") or count <= 2) and _plausible(key, count):
            return key, f"{SENSORS[key].label}: the name says {hit.group(1)}."
    swir = any(_plain(label).startswith("swir") for label in facts.labels)
    if found["landsat"] >= 3 and swir and not _only_s2(facts.labels):
        return "landsat", "Landsat: the bands are named blue to SWIR."
    if found["s2"] >= 5 or (found["s2"] and _only_s2(facts.labels)):
        return "s2", "Sentinel-2: the bands are named like its own."
    if count <= 5 and (facts.gsd_m is None or facts.gsd_m <= HR_LARGEST_GSD_M):
        return "hr", "High-resolution optical: few bands of fine pixels."
    if count == 2 and facts.high < 30:
        return "s1", "Sentinel-1: two bands with values like backscatter."
    if count in (10, 12, 13):
        return "s2", f"Sentinel-2: {count} bands, as in its products."
    if count <= 4:
        return "hr", "High-resolution optical: few bands, although its pixels are large."
    return None, f"The sensor of this raster with {count} bands is not known: choose it."


def _plausible(key: str, count: int) -> bool:
    return key != "s1" or count <= 4


def _only_s2(labels: Sequence[str]) -> bool:
    return any(_plain(label) in {"b8a", "b11", "b12", "b5", "b6", "b7"} for label in labels)


# -- bands -----------------------------------------------------------------------------------------------------------
_COLOURS = {
    "r": ("red", "r"),
    "g": ("green", "g"),
    "b": ("blue", "b"),
    "n": ("nir", "nearinfrared", "infrared", "n", "nir1", "ir"),
}
_ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    "hr": {"R": _COLOURS["r"], "G": _COLOURS["g"], "B": _COLOURS["b"], "N": _COLOURS["n"]},
    "s2": {
        "B2": ("b2", "b02", "blue"),
        "B3": ("b3", "b03", "green"),
        "B4": ("b4", "b04", "red"),
        "B5": ("b5", "b05", "rededge1", "vegetationrededge1"),
        "B6": ("b6", "b06", "rededge2", "vegetationrededge2"),
        "B7": ("b7", "b07", "rededge3", "vegetationrededge3"),
        "B8": ("b8", "b08", "nir"),
        "B8A": ("b8a", "b08a", "narrownir", "nir08", "rededge4"),
        "B11": ("b11", "swir1", "swir16"),
        "B12": ("b12", "swir2", "swir22"),
    },
    "s1": {"VV": ("vv", "vvdb", "sigma0vv", "gamma0vv"), "VH": ("vh", "vhdb", "sigma0vh", "gamma0vh")},
    "landsat": {
        "blue": ("blue", "srb2", "b2"),
        "green": ("green", "srb3", "b3"),
        "red": ("red", "srb4", "b4"),
        "nir": ("nir", "nir08", "srb5", "b5"),
        "swir1": ("swir1", "swir16", "srb6", "b6"),
        "swir2": ("swir2", "swir22", "srb7", "b7"),
    },
}
# Files without band names are taken in the order of the products.
_S2_13 = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
_ORDERS: dict[tuple[str, int], tuple[str, ...]] = {
    ("s2", 13): _S2_13,
    ("s2", 12): tuple(name for name in _S2_13 if name != "B10"),
    ("s2", 10): SENSORS["s2"].band_names,
    ("s2", 4): ("B2", "B3", "B4", "B8"),
    ("s2", 3): ("B4", "B3", "B2"),
    ("s1", 1): ("VV",),
    ("s1", 2): ("VV", "VH"),
    ("landsat", 6): SENSORS["landsat"].band_names,
    ("landsat", 7): ("coastal", *SENSORS["landsat"].band_names),
    ("hr", 3): ("R", "G", "B"),
    ("hr", 4): ("R", "G", "B", "N"),
}


def guess_bands(sensor: str, labels: Sequence[str]) -> tuple[tuple[BandIndex, ...], str]:
    """Which bands of the file hold which bands of the sensor, and why."""
    names = SENSORS[sensor].band_names
    matched = _match_labels(SENSORS[sensor], labels)
    if matched and (sensor != "hr" or len(matched) >= 2):
        bands = tuple(BandIndex(name, matched[name]) for name in names if name in matched)
        return bands, f"Bands by their names: {_listing(bands)}."
    if sensor == "hr" and sum(_plain(label) != "alpha" for label in labels) in (1, 2):
        return tuple(BandIndex(name, 1) for name in ("R", "G", "B")), "One band: the encoder sees it as grey."
    count = len(labels)
    if sensor == "hr" and count >= 4 and _plain(labels[3]) == "alpha":
        count = 3
    order = _ORDERS.get((sensor, count)) or _ORDERS.get((sensor, max(1, min(count, 4))), ())
    bands = tuple(BandIndex(name, i) for i, name in enumerate(order[:count], start=1) if name in names)
    bands = tuple(sorted(bands, key=lambda band: names.index(band.band)))
    return bands, f"The bands have no names: taken in the usual order, {_listing(bands)}."


def _match_labels(sensor: Sensor, labels: Sequence[str]) -> dict[str, int]:
    """Band name -> 1-based index of the first band of the file that is called so."""
    matched: dict[str, int] = {}
    for name, aliases in _ALIASES[sensor.key].items():
        for index, label in enumerate(labels, start=1):
            if _plain(label) in aliases:
                matched[name] = index
                break
    return matched


def _plain(label: str) -> str:
    """"B02 - Blue (490 nm)" and "B2, central wavelength 490 nm" -> "b02", "b2"; "Red Edge 1" -> "rededge1"."""
    text = label.strip().lower()
    code = re.match(r"(b\d{1,2}a?|vv|vh)\b", text)
    if code:
        return code.group(1)
    return re.sub(r"[^a-z0-9]", "", text.split("(")[0].split(",")[0])


def _listing(bands: Sequence[BandIndex]) -> str:
    return ", ".join(f"{band.band} = {band.index}" for band in bands) or "none"


# -- scaling ---------------------------------------------------------------------------------------------------------
def guess_scaling(sensor: str, facts: RasterFacts, day: str | None) -> tuple[Scaling, str]:
    """From stored numbers to canonical units, and why."""
    if (facts.scale, facts.offset) != (1.0, 0.0):
        return Scaling(facts.scale, facts.offset), "Scaled as the file says."
    if sensor == "s1":
        return _radar_scaling(facts)
    if facts.dtype == "uint8":
        return Scaling(BYTE_SCALE), "8-bit values: 255 is full scale."
    if facts.dtype.startswith("float") and facts.high <= 2.0:
        return Scaling(), "Values are reflectance already."
    if sensor == "s2":
        return _s2_scaling(facts, day)
    if sensor == "landsat":
        if facts.dtype == "uint16" and facts.high > 7000:
            return LANDSAT_C2_SCALING, "Landsat collection 2: scale 0.0000275, offset -0.2."
        return Scaling(S2_SCALE), "Reflectance in ten-thousandths."
    return Scaling(1.0 / max(facts.high, 1.0)), f"The brightest 2 % ({facts.high:g} and more) are taken as full scale."


def _s2_scaling(facts: RasterFacts, day: str | None) -> tuple[Scaling, str]:
    baseline = facts.tags.get(BASELINE_TAG, "") or _baseline_in(facts.name)
    if baseline:
        newer = baseline.replace(".", "").zfill(4) >= "0400"
    else:
        # Dark pixels below 900 cannot carry an offset of 1000: somebody has taken it off ("harmonised").
        newer = day is not None and day >= S2_OFFSET_SINCE and facts.low >= 900
    if newer:
        return Scaling(S2_SCALE, S2_OFFSET), "Reflectance in ten-thousandths plus 1000, as in products since 2022."
    return Scaling(S2_SCALE), "Reflectance in ten-thousandths."


def _baseline_in(name: str) -> str:
    found = re.search(r"_N(\d{4})_", name)
    return found.group(1) if found else ""


def _radar_scaling(facts: RasterFacts) -> tuple[Scaling, str]:
    if facts.low < -100:
        return Scaling(0.01), "Decibel times 100."
    if facts.low < 0:
        return Scaling(), "Values are decibel."
    if facts.dtype == "uint8":
        return Scaling(30.0 / 255.0, -30.0), "8-bit values: taken as -30 to 0 decibel."
    return Scaling(decibel=True), "Values are linear power."


# -- date ------------------------------------------------------------------------------------------------------------
_DATE_TAGS = (
    "DATATAKE_1_DATATAKE_SENSING_START", "SENSING_TIME", "PRODUCT_START_TIME", "ACQUISITIONDATETIME", "ACQUISITION_DATE",
    "DATE_ACQUIRED", "ACQUIRED", "SENSING_DATE", "START_TIME", "STARTTIME", "DATETIME", "DATE",
)  # fmt: skip
_YEAR = r"(?P<y>19[7-9]\d|20\d\d)"
_MONTH = r"(?P<m>0[1-9]|1[0-2])"
_DAY = r"(?P<d>0[1-9]|[12]\d|3[01])"
_PATTERNS = (
    # S2A_MSIL2A_20200101T101201_…, S1A_IW_GRDH_1SDV_20200101T…, T33UUU_20170216T102101_B02: the first is the sensing
    (re.compile(rf"(?<!\d){_YEAR}{_MONTH}{_DAY}T\d{{6}}"), "sensing time"),
    # LC08_L2SP_035032_20200101_20200823_02_T1: the first is the acquisition
    (re.compile(rf"L[COTEM]\d{{2}}_\w{{4}}_\d{{6}}_{_YEAR}{_MONTH}{_DAY}"), "Landsat product name"),
    # LT50350322011182PAC01: year and day of year
    (re.compile(r"(?<![A-Za-z0-9])L[COTEM]\d\d{6}(?P<y>19[7-9]\d|20\d\d)(?P<doy>[0-3]\d\d)(?!\d)"), "Landsat scene name"),
    (re.compile(rf"(?<!\d){_YEAR}[-_.]{_MONTH}[-_.]{_DAY}(?!\d)"), "year, month and day"),
    (re.compile(rf"(?<!\d){_YEAR}{_MONTH}{_DAY}(?!\d)"), "year, month and day"),
)


def guess_date(name: str, tags: Mapping[str, str]) -> tuple[str | None, str]:
    """ISO day from the tags, else from the name, else None; and why. TIFF's own DateTime is when the file was written."""
    upper = {key.upper(): value for key, value in tags.items()}
    for tag in _DATE_TAGS:
        found = _day_in(upper.get(tag, ""))
        if found:
            return found[0], f"Date from the tag {tag}."
    found = _day_in(name)
    if found:
        return found[0], f"Date from the name ({found[1]})."
    return None, "The date is not known: neither the tags nor the name tell it."


def _day_in(text: str) -> tuple[str, str] | None:
    for pattern, what in _PATTERNS:
        for hit in pattern.finditer(text):
            parts = hit.groupdict()
            try:
                if "doy" in parts:
                    found = date.fromordinal(date(int(parts["y"]), 1, 1).toordinal() + int(parts["doy"]) - 1)
                    if not 1 <= int(parts["doy"]) <= 366 or found.year != int(parts["y"]):
                        continue
                else:
                    found = date(int(parts["y"]), int(parts["m"]), int(parts["d"]))
            except ValueError:  # 30 February
                continue
            return found.isoformat(), what
    return None
