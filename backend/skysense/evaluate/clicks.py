"""How good the click tool is: a robot user plays on labelled objects and counts.

Every method gets the same targets and the same view scale; masks are compared at full resolution. Milliseconds are
process CPU time of one thread, from the prompt to the full-resolution mask; wall time stands beside them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from time import perf_counter, process_time

import cv2
import numpy as np
from numpy.typing import NDArray

from skysense.errors import LabelError
from skysense.evaluate.folders import LabelledSet, check_sizes, find_sets, read_labels, read_rgb, tile_windows
from skysense.evaluate.peers import GrabCut, RandomWalker
from skysense.evaluate.robot import Play, Segmenter, choose_targets, label_objects, numbers, play
from skysense.segment.prompts import Click
from skysense.segment.session import ClickSession
from skysense.segment.view_scale import factor_for_object, mask_to_full, to_view_scale

TILE_PX = 512
LARGEST_PX = 768  # larger pictures are cut into tiles


def run(
    folders: Sequence[str | Path], *, seed: int = 0, targets: int = 36, baselines: bool = False
) -> list[dict[str, object]]:
    """One row a set and method.

    Args:
        folders: labelled folders, see `folders`.
        seed: of the draw of targets.
        targets: objects per set.
        baselines: also GrabCut, the random walker, and the method without its guard.

    Raises:
        LabelError: a folder without labelled pictures or without objects of a usable size.
    """
    rows: list[dict[str, object]] = []
    for labelled in find_sets(folders):
        tiles = _tiles(labelled)
        chosen = choose_targets((tile.labels() for tile in tiles), targets, seed)
        if not chosen:
            raise LabelError(
                f"{labelled.name} has no object of 400 px to a quarter of its tile.", "Choose a set with labelled objects."
            )
        factor = _view_scale(tiles, chosen)
        for method, segmenter in _methods(factor, baselines).items():
            started = perf_counter()
            with _one_thread():
                figures = _figures(segmenter, tiles, chosen)
            rows.append(
                {
                    "set": labelled.name,
                    "method": method,
                    **figures,
                    "view_scale": factor,
                    "seed": seed,
                    "seconds": round(perf_counter() - started, 2),
                    "model": None,
                    "weights_sha256": None,
                }
            )
    return rows


# -- tiles -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LabelledTile:
    """A window of a labelled picture."""

    image: NDArray[np.uint8]  # (H, W, 3) of the whole picture
    objects: NDArray[np.integer]  # (H, W) of the whole picture
    window: tuple[slice, slice]

    def rgb(self) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self.image[self.window])

    def labels(self) -> NDArray[np.integer]:
        return self.objects[self.window]


def _tiles(labelled: LabelledSet) -> list[LabelledTile]:
    tiles = []
    for picture in labelled.pictures:
        rgb, objects = read_rgb(picture.image), read_labels(picture.objects)
        check_sizes(picture.image, rgb.shape[:2], objects.shape)
        height, width = objects.shape
        tiles += [LabelledTile(rgb, objects, window) for window in tile_windows(height, width, TILE_PX, LARGEST_PX)]
    return tiles


def _view_scale(tiles: Sequence[LabelledTile], chosen: Sequence[tuple[int, int]]) -> float:
    """The factor for a set: by the median over its targets of sqrt(area)."""
    sides = []
    for index, group in groupby(chosen, key=lambda target: target[0]):
        area = np.bincount(label_objects(tiles[index].labels())[0].ravel())
        sides += [float(np.sqrt(area[number])) for _, number in group]
    return factor_for_object(float(np.median(sides)))


def _figures(
    segmenter: Segmenter, tiles: Sequence[LabelledTile], chosen: Sequence[tuple[int, int]]
) -> dict[str, float | int | None]:
    """Play all targets; a tile is opened once."""
    plays: list[Play] = []
    open_ms = []
    for index, group in groupby(chosen, key=lambda target: target[0]):
        rgb, objects = tiles[index].rgb(), label_objects(tiles[index].labels())[0]
        started = process_time()
        segmenter.open(rgb)
        open_ms.append(1e3 * (process_time() - started))
        for _, number in group:
            segmenter.restart()
            plays.append(play(segmenter, objects == number))
    return {**numbers(plays), "open_ms": round(float(np.median(open_ms)), 2)}


# -- the methods -----------------------------------------------------------------------------------------------------
def _methods(factor: float, baselines: bool) -> dict[str, Segmenter]:
    """Name -> segmenter, the shipped method first."""
    methods: dict[str, Segmenter] = {"skysense": SessionPlayer(factor)}
    if baselines:
        methods["hand_made"] = SessionPlayer(factor, guarded=False)
        methods["grabcut3"] = AtViewScale(GrabCut(), factor)
        methods["random_walker"] = AtViewScale(RandomWalker(), factor)
    return methods


class SessionPlayer:
    """The click tool as the plugin uses it: all prompts so far, every time."""

    def __init__(self, factor: float, *, guarded: bool = True) -> None:
        self._factor, self._guarded = factor, guarded

    def open(self, rgb: NDArray[np.uint8]) -> None:
        """Take a new picture (H, W, 3)."""
        self._session = ClickSession(rgb, self._factor, guarded=self._guarded)
        self.restart()

    def restart(self) -> None:
        """Forget the clicks."""
        self._clicks: list[Click] = []

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """The mask (H, W) after all clicks so far."""
        self._clicks.append(Click(x, y, positive))
        return self._session.mask_for(self._clicks)


class AtViewScale:
    """A peer that sees the picture at view scale; its masks come back to full resolution."""

    def __init__(self, peer: Segmenter, factor: float) -> None:
        self._peer, self._factor = peer, factor

    def open(self, rgb: NDArray[np.uint8]) -> None:
        """Take a new picture (H, W, 3)."""
        self._shape = (rgb.shape[0], rgb.shape[1])
        picture = to_view_scale(rgb, self._factor)
        self._view_shape = (picture.shape[0], picture.shape[1])
        self._peer.open(picture)

    def restart(self) -> None:
        """Forget the clicks."""
        self._peer.restart()

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """The mask (H, W) after all clicks so far."""
        height, width = self._view_shape
        column = min(int((x + 0.5) * width / self._shape[1]), width - 1)
        row = min(int((y + 0.5) * height / self._shape[0]), height - 1)
        return mask_to_full(self._peer.click(column, row, positive), self._shape)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for OpenCV, and for torch where it is loaded. OMP is set by the environment before the start."""
    before = cv2.getNumThreads()
    torch = sys.modules.get("torch")
    torch_before = torch.get_num_threads() if torch else 1
    cv2.setNumThreads(1)
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
        if torch:
            torch.set_num_threads(torch_before)
