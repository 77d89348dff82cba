"""What the segmenter sees of a layer: three bands and a stretch, found once from its overview."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import Affine, from_bounds
from rasterio.windows import Window as RasterioWindow

from skysense.protocol.scene_source import BandIndex, BandStretch, Display, Extent
from skysense.scene.grid import Grid, Window
from skysense.scene.open import GDAL_ERRORS, damaged, open_raster
from skysense.scene.warp import native_grid, read_window, warped

OVERVIEW_PX = 1024  # the longer side that statistics are taken from
LARGEST_SCAN_PX = 64_000_000  # read for statistics: about a second
STRIP_PX = 8_000_000  # of the file, read at once for a view: a fraction of a second
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0
_SHOWN = {
    "hr": ("R", "G", "B"),
    "s2": ("B4", "B3", "B2"),
    "landsat": ("red", "green", "blue"),
    "s1": ("VV", "VH", "VV"),
}


def overview(dataset: DatasetReader, indexes: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values (C, h, w) and validity (C, h, w) at about 1024 px a side, as stored.

    A large file without overviews is not read to its end: 64 pieces of it, spread evenly, stand for the whole.
    """
    shrink = max(1.0, max(dataset.height, dataset.width) / OVERVIEW_PX)
    factor = max((factor for factor in dataset.overviews(indexes[0]) if factor <= shrink), default=1)
    if dataset.height * dataset.width > LARGEST_SCAN_PX * factor**2:
        pieces = [_read(dataset, indexes, window) for window in _pieces(dataset)]
        return np.concatenate([piece[0] for piece in pieces], axis=1), np.concatenate([piece[1] for piece in pieces], axis=1)
    return _read(dataset, indexes, RasterioWindow(0, 0, dataset.width, dataset.height))


def _pieces(dataset: DatasetReader) -> list[RasterioWindow]:
    """8 x 8 squares; of files in strips, which are read over their whole width anyway, 64 bands of a few rows."""
    strips = dataset.block_shapes[0][1] >= dataset.width
    rows, columns, height, width = (64, 1, 8, dataset.width) if strips else (8, 8, 128, 128)
    tops = np.linspace(0, dataset.height - height, rows).astype(int)
    lefts = np.linspace(0, dataset.width - width, columns).astype(int)
    return [RasterioWindow(left, top, width, height) for top in tops for left in lefts]


def _read(
    dataset: DatasetReader, indexes: Sequence[int], window: RasterioWindow
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values and validity (C, h, w) of a window, no more than 1024 px a side."""
    shrink = max(1.0, max(window.height, window.width) / OVERVIEW_PX)
    shape = len(indexes), max(1, round(window.height / shrink)), max(1, round(window.width / shrink))
    try:
        values = dataset.read(list(indexes), window=window, out_shape=shape, out_dtype="float32")
        valid = dataset.read_masks(list(indexes), window=window, out_shape=shape) > 0
    except (*GDAL_ERRORS, ValueError) as error:
        raise damaged(dataset.name, error) from error
    return values, valid & np.isfinite(values)


def percentiles(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> tuple[float, float]:
    """2 % and 98 % of the valid values; 0 and 1 where there are none."""
    chosen = values[valid]
    if not chosen.size:
        return 0.0, 1.0
    low, high = np.percentile(chosen, (LOW_PERCENT, HIGH_PERCENT))
    return float(low), float(high)


def choose_display(dataset: DatasetReader, sensor: str | None, bands: Sequence[BandIndex]) -> Display:
    """True colour where the bands allow it, else the first bands; 8-bit colour pictures as they are."""
    shown = _shown_indexes(dataset, sensor, bands)
    if dataset.dtypes[0] == "uint8" and len(set(shown)) == 3:
        red, green, blue = (BandStretch(index, 0.0, 255.0) for index in shown)
        return Display(red, green, blue)
    unique = sorted(set(shown))
    values, valid = overview(dataset, unique)
    stretch = {}
    for index, band, seen in zip(unique, values, valid):
        low, high = percentiles(band, seen)
        stretch[index] = BandStretch(index, low, high if high > low else low + 1.0)
    red, green, blue = (stretch[index] for index in shown)
    return Display(red, green, blue)


def _shown_indexes(dataset: DatasetReader, sensor: str | None, bands: Sequence[BandIndex]) -> tuple[int, int, int]:
    at = {band.band: band.index for band in bands}
    wanted = _SHOWN.get(sensor or "", ())
    if wanted and all(name in at for name in wanted):
        return at[wanted[0]], at[wanted[1]], at[wanted[2]]
    colours = [index for index in range(1, dataset.count + 1) if dataset.colorinterp[index - 1] != ColorInterp.alpha]
    if at and sensor != "hr":
        colours = [band.index for band in bands]
    if len(colours) >= 3:
        return colours[0], colours[1], colours[2]
    return colours[0], colours[-1], colours[0]


def render(
    path: str, display: Display, extent: Extent, height: int, width: int, told: Callable[[float], None]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A view of the file.

    Args:
        path: the raster.
        display: which bands, and their stretch.
        extent: what to show, in the file's CRS (its own coordinates where it has none).
        height: rows of the view.
        width: columns of the view.
        told: hears the share done, and stops it by what it raises.

    Returns:
        RGB (H, W, 3) and which pixels have data (H, W).
    """
    indexes = sorted({display.red.index, display.green.index, display.blue.index})
    transform = from_bounds(extent.west, extent.south, extent.east, extent.north, width, height)
    with open_raster(path) as dataset:
        level = _overview_for(dataset, indexes[0], transform)
    with open_raster(path, overview=level) as dataset:
        values, valid = _resampled(dataset, indexes, transform, height, width, told)
    channels = []
    for band in (display.red, display.green, display.blue):
        stored = values[indexes.index(band.index)]
        channels.append(np.clip(255.0 * (stored - band.low) / (band.high - band.low) + 0.5, 0, 255).astype(np.uint8))
    rgb = np.stack(channels, axis=-1)
    rgb[~valid] = 0
    return rgb, valid


def _overview_for(dataset: DatasetReader, index: int, transform: Affine) -> int | None:
    """The smallest of the file's overviews that is still finer than the view's pixels; warping would not look for one.

    None of files that are placed nowhere: theirs do not know how large their pixels are.
    """
    if dataset.crs is None:
        return None
    shrink = transform.a / native_grid(dataset).transform.a
    factors = dataset.overviews(index)
    fitting = [level for level, factor in enumerate(factors) if factor <= shrink]
    return max(fitting, key=lambda level: factors[level], default=None)


def _resampled(
    dataset: DatasetReader, indexes: list[int], transform: Affine, height: int, width: int, told: Callable[[float], None]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bands (C, H, W) and validity (H, W) on any north-up pixels of the file's CRS; mean where it shrinks."""
    native = native_grid(dataset)
    shrink = max(1.0, transform.a / native.transform.a)
    how = Resampling.average if shrink > 1.5 else Resampling.bilinear
    values = np.zeros((len(indexes), height, width), np.float32)
    valid = np.zeros((height, width), bool)
    count = max(1, int(STRIP_PX / (min(width * shrink, native.width) * shrink)))  # rows of the view
    with warped(dataset, Grid(dataset.crs, transform, height, width), how) as vrt:
        for top in range(0, height, count):
            told(top / height)
            rows = slice(top, min(top + count, height))
            values[:, rows], valid[rows] = read_window(vrt, indexes, Window(top, 0, rows.stop - top, width))
    return np.where(valid, values, 0.0).astype(np.float32), valid
