"""Example polygons on a scene's grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from skysense.errors import LabelError
from skysense.scene.grid import Grid, Window
from skysense.scene.vector import polygons_in_crs, read_polygons


@dataclass(frozen=True)
class Examples:
    """Polygons in the CRS of the grid."""

    grid: Grid
    shapes: NDArray[np.object_]  # (N,)

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.shapes)

    def near(self, window: Window) -> NDArray[np.intp]:
        """Which of them touch a window of the grid."""
        return np.sort(self.tree.query(shapely.box(*self.grid.window(window).bounds), predicate="intersects"))

    def draw(self, window: Window) -> NDArray[np.bool_]:
        """The pixels (h, w) of a window whose centre an example holds."""
        drawn = np.zeros((window.height, window.width), np.uint8)
        near = self.near(window)
        if len(near):
            rasterize(self.shapes[near], out=drawn, transform=self.grid.window(window).transform)
        return drawn.astype(bool)

    def best_window(self, side: int) -> Window:
        """The square of `side` pixels that holds most of their area: each is tried at the middle, the first of equals wins.

        It lies inside the grid where the grid is large enough.
        """
        to_pixel = ~self.grid.transform
        best, most = Window(0, 0, side, side), -1.0
        for shape in self.shapes:
            west, south, east, north = shape.bounds
            column, row = to_pixel @ ((west + east) / 2, (south + north) / 2)
            window = Window(
                int(np.clip(row - side / 2, 0, max(self.grid.height - side, 0))),
                int(np.clip(column - side / 2, 0, max(self.grid.width - side, 0))),
                side,
                side,
            )
            box = shapely.box(*self.grid.window(window).bounds)
            held = float(shapely.area(shapely.intersection(self.shapes[self.near(window)], box)).sum())
            if held > most:
                best, most = window, held
        return best


def read_examples(path: str, layer: str | None, grid: Grid) -> Examples:
    """The polygons of a file that lie on the grid.

    Raises:
        LabelError: no such file, no polygons in it, none of them on the scene.
    """
    shapes, _, crs = read_polygons(path, layer)
    name = Path(path).name
    shapes = polygons_in_crs(shapes, crs, grid, name)
    shapes = np.array([shape if shape.is_valid else shapely.make_valid(shape) for shape in shapes], dtype=object)
    here = shapely.intersects(shapes, shapely.box(*grid.bounds))
    if not here.any():
        raise LabelError(
            f"None of the {len(shapes)} examples of {name} lies on the scene.",
            "Draw an example on the image, or check the CRS of the polygon layer and the extent.",
        )
    return Examples(grid, shapes[here])
