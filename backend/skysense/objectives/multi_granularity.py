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


def fine_grained(student: Tensor, teacher: Tensor, contrast: Contrast, objects: int = OBJECTS) -> Tensor:
    """L_FGCL of two aligned feature maps (B, T, D, h, w)."""
    return (
        pixel_loss(student, teacher, contrast)
        + object_loss(student, teacher, contrast, objects)
        + image_loss(student, teacher, contrast)
    )


def pixel_loss(student: Tensor, teacher: Tensor, contrast: Contrast) -> Tensor:
    """L_pix: every position of every date is a pair."""
    return contrast(_positions(student), _positions(teacher))


def object_loss(student: Tensor, teacher: Tensor, contrast: Contrast, objects: int = OBJECTS) -> Tensor:
    """L_obj: the centres of each image's clusters. The teacher's clusters are the student's: the pairs are known."""
    ours, theirs = [], []
    for s, t in zip(student.flatten(0, 1), teacher.flatten(0, 1)):  # (D, h, w) each
        s, t = s.flatten(1).T, t.flatten(1).T  # (h * w, D)
        plan = cluster(t, min(objects, len(t)))
        ours.append(means(plan, s))
        theirs.append(means(plan, t))
    return contrast(torch.cat(ours), torch.cat(theirs))


def image_loss(student: Tensor, teacher: Tensor, contrast: Contrast) -> Tensor:
    """L_img: the mean of each date is a pair."""
    return contrast(student.mean(dim=(3, 4)).flatten(0, 1), teacher.mean(dim=(3, 4)).flatten(0, 1))


def multi_granularity(
    student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], contrast: Contrast, objects: int = OBJECTS
) -> Tensor:
    """L_MGCL over the sensors' features F_i and the fused F_RS, all by name, each (B, T, D, h, w)."""
    losses = [fine_grained(student[name], teacher[name], contrast, objects) for name in student]
    return torch.stack(losses).sum()


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
