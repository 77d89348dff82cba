"""Mosaics: eight examples in their places, images and labels cut along the same lines, nothing beyond the range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from skysense.training.semantic.mosaic import Annotated, Box, cut, draw_box, draw_mosaic, nearest, resample
from skysense.training.semantic.settings import SemanticSettings

SETTINGS = SemanticSettings(tile_px=128)
WHOLE = replace(SETTINGS, example_area=(1.0, 1.0), mosaic_area=(1.0, 1.0))


def example(number: int, side: int = 128) -> Annotated:
    """Half of it one class, whose pixels all sensors show brighter; background elsewhere."""
    cells = torch.zeros(4, 4, dtype=torch.long)
    cells.flatten()[torch.randperm(16, generator=torch.Generator().manual_seed(number))[:8]] = 1

    def seen(count: int, bands: int) -> torch.Tensor:
        return cells.repeat_interleave(count // 4, 0).repeat_interleave(count // 4, 1).expand(bands, -1, -1).float()

    labels = cells.repeat_interleave(side // 4, 0).repeat_interleave(side // 4, 1) * (number + 1)
    return Annotated(hr=seen(side, 4) * 0.8, labels=labels, s2=seen(32, 10) * 0.5, s1=seen(32, 2) * 9 - 20)


def examples() -> list[Annotated]:
    return [example(number) for number in range(8)]


def test_eight_examples_stand_row_by_row() -> None:
    mosaic = draw_mosaic(examples(), WHOLE, np.random.default_rng(0))
    assert mosaic.hr.shape == (4, 256, 128) and mosaic.labels.shape == (256, 128)
    assert mosaic.s2.shape == (10, 8, 4) and mosaic.s1.shape == (2, 8, 4)
    for number in range(8):
        row, column = divmod(number, 2)
        there = mosaic.labels[row * 64 : (row + 1) * 64, column * 64 : (column + 1) * 64]
        assert there.unique().tolist() == [0, number + 1]


@pytest.mark.parametrize("seed", range(4))
def test_labels_stay_on_what_they_name(seed: int) -> None:
    mosaic = draw_mosaic(examples(), SETTINGS, np.random.default_rng(seed))
    named = mosaic.labels > 0
    assert ((mosaic.hr[0] > 0.4) == named).float().mean() > 0.98
    low = named[15::32, 15::32].float()  # where the model reads them for Sentinel
    assert ((mosaic.s2[0] > 0.25).float() == low).float().mean() > 0.8
    assert torch.equal((mosaic.s2[0] - 0.25 > 0), (mosaic.s1[1] + 20 > 4.5))


def test_values_never_leave_their_range() -> None:
    for seed in range(3):
        mosaic = draw_mosaic(examples(), SETTINGS, np.random.default_rng(seed))
        assert mosaic.hr.min() >= 0 and mosaic.hr.max() <= 0.8
        assert mosaic.s1.min() >= -20 and mosaic.s1.max() <= -11


def test_a_cut_is_exact_and_a_mirrored_one_mirrored() -> None:
    image = torch.rand(2, 8, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(48).reshape(8, 6)
    assert torch.allclose(resample(image, Box(0, 0, 1, 1), (8, 6)), image, atol=1e-5)
    assert torch.allclose(resample(image, Box(0.25, 0.5, 1, 1), (6, 3)), image[:, 2:, 3:], atol=1e-5)
    assert torch.equal(nearest(labels, Box(0.25, 0.5, 1, 1), (6, 3)), labels[2:, 3:])
    mirror = Box(0, 0, 1, 1).mirrored()
    assert torch.allclose(resample(image, mirror, (8, 6)), image.flip(2), atol=1e-5)
    assert torch.equal(nearest(labels, mirror, (8, 6)), labels.flip(1))


def test_enlarging_is_bicubic() -> None:
    image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1))
    usual = torch.nn.functional.interpolate(image[None], (24, 24), mode="bicubic")[0].clamp(image.min(), image.max())
    assert torch.allclose(cut(Annotated(image, image[0].long()), Box(0, 0, 1, 1), (24, 24)).hr, usual, atol=1e-5)


def test_boxes_have_the_area_asked_for_and_lie_inside() -> None:
    generator = np.random.default_rng(0)
    boxes = [draw_box((0.3, 1.0), generator) for _ in range(500)]
    areas = [(box.bottom - box.top) * (box.right - box.left) for box in boxes]
    assert 0.3 <= min(areas) < 0.33 and 0.97 < max(areas) <= 1
    assert min(min(box.top, box.left) for box in boxes) >= 0
    assert max(max(box.bottom, box.right) for box in boxes) <= 1 + 1e-9


def test_same_generator_same_mosaic() -> None:
    first, again = (draw_mosaic(examples(), SETTINGS, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first.hr, again.hr) and torch.equal(first.labels, again.labels) and torch.equal(first.s2, again.s2)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match="8 examples, not of 7"):
        draw_mosaic(examples()[1:], SETTINGS, np.random.default_rng(0))
    with pytest.raises(ValueError, match="same sensors"):
        draw_mosaic([replace(example(0), s1=None), *examples()[1:]], SETTINGS, np.random.default_rng(0))
