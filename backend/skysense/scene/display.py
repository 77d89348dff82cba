"""What the segmenter sees of a layer: three bands and a stretch, found once from its overview."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine, from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from skysense.protocol.scene_source import BandIndex, BandStretch, Display, Extent
from skysense.scene.open import damaged, open_raster
from skysense.scene.read import native_grid

OVERVIEW_PX = 1024  # the longer side that statistics are taken from
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0
_SHOWN = {
    "hr": ("R", "G", "B"),
    "s2": ("B4", "B3", "B2"),
    "landsat": ("red", "green", "blue"),
    "s1": ("VV", "VH", "VV"),
}


def overview(dataset: DatasetReader, indexes: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values (C, h, w) and validity (C, h, w) at no more than 1024 px a side, as stored."""
    shrink = max(1.0, max(dataset.height, dataset.width) / OVERVIEW_PX)
    shape = max(1, round(dataset.height / shrink)), max(1, round(dataset.width / shrink))
    try:
        values = dataset.read(list(indexes), out_shape=(len(indexes), *shape), out_dtype="float32")
        valid = dataset.read_masks(list(indexes), out_shape=(len(indexes), *shape)) > 0
    except (RasterioError, ValueError) as error:
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
    path: str, display: Display, extent: Extent, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A view of the file.

    Args:
        path: the raster.
        display: which bands, and their stretch.
        extent: what to show, in the file's CRS (its own coordinates where it has none).
        height: rows of the view.
        width: columns of the view.

    Returns:
        RGB (H, W, 3) and which pixels have data (H, W).
    """
    with open_raster(path) as dataset:
        indexes = sorted({display.red.index, display.green.index, display.blue.index})
        transform = from_bounds(extent.west, extent.south, extent.east, extent.north, width, height)
        values, valid = _resampled(dataset, indexes, transform, height, width)
    channels = []
    for band in (display.red, display.green, display.blue):
        stored = values[indexes.index(band.index)]
        channels.append(np.clip(255.0 * (stored - band.low) / (band.high - band.low) + 0.5, 0, 255).astype(np.uint8))
    rgb = np.stack(channels, axis=-1)
    rgb[~valid] = 0
    return rgb, valid


def _resampled(
    dataset: DatasetReader, indexes: list[int], transform: Affine, height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bands (C, H, W) and validity (H, W) on any north-up pixels of the file's CRS; mean where it shrinks."""
    own = native_grid(dataset)
    has_mask = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
    finer = own.transform.a * 1.5 < transform.a
    # Files without a CRS are warped within an arbitrary plane: only the numbers of the transform matter.
    plane = own.crs or CRS.from_epsg(3857)
    try:
        with WarpedVRT(
            dataset,
            src_crs=plane,
            crs=plane,
            src_transform=dataset.transform,
            transform=transform,
            height=height,
            width=width,
            resampling=Resampling.average if finer else Resampling.bilinear,
            add_alpha=dataset.nodata is None and not has_mask,
        ) as vrt:
            window = RasterioWindow(0, 0, width, height)
            values = vrt.read(indexes, window=window, out_dtype="float32")
            valid = (vrt.read_masks(indexes, window=window) > 0).all(axis=0)
    except (RasterioError, ValueError) as error:
        raise damaged(dataset.name, error) from error
    valid &= np.isfinite(values).all(axis=0)
    return np.where(valid, values, 0.0).astype(np.float32), valid
