from __future__ import annotations

import torch

from skysense.models.skysense.geo_context import GeoContext, region_of


def regions(*lonlat: tuple[float, float], side: int = 64) -> list[int]:
    return region_of(torch.tensor(lonlat), side).tolist()


def test_poles_and_corners_stay_inside() -> None:
    found = regions((-180, 90), (179.999, 90), (-180, -90), (179.999, -90), (0, 0))
    assert found == [0, 63, 63 * 64, 64 * 64 - 1, 32 * 64 + 32]


def test_antimeridian_is_one_line() -> None:
    assert regions((180, 10)) == regions((-180, 10)) == regions((540, 10))
    west, east = regions((-179.9, 10), (179.9, 10))
    assert east - west == 63  # same row, first and last column


def test_cells_have_equal_area() -> None:
    g = torch.Generator().manual_seed(0)
    direction = torch.randn(200_000, 3, generator=g)
    direction /= direction.norm(dim=1, keepdim=True)
    lonlat = torch.stack([torch.atan2(direction[:, 1], direction[:, 0]), torch.asin(direction[:, 2])], dim=1)
    counts = torch.bincount(region_of(torch.rad2deg(lonlat), 4), minlength=16)
    assert (counts / 12_500 - 1).abs().max() < 0.05


def test_unknown_is_minus_one() -> None:
    assert regions((float("nan"), 10), (10, float("nan")), (1, float("inf"))) == [-1, -1, -1]


def test_context_is_attention_over_the_prototypes_of_the_region() -> None:
    context = GeoContext(side=2, prototypes=3, width=4)
    context.bank.normal_()
    fused = torch.randn(1, 4, 2, 2)
    prototypes = context.bank[region_of(torch.tensor([[10.0, 50.0]]), 2)[0]]
    found = context(fused, torch.tensor([[10.0, 50.0]]))
    cell = fused[0, :, 1, 0]
    expected = torch.softmax(prototypes @ cell / 2.0, dim=0) @ prototypes
    assert torch.allclose(found[0, :, 1, 0], expected, atol=1e-6)
    assert context(fused, None).abs().max() == 0
