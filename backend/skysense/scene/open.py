"""Opening rasters that nobody vouches for: known drivers only, checked before a pixel is read.

GDAL chooses drivers by content, so a `.tif` may be a VRT that points anywhere; the list below has none that opens other
files or the network. Side files (world files, `.aux.xml`) are still read: users' pictures are placed by them. Overviews
and masks beside a file GDAL would open with any driver, and overviews under any name that the file's metadata tell:
both are looked at before GDAL asks for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine

from skysense.errors import RasterError
from skysense.scene.grid import parse_crs

GDAL_ERRORS = (RasterioError, CPLE_BaseError)  # rasterio wraps only some of GDAL's own
DRIVERS = ["GTiff", "COG", "JP2OpenJPEG", "PNG", "JPEG", "HFA", "ENVI"]
LARGEST_BLOCK_BYTES = 512 * 2**20  # one block is the least that GDAL reads at once
# Real files shrink to a thousandth at best (DEFLATE's limit on a constant picture); far beyond that it is a trap.
PLAUSIBLE_BYTES = 2**30
LARGEST_RATIO = 20_000
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two of BigTIFF
PICTURES_BESIDE = (".ovr", ".OVR", ".msk", ".MSK")  # overviews and mask of a file, under its whole name
TEXT_BESIDE = {".txt", ".xml"}  # of products, named after the scene where the bands are files of their own
CACHE_BYTES = 32 * 2**20  # enough for the blocks of a tile; more only makes the memory grow with the raster
SAFE = {
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
    "GDAL_PAM_ENABLED": "YES",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
    "GDAL_HTTP_TIMEOUT": "1",
    "GDAL_NUM_THREADS": "1",
}


class AssignedReader(DatasetReader):  # type: ignore[misc]  # rasterio has no types
    """A file that lies where the user says: QGIS lets a layer's CRS be set where the file has none or a wrong one."""

    assigned: CRS | None = None  # until it is told, right after opening

    @property
    def crs(self) -> CRS | None:
        return self.assigned or super().crs

    @property
    def transform(self) -> Affine:
        """Files that are placed nowhere lie as QGIS draws them: below the x axis."""
        own: Affine = super().transform
        return Affine.scale(1, -1) if own.is_identity and super().crs is None else own


@contextmanager
def open_raster(path: str, crs: str = "", overview: int | None = None) -> Iterator[DatasetReader]:
    """The dataset, checked.

    Args:
        path: the file.
        crs: taken in the place of the file's own, pixels stay where they are; "" for the file's own.
        overview: number of the overview to open in the place of the file's own pixels.

    Raises:
        RequestError: `crs` names none.
        RasterError: no such file, not readable, an unknown or refused format, damaged, without bands, complex numbers,
            pictures beside it that point elsewhere, or laid out so that reading it would take absurd amounts of memory.
    """
    if not Path(path).is_file():
        raise RasterError(f"There is no file {path}.", "Choose a raster file on this computer.")
    head = _head(Path(path))
    with rasterio.Env(**SAFE), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _check_beside(Path(path))
        assigned = parse_crs(crs) if crs else None
        with _open(path, head, assigned) as dataset:
            _check_points_nowhere(dataset, Path(path))
            _check(dataset, Path(path).name)
            if overview is None:
                yield dataset
                return
        with _open(path, head, assigned, OVERVIEW_LEVEL=overview) as smaller:
            yield smaller


def _open(path: str, head: bytes, assigned: CRS | None, **options: object) -> DatasetReader:
    try:
        dataset = (DatasetReader if assigned is None else AssignedReader)(path, driver=DRIVERS, **options)
    except (*GDAL_ERRORS, ValueError) as error:
        if b"<VRTDataset" in head:
            raise RasterError(
                f"{Path(path).name} is a virtual raster, a list of other files.",
                "Save the layer as GeoTIFF (Export > Save as) and use that: virtual rasters may point anywhere.",
            ) from error
        raise RasterError(
            f"{Path(path).name} cannot be opened as a raster: {_first_line(error)}.",
            f"Formats that are read: {', '.join(DRIVERS)}. Save the layer as GeoTIFF, or check the file.",
        ) from error
    if assigned is not None:
        dataset.assigned = assigned
    return dataset


