"""What tells examples from the rest, on cells made for it."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.errors import LabelError
from skysense.example.likeness import CellSample, fit


def sample(examples: int = 40, others: int = 400, cover: float = 1.0) -> CellSample:
    """Two levels of features; the second's third channel and the first band are higher in examples."""
    noise, count = np.random.default_rng(1), examples + others
    features = noise.normal(5, 1, (count, 12)).astype(np.float32) * np.repeat([1, 100], [8, 4]).astype(np.float32)
    means, deviations = noise.random((2, count, 3), np.float32)
    features[:examples, 10] += 300
    means[:examples, 0] += 1
    return CellSample(features, means, deviations, np.repeat([cover, 0.0], [examples, others]).astype(np.float32))


def scores(known: CellSample) -> np.ndarray:
    """The score of each cell as a picture of one row with a cell of one pixel."""
    likeness = fit(known, [8, 4])
    values = known.means.T[:, None]
    odds = likeness.score(known.features.T[:, None], values, np.ones(values.shape[1:], bool), 1)[0]
    return odds + known.deviations @ likeness.deviations  # a pixel alone has none


def test_examples_lie_above_balance_and_the_rest_below():
    known = sample()
    odds = scores(known)
    assert (odds[:40] > 0).mean() > 0.95 and (odds[40:] < 0).mean() > 0.95


def test_the_size_of_channels_does_not_count():
    known = sample()
    larger = CellSample(known.features * 1000, known.means * 7, known.deviations, known.cover)
    assert np.allclose(scores(larger), scores(known), atol=0.05)


def test_more_of_the_same_in_the_surroundings_is_found_too():
    known = sample()
    hidden = CellSample(known.features, known.means, known.deviations, np.where(np.arange(440) < 20, known.cover, 0))
    assert (scores(hidden)[20:40] > 0).mean() > 0.7


def test_constant_channels_change_nothing():
    known = sample()
    known.features[:, 2] = 3.0
    known.deviations[:] = 0.25
    assert np.isfinite(scores(known)).all()


def test_examples_smaller_than_a_cell_are_the_cells_that_hold_most_of_one():
    known = sample(cover=0.1)
    known.cover[3:40] = 0.02
    assert np.isfinite(scores(known)).all()


def test_examples_on_no_data_and_nothing_but_examples_are_refused():
    with pytest.raises(LabelError, match="None of the examples holds a pixel with data.*Draw an example on visible ground"):
        fit(sample(examples=0), [8, 4])
    with pytest.raises(LabelError, match="nothing is left of the scene.*larger extent"):
        fit(sample(others=0), [8, 4])
