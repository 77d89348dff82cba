"""Each result as a PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from PIL import Image
from rasterio.features import rasterize

SMALLEST_SIDE_PX = 480  # small scenes are enlarged, pixel by pixel


def rgb(path: Path, target: Path) -> None:
    """The first three bands of an 8-bit picture."""
    with rasterio.open(path) as source:
        _save(np.moveaxis(source.read((1, 2, 3)), 0, -1), target)


def classes(path: Path, target: Path) -> None:
    """A class raster in the colours of its palette."""
    with rasterio.open(path) as source:
        palette = np.array([source.colormap(1).get(value, (0, 0, 0, 0))[:3] for value in range(256)], np.uint8)
        _save(palette[source.read(1)], target)


def outlines(image: Path, polygons: Path, target: Path) -> None:
    """Polygons in yellow over the image, stretched from 2 to 98 %."""
    _, _, geometry, _ = pyogrio.raw.read(polygons, columns=[])
    with rasterio.open(image) as source:
        values = source.read(1).astype(float)
        rims = [(shape.boundary, 1) for shape in shapely.from_wkb(geometry) if not shape.is_empty]
        rim = rasterize(rims, out_shape=values.shape, transform=source.transform, all_touched=True)
    low, high = np.percentile(values[values > 0], (2, 98))
    grey = np.clip(255 * (values - low) / (high - low), 0, 255).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[rim > 0] = (255, 214, 0)
    _save(picture, target)


def _save(picture: np.ndarray, target: Path) -> None:
    factor = max(1, -(-SMALLEST_SIDE_PX // min(picture.shape[:2])))
    Image.fromarray(picture.repeat(factor, 0).repeat(factor, 1)).save(target)
