"""A list of points -> one polygon per object, each in a view of its own around the points."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf, isfinite, pi, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform as transform_points
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from skysense.errors import PromptError
from skysense.jobs.describe import describe
from skysense.jobs.provenance import run_facts
from skysense.jobs.report import Part, Report, telling
from skysense.protocol.requests import PolygonsWritten, RasterDescription, SegmentPoints
from skysense.protocol.scene_source import LARGEST_VIEW_PX, Extent
from skysense.scene.display import render
from skysense.scene.grid import parse_crs
from skysense.scene.ground import area_m2
from skysense.scene.open import GDAL_ERRORS
from skysense.scene.read_points import Points, read_points
from skysense.scene.vector import text_of, write_polygons
from skysense.scene.write import check_target
from skysense.segment.polygon import outline
from skysense.segment.session import Click, ClickSession
from skysense.segment.view_scale import choose_scale

VIEW_PX = 512  # what an object is looked at in, unless its size asks for more
OBJECTS_PER_SIDE = 6  # a view shows this many diameters, so that the surroundings can be told from the object
LAYER = "objects"


@dataclass(frozen=True)
class Window:
    """A square view of the raster: `side` raster pixels from (column, row), drawn with `view_px` pixels."""

    column: int
    row: int
    side: int
    view_px: int

    def affine(self, raster: Affine) -> Affine:
        """Pixel corner of the view to the raster's CRS."""
        return raster @ Affine.translation(self.column, self.row) @ Affine.scale(self.side / self.view_px)


