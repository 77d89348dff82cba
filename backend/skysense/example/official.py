"""One-shot segmentation as SkySense++ was released: an annotated window beside each part of the scene.

The example is the window of 512 pixels that holds most of the examples' area, with its polygons as the label map; the
queries are windows of 512 pixels that cover the scene. HR colours alone, normalised by ImageNet's statistics; absent
sensors are completed by the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysense.errors import BandError, LabelError
from skysense.example.examples import Examples
from skysense.models.skysense.normalise import IMAGENET_MEAN, IMAGENET_STD
from skysense.models.skysense.one_shot import SIDE, read_query
from skysense.models.skysense.plus_plus import SkySensePlusPlus
from skysense.protocol.sensors import SENSORS
from skysense.scene.grid import Window
from skysense.scene.read import SceneReader
from skysense.scene.tiles import Tiling

LABEL = 1  # the first of the vocabulary, as the released code gives them out
COLOURS = ("R", "G", "B")


def official_mask(
    model: SkySensePlusPlus, scene: SceneReader, examples: Examples, told: Callable[[float, str], None],
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Window, NDArray[np.bool_], NDArray[np.bool_]]]:  # fmt: skip
    """Window by window: what is like the examples (h, w), and what was seen (h, w).

    Args:
        model: in evaluation mode, on the device.
        scene: its reference is of the sensor "hr".
        examples: on the scene's grid.
        told: hears the share done and which window it is at; stops it by what it raises.
        device: of the model.

    Raises:
        BandError: the scene has no high-resolution layer with red, green and blue. LabelError: the examples lie on no data.
    """
    _check_colours(scene)
    support = examples.best_window(SIDE)
    picture, seen = _read(scene, support)
    drawn = examples.draw(support) & seen
    if not drawn.any():
        raise LabelError(
            "None of the examples holds a pixel with data.", "Draw an example on visible ground, or enlarge the extent."
        )
    example = _normalised(picture, seen).to(device)
    labels = torch.from_numpy(drawn.astype(np.int64) * LABEL).to(device)
    tiling = Tiling(scene.grid, SIDE, 0, SIDE)
    for tile in tiling:
        told(tile.index / len(tiling), f"tile {tile.index + 1} of {len(tiling)}")
        picture, seen = _read(scene, tile.outer)
        found = np.zeros(seen.shape, bool)
        if seen.any():
            with torch.inference_mode():
                said = read_query(model, example, labels, _normalised(picture, seen)[None].to(device))[0]
            found = said.cpu().numpy() == LABEL
        core = np.s_[: tile.core.height, : tile.core.width]
        valid = (seen & scene.inside(tile.outer))[core]
        yield tile.core, found[core] & valid, valid


def _check_colours(scene: SceneReader) -> None:
    reader = scene.reference
    there = {band.band for band in reader.source.bands}
    if reader.source.sensor != "hr" or not there.issuperset(COLOURS):
        raise BandError(
            f"SkySense++ looks at high-resolution images with red, green and blue; {reader.source.name or reader.source.path} "
            f"is {SENSORS[reader.source.sensor].label} with {', '.join(sorted(there))}.",
            "Choose such an image, map its bands, or choose another model.",
        )


def _read(scene: SceneReader, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Red, green and blue of 0..1 (3, h, w) of the reference, and validity (h, w)."""
    patch = scene.read(scene.reference, window)
    order = [band.band for band in scene.reference.source.bands]
    return patch.values[[order.index(colour) for colour in COLOURS]], patch.valid


def _normalised(picture: NDArray[np.float32], valid: NDArray[np.bool_]) -> Tensor:
    """(3, h, w), 0 where nothing was seen."""
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return torch.from_numpy(np.where(valid, (picture - mean) / std, np.float32(0)))
