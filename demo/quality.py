"""One figure per result, against the labels that the packages ship where there are any."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.features import rasterize
from safetensors import safe_open


def features(path: Path) -> str:
    """No labels: how much of the scene's variance the components keep."""
    sidecar = json.loads(Path(f"{path}.json").read_text())
    return f"no labels; components keep {100 * sidecar['explained_variance']:.0f} % of the variance"


def outlines(predicted: Path, truth: Path, key: str) -> str:
    """Mean IoU of the polygons with the outlines of the same number; a missing polygon counts 0."""
    ours, theirs = _by_key(predicted, key), _by_key(truth, key)
    scores = [_iou(ours[number], shape) if number in ours else 0.0 for number, shape in theirs.items()]
    return f"mean IoU {np.mean(scores):.2f} of {len(scores)} building outlines"


def share(mask: Path) -> str:
    """No labels: the share that changed."""
    with rasterio.open(mask) as source:
        values = source.read(1)
        valid = values != source.nodata
    return f"no labels; {100 * np.mean(values[valid] == 1):.0f} % changed"


def card(model: Path) -> str:
    """Mean IoU over the validation blocks, from the model's own card."""
    return f"mean IoU {_card(model)['mean_iou']:.2f} on held-out blocks"


def agreement(classes: Path, model: Path, labels: Path, field: str) -> str:
    """Share of labelled pixels with the right class (most were seen in training, the card tells the held-out figure)."""
    values = {entry["name"]: entry["value"] for entry in _card(model)["classes"]}
    meta, _, geometry, fields = pyogrio.raw.read(labels)
    names = fields[list(meta["fields"]).index(field)]
    with rasterio.open(classes) as source:
        predicted = source.read(1)
        shapes = [(shape, values[name]) for shape, name in zip(shapely.from_wkb(geometry), names) if name in values]
        truth = rasterize(shapes, out_shape=predicted.shape, transform=source.transform, fill=0, dtype="uint8")
    labelled = truth > 0
    return f"{100 * np.mean(predicted[labelled] == truth[labelled]):.0f} % of {labelled.sum()} labelled pixels agree"


def _card(model: Path) -> dict:
    with safe_open(model, framework="numpy") as file:
        return json.loads(file.metadata()["card"])


def _by_key(path: Path, key: str) -> dict[int, shapely.Geometry]:
    meta, _, geometry, fields = pyogrio.raw.read(path)
    return dict(zip(fields[list(meta["fields"]).index(key)].tolist(), shapely.from_wkb(geometry)))


def _iou(a: shapely.Geometry, b: shapely.Geometry) -> float:
    return shapely.intersection(a, b).area / shapely.union(a, b).area
