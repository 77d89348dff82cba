"""What a raster is, for the scene table and for every command that takes a file."""

from __future__ import annotations

from pathlib import Path

from rasterio.io import DatasetReader

from skysense.jobs.report import Report
from skysense.protocol.guess import BASELINE_TAG, RasterFacts, guess, wavelength_nm
from skysense.protocol.requests import DescribeRaster, RasterDescription
from skysense.scene.display import choose_display, overview, percentiles
from skysense.scene.ground import pixel_size_m
from skysense.scene.open import open_raster
from skysense.scene.warp import native_grid


def run(request: DescribeRaster, report: Report) -> RasterDescription:
    """Describe one file; see `describe`."""
    return describe(request.path, request.crs)


def describe(path: str, crs: str = "") -> RasterDescription:
    """Open the file and guess sensor, bands, scaling, date and display from names, tags and its overview.

    Args:
        path: the raster.
        crs: where the user says that it lies; "" as the file says.

    Raises:
        RasterError: it cannot be used.
    """
    with open_raster(path, crs) as dataset:
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
            assigned_crs=crs,
            low=facts.low,
            high=facts.high,
            scale=facts.scale,
            offset=facts.offset,
            processing_baseline=facts.tags.get(BASELINE_TAG, ""),
        )


def _facts(dataset: DatasetReader, path: str, gsd_m: float | None) -> RasterFacts:
    labels = tuple(_label(dataset, index) for index in range(1, dataset.count + 1))
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


def _label(dataset: DatasetReader, index: int) -> str:
    """A band's description, else its colour interpretation, else ""; with the wavelength that its tags tell."""
    interpretation = dataset.colorinterp[index - 1].name
    label = dataset.descriptions[index - 1] or (interpretation if interpretation != "undefined" else "")
    wave = _wavelength_nm(dataset, index)
    if wave is None or wavelength_nm(label) is not None:
        return label
    return f"{label} ({wave:g} nm)" if label else f"{wave:g} nm"


def _wavelength_nm(dataset: DatasetReader, index: int) -> float | None:
    """From GDAL's own tag for it, else from those of the ENVI format."""
    micrometres = dataset.tags(index, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
    if micrometres is not None:
        return wavelength_nm(f"{micrometres} um")
    tags = dataset.tags(index)
    return wavelength_nm(f"{tags.get('wavelength', '')} {tags.get('wavelength_units', '')}")
