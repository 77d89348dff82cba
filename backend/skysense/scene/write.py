"""The writer: tiled COGs with overviews, whole or not at all.

Windows are streamed into a plain tiled GeoTIFF beside the target; from it the COG is made, synced, reopened and
checked, and renamed. Whatever stops the writer, nothing half-done stays under the target's name.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window as RasterioWindow

from skysense import __version__
from skysense.errors import OutputError
from skysense.scene.grid import Grid, Window

BLOCK_PX = 256
Palette = Mapping[int, tuple[int, int, int, int]]


class RasterWriter:
    """Takes windows of one raster; a context manager that finishes the file only if nothing went wrong."""

    def __init__(
        self,
        path: str,
        grid: Grid,
        bands: Sequence[str],
        dtype: str,
        nodata: float,
        *,
        inputs: Sequence[str] = (),
        facts: Mapping[str, object] | None = None,
        palette: Palette | None = None,
    ) -> None:
        """Begin the file.

        Args:
            path: the COG to write; the sidecar is `path` + ".json".
            grid: where its pixels lie.
            bands: description of each band.
            dtype: "uint8" or "float32" (stored with 16 bits).
            nodata: the value of pixels without data.
            inputs: files that the output must not overwrite.
            facts: what made it: inputs, dates, parameters, digests; into the tags and the sidecar.
            palette: colour of each class value.

        Raises:
            OutputError: the folder is missing or read-only, the output is one of the inputs, the disk is full.
        """
        self.path = Path(path)
        self.grid, self._bands, self._dtype = grid, tuple(bands), dtype
        self._facts = {**(facts or {}), "written_by": f"skysense {__version__}"}
        check_target(self.path, inputs)
        self._folder = tempfile.TemporaryDirectory(prefix=f".{self.path.stem[:40]}.", dir=self.path.parent)
        profile = {
            "driver": "GTiff",
            "height": grid.height,
            "width": grid.width,
            "count": len(bands),
            "dtype": dtype,
            "nodata": nodata,
            "crs": grid.crs,
            "transform": grid.transform,
            "tiled": True,
            "blockxsize": BLOCK_PX,
            "blockysize": BLOCK_PX,
            "interleave": "pixel",
            "BIGTIFF": "IF_SAFER",
        }
        try:
            with rasterio.Env(GDAL_CACHEMAX=64 * 2**20):
                self._target: DatasetWriter = rasterio.open(self._draft, "w", **profile)
                self._target.descriptions = self._bands
                if palette is not None:
                    self._target.write_colormap(1, dict(palette))
                self._target.update_tags(**{name: _tag(value) for name, value in self._facts.items()})
        except (RasterioError, OSError) as error:
            self._folder.cleanup()
            raise _cannot_write(self.path, error) from error

    @property
    def _draft(self) -> Path:
        return Path(self._folder.name) / "draft.tif"

    def write(self, window: Window, values: NDArray[np.generic]) -> None:
        """A window (C, h, w) inside the grid."""
        area = RasterioWindow(window.column, window.row, window.width, window.height)
        try:
            self._target.write(values.astype(self._dtype, copy=False), window=area)
        except (RasterioError, OSError) as error:
            raise _cannot_write(self.path, error) from error

    def note(self, **facts: object) -> None:
        """Facts that are known only at the end."""
        self._facts |= facts
        self._target.update_tags(**{name: _tag(value) for name, value in facts.items()})

    def __enter__(self) -> RasterWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            try:
                self._target.close()
            except (RasterioError, OSError) as failure:
                if kind is None:
                    raise _cannot_write(self.path, failure) from failure
            if kind is None:
                self._finish()
        finally:
            self._folder.cleanup()

    def _finish(self) -> None:
        ready = Path(self._folder.name) / "ready.tif"
        options = {"COMPRESS": "DEFLATE", "LEVEL": "6", "BLOCKSIZE": str(BLOCK_PX), "BIGTIFF": "IF_SAFER"}
        options["PREDICTOR"] = "FLOATING_POINT" if self._dtype == "float32" else "STANDARD"
        options["OVERVIEW_RESAMPLING"] = "NEAREST" if self._dtype == "uint8" and len(self._bands) == 1 else "AVERAGE"
        if self._dtype == "float32":
            options["NBITS"] = "16"
            options["PREDICTOR"] = "NO"  # GDAL has no floating-point predictor for 16 bits
        try:
            with rasterio.Env(GDAL_CACHEMAX=64 * 2**20, GDAL_NUM_THREADS="1"):
                copy_raster(str(self._draft), str(ready), driver="COG", **options)
            self._draft.unlink()
            sync(ready)
            self._check(ready)
            sidecar = Path(self._folder.name) / "ready.json"
            sidecar.write_text(json.dumps(self._facts, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
            os.replace(sidecar, self.path.with_name(self.path.name + ".json"))
            os.replace(ready, self.path)
        except (RasterioError, OSError) as error:
            raise _cannot_write(self.path, error) from error

    def _check(self, ready: Path) -> None:
        """What was written is what was meant: same place, same shape, and its last block can be read."""
        with rasterio.open(ready) as written:
            same = (
                written.crs == self.grid.crs
                and written.transform.almost_equals(self.grid.transform, precision=1e-9)
                and (written.count, written.height, written.width) == (len(self._bands), self.grid.height, self.grid.width)
            )
            if not same:
                raise OSError("the file that was written does not lie where it should")
            size = min(BLOCK_PX, self.grid.height), min(BLOCK_PX, self.grid.width)
            written.read(window=RasterioWindow(self.grid.width - size[1], self.grid.height - size[0], size[1], size[0]))


def check_target(path: Path, inputs: Sequence[str]) -> None:
    """Raises OutputError where the path cannot become an output."""
    if any(Path(source).resolve() == path.resolve() for source in inputs):
        raise OutputError(f"The output {path.name} is one of the inputs.", "Choose another name for the output.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder.", "Choose a file name.")
    if not path.parent.is_dir():
        raise OutputError(f"There is no folder {path.parent}.", "Create it, or choose another one.")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"The folder {path.parent} is read-only.", "Choose a folder that you may write to.")


def sync(path: Path) -> None:
    """On the disk, not only on its way there."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _cannot_write(path: Path, error: Exception) -> OutputError:
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return OutputError(f"{path.name} cannot be written: {text}.", "Check free space and rights of the folder.")


def _tag(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
