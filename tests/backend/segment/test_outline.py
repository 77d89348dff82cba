from __future__ import annotations

import numpy as np

from skysense.segment.outline import EPSILON, RADIUS_PX, OutlineFilter
from skysense.segment.superpixels import smooth_lab


def test_a_mask_that_is_a_little_off_snaps_to_the_edge(roofs):
    rgb, ids = roofs
    truth = ids == 1
    off = np.roll(truth, 2, axis=1)
    refined = OutlineFilter(smooth_lab(rgb)).refine(off)
    assert np.count_nonzero(refined != truth) < 0.6 * np.count_nonzero(off != truth)


def test_nothing_changes_away_from_the_outline(roofs):
    rgb, ids = roofs
    mask = ids == 2
    refined = OutlineFilter(smooth_lab(rgb)).refine(mask)
    rows, columns = np.nonzero(refined != mask)
    assert ((np.abs(columns - 180) <= RADIUS_PX + 1) | (np.abs(columns - 229) <= RADIUS_PX + 1)
            | (np.abs(rows - 60) <= RADIUS_PX + 1) | (np.abs(rows - 149) <= RADIUS_PX + 1)).all()  # fmt: skip


def test_the_filter_is_the_least_squares_fit_of_each_window():
    rng = np.random.default_rng(2)
    guide = rng.random((31, 31, 3)).astype(np.float32)
    mask = rng.random((31, 31)) < 0.5
    refined = OutlineFilter(guide).refine(mask)
    # The filter's value at the middle, by solving the ridge problem of every window that covers it.
    values = []
    for row in range(15 - RADIUS_PX, 16 + RADIUS_PX):
        for column in range(15 - RADIUS_PX, 16 + RADIUS_PX):
            window = np.s_[row - RADIUS_PX : row + RADIUS_PX + 1, column - RADIUS_PX : column + RADIUS_PX + 1]
            colours, share = guide[window].reshape(-1, 3).astype(float), mask[window].ravel().astype(float)
            centred = colours - colours.mean(axis=0)
            slope = np.linalg.solve(
                centred.T @ centred / len(share) + EPSILON * np.eye(3), centred.T @ (share - share.mean()) / len(share)
            )
            values.append(slope @ (guide[15, 15] - colours.mean(axis=0)) + share.mean())
    assert refined[15, 15] == (np.mean(values) >= 0.5)


def test_an_empty_mask_stays_empty(roofs):
    assert not OutlineFilter(smooth_lab(roofs[0])).refine(np.zeros((200, 300), bool)).any()
