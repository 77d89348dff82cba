from __future__ import annotations

import numpy as np
import pytest

from skysense.segment.view_scale import choose_scale, mask_to_full, mask_to_view, to_view_scale


@pytest.mark.parametrize(
    ("height", "width", "object_px", "factor"),
    [(512, 512, None, 1), (600, 1024, None, 0.5), (256, 256, 20, 2), (400, 400, 20, 1), (512, 512, 40, 1),
     (512, 512, 80, 0.5), (1024, 1024, 20, 0.5), (2048, 100, 40, 0.25), (1, 1, 10, 2)],
)  # fmt: skip
def test_the_object_chooses_and_the_view_limits(height, width, object_px, factor):
    assert choose_scale(height, width, object_px) == factor


@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_a_mask_comes_back_where_it_was(factor):
    mask = np.zeros((60, 81), bool)
    mask[20:40, 30:60] = True
    view = to_view_scale(np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255, factor)
    back = mask_to_full(view[..., 0] > 127, mask.shape)
    assert back.shape == mask.shape
    assert np.count_nonzero(back != mask) <= 60  # half a pixel of view scale along the outline


def test_shares_keep_the_area():
    mask = np.random.default_rng(0).random((64, 64)) < 0.3
    assert mask_to_view(mask, (32, 32)).sum() * 4 == pytest.approx(mask.sum(), rel=1e-5)
