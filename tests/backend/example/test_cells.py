"""Bands of cells, and cells back to pixels."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.example.cells import cell_bands, mean_of_dates, share_in_cells, smooth, to_pixels

NOISE = np.random.default_rng(0)


def test_mean_and_deviation_are_those_of_the_valid_pixels():
    values, valid = NOISE.random((2, 16, 24), np.float32), NOISE.random((16, 24)) > 0.3
    valid[:8, :8] = False
    mean, deviation = cell_bands(values, valid, 8)
    assert mean.shape == deviation.shape == (2, 2, 3)
    assert not mean[:, 0, 0].any() and not deviation[:, 0, 0].any()
    inside = values[1, 8:, 16:][valid[8:, 16:]]
    assert mean[1, 1, 2] == pytest.approx(inside.mean(), abs=1e-5)
    assert deviation[1, 1, 2] == pytest.approx(inside.std(), abs=1e-3)


def test_a_pixel_alone_does_not_deviate():
    values = NOISE.normal(-12, 5, (2, 6, 6)).astype(np.float32)
    mean, deviation = cell_bands(values, np.ones((6, 6), bool), 1)
    assert np.array_equal(mean, values) and not deviation.any()


def test_dates_that_did_not_see_a_pixel_do_not_count():
    values = np.stack([np.full((1, 2, 2), 3.0), np.full((1, 2, 2), np.nan)]).astype(np.float32)
    valid = np.array([[[True, True], [True, False]], [[False] * 2] * 2])
    mean, seen = mean_of_dates(values, valid)
    assert mean[0].tolist() == [[3, 3], [3, 0]] and seen.tolist() == [[True, True], [True, False]]


def test_the_last_cells_may_reach_beyond():
    mask = np.ones((10, 8), bool)
    assert share_in_cells(mask, 8).tolist() == [[1.0], [0.25]]
    cells = np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)
    large = to_pixels(cells, 8, 10, 12)
    assert large.shape == (10, 12) and large[0, 3] == 0 and 0.4 < large[5, 7] < 0.6


def test_smoothing_keeps_the_mean_and_nothing_finer_than_a_part_of_a_cell():
    values = NOISE.random((3, 64, 64), np.float32)
    assert smooth(values, 8).std() < 0.3 * values.std() and smooth(values, 8).mean() == pytest.approx(values.mean(), abs=0.01)
    assert smooth(values, 1) is values
