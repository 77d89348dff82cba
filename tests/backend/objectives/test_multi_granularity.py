from __future__ import annotations

import pytest
import torch

from skysense.objectives.alignment import alignment, pool, total
from skysense.objectives.contrastive import info_nce
from skysense.objectives.multi_granularity import (
    fine_grained,
    image_loss,
    multi_granularity,
    object_loss,
    overlapping,
    pixel_loss,
)


def maps(seed: int = 0, dates: int = 2) -> torch.Tensor:
    return torch.randn(2, dates, 4, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    return (ours - theirs).square().mean()


def test_pixels_and_images_are_the_plain_means() -> None:
    s, t = maps(), maps(1)
    assert torch.isclose(pixel_loss(s, t, squared), (s - t).square().mean())
    plain = [(s[b, d].mean(dim=(1, 2)) - t[b, d].mean(dim=(1, 2))).square().mean() for b in range(2) for d in range(2)]
    assert torch.isclose(image_loss(s, t, squared), torch.stack(plain).mean())


def test_pixels_are_paired_by_place_and_date() -> None:
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        pairs.append((ours, theirs))
        return ours.sum()

    s = maps()
    pixel_loss(s, s + 1, keep)
    ours, theirs = pairs[0]
    assert ours.shape == (2 * 2 * 3 * 5, 4) and torch.allclose(theirs, ours + 1)
    assert torch.equal(ours[5 * 1 + 2], s[0, 0, :, 1, 2])


def test_collapsed_pairs_reach_the_minimum_of_every_term() -> None:
    s = maps()
    assert fine_grained(s, s, squared, objects=3) < 1e-24
    assert fine_grained(s, maps(1), squared, objects=3) > 0.01


def test_objects_of_two_grounds_are_two_centres() -> None:
    halves = torch.zeros(1, 1, 2, 4, 4, dtype=torch.float64)
    halves[:, :, 0, :, :2] = 1
    halves[:, :, 1, :, 2:] = 1
    seen: list[torch.Tensor] = []

    def keep(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        seen.append(theirs)
        return ours.sum()

    object_loss(halves, halves, keep, objects=2)
    assert torch.allclose(seen[0].sort(dim=0).values, torch.eye(2, dtype=torch.float64).sort(dim=0).values, atol=1e-6)


def test_gradients_reach_the_student_alone_and_are_right() -> None:
    s, t = maps(dates=1).requires_grad_(), maps(1, dates=1)
    assert torch.autograd.gradcheck(lambda x: fine_grained(x, t, squared, objects=2), (s,))


def test_the_sum_over_sensors_and_the_fused_feature() -> None:
    student, teacher = {"hr": maps(), "fused": maps(1)}, {"hr": maps(2), "fused": maps(3)}
    parts = [fine_grained(student[name], teacher[name], squared) for name in student]
    found = multi_granularity(student, teacher, {"hr": squared, "fused": squared})
    assert torch.allclose(torch.stack(list(found.values())), torch.stack(parts))


def test_what_nobody_saw_changes_nothing() -> None:
    s, t, seen = maps(), maps(1), torch.ones(2, 2, 3, 5, dtype=torch.bool)
    assert torch.isclose(fine_grained(s, t, squared, seen=seen), fine_grained(s, t, squared))
    seen[0, 1, :2] = False
    hidden = torch.where(seen[:, :, None], s, 1e6)
    assert torch.isclose(fine_grained(hidden, t, squared, seen=seen), fine_grained(s, t, squared, seen=seen))
    seen[0, 1] = False
    alone = fine_grained(torch.cat([s[0, :1], s[1]])[:, None], torch.cat([t[0, :1], t[1]])[:, None], squared)
    assert torch.isclose(fine_grained(s, t, squared, seen=seen), alone)


def test_order_of_the_batch_changes_nothing() -> None:
    s, t = maps(), maps(1)
    assert torch.isclose(fine_grained(s.flip(0), t.flip(0), squared), fine_grained(s, t, squared))


@pytest.mark.parametrize("flip", [(False, False), (True, False), (False, True), (True, True)])
def test_crops_and_flips_are_undone(flip: tuple[bool, bool]) -> None:
    """A picture that is linear in both directions: bilinear sampling is exact, whatever part of it a view has."""
    rows = torch.arange(16.0)[:, None].expand(16, 16)
    picture = torch.stack([rows, rows.T])[None]  # value = row and column of the pixel
    view = torch.tensor([[4.0, 2.0, 16.0, 14.0]])
    crop = picture[..., 4:16, 2:14]
    crop = crop.flip([axis for axis, done in zip((2, 3), flip) if done])
    overlap = torch.tensor([[6.0, 4.0, 12.0, 12.0]])
    found = overlapping(crop, view, torch.tensor([flip]), overlap, (3, 4))
    assert torch.allclose(found[0, 0, :, 0], torch.tensor([6.5, 8.5, 10.5]), atol=1e-4)
    assert torch.allclose(found[0, 1, 0], torch.tensor([4.5, 6.5, 8.5, 10.5]), atol=1e-4)


def test_alignment_is_the_sum_over_ordered_pairs() -> None:
    features = {"hr": maps(0, 1), "s2": maps(1), "s1": maps(2)}
    pooled = {name: x.mean(dim=(1, 3, 4)) for name, x in features.items()}
    plain = sum(info_nce(pooled[i], pooled[j]) for i in pooled for j in pooled if i != j)
    assert torch.isclose(alignment({name: pool(x) for name, x in features.items()}), plain)
    assert alignment({"hr": pooled["hr"]}) == 0
    seen = torch.zeros(2, 2, 3, 5, dtype=torch.bool)
    seen[:, 1, 0] = True
    assert torch.allclose(pool(maps(), seen), maps()[:, 1, :, 0].mean(dim=2))
    assert total(torch.tensor(2.0), torch.tensor(3.0)) == pytest.approx(2.3)
