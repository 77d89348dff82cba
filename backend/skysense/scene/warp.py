"""Where a file's pixels lie, and the file on any other grid."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform
from rasterio.windows import Window as RasterioWindow

from skysense.scene.grid import Grid, Window
from skysense.scene.open import GDAL_ERRORS, damaged

PLANE = CRS.from_epsg(3857)  # stands for any plane where a file has no CRS: coordinates come out as they went in
WARP_MB = 64


def placement(dataset: DatasetReader) -> Affine:
    """Pixel corner to (x, y); of files that are placed nowhere, as QGIS draws them: below the x axis."""
    transform: Affine = dataset.transform
    return Affine.scale(1, -1) if dataset.crs is None and transform.is_identity else transform


def native_grid(dataset: DatasetReader) -> Grid:
    """The file's own grid; of rotated and south-up files, the north-up one that GDAL would warp to."""
    t = placement(dataset)
    if t.b == t.d == 0:
        west, north = min(t.c, t.c + t.a * dataset.width), max(t.f, t.f + t.e * dataset.height)
        return Grid(dataset.crs, Affine(abs(t.a), 0, west, 0, -abs(t.e), north), dataset.height, dataset.width)
    corners = [t @ (x, y) for x in (0, dataset.width) for y in (0, dataset.height)]
    xs, ys = [corner[0] for corner in corners], [corner[1] for corner in corners]
    plane, size = dataset.crs or PLANE, math.sqrt(abs(t.determinant))
    transform, width, height = calculate_default_transform(
        plane, plane, dataset.width, dataset.height, min(xs), min(ys), max(xs), max(ys), resolution=size
    )
    return Grid(dataset.crs, transform, height, width)


def is_turned(dataset: DatasetReader) -> bool:
    """Rotated or south-up: the file's own pixels are not those of its north-up grid."""
    t = placement(dataset)
    return not (t.b == t.d == 0 and t.a > 0 and t.e < 0)


def warped(dataset: DatasetReader, grid: Grid, resampling: Resampling, nodata: float | None = None) -> WarpedVRT:
    """The file on the grid, which lies in the file's own plane if one of the two has no CRS.

    Args:
        dataset: the file.
        grid: where pixels are wanted.
        resampling: of the values.
        nodata: in the place of the file's own value.
    """
    if nodata is None:
        nodata = dataset.nodata
    placed = dataset.crs is not None and grid.crs is not None
    return WarpedVRT(
        dataset,
        src_crs=dataset.crs if placed else PLANE,
        src_transform=placement(dataset),
        crs=grid.crs if placed else PLANE,
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        resampling=resampling,
        src_nodata=nodata,
        add_alpha=nodata is None and ColorInterp.alpha not in dataset.colorinterp,
        warp_mem_limit=WARP_MB,
        UNIFIED_SRC_NODATA="YES" if nodata_is_a_colour(dataset) else "NO",
    )


def read_window(
    source: DatasetReader | WarpedVRT, indexes: list[int], window: Window, nodata: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values (C, h, w) as stored, and validity (h, w): nodata, mask band and alpha heard, and all bands finite.

    Raises:
        RasterError: damaged.
    """
    area = RasterioWindow(window.column, window.row, window.width, window.height)
    try:
        values = source.read(indexes, window=area, out_dtype="float32")
        seen = source.read_masks(indexes, window=area) > 0  # (C, h, w)
    except (*GDAL_ERRORS, ValueError) as error:
        raise damaged(source.name, error) from error
    if nodata is not None:
        seen &= values != np.float32(nodata)
    valid = seen.any(axis=0) if nodata_is_a_colour(source) else seen.all(axis=0)
    return values, valid & np.isfinite(values).all(axis=0)


def nodata_is_a_colour(source: DatasetReader | WarpedVRT) -> bool:
    """In 8-bit pictures the nodata value is a colour like any other: a pixel has no data where all bands have it."""
    return bool(source.dtypes[0] == "uint8")
