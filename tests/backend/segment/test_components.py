from __future__ import annotations

import numpy as np

from skysense.segment.components import box_of, clicked_parts


def test_only_clicked_parts_stay_and_corners_do_not_connect():
    mask = np.zeros((40, 40), bool)
    mask[5:15, 5:15] = True
    mask[15:25, 15:25] = True  # touches the first at a corner
    result = clicked_parts(mask, [(10, 10)], [])
    expected = np.zeros_like(mask)
    expected[5:15, 5:15] = True
    assert np.array_equal(result, expected)


def test_small_holes_are_filled_but_not_those_that_were_clicked_away():
    mask = np.ones((60, 60), bool)
    mask[0] = False
    mask[10:15, 10:15] = False  # 25 px
    mask[10:15, 30:35] = False  # 25 px, clicked
    mask[30:45, 30:45] = False  # 225 px
    result = clicked_parts(mask, [(5, 5)], [(32, 12)])
    assert result[12, 12] and not result[12, 32] and not result[40, 40] and not result[0, 0]


def test_bays_at_the_rim_are_no_holes():
    mask = np.ones((30, 30), bool)
    mask[0:4, 10:14] = False
    assert np.array_equal(clicked_parts(mask, [(20, 20)], []), mask)


def test_box_of_an_empty_mask_and_at_the_rim():
    mask = np.zeros((20, 30), bool)
    assert box_of(mask) is None
    mask[3, 28] = True
    assert box_of(mask, 5) == (slice(0, 9), slice(23, 30))
