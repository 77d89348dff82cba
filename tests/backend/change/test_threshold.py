"""Otsu over a whole layer, from exact counts of 16-bit scores."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from skysense.change.decide import apart, one_sided, plain, summed
from skysense.change.statistics import Histogram
from skysense.change.threshold import DEEP_FLOOR, otsu


def histogram(values) -> Histogram:
    counted = Histogram()
    for part in np.array_split(np.asarray(values, np.float16), 7):
        counted.add(part)
    return counted


@pytest.fixture
def two_classes():
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(1, 0.3, 40000), random.normal(4, 0.6, 8000)])


def test_counts_are_exact_and_nan_is_left_out(two_classes):
    values = np.concatenate([two_classes, [np.nan] * 50, [-2.0, 0.0, -0.0]]).astype(np.float16)
    counted = histogram(values)
    found, counts = counted.occurring()
    assert counted.total == len(values) - 50 and counts.sum() == counted.total
    assert (np.diff(found) >= 0).all() and found[0] == np.nanmin(values) and found[-1] == np.nanmax(values)
    mean, deviation = counted.mean_deviation()
    kept = values[~np.isnan(values)].astype(np.float64)
    assert mean == pytest.approx(kept.mean()) and deviation == pytest.approx(kept.std())


def test_otsu_is_that_of_scikit_image(two_classes):
    clipped = np.clip(two_classes, *np.quantile(two_classes, (0.0005, 0.9995)))
    assert otsu(histogram(two_classes)) == pytest.approx(threshold_otsu(clipped, nbins=2000), abs=0.02)


def test_a_few_saturated_pixels_do_not_draw_the_threshold(two_classes):
    saturated = np.concatenate([two_classes, np.full(10, 60000.0)])
    assert otsu(histogram(saturated)) == pytest.approx(otsu(histogram(two_classes)), abs=0.05)


def test_nothing_lies_above_the_threshold_of_equal_scores():
    assert otsu(histogram([2.0] * 100)) == 2.0


def test_the_threshold_lies_in_the_middle_of_a_gap():
    assert otsu(histogram([1.0] * 90 + [3.0] * 10)) == 2.0


def test_no_scores_is_an_error():
    with pytest.raises(ValueError, match="no scores"):
        otsu(histogram([np.nan]))


def test_the_floor_holds_where_nothing_changed():
    unchanged = np.abs(np.random.default_rng(3).normal(0.3, 0.1, 5000))
    assert plain(histogram(unchanged), DEEP_FLOOR, "").threshold == DEEP_FLOOR


def test_each_direction_has_its_own_threshold():
    random = np.random.default_rng(4)
    falls = np.concatenate([random.normal(0, 1, 9000), random.normal(10, 1, 900), random.normal(-5, 1, 900)])
    decision = apart(histogram(falls))
    assert 3 < decision.facts["threshold_fall_db"] < 9 and 1.5 < decision.facts["threshold_rise_db"] < 4.5
    score = decision.score(np.array([[0.0, 10.0, -5.0, np.nan]], np.float32))
    assert score[0, 0] < 1 < score[0, 1] and score[0, 2] > 1 and np.isnan(score[0, 3])


def test_noise_is_no_change_of_the_other_direction():
    random = np.random.default_rng(6)
    falls = np.concatenate([random.normal(0, 1, 9000), random.normal(12, 1, 900)])
    facts = apart(histogram(falls)).facts
    assert facts["threshold_rise_db"] == facts["threshold_fall_db"] / 2 > 2.5


def test_one_direction_counts_the_other_as_zero():
    values, counts = one_sided(histogram([-3.0, -1.0, 2.0, 5.0, 5.0]), 1).occurring()
    assert dict(zip(values, counts)) == {0.0: 2, 2.0: 1, 5.0: 2}


def test_the_sum_weighs_both_sensors_alike_and_ignores_rises():
    random = np.random.default_rng(5)
    optical, fall = random.gamma(2, 1, 5000).astype(np.float16), random.normal(0, 3, 5000).astype(np.float16)
    combine = summed(histogram(optical), histogram(fall))
    small, large = combine(np.float32([1.0, 1.0]), np.float32([-9.0, -1.0]))
    assert small == large
    total = combine(optical.astype(np.float32), fall.astype(np.float32))
    assert total.mean() == pytest.approx(0, abs=0.01)