def read_checked(dataset: DatasetReader, **how: object) -> np.ndarray:
    """`dataset.read`, with a damaged file as a RasterError that names it."""
    try:
        return dataset.read(**how)
    except (*GDAL_ERRORS, ValueError, MemoryError) as error:
        raise damaged(dataset.name, error) from error


def damaged(name: str, error: Exception) -> RasterError:
    return RasterError(
        f"{Path(name).name} cannot be read to its end: {_first_line(error)}.",
        "The file is damaged or was not copied completely: get it again.",
    )


def _check(dataset: DatasetReader, name: str) -> None:
    if dataset.count == 0:
        raise RasterError(f"{name} has no bands.", "Choose one of its sub-datasets, saved as GeoTIFF.")
    if any("complex" in kind for kind in dataset.dtypes):
        raise RasterError(
            f"{name} holds complex numbers ({dataset.dtypes[0]}).", "Save the amplitude or the intensity as a raster."
        )
    if not all(isfinite(value) for value in dataset.transform[:6]) or dataset.transform.determinant == 0:
        raise RasterError(f"{name} has a transform that places no pixels.", "Georeference the raster again.")
    height, width = dataset.block_shapes[0]
    block = height * width * np.dtype(dataset.dtypes[0]).itemsize
    if block > LARGEST_BLOCK_BYTES:
        raise RasterError(
            f"{name} is stored in blocks of {width} x {height} pixels, {block / 2**20:.0f} MB each.",
            "Save it as a tiled GeoTIFF, for instance with gdal_translate -co TILED=YES.",
        )
    stored = sum(Path(file).stat().st_size for file in dataset.files if Path(file).is_file())
    raw = dataset.height * dataset.width * sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    if raw > PLAUSIBLE_BYTES and raw > LARGEST_RATIO * stored:
        raise RasterError(
            f"{name} says that it has {dataset.width} x {dataset.height} pixels, but holds only {stored} bytes.",
            "The file is empty or damaged: get it again, or cut out the part that has data.",
        )


def _head(path: Path) -> bytes:
    """The first bytes, by which formats are told."""
    try:
        with path.open("rb") as file:
            return file.read(1024)
    except OSError as error:
        raise RasterError(
            f"{path.name} cannot be read: {error.strerror or error}.", "Check that you have the right to read the file."
        ) from error


def _check_beside(path: Path) -> None:
    """Overviews and masks beside the file, and those beside them, are TIFFs that name no further file."""
    for suffix in PICTURES_BESIDE:
        beside = path.with_name(path.name + suffix)
        if not beside.is_file():
            continue
        if not _head(beside).startswith(TIFF_MAGIC):
            raise _beside_refused(beside, path)
        _check_beside(beside)
        try:
            with DatasetReader(str(beside), driver=["GTiff"]) as dataset:
                _check_points_nowhere(dataset, beside)
        except (*GDAL_ERRORS, ValueError) as error:
            raise _beside_refused(beside, path) from error


def _beside_refused(beside: Path, path: Path) -> RasterError:
    return RasterError(
        f"{beside.name}, which belongs to {path.name}, is no TIFF.",
        f"Remove {beside.name}, or build the raster's overviews again.",
    )


def _check_points_nowhere(dataset: DatasetReader, path: Path) -> None:
    """No overviews under another name, and nothing of it lies elsewhere; asked before GDAL looks for overviews itself."""
    remedy = "Save the layer as GeoTIFF (Export > Save as) and use that: files that point elsewhere may point anywhere."
    bands = (dataset.tags(index, ns="OVERVIEWS") for index in range(1, dataset.count + 1))
    if any("OVERVIEW_FILE" in (name.upper() for name in tags) for tags in (dataset.tags(ns="OVERVIEWS"), *bands)):
        raise RasterError(f"{path.name} names another file as its overviews.", remedy)
    folder, stem = path.absolute().parent.resolve(), path.stem.casefold()
    for file in map(Path, dataset.files):
        named_alike = file.name.casefold().startswith(stem) or file.suffix.casefold() in TEXT_BESIDE
        if file.absolute().parent.resolve() != folder or not named_alike:
            raise RasterError(f"{path.name} is made of other files, {file.name} among them.", remedy)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
