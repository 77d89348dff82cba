"""The guard's four rules: right already, radius, paint, connection."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.segment.guard import guard


@pytest.fixture
def square() -> np.ndarray:
    mask = np.zeros((300, 300), bool)
    mask[100:200, 100:200] = True
    return mask


def far_from(x: int, y: int, shape: tuple[int, int] = (300, 300)) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(columns - x, rows - y)


def test_a_click_on_the_right_side_leaves_the_mask(square):
    assert np.array_equal(guard(square, ~square, 150, 150, True), square)
    assert np.array_equal(guard(square, ~square, 10, 10, False), square)


@pytest.mark.parametrize(("x", "d"), [(205, 6), (209, 10), (229, 30)])
def test_a_flood_is_added_within_the_radius_only(square, x, d):
    everything = np.ones_like(square)
    result = guard(square, everything, x, 150, True)  # d pixels right of the last column, 199
    radius = min(3 * d, 25 + 1.5 * d)
    expected = square | (far_from(x, 150) <= radius)
    assert np.array_equal(result, expected)


def test_a_negative_click_cannot_rip_the_object_out(square):
    result = guard(square, np.zeros_like(square), 190, 150, False)  # 10 pixels from column 200
    expected = square & (far_from(190, 150) > 30)
    assert np.array_equal(result, expected)


def test_the_click_paints_even_when_the_proposal_refuses(square):
    result = guard(square, square, 219, 150, True)  # d = 20
    expected = square | (far_from(219, 150) <= 12)
    assert np.array_equal(result, expected)


def test_least_distance_follows_the_size_of_the_mask(square):
    # 0.12 * 100 = 12 px, clipped to 6: radius 18 although the outline is 1 px away.
    result = guard(square, np.ones_like(square), 200, 150, True)
    assert np.array_equal(result, square | (far_from(200, 150) <= 18))


def test_what_is_not_connected_with_the_click_stays(square):
    proposal = square.copy()
    proposal[145:155, 200:230] = True
    proposal[170:175, 205:215] = True  # within the radius, but another island
    result = guard(square, proposal, 215, 150, True)
    assert result[150, 229] and not result[172, 210]


def test_one_pixel_gaps_are_bridged_and_wider_ones_not(square):
    # The click is 13 px from the outline: it paints 7.8 px and may follow the proposal for 39.
    proposal = square.copy()
    proposal[145:155, 200:222] = True
    proposal[145:155, 223:230] = True
    proposal[145:155, 233:240] = True
    result = guard(square, proposal, 212, 150, True)
    assert result[150, 229] and not result[150, 222] and not result[150, 235]


def test_nothing_changes_beyond_the_cap():
    mask = np.zeros((1200, 1200), bool)
    mask[:, :100] = True
    result = guard(mask, np.ones_like(mask), 700, 600, True)  # 601 px away: d counts as 160
    assert np.array_equal(result, mask | (far_from(700, 600, mask.shape) <= 25 + 1.5 * 160))


def test_the_old_mask_is_not_written_to(square):
    before = square.copy()
    guard(square, np.ones_like(square), 210, 150, True)
    assert np.array_equal(square, before)
