"""The writer: tiled COGs with overviews, whole or not at all.

Windows are streamed into a plain tiled GeoTIFF beside the target; from it the COG is made, synced, reopened and
checked, and renamed. Whatever stops the writer, nothing half-done stays under the target's name; a process that is
killed leaves a hidden folder `.<name>.<process>.….partial`, which the next writer beside it removes.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetWriter
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window as RasterioWindow

from skysense import __version__
from skysense.errors import OutputError
from skysense.protocol import half_done
from skysense.scene.grid import Grid, Window
from skysense.scene.open import GDAL_ERRORS
from skysense.scene.warp import placement

BLOCK_PX = 256
WRITTEN_BY = {"written_by": f"skysense {__version__}"}
CACHE_BYTES = 32 * 2**20
Palette = Mapping[int, tuple[int, int, int, int]]


class OutputSet:
    """Files that appear together or not at all: the first gets its name when the last is ready.

    A context manager; what was there before under their names comes back if one of them cannot take its own.
    """

    def __init__(self) -> None:
        self._folders = ExitStack()
        self._ready: list[tuple[Path, Path]] = []

    def take(self, folder: tempfile.TemporaryDirectory[str], ready: Sequence[tuple[Path, Path]]) -> None:
        """Files of a folder beside their targets, and the targets; the folder is removed at the end."""
        self._folders.enter_context(folder)
        self._ready += ready

    def __enter__(self) -> OutputSet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._folders:
            if kind is None:
                self._appear()

    def _appear(self) -> None:
        changed: list[tuple[Path, Path]] = []  # target, and where its former file waits
        target = Path()
        try:
            for ready, target in self._ready:
                former = ready.with_name(f"{ready.name}.former")
                changed.append((target, former))
                if target.exists():
                    os.replace(target, former)
                os.replace(ready, target)
        except OSError as error:
            for taken, former in reversed(changed):
                if former.exists():
                    os.replace(former, taken)
                elif taken != target:
                    taken.unlink(missing_ok=True)
            raise cannot_write(target, error) from error
        for _, target in self._ready:
            for stale in (".aux.xml", ".ovr", ".msk"):  # side files of what was there before
                with suppress(OSError):
                    target.with_name(target.name + stale).unlink(missing_ok=True)


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
        finishing: Callable[[float], None] | None = None,
        together: OutputSet | None = None,
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
            finishing: told the share done while the COG is made; what it raises (`Cancelled`) stops the writer.
            together: the set that the file appears with; None: alone.

        Raises:
            OutputError: the folder is missing or read-only, the output is one of the inputs, the disk is full.
        """
        self.path = Path(path)
        self.grid, self._bands, self._dtype = grid, tuple(bands), dtype
        self._facts = {**(facts or {}), **WRITTEN_BY}
        self._finishing, self._together = finishing, together
        check_target(self.path, inputs)
        self._folder = working_folder(self.path)
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
            with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
                self._target: DatasetWriter = rasterio.open(self._draft, "w", **profile)
                self._target.descriptions = self._bands
                if palette is not None:
                    self._target.write_colormap(1, dict(palette))
                self._target.update_tags(**{name: _tag(value) for name, value in self._facts.items()})
        except (*GDAL_ERRORS, OSError) as error:
            self._folder.cleanup()
            raise cannot_write(self.path, error) from error

    @property
    def _draft(self) -> Path:
        return Path(self._folder.name) / "draft.tif"

    def write(self, window: Window, values: NDArray[np.generic]) -> None:
        """A window (C, h, w) inside the grid."""
        area = RasterioWindow(window.column, window.row, window.width, window.height)
        try:
            self._target.write(values.astype(self._dtype, copy=False), window=area)
        except (*GDAL_ERRORS, OSError) as error:
            raise cannot_write(self.path, error) from error

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
            except (*GDAL_ERRORS, OSError) as failure:
                if kind is None:
                    raise cannot_write(self.path, failure) from failure
            if kind is None:
                ready = self._finish()
                with nullcontext(self._together) if self._together is not None else OutputSet() as outputs:
                    outputs.take(self._folder, ready)
        except BaseException:
            self._folder.cleanup()
            raise
        if kind is not None:
            self._folder.cleanup()

    def _finish(self) -> list[tuple[Path, Path]]:
        """COG and sidecar, each with the name that it is to get."""
        ready = Path(self._folder.name) / "ready.tif"
        options = {"COMPRESS": "DEFLATE", "LEVEL": "6", "BLOCKSIZE": str(BLOCK_PX), "BIGTIFF": "IF_SAFER"}
        options["PREDICTOR"] = "FLOATING_POINT" if self._dtype == "float32" else "STANDARD"
        options["OVERVIEW_RESAMPLING"] = "NEAREST" if self._dtype == "uint8" and len(self._bands) == 1 else "AVERAGE"
        if self._dtype == "float32":
            options["NBITS"] = "16"
            options["PREDICTOR"] = "NO"  # GDAL has no floating-point predictor for 16 bits
        try:
            self._make(ready, options)
            sync(ready)
            self._check(ready)
            sidecar = Path(self._folder.name) / "ready.json"
            write_sidecar(sidecar, self._facts)
        except (*GDAL_ERRORS, OSError) as error:
            raise cannot_write(self.path, error) from error
        return [(ready, self.path), (sidecar, sidecar_of(self.path))]

    def _make(self, ready: Path, options: Mapping[str, str]) -> None:
        """The COG from the draft; GDAL reads it twice, for the overviews and for the file."""
        watch = _Watch(self._draft, self._finishing, 2 * self._draft.stat().st_size)
        try:
            with (
                rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS="1"),
                rasterio.open(self._draft, opener=watch.open) as draft,
            ):
                copy_raster(draft, str(ready), driver="COG", **options)
        except GDAL_ERRORS:
            if watch.stopped is not None:
                raise watch.stopped from None
            raise

    def _check(self, ready: Path) -> None:
        """What was written is what was meant: the same place and shape, and the same pixels where they are sampled."""
        with rasterio.open(ready) as written, rasterio.open(self._draft) as draft:
            same = (
                written.crs == draft.crs
                and placement(written).almost_equals(self.grid.transform, precision=1e-9)
                and (written.count, written.height, written.width) == (len(self._bands), self.grid.height, self.grid.width)
            )
            if not same:
                raise OSError("the file that was written does not lie where it should")
            height, width = min(BLOCK_PX, self.grid.height), min(BLOCK_PX, self.grid.width)
            for share in (0.0, 0.5, 1.0):
                row, column = round(share * (self.grid.height - height)), round(share * (self.grid.width - width))
                area = RasterioWindow(column, row, width, height)
                # 16 bits keep 11 binary digits
                if not np.allclose(written.read(window=area), draft.read(window=area), 2**-10, 1e-6, equal_nan=True):
                    raise OSError("the file that was written does not hold what it should")


