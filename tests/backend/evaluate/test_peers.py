"""GrabCut and the random walker, mask by mask against the reference where it is at hand."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.evaluate.peers import GrabCut, RandomWalker

CLICKS = [(60, 50, True), (110, 20, False), (75, 62, True), (40, 95, False)]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rng = np.random.default_rng(7)
    rgb = np.full((110, 130, 3), (90, 120, 80), np.float32)
    rgb[30:80, 40:90] = (180, 100, 80)
    return np.clip(rgb + rng.normal(0, 12, rgb.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("peer", [GrabCut, RandomWalker])
def test_a_clear_object_is_found_and_restart_forgets(peer, picture):
    segmenter = peer()
    segmenter.open(picture)
    first = segmenter.click(60, 50, True)
    assert first.dtype == bool and first[50, 60] and not first[5, 5]
    for x, y, positive in CLICKS:
        later = segmenter.click(x, y, positive)
    segmenter.restart()
    assert np.array_equal(segmenter.click(60, 50, True), first)
    truth = np.zeros_like(first)
    truth[30:80, 40:90] = True
    assert np.count_nonzero(later & truth) / np.count_nonzero(later | truth) > 0.8


@pytest.mark.parametrize(("peer", "name"), [(GrabCut, "grabcut3"), (RandomWalker, "randomwalker")])
def test_masks_are_the_references(peer, name, picture, reference_robot):
    ours, theirs = peer(), reference_robot.make(name, {})
    ours.open(picture)
    theirs.set_image(picture)
    for x, y, positive in CLICKS:
        assert np.array_equal(ours.click(x, y, positive), np.asarray(theirs.click(x, y, positive)))
