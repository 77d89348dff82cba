"""The robot user: which objects it is after, and where it clicks.

The first click is the target's deepest pixel; each next one the deepest pixel of the largest 4-connected error region,
positive where target is missing, negative where there is too much. Depth is the exact Euclidean distance to the
region's outside, and the picture's rim is outside. No pixel is clicked twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LEAST_AREA_PX = 400
LARGEST_SHARE = 0.25  # of the tile
MOST_CLICKS = 20
FEWEST_CLICKS = 5
GOOD_IOU = 0.85  # the robot is content from here on
FOUR = ndimage.generate_binary_structure(2, 1)


class Segmenter(Protocol):
    """What the robot plays against."""

    def open(self, rgb: NDArray[np.uint8]) -> None:
        """Take a new picture (H, W, 3) and forget the clicks."""

    def restart(self) -> None:
        """Forget the clicks, keep the picture."""

    def click(self, x: int, y: int, positive: bool) -> NDArray[np.bool_]:
        """The mask (H, W) after all clicks so far."""


@dataclass
class Play:
    """What happened on one target; one entry a click."""

    clicks: list[tuple[int, int, bool]] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    def iou_after(self, count: int) -> float:
        """IoU after that many clicks, or after the last if the robot stopped before."""
        return self.ious[min(count, len(self.ious)) - 1]

    def clicks_to(self, level: float) -> int:
        """Clicks until the IoU reached the level; the cap when it never did."""
        return next((k for k, iou in enumerate(self.ious, 1) if iou >= level), MOST_CLICKS)

    def losses(self) -> list[float]:
        """How much each click after the first lowered the IoU."""
        return [before - after for before, after in zip(self.ious, self.ious[1:])]


# -- targets ---------------------------------------------------------------------------------------------------------
def label_objects(labels: NDArray[np.integer]) -> tuple[NDArray[np.int32], int]:
    """Number the objects 1 … n: the 4-connected components of each value; 0, and 255 of 8 bits, are none."""
    objects = np.zeros(labels.shape, np.int32)
    count = 0
    for value in np.unique(labels):
        if value == 0 or (value == 255 and labels.dtype == np.uint8):
            continue
        parts, found = ndimage.label(labels == value, FOUR)
        objects[parts > 0] = parts[parts > 0] + count
        count += found
    return objects, count


def choose_targets(tiles: Iterable[NDArray[np.integer]], count: int, seed: int) -> list[tuple[int, int]]:
    """Draw objects of 400 px to a quarter of the tile, evenly over the tiles.

    Args:
        tiles: label images in their order.
        count: how many targets; fewer are drawn when there are fewer.
        seed: of the draw.

    Returns:
        (tile index, object number by `label_objects`), sorted.
    """
    rng = np.random.default_rng(seed)
    left: list[list[tuple[int, int]]] = []
    for index, labels in enumerate(tiles):
        objects, found = label_objects(labels)
        area = np.bincount(objects.ravel(), minlength=found + 1)
        fits = [n for n in range(1, found + 1) if LEAST_AREA_PX <= area[n] <= LARGEST_SHARE * labels.size]
        rng.shuffle(fits)
        left.append([(index, n) for n in fits])
    order = rng.permutation(len(left))
    targets: list[tuple[int, int]] = []
    while len(targets) < count and any(left):
        for index in order:
            if left[index] and len(targets) < count:
                targets.append(left[index].pop())
    return sorted(targets)


# -- clicks ----------------------------------------------------------------------------------------------------------
def play(segmenter: Segmenter, target: NDArray[np.bool_]) -> Play:
    """Click until IoU 0.85 and at least 5 clicks, or 20 clicks. The segmenter has the picture and no clicks."""
    played = Play()
    clicked = np.zeros(target.shape, bool)
    mask = np.zeros(target.shape, bool)
    while len(played.clicks) < MOST_CLICKS:
        chosen = (True, target) if not played.clicks else _largest_error(target, mask, clicked)
        if chosen is None:
            break
        positive, region = chosen
        x, y = _deepest(region, clicked)
        clicked[y, x] = True
        cpu, wall = process_time(), perf_counter()
        mask = segmenter.click(x, y, positive)
        played.cpu_ms.append(1e3 * (process_time() - cpu))
        played.wall_ms.append(1e3 * (perf_counter() - wall))
        played.clicks.append((x, y, positive))
        played.ious.append(iou(mask, target))
        if played.ious[-1] >= GOOD_IOU and len(played.clicks) >= FEWEST_CLICKS:
            break
    return played


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union; two empty masks agree."""
    union = int(np.count_nonzero(a | b))
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def _largest_error(
    target: NDArray[np.bool_], mask: NDArray[np.bool_], clicked: NDArray[np.bool_]
) -> tuple[bool, NDArray[np.bool_]] | None:
    """Sign and region of the largest error that still has a pixel to click; of equals the missing part."""
    best: tuple[int, bool, NDArray[np.bool_]] | None = None
    for positive, error in ((True, target & ~mask), (False, mask & ~target)):
        parts, found = ndimage.label(error & ~clicked, FOUR)
        if found:
            area = np.bincount(parts.ravel())
            area[0] = 0
            largest = int(area.argmax())
            if best is None or area[largest] > best[0]:
                best = int(area[largest]), positive, parts == largest
    return None if best is None else best[1:]


def _deepest(region: NDArray[np.bool_], clicked: NDArray[np.bool_]) -> tuple[int, int]:
    """Column and row of the region's pixel farthest from its outside."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    depth = ndimage.distance_transform_edt(np.pad(region[box], 1))[1:-1, 1:-1].astype(np.float32)
    depth[clicked[box]] = 0
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(columns[0] + column), int(rows[0] + row)


def numbers(plays: Sequence[Play]) -> dict[str, float | int | None]:
    """The figures of the contract over some targets; None where there was nothing to measure."""
    losses = [loss for one in plays for loss in one.losses()]
    cpu = [ms for one in plays for ms in one.cpu_ms[1:]]
    wall = [ms for one in plays for ms in one.wall_ms[1:]]

    def mean(values: Sequence[float]) -> float | None:
        return round(float(np.mean(values)), 4) if values else None

    def percentile(values: Sequence[float], share: float) -> float | None:
        return round(float(np.percentile(values, share)), 2) if values else None

    return {
        "targets": len(plays),
        "later_clicks": len(losses),
        "iou1": mean([one.iou_after(1) for one in plays]),
        "iou3": mean([one.iou_after(3) for one in plays]),
        "iou5": mean([one.iou_after(5) for one in plays]),
        "noc80": mean([one.clicks_to(0.80) for one in plays]),
        "noc85": mean([one.clicks_to(GOOD_IOU) for one in plays]),
        "failures": sum(not max(one.ious) >= GOOD_IOU for one in plays),
        "lost20": mean([loss > 0.2 for loss in losses]),
        "p50_ms": percentile(cpu, 50),
        "p95_ms": percentile(cpu, 95),
        "p50_wall_ms": percentile(wall, 50),
    }