class _Watch:
    """Tells how much of a file GDAL has read, and lets the file end there once the listener raises."""

    def __init__(self, path: Path, listener: Callable[[float], None] | None, total: int) -> None:
        self.path = path
        self.stopped: BaseException | None = None
        self._listener, self._total, self._read = listener, max(total, 1), 0

    def open(self, path: str, mode: str = "rb") -> io.FileIO:
        """What rasterio calls to open the file, and to look for others beside it."""
        if Path(path).name != self.path.name:
            raise FileNotFoundError(path)
        return _WatchedFile(self)

    def may_read(self) -> bool:
        if self.stopped is None and self._listener is not None:
            try:
                self._listener(min(self._read / self._total, 1.0))
            except BaseException as error:  # GDAL's thread of calls cannot carry it: `_make` raises it again
                self.stopped = error
        return self.stopped is None

    def count(self, read: int) -> None:
        self._read += read


class _WatchedFile(io.FileIO):
    def __init__(self, watch: _Watch) -> None:
        super().__init__(watch.path, "rb")
        self._watch = watch

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) if self._watch.may_read() else b""
        self._watch.count(len(data or b""))
        return data


def partial_folder(target: Path) -> tempfile.TemporaryDirectory[str]:
    """A hidden folder beside the target, on the same disk; those that dead processes left there are removed."""
    half_done.remove_left_behind(target.parent)
    prefix, suffix = half_done.affixes(target.stem)
    return tempfile.TemporaryDirectory(suffix=suffix, prefix=prefix, dir=target.parent)


def working_folder(target: Path) -> tempfile.TemporaryDirectory[str]:
    """`partial_folder`; raises OutputError where there is no room or no right for it."""
    try:
        return partial_folder(target)
    except OSError as error:
        raise cannot_write(target, error) from error


def check_outputs(paths: Iterable[str | None], inputs: Sequence[str]) -> None:
    """Raises OutputError where one of the paths cannot become an output, or two are one file; None is no output."""
    targets = [Path(path) for path in paths if path is not None]
    seen: set[str] = set()
    for target in targets:
        check_target(target, inputs)
        place = os.path.normcase(target.resolve())
        if place in seen:
            raise OutputError(f"Two outputs have the same name {target.name}.", "Choose a name of its own for each.")
        seen.add(place)


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


def sidecar_of(target: Path) -> Path:
    """The JSON file beside an output that says what made it."""
    return target.with_name(target.name + ".json")


def write_sidecar(path: Path, facts: Mapping[str, object]) -> None:
    """What made an output, on the disk."""
    text = json.dumps({**facts, **WRITTEN_BY}, indent=1, ensure_ascii=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")
    sync(path)


def sync(path: Path) -> None:
    """On the disk, not only on its way there."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def cannot_write(path: Path, error: Exception) -> OutputError:
    """What kept the file from being written, in its first line."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return OutputError(f"{path.name} cannot be written: {text}.", "Check free space and rights of the folder.")


def _tag(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
