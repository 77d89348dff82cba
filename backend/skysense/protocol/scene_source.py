"""What a Scene is read from: files with bands, scaling and dates, the extent, and what the segmenter sees."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BandIndex:
    """Which band of a file holds which band of the sensor."""

    band: str  # a band name of the sensor
    index: int  # 1-based, as GDAL counts


@dataclass(frozen=True)
class Scaling:
    """From stored numbers to canonical units: ``value = stored * scale + offset``, then decibel if asked for.

    Sentinel-2 L2A since 2022-01-25: scale 1e-4, offset -0.1. 8-bit pictures: scale 1/255, offset 0.
    Sentinel-1 in linear power: ``decibel=True``, value = 10 log10(power).
    """

    scale: float = 1.0
    offset: float = 0.0
    decibel: bool = False


@dataclass(frozen=True)
class AcquisitionSource:
    """One image of one sensor at one date."""

    path: str
    sensor: str  # a key of SENSORS
    bands: tuple[BandIndex, ...]  # any subset of the sensor's bands, at least one
    scaling: Scaling
    date: str | None  # ISO day "YYYY-MM-DD" (UTC), None where nobody knows
    name: str = ""  # what the user calls it: the layer's name
    nodata: float | None = None  # overrides the file's own value
    crs: str = ""  # in the place of the file's own, as for Extent; pixels stay where they are. "" = the file's


@dataclass(frozen=True)
class Extent:
    """Where to work: a rectangle in `crs`, and inside it the polygon, if there is one."""

    crs: str  # anything rasterio's CRS.from_user_input takes: "EPSG:32631", WKT; "" = pixel space
    west: float
    south: float
    east: float
    north: float
    polygon_wkt: str | None = None  # (multi)polygon in the same crs; pixels outside are not valid


@dataclass(frozen=True)
class SceneSource:
    """All acquisitions of one place.

    The reference grid, on which every output lies, is that of `reference` (default: the finest acquisition, the
    first of equals), cut to `extent` on its own pixel edges.
    """

    acquisitions: tuple[AcquisitionSource, ...]
    extent: Extent | None = None  # None: the reference's whole footprint
    reference: int | None = None  # index into acquisitions


@dataclass(frozen=True)
class BandStretch:
    """Linear stretch of one file band to 0..255: `low` becomes 0, `high` 255."""

    index: int  # 1-based band of the file
    low: float
    high: float


@dataclass(frozen=True)
class Display:
    """Which three bands the segmenter sees and how they are stretched (2-98 % once per layer).

    Single-band layers repeat their band. The layer's style in QGIS plays no part, so that every caller agrees.
    """

    red: BandStretch
    green: BandStretch
    blue: BandStretch


@dataclass(frozen=True)
class ArrayFile:
    """An array by reference: a raw C-ordered file in the session's private folder, to be memory-mapped."""

    path: str
    dtype: str  # numpy name: "uint8", "float32"
    shape: tuple[int, ...]


LARGEST_VIEW_PX = 1024  # a larger view answers too slowly to be clicked in


@dataclass(frozen=True)
class ViewSource:
    """What one interactive view shows: a window of a file, or a picture that QGIS rendered.

    Exactly one of `path` and `picture` is given. `height` and `width` are the view's pixels; `extent` lies in the
    file's CRS (for pictures: the CRS they were rendered in), so that pixels are square in that CRS.
    """

    extent: Extent
    height: int
    width: int
    path: str | None = None
    display: Display | None = None  # None: computed as DescribeRaster does
    picture: ArrayFile | None = None  # uint8 (H, W, 4): red, green, blue, and 0 where nothing was drawn
    name: str = ""
