"""What a raster is, for the scene table and for every command that takes a file."""

from __future__ import annotations

from pathlib import Path

from rasterio.io import DatasetReader

from skysense.jobs.report import Report
from skysense.protocol.guess import RasterFacts, guess
from skysense.protocol.requests import DescribeRaster, RasterDescription
from skysense.scene.display import choose_display, overview, percentiles
from skysense.scene.ground import pixel_size_m
from skysense.scene.open import open_raster
from skysense.scene.warp import native_grid


def run(request: DescribeRaster, report: Report) -> RasterDescription:
    """Describe one file; see `describe`."""
    return describe(request.path)


def describe(path: str) -> RasterDescription:
    """Open the file and guess sensor, bands, scaling, date and display from names, tags and its overview.

    Raises:
        RasterError: it cannot be used.
    """
    with open_raster(path) as dataset:
        grid = native_grid(dataset)
        gsd_m = None
        if grid.crs is not None:
            west, south, east, north = grid.bounds
            gsd_m = pixel_size_m(grid.crs_text, grid.transform, (west + east) / 2, (south + north) / 2)
        facts = _facts(dataset, path, gsd_m)
        guessed = guess(facts)
        return RasterDescription(
            path=path,
            height=grid.height,
            width=grid.width,
            count=dataset.count,
            dtype=dataset.dtypes[0],
            crs=grid.crs_text,
            transform=tuple(float(value) for value in grid.transform[:6]),
            gsd_m=gsd_m,
            band_labels=facts.labels,
            sensor=guessed.sensor,
            bands=guessed.bands,
            scaling=guessed.scaling,
            date=guessed.date,
            reasons=guessed.reasons,
            display=choose_display(dataset, guessed.sensor, guessed.bands),
        )


def _facts(dataset: DatasetReader, path: str, gsd_m: float | None) -> RasterFacts:
    labels = tuple(
        description or (interpretation.name if interpretation.name != "undefined" else "")
        for description, interpretation in zip(dataset.descriptions, dataset.colorinterp)
    )
    tags = dict(dataset.tags())
    for index in range(dataset.count, 0, -1):  # the first band's tags win over the later ones'
        tags.update(dataset.tags(index))
    low, high = percentiles(*overview(dataset, [1]))
    return RasterFacts(
        name=Path(path).name,
        labels=labels,
        dtype=dataset.dtypes[0],
        tags=tags,
        gsd_m=gsd_m,
        low=low,
        high=high,
        scale=dataset.scales[0],
        offset=dataset.offsets[0],
    )
