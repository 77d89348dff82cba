"""The teacher: an exponential moving average of the student, which never sees a gradient."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

START, END = 0.996, 1.0  # of the momentum lambda

Module = TypeVar("Module", bound=nn.Module)


def teacher_of(student: Module) -> Module:
    """A copy of the student without gradients."""
    teacher = copy.deepcopy(student)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher


def momentum_at(step: int, steps: int, start: float = START, end: float = END) -> float:
    """Lambda: from `start` to `end` by a cosine."""
    return end - (end - start) * (math.cos(math.pi * step / steps) + 1) / 2


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """theta' <- lambda theta' + (1 - lambda) theta for every parameter; buffers are taken over, in place."""
    for theirs, ours in zip(teacher.parameters(), student.parameters(), strict=True):
        theirs.lerp_(ours, 1 - momentum)  # exact where both are equal, as in a frozen stem
    for kept, new in zip(teacher.buffers(), student.buffers(), strict=True):
        kept.copy_(new)
