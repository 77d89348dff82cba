"""Turning and lighting crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skysense.training.augment import jitter, turn, turn_arrays, turn_tensor


def test_the_eight_ways_differ_and_keep_all_values() -> None:
    square = np.arange(9).reshape(1, 3, 3)
    turned = [turn(square, way) for way in range(8)]
    assert len({values.tobytes() for values in turned}) == 8
    assert all(sorted(values.ravel()) == list(range(9)) for values in turned)


@pytest.mark.parametrize("way", range(8))
def test_tensors_turn_like_arrays(way: int) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(turn_tensor(torch.from_numpy(values), way).numpy(), turn(values, way))


@pytest.mark.parametrize("way", range(8))
def test_the_box_of_a_coarser_sensor_turns_with_it(way: int) -> None:
    """A mark in the part of the coarse array that the box names is found in the turned box."""
    coarse = np.zeros((1, 1, 8, 10), np.float32)
    coarse[..., 2:5, 6:9] = 1
    arrays = {
        "hr": np.zeros((4, 30, 30), np.float32),
        "s2": coarse,
        "s2_valid": np.ones((1, 8, 10), bool),
        "s2_box": np.float32([2, 6, 5, 9]),
        "lonlat": np.float32([1, 2]),
    }
    turned = turn_arrays(arrays, way)
    top, left, bottom, right = turned["s2_box"].astype(int)
    assert turned["s2"][..., top:bottom, left:right].all() and turned["s2"].sum() == 9
    np.testing.assert_array_equal(turned["lonlat"], arrays["lonlat"])


def test_light_changes_mildly_and_by_chance() -> None:
    arrays = {"hr": np.full((4, 5, 5), 0.5, np.float32), "s1": np.full((1, 2, 5, 5), -10, np.float32)}
    random = np.random.default_rng(0)
    seen = [jitter(arrays, random) for _ in range(20)]
    assert all(abs(one["hr"] - 0.5).max() <= 0.07 + 1e-6 and abs(one["s1"] + 10).max() <= 0.5 for one in seen)
    assert len({one["hr"][0, 0, 0] for one in seen}) == 20 and seen[0]["hr"].dtype == np.float32
    assert (arrays["hr"] == 0.5).all()
