"""Polygons in and out of vector files, with the same care as rasters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform
from shapely.geometry.base import BaseGeometry

from skysense.errors import LabelError, OutputError
from skysense.scene.grid import Grid
from skysense.scene.open_vector import check_vector
from skysense.scene.write import OutputSet, cannot_write, check_target, sidecar_of, sync, working_folder, write_sidecar

Column = NDArray[np.generic]


def write_polygons(
    path: str, layer: str, shapes: Sequence[BaseGeometry], fields: Mapping[str, Sequence[object] | Column], crs: str,
    inputs: Sequence[str] = (), together: OutputSet | None = None, facts: Mapping[str, object] | None = None,
) -> None:  # fmt: skip
    """Write a GeoPackage with one layer of multipolygons, whole or not at all.

    Args:
        path: the file.
        layer: the layer's name.
        shapes: polygons or multipolygons.
        fields: a column per field, as long as the shapes; None and what is masked become NULL.
        crs: "" where there is none.
        inputs: files that the output must not overwrite.
        together: the set that the file appears with; None: alone.
        facts: what made it: inputs, dates, parameters, digests; into a sidecar, `path` + ".json". None: no sidecar.

    Raises:
        OutputError: it cannot be written, or the file holds other layers, which would be lost.
    """
    target = Path(path)
    check_target(target, inputs)
    _check_others(target, layer)
    multi = [shapely.multipolygons([shape]) if shape.geom_type == "Polygon" else shape for shape in shapes]
    columns = [_column(values) for values in fields.values()]
    with nullcontext(together) if together is not None else OutputSet() as outputs:
        folder = working_folder(target)
        draft = Path(folder.name) / "draft.gpkg"
        sidecar = Path(folder.name) / "draft.json"
        outputs.take(folder, [(draft, target), *([] if facts is None else [(sidecar, sidecar_of(target))])])
        try:
            pyogrio.raw.write(
                draft,
                shapely.to_wkb(np.array(multi, dtype=object)),
                [np.ma.getdata(column) for column in columns],
                list(fields),
                field_mask=[np.ma.getmaskarray(column) if np.ma.isMaskedArray(column) else None for column in columns],
                layer=layer,
                driver="GPKG",
                dataset_options={"VERSION": "1.2"},  # newer ones make the GDAL of QGIS 3.40 warn
                geometry_type="MultiPolygon",
                crs=crs or None,
            )
            sync(draft)
            if facts is not None:
                write_sidecar(sidecar, facts)
        except (DataSourceError, DataLayerError, OSError, ValueError) as error:
            raise cannot_write(target, error) from error


def _check_others(target: Path, layer: str) -> None:
    """The file becomes another one as a whole: nothing but an earlier result may be in it."""
    if not target.is_file():
        return
    try:
        others = [str(name) for name, _ in pyogrio.list_layers(target) if name != layer]
    except (DataSourceError, DataLayerError):  # no vector file
        return
    if others:
        raise OutputError(
            f"{target.name} holds other layers ({', '.join(others[:5])}), which would be lost.", "Choose a new file."
        )


def _column(values: Sequence[object] | Column) -> Column:
    """As GDAL takes it; a list without rows is a column of text."""
    if isinstance(values, np.ndarray):
        return values
    return np.asarray(list(values)) if len(values) else np.empty(0, dtype=object)


def text_of(value: object) -> str:
    """A field's value as a name, "" where there is none."""
    if value is None or np.ma.is_masked(value) or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def read_polygons(
    path: str, layer: str | None = None
) -> tuple[NDArray[np.object_], dict[str, NDArray[np.generic]], str]:
    """Polygons of a layer, its fields, and its CRS ("" where there is none).

    Raises:
        LabelError: no such file, of another format, unreadable, or no polygons in it.
    """
    check_vector(path, LabelError)
    try:
        meta, _, geometry, values = pyogrio.raw.read(path, layer=layer)
    except (DataSourceError, DataLayerError) as error:
        raise LabelError(
            f"{Path(path).name} cannot be read as a polygon layer: {error}.", "Choose a vector file of polygons."
        ) from error
    shapes = shapely.from_wkb(geometry)
    keep = np.isin(shapely.get_type_id(shapes), (3, 6)) & ~shapely.is_empty(shapes)
    if not keep.any():
        raise LabelError(f"{Path(path).name} holds no polygons.", "Choose a layer with polygons drawn on the image.")
    return shapes[keep], {name: column[keep] for name, column in zip(meta["fields"], values)}, meta["crs"] or ""


def polygons_in_crs(shapes: NDArray[np.object_], crs: str, grid: Grid, name: str) -> NDArray[np.object_]:
    """Polygons in the grid's CRS.

    Without one coordinates are pixels; QGIS counts their rows downwards from 0, as -1, -2, …

    Args:
        shapes: (N,).
        crs: theirs, as `read_polygons` tells it.
        grid: of the scene.
        name: of their file, for errors.

    Raises:
        LabelError: the polygons have no CRS that can be read, though the grid has one.
    """
    if grid.crs is None:
        downwards = grid.transform.e > 0 and shapely.total_bounds(shapes)[3] <= 0
        return np.asarray(shapely.transform(shapes, lambda points: points * (1, -1)), dtype=object) if downwards else shapes
    if not crs:
        raise LabelError(f"{name} has no coordinate reference system.", "Set the CRS of the polygon layer.")
    try:
        source = CRS.from_user_input(crs)
    except CRSError as error:
        raise LabelError(f"The CRS of {name} cannot be read: {error}.", "Set the CRS of the polygon layer.") from error
    if source == grid.crs:
        return shapes

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        xs, ys = transform(source, grid.crs, points[:, 0], points[:, 1])
        return np.column_stack([xs, ys])

    return np.asarray(shapely.transform(shapes, move), dtype=object)
