"""Sites as tiles that an encoder takes, and the labelled pixels on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from skysense.errors import BandError, LabelError
from skysense.evaluate.folders import check_sizes
from skysense.evaluate.sites import Site
from skysense.jobs.batches import SceneTiles, TileData
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.interface import EncoderInfo
from skysense.scene.grid import Grid, Window
from skysense.scene.open import open_raster
from skysense.scene.read import SceneReader
from skysense.scene.warp import read_window, warped

PIXELS_A_SITE = 20_000
LOUDEST_DB = 10.0  # the median of calibrated backscatter stays far below
# WorldCereal's integers are amplitudes, dB = 20 log10(DN) - 83; the reader takes 10 log10 of what is stored.
INTEGER_OFFSET_DB = -83.0

Indices = NDArray[np.intp]
# The site, a tile of it, rows and columns of n pixels in that tile -> (n, D)
Extract = Callable[[Site, TileData, Indices, Indices], NDArray[np.float32]]


@dataclass(frozen=True)
class Pixels:
    """Pixels of one site that are looked at."""

    rows: Indices  # (n,)
    columns: Indices
    labels: NDArray[np.integer]  # (n,) values of the label map; zeros where the whole site has one label
    height: int  # of the site
    width: int

    def inside(self, window: Window) -> Indices:
        """Indices of those in the window."""
        down, across = self.rows - window.row, self.columns - window.column
        return np.flatnonzero((down >= 0) & (down < window.height) & (across >= 0) & (across < window.width))


@contextmanager
def opened(site: Site, info: EncoderInfo) -> Iterator[SceneTiles]:
    """The site's images of the sensors that the encoder takes, read as every job reads them, on the first one's pixels.

    Raises:
        BandError: the encoder takes none of them. RasterError and its kinds: an image cannot be used.
    """
    images = [image for image in site.images if image.sensor in info.sensors]
    if not images:
        there = ", ".join(dict.fromkeys(image.sensor for image in site.images))
        raise BandError(
            f"{info.label} takes {', '.join(info.sensors)}, the site {site.name} has {there}.", "Choose another model."
        )
    scene = scene_from_files(
        [str(image.path) for image in images], [image.day for image in images], [image.sensor for image in images]
    )
    with SceneReader(replace(scene, reference=0)) as reader:
        yield SceneTiles(reader, info)


def draw_pixels(site: Site, info: EncoderInfo, ignored: frozenset[int], generator: np.random.Generator) -> Pixels:
    """The site's labelled pixels with data on some date, at most 20,000 of them; without a label map, all with data.

    Raises:
        LabelError: the label map is no raster of whole numbers, or has no coordinates and another size.
    """
    with opened(site, info) as tiles:
        grid = tiles.scene.grid
        labels = np.zeros((grid.height, grid.width), np.int64)
        known = np.ones(labels.shape, bool)
        if site.label_map is not None:
            labels, known = _labels(site, grid)
            known &= ~np.isin(labels, list(ignored))
        for tile in tiles.tiling(0):
            core = tile.core
            area = np.s_[core.row : core.row + core.height, core.column : core.column + core.width]
            if known[area].any():
                known[area] &= tiles.read(core).valid
    rows, columns = np.nonzero(known)
    if len(rows) > PIXELS_A_SITE:
        kept = np.sort(generator.choice(len(rows), PIXELS_A_SITE, replace=False))
        rows, columns = rows[kept], columns[kept]
    return Pixels(rows, columns, labels[rows, columns], *labels.shape)


def pixel_features(site: Site, pixels: Pixels, info: EncoderInfo, extract: Extract) -> NDArray[np.float32]:
    """(n, D): features of the pixels, tile by tile with the encoder's halo."""
    parts, places = [], []
    with opened(site, info) as tiles:
        for tile in tiles.tiling(0):
            inside = pixels.inside(tile.core)
            if len(inside):
                window = _on_site(tile.outer, tiles)
                rows, columns = pixels.rows[inside] - window.row, pixels.columns[inside] - window.column
                parts.append(extract(site, calibrated(tiles.read(window)), rows, columns))
                places.append(inside)
    return np.concatenate(parts)[np.argsort(np.concatenate(places))]


def _on_site(window: Window, tiles: SceneTiles) -> Window:
    """The window without the halo that lies beyond the site, on the encoder's multiples: sites are often small."""
    multiple = tiles.info.tile_multiple[tiles.lead]
    row, column = max(window.row, 0), max(window.column, 0)
    height, width = (-(-side // multiple) * multiple for side in (tiles.scene.grid.height, tiles.scene.grid.width))
    bottom, right = min(window.row + window.height, height), min(window.column + window.width, width)
    return Window(row, column, bottom - row, right - column)


def calibrated(data: TileData) -> TileData:
    """Sentinel-1 of WorldCereal's integers in decibel; all else as it is."""
    values = data.arrays.get("s1")
    if values is None:
        return data
    seen = np.broadcast_to(data.arrays["s1_valid"][:, None], values.shape) & data.arrays["s1_bands"][:, None, None]
    if not seen.any() or float(np.median(values[seen].astype(np.float32))) < LOUDEST_DB:
        return data
    integers = 2 * values.astype(np.float32) + np.float32(INTEGER_OFFSET_DB)
    return replace(data, arrays={**data.arrays, "s1": np.where(seen, integers, np.float32(0))})


def _labels(site: Site, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The label map on the grid, by the nearest pixel, and where it says anything."""
    path = site.label_map
    if path is None:
        raise LabelError(f"{site.name} has no label map.", "Put a raster of classes beside its images.")
    with open_raster(str(path)) as file:
        if not np.issubdtype(np.dtype(file.dtypes[0]), np.integer):
            raise LabelError(f"{path} holds {file.dtypes[0]}, labels are whole numbers.", "Save the labels as uint8 or uint16.")
        if file.crs is None or grid.crs is None:
            check_sizes(site.images[0].path, (grid.height, grid.width), (file.height, file.width))
        with warped(file, grid, Resampling.nearest) as on_grid:
            values, known = read_window(on_grid, [1], Window(0, 0, grid.height, grid.width))
    return np.rint(values[0]).astype(np.int64), known
