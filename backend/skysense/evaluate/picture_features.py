"""The kinds of features that the probes of pictures compare, each on the cells of a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from skysense.errors import RequestError
from skysense.evaluate.cells import CELL_PX, Bands, Tile
from skysense.evaluate.hand_features import raw, texture
from skysense.evaluate.lite0 import Lite0Features, find_weights
from skysense.evaluate.untrained import untrained
from skysense.models.catalog import load_encoder
from skysense.models.interface import Encoder, SceneBatch
from skysense.models.weights import weights_digest

Extract = Callable[[Bands], NDArray[np.float32]]  # -> (D, H // 8, W // 8)


@dataclass(frozen=True)
class Features:
    """A kind of features as the rows name it."""

    name: str
    extract: Extract
    digest: str | None = None  # of the network's weights
    untrained_seed: int | None = None

    def table(self, tiles: Sequence[Tile]) -> list[NDArray[np.float32]]:
        """(n, D) of each tile: the features of its cells."""
        return [self.extract(tile.bands)[:, tile.cells[:, 0], tile.cells[:, 1]].T for tile in tiles]


def picture_features(model: str, weights: str | Path | None, baselines: bool) -> Iterator[Features]:
    """The model's, then those of the baselines; each is to be used before the next is asked for.

    Raises:
        RequestError: no such model, or one that does not take pictures. ModelError: its weights cannot be used.
    """
    encoder = load_encoder(model, Path(weights) if weights else None)
    if "hr" not in encoder.info.sensors:
        raise RequestError(
            f"{encoder.info.label} takes {', '.join(encoder.info.sensors)}, the folders hold high-resolution pictures.",
            "Choose another model, or evaluate this one with `skysense evaluate series`.",
        )
    yield Features(model, _encoded(encoder), encoder.info.digest)
    if not baselines:
        return
    for network in untrained(model, encoder, ("hr",)):
        yield Features(network.name, _encoded(network.encoder), untrained_seed=network.seed)
    lite0 = find_weights()
    if lite0 is not None:
        features = Lite0Features(lite0)
        yield Features("efficientnet_lite0", lambda bands: features(bands, CELL_PX), weights_digest(lite0))
    yield Features("texture", lambda bands: texture(bands[:3], CELL_PX))
    yield Features("raw", lambda bands: raw(bands, CELL_PX))


def _encoded(encoder: Encoder) -> Extract:
    """The probe levels of the whole picture, padded by replication, on the cells."""
    multiple = encoder.info.tile_multiple["hr"]

    @torch.inference_mode()
    def extract(bands: Bands) -> NDArray[np.float32]:
        height, width = bands.shape[1:]
        x = torch.from_numpy(bands)[None]
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        cells = (x.shape[-2] // CELL_PX, x.shape[-1] // CELL_PX)
        there = torch.arange(4)[None] < len(bands)
        x = torch.cat([x, x.new_zeros(1, 4 - len(bands), *x.shape[-2:])], dim=1)
        maps = encoder(SceneBatch(hr=x, hr_bands=there))
        levels = [maps[name].values for name in encoder.info.probe_levels if name in maps]
        levels = [F.interpolate(level, cells, mode="bilinear", align_corners=False)[0] for level in levels]
        return torch.cat(levels)[:, : height // CELL_PX, : width // CELL_PX].float().numpy()

    return extract
