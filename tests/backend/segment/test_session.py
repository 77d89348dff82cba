"""Prompts to masks, on a picture whose objects are known."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.errors import PromptError
from skysense.segment.session import Box, Click, ClickSession


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_one_click_finds_a_clear_object_at_every_view_scale(roofs, factor):
    rgb, ids = roofs
    session = ClickSession(rgb, factor)
    for number, (x, y) in {1: (85, 75), 2: (205, 105), 3: (90, 160)}.items():
        mask = session.mask_for([Click(x, y)])
        assert mask.shape == ids.shape and mask.dtype == bool
        assert iou(mask, ids == number) > 0.85, (number, factor)


def test_the_same_prompts_give_the_same_mask_whatever_was_asked_between(roofs):
    rgb, _ = roofs
    prompts = [Click(85, 75), Click(205, 105), Click(60, 20, False), Click(100, 60)]
    session = ClickSession(rgb)
    straight = [session.mask_for(prompts[: n + 1]) for n in range(4)]
    undone = session.mask_for(prompts[:2])
    session.mask_for([*prompts[:2], Click(90, 160)])
    redone = session.mask_for(prompts)
    assert np.array_equal(undone, straight[1])
    assert np.array_equal(redone, straight[3])
    assert np.array_equal(ClickSession(rgb).mask_for(prompts), straight[3])


def test_an_undone_click_leaves_no_trace_after_many_others(roofs, monkeypatch):
    rgb, _ = roofs
    monkeypatch.setattr("skysense.segment.session.REMEMBERED", 3)
    session = ClickSession(rgb)
    first = session.mask_for([Click(85, 75), Click(205, 105)])
    for x in range(10, 60, 10):
        session.mask_for([Click(x, 10)])
    assert np.array_equal(session.mask_for([Click(85, 75), Click(205, 105)]), first)


def test_a_click_changes_the_mask_only_near_itself(roofs):
    rgb, _ = roofs
    session = ClickSession(rgb)
    before = session.mask_for([Click(85, 75)])
    after = session.mask_for([Click(85, 75), Click(205, 105)])
    changed = np.argwhere(before != after)
    d = np.hypot(*(np.argwhere(before) - (105, 205)).T).min()
    assert after[105, 205]
    assert np.hypot(*(changed - (105, 205)).T).max() <= min(3 * d, 25 + 1.5 * d)


def test_clicked_pixels_always_obey(roofs):
    rgb, ids = roofs
    rng = np.random.default_rng(0)
    session = ClickSession(rgb)
    prompts: list[Click] = []
    for _ in range(12):
        x, y = int(rng.integers(300)), int(rng.integers(200))
        prompts.append(Click(x, y, bool(ids[y, x] == 1)))
        mask = session.mask_for(prompts)
        assert mask[y, x] == prompts[-1].positive


def test_a_click_that_is_right_already_changes_nothing(roofs):
    rgb, _ = roofs
    session = ClickSession(rgb)
    mask = session.mask_for([Click(85, 75)])
    assert np.array_equal(session.mask_for([Click(85, 75), Click(86, 76)]), mask)
    assert np.array_equal(session.mask_for([Click(85, 75), Click(290, 10, False)]), mask)


def test_without_positive_prompts_nothing_is_selected(roofs):
    session = ClickSession(roofs[0])
    assert not session.mask_for([]).any()
    assert not session.mask_for([Click(5, 5, False)]).any()


def test_a_box_finds_the_object_and_keeps_it_inside(roofs):
    rgb, ids = roofs
    box = Box(45, 35, 126, 116)
    mask = ClickSession(rgb).mask_for([box])
    assert iou(mask, ids == 1) > 0.9
    outside = mask.copy()
    outside[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1] = False
    assert not outside.any()


def test_a_positive_click_outside_the_box_widens_it(roofs):
    rgb, _ = roofs
    session = ClickSession(rgb)
    mask = session.mask_for([Box(45, 35, 126, 116), Click(205, 105)])
    assert mask[105, 205] and mask[75, 85]


def test_a_negative_click_takes_a_roof_off(roofs):
    rgb, ids = roofs
    session = ClickSession(rgb)
    prompts = [Box(40, 30, 240, 155), Click(85, 75), Click(205, 105, False)]
    mask = session.mask_for(prompts)
    assert not mask[105, 205] and mask[75, 85]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 5), (3, 600)])
@pytest.mark.parametrize("factor", [None, 0.5, 2])
def test_tiny_and_narrow_views_answer(shape, factor):
    rgb = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    session = ClickSession(rgb, factor)
    x, y = shape[1] // 2, shape[0] // 2
    mask = session.mask_for([Click(x, y), Click(0, 0, shape[1] == 1), Box(0, 0, shape[1] - 1, shape[0] - 1)])
    assert mask.shape == shape


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_view_of_one_colour_answers(value):
    session = ClickSession(np.full((64, 80, 3), value, np.uint8))
    assert session.mask_for([Click(40, 30)])[30, 40]
    assert not session.mask_for([Click(40, 30), Click(10, 10, False)])[10, 10]


@pytest.mark.parametrize("prompt", [Click(300, 10), Click(-1, 10), Box(10, 10, 20, 200)])
def test_prompts_outside_the_view_are_refused(roofs, prompt):
    with pytest.raises(PromptError, match="300 x 200"):
        ClickSession(roofs[0]).mask_for([prompt])


@pytest.mark.parametrize("picture", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)])
def test_other_arrays_are_refused(picture):
    with pytest.raises(PromptError, match="uint8"):
        ClickSession(picture)
