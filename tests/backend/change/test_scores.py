"""Change scores on arrays whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.change.pair import MARGIN_PX, PixelPair, comparable, solid
from skysense.change.scores import ChangeVector, LogRatio, smooth
from skysense.change.statistics import Moments


def pair(before, after, valid=None, counted=None) -> PixelPair:
    valid = np.ones(before.shape[1:], bool) if valid is None else valid
    return PixelPair(before.astype(np.float32), after.astype(np.float32), valid, valid if counted is None else counted)


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(0.3, 0.1, (2, 3, 80, 90)).astype(np.float32)


def test_moments_do_not_depend_on_the_windows(noise):
    whole, parts = Moments(), Moments()
    values = noise[0].reshape(3, -1)
    whole.add(values)
    for start in range(0, values.shape[1], 700):
        parts.add(values[:, start : start + 700])
    parts.add(values[:, :0])
    np.testing.assert_allclose(parts.mean, values.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(parts.deviation, values.std(axis=1), rtol=1e-5)
    np.testing.assert_allclose(whole.deviation, parts.deviation, rtol=1e-6)


def test_a_constant_band_tells_nothing():
    moments = Moments()
    moments.add(np.full((1, 50), 7.0, np.float32))
    assert np.isinf(moments.deviation[0])


def test_change_vector_follows_its_formula(noise):
    before, after = noise
    method = ChangeVector()
    method.observe(pair(before, after))
    both = np.concatenate([before.reshape(3, -1), after.reshape(3, -1)], axis=1)
    length = np.sqrt((((after - before) / both.std(axis=1)[:, None, None]) ** 2).mean(axis=0))
    expected = smooth(length.astype(np.float32), np.ones(length.shape, bool))
    np.testing.assert_allclose(method.score(pair(before, after)), expected, rtol=1e-4)


def test_only_dates_standardised_one_by_one_ignore_a_change_of_units(noise):
    before, _ = noise
    other_units = pair(before, before * 4000 + 100)
    raw, per_date = ChangeVector(), ChangeVector(per_date=True)
    raw.observe(other_units)
    per_date.observe(other_units)
    assert raw.score(other_units).mean() > 1
    assert per_date.score(other_units).max() < 1e-2


def test_log_ratio_keeps_the_sign_and_removes_speckle():
    random = np.random.default_rng(1)
    before, after = random.normal(-10, 2, (2, 1, 60, 60)).astype(np.float32)
    after[0, 10:30, 10:30] -= 12  # new water
    after[0, 35:55, 35:55] += 8
    method = LogRatio()
    method.observe(pair(before, after))
    score = method.score(pair(before, after))
    assert score[14:26, 14:26].min() > 8 and score[39:51, 39:51].max() < -4
    assert np.abs(score[:6, 40:]).max() < 3


def test_gaps_have_a_rim_and_single_pixels_have_none():
    missing = np.zeros((40, 40), bool)
    missing[:, :10] = True
    missing[20, 30] = True
    assert not solid(missing)[20, 30] and solid(missing)[:, :10].all()
    usable = comparable(~missing)
    assert not usable[:, :13].any() and not usable[20, 30]
    assert usable[19, 30] and usable[:, 13].all()


def test_validity_does_not_depend_on_where_a_window_was_cut():
    seen = np.random.default_rng(2).random((60, 60)) > 0.3
    seen[20:30, 5:25] = False
    whole = comparable(seen)
    cut = comparable(seen[10 - MARGIN_PX : 40 + MARGIN_PX, 10 - MARGIN_PX : 40 + MARGIN_PX])
    np.testing.assert_array_equal(cut[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX], whole[10:40, 10:40])


@pytest.mark.parametrize("method", [ChangeVector(), LogRatio()], ids=["change vector", "log ratio"])
def test_windows_with_their_halo_score_like_the_whole(method, noise):
    before, after = noise
    valid = np.ones(before.shape[1:], bool)
    valid[30:36, 40:48] = False
    method.observe(pair(before, after, valid))
    whole = method.score(pair(before, after, valid))
    for rows in (slice(0, 40), slice(40, 80)):
        top, bottom = max(rows.start - method.halo_px, 0), min(rows.stop + method.halo_px, 80)
        part = method.score(pair(before[:, top:bottom], after[:, top:bottom], valid[top:bottom]))
        np.testing.assert_allclose(part[rows.start - top : rows.stop - top], whole[rows], atol=1e-5)
