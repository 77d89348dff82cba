"""Labelled polygons on a scene's grid."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from skysense.errors import LabelError
from skysense.objectives.supervised import IGNORE
from skysense.protocol.requests import ClassInfo
from skysense.scene.grid import Grid
from skysense.scene.vector import polygons_in_crs, read_polygons, text_of

LARGEST_VALUE = 254  # of a class raster with 8 bits, where 0 and 255 are taken
# Okabe and Ito's colours, which colour-blind people can tell apart, without black; further ones go around the circle.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#f0e442", "#cc79a7")


@dataclass(frozen=True)
class Labels:
    """Polygons in the scene's CRS; class index i is `classes[i]`."""

    classes: tuple[ClassInfo, ...]
    shapes: NDArray[np.object_]  # (N,)
    indices: NDArray[np.uint8]  # (N,)

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.shapes)

    def draw(self, grid: Grid) -> NDArray[np.uint8]:
        """Class indices (h, w) of the pixels whose centre a polygon holds, `IGNORE` elsewhere; the last one wins."""
        near = np.sort(self.tree.query(shapely.box(*grid.bounds)))
        drawn = np.full((grid.height, grid.width), IGNORE, np.uint8)
        if len(near):
            pairs = zip(self.shapes[near], self.indices[near].tolist())
            rasterize(pairs, out=drawn, transform=grid.transform, all_touched=False)
        return drawn


def read_labels(path: str, layer: str | None, class_field: str, grid: Grid) -> Labels:
    """The polygons that lie on the grid, with their classes.

    A field of whole numbers from 1 to 254 gives the values of the class raster; other classes are numbered from 1 in
    the order of their names. Polygons without a class are left out.

    Raises:
        LabelError: no polygons, no such field, fewer than two classes or too many, no common ground with the scene.
    """
    shapes, fields, crs = read_polygons(path, layer)
    if class_field not in fields:
        raise LabelError(
            f"{Path(path).name} has no field {class_field!r}.", f"Its fields are: {', '.join(fields) or 'none'}."
        )
    names = np.array([text_of(value) for value in fields[class_field]], dtype=object)
    shapes = polygons_in_crs(shapes, crs, grid, Path(path).name)
    on_scene = shapely.intersects(shapes, shapely.box(*grid.bounds)) & (names != "")
    if not on_scene.any():
        raise LabelError(
            f"None of the {len(shapes)} polygons of {Path(path).name} lies on the scene with a class.",
            "Draw polygons on the image, or check the CRS of the polygon layer and the extent.",
        )
    shapes, names = shapes[on_scene], names[on_scene]
    classes = _classes(sorted(set(names), key=_order))
    if len(classes) < 2:
        raise LabelError(
            f"The field {class_field!r} holds one class on the scene, {classes[0].name!r}; two are needed.",
            "Draw polygons of what it is not as well, for instance of the background.",
        )
    if len(classes) > LARGEST_VALUE:
        raise LabelError(
            f"The field {class_field!r} holds {len(classes)} classes, at most {LARGEST_VALUE} can be learnt.",
            "Choose the field that names the class, not the one that numbers the polygons.",
        )
    index = {entry.name: i for i, entry in enumerate(classes)}
    return Labels(classes, shapes, np.array([index[name] for name in names], np.uint8))


def _order(name: str) -> tuple[bool, int, str]:
    """Numbers by size, before names by letters."""
    return not name.isdigit(), int(name) if name.isdigit() else 0, name


def _classes(names: list[str]) -> tuple[ClassInfo, ...]:
    numbered = all(name.isdigit() and 1 <= int(name) <= LARGEST_VALUE for name in names)
    return tuple(
        ClassInfo(int(name) if numbered else i + 1, name, _colour(i, len(names))) for i, name in enumerate(names)
    )


def _colour(index: int, count: int) -> str:
    if count <= len(COLOURS):
        return COLOURS[index]
    red, green, blue = colorsys.hsv_to_rgb(index / count, 0.75 if index % 2 else 0.45, 0.85)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
