"""A point layer as prompts for the segmenter."""

from __future__ import annotations

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from skysense.errors import PromptError
from skysense.protocol.requests import PointPrompt
from skysense.scene.open_vector import check_vector

AGAINST = {"0", "false", "no", "n", "negative", "-1", "-"}


def read_points(
    path: str, object_field: str | None = None, positive_field: str | None = None
) -> tuple[tuple[PointPrompt, ...], str]:
    """Read every point of the file's first layer.

    Args:
        path: a vector file, see `open_vector`.
        object_field: whole numbers; points of the same number prompt one object. None: each point its own object,
            numbered by its feature id.
        positive_field: 0, false, no or negative for points against the object. None: all for it.

    Returns:
        The points in the order of the file, and their CRS as WKT or authority code.

    Raises:
        PromptError: no such file, of another format, unreadable, not points, no CRS, a field that is missing or no number.
    """
    check_vector(path, PromptError)
    try:
        meta, ids, geometry, values = pyogrio.raw.read(path, return_fids=True)
    except (DataSourceError, DataLayerError) as error:
        raise PromptError(f"{path} cannot be read as a point layer: {error}.", "Choose a vector file of points.") from error
    fields = dict(zip(meta["fields"], values))
    shapes = shapely.from_wkb(geometry)
    usable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if not np.isin(shapely.get_type_id(shapes[usable]), (0, 4)).all():
        raise PromptError(f"{path} holds geometries that are not points.", "Choose a point layer.")
    if not meta["crs"]:
        raise PromptError(f"{path} has no coordinate reference system.", "Set the layer's CRS and save it again.")
    objects = ids if object_field is None else _numbers(_field(fields, object_field, path), object_field)
    positive = np.ones(len(shapes), bool) if positive_field is None else _positive(_field(fields, positive_field, path))
    prompts = []
    for number, sign, shape in zip(objects[usable], positive[usable], shapes[usable]):
        for x, y in shapely.get_coordinates(shape):
            prompts.append(PointPrompt(object_id=int(number), x=float(x), y=float(y), positive=bool(sign)))
    return tuple(prompts), meta["crs"]


def _field(fields: dict[str, np.ndarray], name: str, path: str) -> np.ndarray:
    if name not in fields:
        raise PromptError(f"{path} has no field {name!r}.", f"Choose one of: {', '.join(fields) or 'none there'}.")
    return fields[name]


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return values.astype(np.int64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"The field {name!r} holds values that are not whole numbers.", "Choose a number field.") from error


def _positive(values: np.ndarray) -> np.ndarray:
    return np.array([str(value).strip().lower() not in AGAINST for value in values], dtype=bool)
