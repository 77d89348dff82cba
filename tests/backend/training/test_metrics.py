"""Figures of a confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.training.metrics import Confusion


def test_figures_by_hand() -> None:
    confusion = Confusion.of(3)
    confusion.add(np.uint8([0, 0, 0, 1, 255, 255]), np.array([0, 0, 1, 1, 0, 2]))
    confusion.add(np.uint8([[0, 1]]), np.array([[2, 0]]))
    np.testing.assert_array_equal(confusion.counts, [[2, 1, 1], [1, 1, 0], [0, 0, 0]])
    assert confusion.iou() == [pytest.approx(2 / 5), pytest.approx(1 / 3), None]
    assert confusion.recall() == [0.5, 0.5, None]
    assert confusion.precision() == [pytest.approx(2 / 3), 0.5, None]
    assert confusion.mean_iou() == pytest.approx((2 / 5 + 1 / 3) / 2)
    assert confusion.pixels.tolist() == [4, 2, 0]


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    confusion = Confusion.of(2)
    confusion.add(np.uint8([0, 1]), np.array([0, 0]))
    assert confusion.precision() == [0.5, None] and confusion.iou() == [0.5, 0.0]


def test_without_reference_pixels_there_is_no_figure() -> None:
    assert Confusion.of(2).mean_iou() is None
