from __future__ import annotations

import pytest
import torch
from torch import nn

from skysense.training.teacher import follow, momentum_at, teacher_of


def test_average_is_exact_and_without_gradients() -> None:
    student = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    teacher = teacher_of(student)
    before = [parameter.clone() for parameter in teacher.parameters()]
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1)
    student[1].running_mean.fill_(7)
    follow(teacher, student, 0.75)
    for old, found, ours in zip(before, teacher.parameters(), student.parameters()):
        assert torch.allclose(found, 0.75 * old + 0.25 * ours, rtol=0, atol=1e-15)
        assert not found.requires_grad and ours.requires_grad
    assert torch.equal(teacher[1].running_mean, student[1].running_mean)


def test_what_does_not_learn_stays_bit_for_bit() -> None:
    student = nn.Linear(30, 20)
    teacher = teacher_of(student)
    for _ in range(5):
        follow(teacher, student, 0.996)
    assert torch.equal(teacher.weight, student.weight)


def test_momentum_rises_by_a_cosine() -> None:
    assert momentum_at(0, 100) == pytest.approx(0.996) and momentum_at(100, 100) == pytest.approx(1.0)
    assert momentum_at(50, 100) == pytest.approx(0.998)
    values = [momentum_at(step, 100) for step in range(101)]
    assert values == sorted(values)