def run(request: SegmentPoints, report: Report) -> PolygonsWritten:
    """Segment every object and write the polygons: object_id, clicks, area_m2, class, source, date, and the attributes
    of the object's first point.

    Raises:
        PromptError: no points, or none on the raster. RequestError: no such CRS. RasterError and its kinds. OutputError.
    """
    started = time.monotonic()
    inputs = [request.path, request.points_path]
    check_target(Path(request.output_path), inputs)
    report.progress(0.0, "Reading points")
    raster = describe(request.path, request.crs)
    points = read_points(request.points_path, request.points_layer, request.object_field, request.positive_field)
    _class_field(request, points)
    objects = _objects(points, raster)
    shapes: dict[int, BaseGeometry] = {}
    for done, (number, prompts) in enumerate(sorted(objects.items())):
        part = Part(report, 0.95 * done / len(objects), 0.95 * (done + 1) / len(objects))
        told = telling(part, "Segmenting", f"{done} of {len(objects)} objects")
        told(0.0)
        shape = _segment(prompts, raster, request, told)
        if not shape.is_empty:
            shapes[number] = shape
    report.progress(0.95, "Writing polygons")
    fields = _fields(request, shapes, objects, points, raster)
    facts = run_facts(request, "output_path")
    write_polygons(request.output_path, LAYER, list(shapes.values()), fields, raster.crs, inputs, facts=facts)
    return PolygonsWritten(
        path=request.output_path,
        layer=LAYER,
        count=len(shapes),
        empty=tuple(sorted(set(objects) - set(shapes))),
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class PixelPoint:
    """A prompt in pixels of the raster, fractions included."""

    column: float
    row: float
    positive: bool


def _objects(points: Points, raster: RasterDescription) -> dict[int, list[PixelPoint]]:
    """The points of each object, in the order they came, in pixels of the raster."""
    if not points.prompts:
        raise PromptError("There are no points.", "Choose a point layer with at least one point on the image.")
    xs, ys = [point.x for point in points.prompts], [point.y for point in points.prompts]
    if raster.crs:
        if not points.crs:
            raise PromptError("The points have no coordinate reference system.", "Set the layer's CRS and save it again.")
        xs, ys = _transformed(parse_crs(points.crs), parse_crs(raster.crs), xs, ys)
    to_pixel = ~Affine(*raster.transform)
    objects: dict[int, list[PixelPoint]] = defaultdict(list)
    on_raster = False
    for point, x, y in zip(points.prompts, xs, ys):
        column, row = to_pixel @ (x, y)
        if not (isfinite(column) and isfinite(row)):
            objects[point.object_id]  # without this point, and perhaps without any
            continue
        objects[point.object_id].append(PixelPoint(column, row, point.positive))
        on_raster |= 0 <= column < raster.width and 0 <= row < raster.height
    if not on_raster:
        raise PromptError(
            "None of the points lies on the image.",
            "Check that the point layer covers the image and that both layers have the right CRS.",
        )
    return dict(objects)


def _transformed(source: CRS, target: CRS, xs: list[float], ys: list[float]) -> tuple[list[float], list[float]]:
    """The points in another CRS, infinite where they have no place there: PROJ refuses all for one."""
    try:
        moved = transform_points(source, target, xs, ys)
        return list(moved[0]), list(moved[1])
    except GDAL_ERRORS:
        if len(xs) == 1:
            return [inf], [inf]
    halves = [_transformed(source, target, xs[part], ys[part]) for part in (np.s_[: len(xs) // 2], np.s_[len(xs) // 2 :])]
    return halves[0][0] + halves[1][0], halves[0][1] + halves[1][1]


def _segment(
    points: list[PixelPoint], raster: RasterDescription, request: SegmentPoints, told: Callable[[float], None]
) -> BaseGeometry:
    """The object's polygon in the raster's CRS; empty where no positive point lies on data."""
    if not any(point.positive for point in points):
        return _nothing()
    affine = Affine(*raster.transform)
    object_px = _object_px(request.object_size_m, raster)
    window = _window(points, object_px)
    to_map = window.affine(affine)
    rgb, valid = render(request.path, request.display or raster.display, _extent(window, to_map, raster.crs),
                        window.view_px, window.view_px, told)  # fmt: skip
    shrink = window.side / window.view_px
    clicks = []
    for point in points:
        x, y = int((point.column - window.column) // shrink), int((point.row - window.row) // shrink)
        if 0 <= x < window.view_px and 0 <= y < window.view_px and valid[y, x]:
            clicks.append(Click(x, y, point.positive))
    if not any(click.positive for click in clicks):
        return _nothing()
    size = None if object_px is None else object_px / shrink * sqrt(pi) / 2
    session = ClickSession(rgb, choose_scale(window.view_px, window.view_px, size))
    mask = session.mask_for(clicks) & valid
    shape = outline(mask, simplify_px=request.simplify_px, fill_holes_px=request.fill_holes_px)
    return affine_transform(shape, (to_map.a, to_map.b, to_map.d, to_map.e, to_map.c, to_map.f))


def _object_px(size_m: float | None, raster: RasterDescription) -> float | None:
    if size_m is None or raster.gsd_m is None:
        return None
    return size_m / raster.gsd_m


def _window(points: list[PixelPoint], object_px: float | None) -> Window:
    """Square, on whole raster pixels, around the middle of the points."""
    columns, rows = [point.column for point in points], [point.row for point in points]
    spread = max(max(columns) - min(columns), max(rows) - min(rows))
    side = VIEW_PX if object_px is None else OBJECTS_PER_SIDE * object_px
    side = int(np.ceil(max(side, 2 * spread, 64)))
    column = int((max(columns) + min(columns)) / 2 - side / 2)
    row = int((max(rows) + min(rows)) / 2 - side / 2)
    return Window(column, row, side, min(side, LARGEST_VIEW_PX))


def _extent(window: Window, to_map: Affine, crs: str) -> Extent:
    corners = [to_map @ (x, y) for x in (0, window.view_px) for y in (0, window.view_px)]
    xs, ys = zip(*corners)
    return Extent(crs, min(xs), min(ys), max(xs), max(ys))


def _nothing() -> BaseGeometry:
    return outline(np.zeros((1, 1), bool), simplify_px=0.0, fill_holes_px=0)


NO_ATTRIBUTES = ("fid", "ogc_fid")  # of the file that the points came in


def _fields(
    request: SegmentPoints, shapes: dict[int, BaseGeometry], objects: dict[int, list[PixelPoint]], points: Points,
    raster: RasterDescription,
) -> dict[str, Sequence[object] | NDArray[np.generic]]:  # fmt: skip
    """What is known of each object, then the attributes of its first point; `point_` is put before those whose names
    are taken."""
    numbers = list(shapes)
    rows = [points.first[number] for number in numbers]
    classes = _class_field(request, points)
    named = [text_of(points.columns[classes][row]) or None for row in rows] if classes else [None] * len(rows)
    fields: dict[str, Sequence[object] | NDArray[np.generic]] = {
        "object_id": numbers,
        "clicks": [len(objects[number]) for number in numbers],
        "area_m2": [area_m2(shapes[number], raster.crs) if raster.crs else float("nan") for number in numbers],
        "class": named,
        "source": [request.name or Path(request.path).stem] * len(rows),
        "date": [request.date] * len(rows),
    }
    for name, column in points.columns.items():
        told = (name, name.lower()) in ((classes, "class"), (request.object_field, "object_id"))
        if not told and name.lower() not in NO_ATTRIBUTES:
            fields[_free_name(name, fields, points.columns)] = column[rows]
    return fields


def _class_field(request: SegmentPoints, points: Points) -> str:
    """The points' field that names the class, "" where there is none.

    Raises:
        PromptError: the one that was asked for is not there.
    """
    if request.class_field and request.class_field not in points.columns:
        raise PromptError(
            f"The points have no field {request.class_field!r}.", f"Choose one of: {', '.join(points.columns) or 'none there'}."
        )
    return request.class_field or next((name for name in points.columns if name.lower() == "class"), "")


def _free_name(name: str, taken: Iterable[str], others: Iterable[str]) -> str:
    """The name, or another one where the objects have it already; GeoPackages tell no capitals apart."""
    used = {other.lower() for other in taken}
    if name.lower() not in used:
        return name
    used |= {other.lower() for other in others}
    numbered = (f"point_{name}" if number == 1 else f"point_{name}_{number}" for number in count(1))
    return next(new for new in numbered if new.lower() not in used)
