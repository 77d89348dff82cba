"""The loss on shares of area."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from skysense.objectives.supervised import IGNORE, area_cross_entropy, class_areas


@pytest.fixture
def labels() -> torch.Tensor:
    drawn = torch.randint(0, 3, (2, 24, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    drawn[0, :8, :8] = IGNORE
    return drawn


def test_areas_are_shares_of_cells(labels: torch.Tensor) -> None:
    areas = class_areas(labels, 3, 8)
    assert areas.shape == (2, 3, 3, 4)
    assert areas[0, :, 0, 0].sum() == 0  # nothing is labelled there
    torch.testing.assert_close(areas[1].sum(dim=0), torch.ones(3, 4))
    assert areas[1, 2, 1, 1] == (labels[1, 8:16, 8:16] == 2).float().mean()


def test_sizes_that_are_no_multiple_are_filled_up(labels: torch.Tensor) -> None:
    assert class_areas(labels[:, :20, :30], 3, 8).shape == (2, 3, 3, 4)


def test_with_cells_of_one_pixel_it_is_the_usual_cross_entropy(labels: torch.Tensor) -> None:
    logits = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([1.0, 2.0, 0.5])
    expected = F.cross_entropy(logits, labels.long(), weights, ignore_index=IGNORE)
    torch.testing.assert_close(area_cross_entropy(logits, class_areas(labels, 3, 1), weights), expected)


def test_it_is_least_where_the_shares_are_predicted(labels: torch.Tensor) -> None:
    areas = class_areas(labels, 3, 8)
    right = area_cross_entropy((areas + 1e-6).log(), areas, torch.ones(3))
    other = area_cross_entropy((areas + 0.2).log(), areas, torch.ones(3))
    assert right < other


def test_nothing_labelled_costs_nothing() -> None:
    nothing = torch.full((1, 8, 8), IGNORE, dtype=torch.uint8)
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    loss = area_cross_entropy(logits, class_areas(nothing, 2, 1), torch.ones(2))
    torch.autograd.backward(loss)
    assert loss == 0 and not logits.grad.any()
