"""The open views of the interactive worker: a click session each, with the pixel grid that prompts refer to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from skysense.errors import PromptError
from skysense.protocol.requests import Prompt
from skysense.protocol.scene_source import ArrayFile
from skysense.segment.session import Box, Click, ClickSession

# A view of 1024 px holds about 60 MB of graph and history; a user works in one and may go back to the last.
OPEN_VIEWS = 3


@dataclass
class View:
    """One encoded view."""

    name: str
    session: ClickSession
    valid: NDArray[np.bool_]  # (H, W)
    transform: Affine  # pixel corner to the view's CRS
    crs: str
    mask_path: Path
    turn: int = 0

    def mask(self, prompts: Sequence[Prompt]) -> NDArray[np.bool_]:
        """The mask (H, W) for all prompts so far; nothing outside the valid pixels.

        Raises:
            PromptError: a prompt lies outside the view.
        """
        if not prompts:
            return np.zeros(self.valid.shape, dtype=bool)
        return self.session.mask_for([self._pixel(prompt) for prompt in prompts]) & self.valid

    def write(self, mask: NDArray[np.bool_]) -> ArrayFile:
        """Hand the mask over. Two files in turn, so that the one just handed over stays as it is while it is drawn."""
        self.turn = 1 - self.turn
        path = self.mask_path.with_name(f"{self.mask_path.name}.{self.turn}")
        path.write_bytes(mask.astype(np.uint8).tobytes())
        return ArrayFile(path=str(path), dtype="uint8", shape=mask.shape)

    def _pixel(self, prompt: Prompt) -> Click | Box:
        x, y = self._column_row(prompt.x, prompt.y)
        if prompt.x2 is None or prompt.y2 is None:
            self._check_inside(x, y)
            return Click(x, y, prompt.positive)
        x2, y2 = self._column_row(prompt.x2, prompt.y2)
        height, width = self.valid.shape
        left, right = sorted((min(max(x, 0), width - 1), min(max(x2, 0), width - 1)))
        top, bottom = sorted((min(max(y, 0), height - 1), min(max(y2, 0), height - 1)))
        if left == right or top == bottom:
            raise PromptError(
                "The box lies outside the view or has no area.", "Draw it around the object, inside the map view."
            )
        return Box(left, top, right, bottom)

    def _column_row(self, x: float, y: float) -> tuple[int, int]:
        column, row = ~self.transform @ (x, y)
        return int(np.floor(column)), int(np.floor(row))

    def _check_inside(self, x: int, y: int) -> None:
        height, width = self.valid.shape
        if not (0 <= x < width and 0 <= y < height):
            raise PromptError(
                f"The point is at pixel ({x}, {y}), the view has {width} x {height} pixels.",
                "Click inside the part of the map that was encoded, or start again in the new view.",
            )
        if not self.valid[y, x]:
            raise PromptError("The layer has no data at this point.", "Click where the image shows something.")


_views: OrderedDict[str, View] = OrderedDict()
_numbers = count(1)


def add(
    session: ClickSession, valid: NDArray[np.bool_], transform: Affine, crs: str, mask_path: str
) -> View:
    """Keep the view under a new name; the view that was used least recently goes when there are too many."""
    view = View(f"view-{next(_numbers)}", session, valid, transform, crs, Path(mask_path))
    _views[view.name] = view
    while len(_views) > OPEN_VIEWS:
        close(next(iter(_views)))
    return view


def get(name: str) -> View:
    """The view of that name.

    Raises:
        PromptError: it was closed, or the worker has been restarted since.
    """
    if name not in _views:
        raise PromptError(f"The view {name!r} is no longer open.", "Start the click tool again on this view.")
    _views.move_to_end(name)
    return _views[name]


def close(name: str) -> None:
    """Forget the view and its mask files; closing twice is fine."""
    view = _views.pop(name, None)
    if view is not None:
        for turn in (0, 1):
            view.mask_path.with_name(f"{view.mask_path.name}.{turn}").unlink(missing_ok=True)
