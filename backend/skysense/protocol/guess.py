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
BRIGHTEST_POWER = 10.0  # of 98 % of a radar image; calibrated backscatter stays far below
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
        bands, band_reason = guess_bands(sensor, facts.labels, facts.name, facts.tags)
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
FEWEST_WAVELENGTHS = 3  # that tell a sensor
MOST_BANDS_OF_A_SENSOR = 20  # more are a spectrometer's


def guess_sensor(facts: RasterFacts) -> tuple[str | None, str]:
    """The sensor's key, or None, and why."""
    mission = _landsat_mission(facts.name, facts.tags)
    found = {key: len(_match_labels(SENSORS[key], facts.labels, mission)) for key in SENSORS}
    count = len(facts.labels)
    if found["s1"] and found["s1"] >= count / 2:
        return "s1", "Sentinel-1: the bands are called VV or VH."
    for key, pattern in _NAMED:
        hit = pattern.search(facts.name)
        named = found[key] or key in ("hr", "s2", "s1") or count <= 2 or _numbered(facts.labels)
        if hit and named and _plausible(key, count):
            return key, f"{SENSORS[key].label}: the name says {hit.group(1)}."
    if _landsat_mission("", facts.tags) and (found["landsat"] or count <= 2):
        return "landsat", "Landsat: the tag SPACECRAFT_ID says so."
    swir = any(_plain(label).startswith("swir") for label in facts.labels)
    if found["landsat"] >= 3 and swir and not _only_s2(facts.labels):
        return "landsat", "Landsat: the bands are named blue to SWIR."
    if found["s2"] >= 5 or (found["s2"] and _only_s2(facts.labels)):
        return "s2", "Sentinel-2: the bands are named like its own."
    by_wavelength = _sensor_by_wavelength(facts)
    if by_wavelength is not None:
        return by_wavelength, f"{SENSORS[by_wavelength].label}: the bands have its wavelengths."
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


def _sensor_by_wavelength(facts: RasterFacts) -> str | None:
    """Of few and coarse bands whose wavelengths are told: the sensor that has most of them, and nearest."""
    waves = [wavelength_nm(label) for label in facts.labels]
    coarse = facts.gsd_m is not None and facts.gsd_m > HR_LARGEST_GSD_M
    if not coarse or len(waves) > MOST_BANDS_OF_A_SENSOR:
        return None
    fits = []
    for key in ("s2", "landsat"):
        apart = [distance for _, distance in _match_wavelengths(SENSORS[key], facts.labels).values()]
        fits.append((len(apart), -sum(apart), key))
    most, _, key = max(fits)
    return key if most >= FEWEST_WAVELENGTHS else None


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
        "blue": ("blue",),
        "green": ("green",),
        "red": ("red",),
        "nir": ("nir", "nir08"),
        "swir1": ("swir1", "swir16"),
        "swir2": ("swir2", "swir22"),
    },
}
# Landsat's numbers depend on the mission (USGS, band designations): TM and ETM+ begin with blue, OLI with coastal blue.
_LANDSAT_NUMBERS: dict[str, dict[str, int]] = {
    "4-7": {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir1": 5, "swir2": 7},
    "8-9": {"blue": 2, "green": 3, "red": 4, "nir": 5, "swir1": 6, "swir2": 7},
}
_LANDSAT_NAME = re.compile(
    r"(?<![A-Za-z0-9])(?:L[COTEM]0?(?P<short>[4-9])|LANDSAT[ _-]?(?P<long>[4-9])(?!\d))", re.IGNORECASE
)
_TM_WAVELENGTHS_NM = {"blue": 485.0, "green": 560.0, "red": 660.0, "nir": 830.0, "swir1": 1650.0, "swir2": 2215.0}
_WAVELENGTH = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)\s*(?:(?P<nano>nm|nanomet(?:er|re)s?)|(?:um|µm|μm|microns?|micromet(?:er|re)s?))(?![a-z])",
    re.IGNORECASE,
)
WAVELENGTH_TOLERANCE_NM = 25.0
_BAND_IN_NAME = re.compile(r"(?<![A-Za-z0-9])(B\d{1,2}A?|VV|VH)(?![A-Za-z0-9])", re.IGNORECASE)
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
_LANDSAT_TM_7 = ("blue", "green", "red", "nir", "swir1", "thermal", "swir2")


