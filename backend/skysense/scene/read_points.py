"""A point layer as prompts for the segmenter, with the attributes that the objects inherit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from skysense.errors import PromptError
from skysense.scene.open_vector import check_vector
from skysense.scene.vector import text_of

AGAINST = {"0", "false", "no", "n", "negative", "-1", "-"}
Column = NDArray[np.generic]


@dataclass(frozen=True)
class Point:
    """A prompt for the object of that number, or against it, in the layer's coordinates."""

    object_id: int
    x: float
    y: float
    positive: bool


@dataclass(frozen=True)
class Points:
    """All prompts in the order of the file.

    Attributes:
        prompts: one a point; a multipoint gives several.
        crs: as WKT or authority code, "" where the file has none.
        first: object number -> row of its first point in `columns`.
        columns: the layer's fields by name, masked where they are NULL.
    """

    prompts: tuple[Point, ...]
    crs: str
    first: Mapping[int, int]
    columns: Mapping[str, Column]


def read_points(path: str, layer: str | None = None, object_field: str = "", positive_field: str = "") -> Points:
    """Read every point that has a place.

    Args:
        path: a vector file, see `open_vector`.
        layer: of the file; None: its first.
        object_field: whole numbers; points of the same number prompt one object. "": each point its own object,
            numbered by its feature id.
        positive_field: 0, false, no or negative for points against the object. "": all for it.

    Raises:
        PromptError: no such file, of another format, unreadable, not points, a field that is missing or holds no number.
    """
    check_vector(path, PromptError)
    try:
        meta, ids, geometry, values = pyogrio.raw.read(path, layer=layer, return_fids=True)
    except (DataSourceError, DataLayerError) as error:
        raise PromptError(f"{path} cannot be read as a point layer: {error}.", "Choose a vector file of points.") from error
    shapes = shapely.from_wkb(geometry)
    usable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if not np.isin(shapely.get_type_id(shapes[usable]), (0, 4)).all():
        raise PromptError(f"{path} holds geometries that are not points.", "Choose a point layer.")
    shapes = shapes[usable]
    columns = {
        str(name): stored(column[usable], str(kind)) for name, column, kind in zip(meta["fields"], values, meta["dtypes"])
    }
    objects = _numbers(columns, object_field, path) if object_field else [int(number) for number in ids[usable]]
    positive = _positive(columns, positive_field, path) if positive_field else [True] * len(shapes)
    first: dict[int, int] = {}
    prompts = []
    for row, (number, sign, shape) in enumerate(zip(objects, positive, shapes)):
        first.setdefault(number, row)
        prompts += [Point(number, float(x), float(y), sign) for x, y in shapely.get_coordinates(shape)]
    return Points(tuple(prompts), meta["crs"] or "", first, columns)


def stored(values: Column, kind: str) -> Column:
    """A column in the type that the file gives it, NULLs masked; times and lists, which GDAL writes differently from
    format to format, as text.

    Args:
        values: as pyogrio reads them: whole numbers and yes or no as floats where some are NULL.
        kind: the file's own type, as a numpy name.
    """
    if values.dtype == object:
        return np.array([_scalar(value) for value in values], dtype=object)
    if values.dtype.kind == "f" and np.dtype(kind).kind in "iub":
        missing = np.isnan(values)
        return np.ma.masked_array(np.where(missing, 0, values).astype(kind), missing)
    return values


def _scalar(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value.tolist(), ensure_ascii=False) if isinstance(value, np.ndarray) else str(value)


def _field(columns: Mapping[str, Column], name: str, path: str) -> list[str]:
    if name not in columns:
        raise PromptError(f"{path} has no field {name!r}.", f"Choose one of: {', '.join(columns) or 'none there'}.")
    return [text_of(value) for value in columns[name]]


def _numbers(columns: Mapping[str, Column], name: str, path: str) -> list[int]:
    numbers = []
    for text in _field(columns, name, path):
        try:
            numbers.append(int(text))
        except ValueError:
            raise PromptError(
                f"The field {name!r} of a point is {text or 'empty'}, a whole number was expected.", "Choose a number field."
            ) from None
    return numbers


def _positive(columns: Mapping[str, Column], name: str, path: str) -> list[bool]:
    return [text.lower() not in AGAINST for text in _field(columns, name, path)]
