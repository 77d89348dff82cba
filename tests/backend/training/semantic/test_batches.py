"""Batches: classes are named anew in each mosaic, and absent sensors are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skysense.training.semantic.batches import draw_parts, named, recoloured
from skysense.training.semantic.mosaic import Annotated
from skysense.training.semantic.settings import SemanticSettings

SETTINGS = SemanticSettings(tile_px=128, batch=4, accumulate=2, vocabulary=6, seed=0)


def example(number: int, sentinel: bool) -> Annotated:
    g = torch.Generator().manual_seed(number)
    return Annotated(
        hr=torch.rand(4, 128, 128, generator=g),
        labels=torch.randint(0, 3, (4, 4), generator=g).repeat_interleave(32, 0).repeat_interleave(32, 1),
        s2=torch.rand(10, 4, 4, generator=g) if sentinel else None,
    )


CLASSES = [[example(number, sentinel=True) for number in range(3)], [example(number, sentinel=False) for number in range(9)]]


def test_colours_are_distinct_and_background_is_black() -> None:
    labels = torch.arange(60).reshape(6, 10)
    generator = np.random.default_rng(0)
    for _ in range(20):
        colours = recoloured(labels, generator).reshape(-1, 3)
        assert len(colours.unique(dim=0)) == 60 and colours[0].tolist() == [0, 0, 0]
    assert recoloured(labels + 1, generator).reshape(-1, 3).sum(dim=1).min() > 0  # no class is black


def test_each_colour_is_one_label_and_every_label_is_given() -> None:
    labels = torch.arange(5).repeat(4, 1)
    generator, given = np.random.default_rng(0), set()
    for _ in range(20):
        found = named(recoloured(labels, generator), 6, generator)
        assert torch.equal(found, found[:1].expand(4, -1)) and found[0].unique().numel() == 5 and found[0, 0] == 0
        given |= set(found.flatten().tolist())
    assert given == set(range(7))
    with pytest.raises(ValueError, match="more than the 3 labels"):
        named(recoloured(labels, generator), 3, generator)


def test_a_batch_goes_through_in_parts() -> None:
    parts = list(draw_parts(CLASSES, SETTINGS, 7))
    assert [len(part.hr) for part in parts] == [2, 2]
    for part in parts:
        assert part.hr.shape == (2, 3, 256, 128) and part.labels.shape == (2, 256, 128) and part.hidden.shape == (2, 2, 1)
        assert part.hidden.sum(dim=(1, 2)).tolist() == [1, 1] and part.labels.max() <= 6
        assert part.present[:, 0].all() and not part.present[:, 2].any() and part.s1 is None
        if part.s2 is not None:
            assert part.s2.shape == (2, 10, 1, 8, 4) and part.present[:, 1].any()


def test_of_seed_and_step_alone() -> None:
    first, again, later = (torch.cat([p.hr for p in draw_parts(CLASSES, SETTINGS, step)]) for step in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, later)
    assert any(part.present[:, 1].any() for step in range(3) for part in draw_parts(CLASSES, SETTINGS, step))
