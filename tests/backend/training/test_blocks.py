"""Which parts of a scene are held out."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from rasterio.transform import Affine

from skysense.objectives.supervised import IGNORE
from skysense.protocol.requests import ClassInfo
from skysense.scene.grid import Grid, Window
from skysense.training.blocks import ENOUGH_BLOCKS, find_blocks, hold_out
from skysense.training.labels import Labels

GRID = Grid(None, Affine(1, 0, 0, 0, -1, 512), 512, 512)
CLASSES = (ClassInfo(1, "a", "#000000"), ClassInfo(2, "b", "#ffffff"))


def labels_of(boxes: list[tuple[int, int, int, int, int]]) -> Labels:
    """(class, left, top, right, bottom) in pixels."""
    shapes = np.array([shapely.box(x, 512 - bottom, right, 512 - y) for _, x, y, right, bottom in boxes], dtype=object)
    return Labels(CLASSES, shapes, np.array([box[0] for box in boxes], np.uint8))


@pytest.fixture
def everywhere() -> Labels:
    random = np.random.default_rng(0)
    corners = random.integers(0, 480, (60, 2))
    return labels_of([(i % 2, int(x), int(y), int(x) + 20, int(y) + 20) for i, (x, y) in enumerate(corners)])


def test_blocks_are_never_split(everywhere: Labels) -> None:
    blocks = find_blocks(everywhere, GRID, 128, 0.25, seed=0)
    window = Window(64, 32, 256, 256)  # not on the blocks' borders
    drawn = everywhere.draw(GRID.window(window))
    train, held_out = blocks.split(drawn, window, IGNORE)
    assert ((train != IGNORE) ^ (held_out != IGNORE) == (drawn != IGNORE)).all()
    side = blocks.side_px
    rows, columns = np.mgrid[64:320, 32:288] // side
    for row in np.unique(rows):
        for column in np.unique(columns):
            inside = (rows == row) & (columns == column)
            assert not ((train[inside] != IGNORE).any() and (held_out[inside] != IGNORE).any())
    assert (train != IGNORE).any() and (held_out != IGNORE).any()


def test_the_choice_follows_the_seed_and_the_share(everywhere: Labels) -> None:
    first, again, other = (find_blocks(everywhere, GRID, 64, 0.25, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.held_out, again.held_out)
    assert (first.held_out != other.held_out).any()
    assert first.held_out.sum() == round(0.25 * len(first.held_out))


def test_blocks_shrink_until_there_are_enough() -> None:
    small = labels_of([(0, 10, 10, 70, 70), (1, 80, 10, 140, 70)])
    blocks = find_blocks(small, GRID, 256, 0.25, seed=0)
    assert blocks.side_px < 256 and len(blocks.corners) >= ENOUGH_BLOCKS
    assert blocks.counts.sum() == 2 * 60 * 60


def test_every_class_is_on_both_sides_where_it_can_be() -> None:
    counts = np.zeros((20, 3), np.int64)
    counts[:, 0] = 100
    counts[[3, 7], 1] = 5  # rare, in two blocks
    counts[11, 2] = 5  # in one block alone
    for seed in range(10):
        held = hold_out(counts, 0.25, np.random.default_rng(seed))
        assert held.sum() == 5
        assert held[[3, 7]].sum() == 1 and not held[11]


def test_one_block_is_never_held_out() -> None:
    assert not hold_out(np.array([[5, 5]]), 0.25, np.random.default_rng(0)).any()
    assert not hold_out(np.array([[5, 0], [0, 5]]), 0.5, np.random.default_rng(0)).any()
    assert not hold_out(np.ones((9, 2), np.int64), 0.0, np.random.default_rng(0)).any()


def test_labels_on_the_border_of_a_huge_scene_are_found_quickly() -> None:
    huge = Grid(None, Affine(1, 0, 0, 0, -1, 512), 100_000, 100_000)
    blocks = find_blocks(labels_of([(0, 0, 0, 300, 300), (1, 400, 0, 500, 300)]), huge, 128, 0.25, seed=0)
    assert blocks.counts.sum() == 300 * 300 + 100 * 300
