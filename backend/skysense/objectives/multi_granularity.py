"""L_MGCL: student and teacher agree on pixels, on objects and on whole images, for every sensor and for the fused feature.

SkySense (arXiv 2312.10115), section 3.2:
    L_FGCL(F, F') = L_pix + L_obj + L_img
    L_MGCL = sum over sensors of L_FGCL(F_i, F_i') + L_FGCL(F_RS, F_RS')

Legend: B samples, T dates, D width, h w cells, K objects of an image. Two views are compared where they overlap, crop
and flip undone (`overlapping`), so that equal positions are equal ground.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from skysense.objectives.clustering import cluster, means

OBJECTS = 8

Contrast = Callable[[Tensor, Tensor], Tensor]  # L_CL: (N, D) of the student, (N, D) of the teacher -> scalar


def fine_grained(
    student: Tensor, teacher: Tensor, contrast: Contrast, objects: int = OBJECTS, seen: Tensor | None = None
) -> Tensor:
    """L_FGCL of two aligned feature maps (B, T, D, h, w), where both were seen (B, T, h, w); None: everywhere."""
    return (
        pixel_loss(student, teacher, contrast, seen)
        + object_loss(student, teacher, contrast, objects, seen)
        + image_loss(student, teacher, contrast, seen)
    )


def pixel_loss(student: Tensor, teacher: Tensor, contrast: Contrast, seen: Tensor | None = None) -> Tensor:
    """L_pix: every position of every date is a pair."""
    ours, theirs = _positions(student), _positions(teacher)
    return contrast(ours, theirs) if seen is None else contrast(ours[seen.flatten()], theirs[seen.flatten()])


def object_loss(
    student: Tensor, teacher: Tensor, contrast: Contrast, objects: int = OBJECTS, seen: Tensor | None = None
) -> Tensor:
    """L_obj: the centres of each image's clusters. The student's clusters are the teacher's: the pairs are known.

    Images with holes are left out: they would be clustered by them.
    """
    s, t = (x.flatten(0, 1).flatten(2).mT for x in (student, teacher))  # (B * T, h * w, D)
    if seen is not None:
        whole = seen.flatten(0, 1).flatten(1).all(dim=1)
        s, t = s[whole], t[whole]
    plan = cluster(t, min(objects, t.shape[1]))
    return contrast(means(plan, s).flatten(0, 1), means(plan, t).flatten(0, 1))


def image_loss(student: Tensor, teacher: Tensor, contrast: Contrast, seen: Tensor | None = None) -> Tensor:
    """L_img: the mean of each date is a pair."""
    if seen is None:
        return contrast(student.mean(dim=(3, 4)).flatten(0, 1), teacher.mean(dim=(3, 4)).flatten(0, 1))
    there = seen.flatten(2).any(dim=2).flatten()  # (B * T,)
    weight = seen[:, :, None].to(student.dtype)
    area = weight.sum(dim=(3, 4)).clamp(min=1)
    ours, theirs = (((x * weight).sum(dim=(3, 4)) / area).flatten(0, 1)[there] for x in (student, teacher))
    return contrast(ours, theirs)


def multi_granularity(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    contrasts: Mapping[str, Contrast],
    objects: int = OBJECTS,
    seen: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The terms of L_MGCL, whose sum it is: of the sensors' features F_i and of the fused F_RS.

    Args:
        student, teacher: by name, each (B, T, D, h, w).
        contrasts: L_CL of each, with the projection head of its own.
        objects: clusters of an image.
        seen: (B, T, h, w) bool of each; None: everywhere.
    """
    return {
        name: fine_grained(student[name], teacher[name], contrasts[name], objects, None if seen is None else seen[name])
        for name in student
    }


def overlapping(feature: Tensor, view: Tensor, flipped: Tensor, overlap: Tensor, cells: tuple[int, int]) -> Tensor:
    """A view's feature map on a grid over the ground that it shares with another view.

    Args:
        feature: (B, D, h, w) of the view, as it was encoded.
        view: (B, 4) top, left, bottom, right of the view in the picture.
        flipped: (B, 2) bool, whether its rows and its columns were flipped after the crop.
        overlap: (B, 4) top, left, bottom, right of the shared ground in the picture.
        cells: rows and columns of the grid.

    Returns:
        (B, D, rows, columns), bilinear; row 0 is the top of the picture whatever was flipped.
    """
    axes = []
    for axis, count in enumerate(cells):
        centres = (torch.arange(count, device=feature.device) + 0.5) / count  # (count,)
        start, end = overlap[:, axis, None], overlap[:, axis + 2, None]
        low, high = view[:, axis, None], view[:, axis + 2, None]
        place = (start + centres * (end - start) - low) / (high - low) * 2 - 1  # (B, count), -1..1 across the view
        axes.append(torch.where(flipped[:, axis, None], -place, place).to(feature.dtype))
    rows, columns = cells
    y = axes[0][:, :, None].expand(-1, rows, columns)
    x = axes[1][:, None, :].expand(-1, rows, columns)
    grid = torch.stack([x, y], dim=-1)
    return F.grid_sample(feature, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _positions(x: Tensor) -> Tensor:
    """(B, T, D, h, w) -> (B * T * h * w, D)."""
    return x.permute(0, 1, 3, 4, 2).flatten(0, 3)
