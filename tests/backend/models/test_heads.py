from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from skysense.models.heads import SegmentationHead
from skysense.models.interface import FeatureMap

CHANNELS = {"fine": 6, "coarse": 10}


def maps(generator: torch.Generator, fine: Tensor | None = None) -> dict[str, FeatureMap]:
    values = {"fine": torch.rand(2, 6, 13, 9, generator=generator) if fine is None else fine}
    values["coarse"] = torch.rand(2, 10, 7, 5, generator=generator)
    values["unused"] = torch.rand(2, 3, 40, 40, generator=generator)
    return {name: FeatureMap(tensor, 8, "test", "none") for name, tensor in values.items()}


@pytest.mark.parametrize("order", [("fine", "coarse"), ("coarse", "fine")])
def test_logits_lie_on_the_finest_grid_of_the_levels_read(order: tuple[str, ...]) -> None:
    head = SegmentationHead({name: CHANNELS[name] for name in order}, 4)
    logits = head(maps(torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 4, 13, 9)
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_a_head_learns_what_the_fine_map_shows() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    given = maps(generator)
    target = (given["fine"].values[:, 2] > 0.5).long()
    head = SegmentationHead(CHANNELS, 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(given), target).backward()
        optimizer.step()
    head.eval()
    assert (head(given).argmax(1) == target).float().mean() > 0.85
