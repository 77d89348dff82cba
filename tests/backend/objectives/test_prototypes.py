from __future__ import annotations

import torch
import torch.nn.functional as F

from skysense.models.skysense.geo_context import GeoContext
from skysense.objectives.prototypes import move_prototypes, usage_entropy


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    bank = torch.randn(4, 3, 5, generator=g, dtype=torch.float64)
    features = torch.randn(30, 5, generator=g, dtype=torch.float64)
    regions = torch.tensor([0] * 12 + [2] * 15 + [-1] * 3)
    return bank, features, regions


def test_one_step_is_the_formula(plain) -> None:
    bank, features, regions = scene()
    before = bank.clone()
    move_prototypes(bank, features, regions, momentum=0.9)
    seen = features[regions == 2]
    s = plain(F.normalize(seen, dim=1) @ F.normalize(before[2], dim=1).T, 0.05, 3)
    expected = 0.9 * before[2] + 0.1 * (s / s.sum(dim=0)).T @ seen
    assert torch.allclose(bank[2], expected, atol=1e-12)
    assert torch.equal(bank[1], before[1]) and torch.equal(bank[3], before[3])


def test_the_number_of_ranks_changes_nothing(in_ranks) -> None:
    bank, features, regions = scene()
    single = bank.clone()
    move_prototypes(single, features, regions)

    def run(part: tuple[torch.Tensor, torch.Tensor], gather) -> torch.Tensor:
        own = bank.clone()
        move_prototypes(own, *part, gather=gather)
        return own

    parts = [(features[:7], regions[:7]), (features[7:], regions[7:])]  # the second region is on one rank alone
    for found in in_ranks(parts, run):
        assert torch.allclose(found, single, atol=1e-12)


def test_prototypes_have_no_gradient() -> None:
    context = GeoContext(side=2, prototypes=3, width=4)
    context.bank.normal_()
    fused = torch.randn(1, 4, 2, 2, requires_grad=True)
    context(fused, torch.tensor([[10.0, 50.0]])).sum().backward()
    assert fused.grad is not None and context.bank.grad is None and not context.bank.requires_grad


def test_entropy_of_use() -> None:
    assert usage_entropy(torch.eye(4)) == 1.0
    assert usage_entropy(torch.tensor([[1.0, 0.0]] * 5)) == 0.0
