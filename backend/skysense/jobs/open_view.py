"""Encode one view for click-to-segment."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine, from_bounds

from skysense.errors import RequestError
from skysense.jobs import views
from skysense.jobs.describe import describe
from skysense.jobs.report import Part, Report, telling
from skysense.protocol.requests import OpenView, ViewReady
from skysense.protocol.scene_source import LARGEST_VIEW_PX, ArrayFile, ViewSource
from skysense.scene.display import render
from skysense.scene.ground import pixel_size_m
from skysense.segment.session import ClickSession
from skysense.segment.view_scale import choose_scale


def run(request: OpenView, report: Report) -> ViewReady:
    """Read the view's pixels and build its graph of regions.

    Raises:
        RequestError: neither or both of file and picture, a view larger than 1024 px.
        RasterError: the file cannot be read.
    """
    started = time.perf_counter()
    source = request.source
    _check(source)
    report.progress(0.0, "Reading the view")
    rgb, valid = _pixels(source, telling(Part(report, 0.0, 0.3), "Reading the view"))
    e = source.extent
    transform = from_bounds(e.west, e.south, e.east, e.north, source.width, source.height)
    factor = choose_scale(source.height, source.width, _object_px(request, transform))
    session = ClickSession(rgb, factor, told=telling(Part(report, 0.3, 1.0), "Encoding the view"))
    view = views.add(session, valid, transform, e.crs, request.mask_path)
    return ViewReady(
        view=view.name,
        height=source.height,
        width=source.width,
        milliseconds=1e3 * (time.perf_counter() - started),
    )


def _check(source: ViewSource) -> None:
    if (source.path is None) == (source.picture is None):
        raise RequestError("A view needs either a file or a rendered picture.", "Choose a layer and start again.")
    if not 1 <= min(source.height, source.width) <= max(source.height, source.width) <= LARGEST_VIEW_PX:
        raise RequestError(
            f"The view has {source.width} x {source.height} pixels, at most {LARGEST_VIEW_PX} a side can be clicked in.",
            "Zoom in, or make the map window smaller.",
        )


def _pixels(source: ViewSource, told: Callable[[float], None]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """RGB (H, W, 3) and validity (H, W)."""
    if source.picture is not None:
        picture = _picture(source.picture, (source.height, source.width, 4))
        return np.ascontiguousarray(picture[..., :3]), picture[..., 3] > 0
    path = str(source.path)
    display = source.display or describe(path).display
    return render(path, display, source.extent, source.height, source.width, told)


def _picture(file: ArrayFile, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if file.dtype != "uint8" or tuple(file.shape) != shape:
        raise RequestError(
            f"The rendered picture is {file.dtype} {file.shape}, the view needs uint8 {shape}.", "Start again in this view."
        )
    return np.array(np.memmap(file.path, dtype=np.uint8, mode="r", shape=shape))


def _object_px(request: OpenView, transform: Affine) -> float | None:
    """The typical object's diameter in pixels of the view, as the side of a square of the same area."""
    if request.object_size_m is None or not request.source.extent.crs:
        return None
    e = request.source.extent
    gsd_m = pixel_size_m(e.crs, transform, (e.west + e.east) / 2, (e.south + e.north) / 2)
    return request.object_size_m / gsd_m * sqrt(np.pi) / 2
