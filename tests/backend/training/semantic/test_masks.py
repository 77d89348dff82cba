"""Masks of label maps: as many cells as asked, in blocks, the lower half in three of ten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skysense.training.semantic.masks import add_block, draw_blocks, draw_mask
from skysense.training.semantic.settings import SemanticSettings

SETTINGS = SemanticSettings()


def lower_half() -> np.ndarray:
    mask = np.zeros((8, 4), bool)
    mask[4:] = True
    return mask


def test_three_of_ten_hide_the_lower_half() -> None:
    generator = np.random.default_rng(0)
    masks = [draw_mask(8, 4, SETTINGS, generator) for _ in range(2000)]
    share = np.mean([np.array_equal(mask, lower_half()) for mask in masks])
    assert share == pytest.approx(0.3, abs=0.04)
    assert np.array_equal(draw_mask(8, 4, replace(SETTINGS, lower_half=1.0), generator), lower_half())


def test_half_of_the_cells_is_hidden_anywhere_and_in_blocks() -> None:
    generator = np.random.default_rng(1)
    masks = np.stack([draw_blocks(8, 4, SETTINGS, generator) for _ in range(1000)])
    assert masks.shape == (1000, 8, 4) and (masks.sum(axis=(1, 2)) == 16).all()
    assert masks.mean(axis=0).min() > 0.15 and masks.mean(axis=0).max() < 0.8
    # Neighbours are alike far more often than the 15 of 31 that single cells by chance would give.
    assert (masks[:, 1:] == masks[:, :-1]).mean() > 0.65 and (masks[..., 1:] == masks[..., :-1]).mean() > 0.65


def test_a_block_is_whole_within_its_bounds_and_adds_at_most_what_is_left() -> None:
    generator, sizes = np.random.default_rng(2), set()
    for _ in range(300):
        hidden = np.zeros((64, 64), bool)
        assert add_block(hidden, 40, SETTINGS, generator)
        rows, columns = np.nonzero(hidden)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width <= 40 and height * width >= 3  # 4 cells, sides rounded
        assert 0.2 < height / width < 5  # 0.3 and its inverse, sides rounded
        sizes.add(int(height * width))
    assert len(sizes) > 10
    assert not add_block(np.ones((8, 4), bool), 4, SETTINGS, generator)


def test_same_generator_same_mask_of_any_grid() -> None:
    for rows, columns in ((8, 4), (4, 2), (2, 1)):
        first, again = (draw_mask(rows, columns, SETTINGS, np.random.default_rng(5)) for _ in range(2))
        assert np.array_equal(first, again) and first.sum() == rows * columns // 2