def guess_bands(
    sensor: str, labels: Sequence[str], name: str = "", tags: Mapping[str, str] | None = None
) -> tuple[tuple[BandIndex, ...], str]:
    """Which bands of the file hold which bands of the sensor, and why.

    Args:
        sensor: a key of SENSORS.
        labels: of each band.
        name: of the file: tells the band of a file that has only one, and the mission of a Landsat.
        tags: of the file.
    """
    mission = _landsat_mission(name, tags or {})
    named = _match_labels(SENSORS[sensor], labels, mission)
    if sensor == "hr" and len(named) < 2:
        named = {}
    measured = {band: index for band, (index, _) in _match_wavelengths(SENSORS[sensor], labels).items()}
    measured = {band: index for band, index in measured.items() if band not in named and index not in named.values()}
    if named or measured:
        how = " and ".join(word for word, found in (("names", named), ("wavelengths", measured)) if found)
        bands = _in_order(sensor, {**named, **measured})
        return bands, f"Bands by their {how}: {_listing(bands)}."
    code = _BAND_IN_NAME.search(name) if len(labels) == 1 else None
    count = len(labels)
    if sensor == "landsat" and mission is None and (code or _numbered(labels) or count == 7):
        return (), (
            "B1 to B7 are other bands on Landsat 4 to 7 than on 8 and 9, and neither the name nor the tags tell the "
            "mission: choose the bands."
        )
    if code and sensor != "hr":
        bands = _in_order(sensor, _match_labels(SENSORS[sensor], [code.group(1)], mission))
        said = f"The name says {code.group(1)}"
        return bands, f"{said}: {_listing(bands)}." if bands else f"{said}, which no encoder reads: choose the bands."
    if sensor == "hr" and sum(_plain(label) != "alpha" for label in labels) in (1, 2):
        return tuple(BandIndex(band, 1) for band in ("R", "G", "B")), "One band: the encoder sees it as grey."
    if sensor == "hr" and count >= 4 and _plain(labels[3]) == "alpha":
        count = 3
    order = _ORDERS.get((sensor, count)) or _ORDERS.get((sensor, max(1, min(count, 4))), ())
    if sensor == "landsat" and count == 7 and mission == "4-7":
        order = _LANDSAT_TM_7
    bands = _in_order(sensor, {band: index for index, band in enumerate(order[:count], start=1)})
    if not bands:
        return (), "Neither names nor wavelengths tell the bands: choose them."
    return bands, f"The bands have no names: taken in the usual order, {_listing(bands)}."


def wavelength_nm(text: str) -> float | None:
    """"Band 1 (492.4 Nanometers)" -> 492.4, "0.665 µm" -> 665.0; None where no wavelength is told."""
    found = _WAVELENGTH.search(text)
    if found is None:
        return None
    return float(found["number"]) * (1.0 if found["nano"] else 1000.0)


def _in_order(sensor: str, found: Mapping[str, int]) -> tuple[BandIndex, ...]:
    """As the encoders expect them, without what is no band of the sensor."""
    return tuple(BandIndex(band, found[band]) for band in SENSORS[sensor].band_names if band in found)


def _match_labels(sensor: Sensor, labels: Sequence[str], mission: str | None) -> dict[str, int]:
    """Band name -> 1-based index of the first band of the file that is called so."""
    matched: dict[str, int] = {}
    for name, aliases in _ALIASES[sensor.key].items():
        if sensor.key == "landsat" and mission is not None:
            number = _LANDSAT_NUMBERS[mission][name]
            aliases = (*aliases, *(f"{prefix}b{zero}{number}" for prefix in ("", "sr") for zero in ("", "0")))
        for index, label in enumerate(labels, start=1):
            if _plain(label) in aliases:
                matched[name] = index
                break
    return matched


def _match_wavelengths(sensor: Sensor, labels: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Band name -> 1-based index of the file's band next to it in wavelength, and how many nm apart.

    A band of the file that lies nearer to another band of the sensor is not taken twice.
    """
    nearest: dict[int, tuple[float, str]] = {}  # what each band of the file is next to
    for index, label in enumerate(labels, start=1):
        wave = wavelength_nm(label)
        if wave is not None and sensor.kind == "optical":
            nearest[index] = min((_nm_apart(sensor, band.name, wave), band.name) for band in sensor.bands)
    matched: dict[str, tuple[int, float]] = {}
    for index, (distance, name) in nearest.items():
        if distance <= WAVELENGTH_TOLERANCE_NM and (name not in matched or distance < matched[name][1]):
            matched[name] = (index, distance)
    return matched


def _nm_apart(sensor: Sensor, name: str, wave: float) -> float:
    centres = [sensor.band(name).wavelength_nm]
    if sensor.key == "landsat":
        centres.append(_TM_WAVELENGTHS_NM[name])
    return min(abs(wave - centre) for centre in centres if centre is not None)


def _landsat_mission(name: str, tags: Mapping[str, str]) -> str | None:
    """Whose numbers a Landsat's bands have, "4-7" or "8-9", by its tags, else by its name."""
    spacecraft = next((value for key, value in tags.items() if key.upper() == "SPACECRAFT_ID"), "")
    for text in (spacecraft, name):
        found = _LANDSAT_NAME.search(text)
        if found:
            return "4-7" if int(found["short"] or found["long"]) <= 7 else "8-9"
    return None


def _numbered(labels: Sequence[str]) -> bool:
    """Whether bands are called B1, SR_B1 and so on."""
    return any(re.fullmatch(r"(sr)?b0?[1-7]", _plain(label)) for label in labels)


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
    if facts.high > BRIGHTEST_POWER:
        return Scaling(decibel=True), (
            f"Values up to {facts.high:g} are no backscatter power but probably amplitudes without calibration: calibrate "
            "the image to sigma0 or gamma0, or correct the scaling."
        )
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
